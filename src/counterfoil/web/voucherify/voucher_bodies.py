"""Request bodies that describe a voucher: alone, within a campaign, or as one of many to import."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from counterfoil.domain.codes import code_shape
from counterfoil.domain.vouchers import VoucherType
from counterfoil.web.voucherify.bodies import Body, Document, Instant, Name, Text, Whole
from counterfoil.web.voucherify.errors import first_problem

QUANTITY_MAX = 2**53
"""How often a voucher may be redeemed at most: what every client can count to."""

Weekdays = list[Annotated[Whole, Field(ge=0, le=6)]]
"""Days of the week, 0 Sunday to 6 Saturday."""


class GiftBody(Body):
    """The credits of a gift card, in minor units."""

    amount: Whole | None = None
    effect: Text | None = None


class CardBody(Body):
    """The points of a loyalty card."""

    points: Whole | None = None


class RedemptionBody(Body):
    """How often a voucher may be redeemed; null is any number of times."""

    quantity: Annotated[Whole, Field(ge=0, le=QUANTITY_MAX)] | None = None


class VoucherPart(Body):
    """What may be said of a voucher wherever one is made or changed."""

    category: Text | None = None
    start_date: Instant = None
    expiration_date: Instant = None
    additional_info: Text | None = None
    metadata: Document | None = None

    def said(self) -> dict[str, Any]:
        """The values that were said, by column."""
        names = ("category", "start_date", "expiration_date", "additional_info", "metadata")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class CampaignVoucherBody(VoucherPart):
    """One more voucher of a campaign (Voucherify: Add Voucher with Specific Code)."""

    redemption: RedemptionBody | None = None

    def given(self) -> dict[str, Any]:
        """The values that were said, by field of VoucherDraft."""
        given = self.said()
        if self.redemption is not None and self.redemption.quantity is not None:
            given["quantity"] = self.redemption.quantity
        return given


class CampaignVouchersBody(CampaignVoucherBody):
    """More vouchers of a campaign with drawn codes (Voucherify: Add Vouchers to Campaign)."""

    code_config: Document | None = None


class VoucherUpdateBody(VoucherPart):
    """Changes to a voucher (Voucherify: Update Voucher). Whatever else is sent is skipped, as the vendor says."""

    validity_timeframe: Document | None = None
    validity_day_of_week: Weekdays | None = None
    active: bool | None = None
    discount: Document | None = None

    def changes(self) -> dict[str, Any]:
        """The values that were said, by column."""
        names = ("validity_timeframe", "validity_day_of_week", "active", "discount")
        return self.said() | {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class VoucherBody(VoucherUpdateBody):
    """A voucher to make (Voucherify: Create Voucher). The type may be left out where another part tells it."""

    code: Text | None = None
    code_config: Document | None = None
    type: Literal["DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD"] | None = None
    campaign: Name | None = None
    campaign_id: Name | None = None
    gift: GiftBody | None = None
    loyalty_card: CardBody | None = None
    redemption: RedemptionBody | None = None

    def given(self) -> dict[str, Any]:
        """The values that were said, by field of VoucherDraft. Raises InvalidInput for a code_config that cannot be."""
        given = self.changes()
        kind = self._kind()
        if kind is not None:
            given["type"] = kind
        if self.code:
            given["code"] = self.code
        elif self.code_config is not None:
            given["shape"] = code_shape(self.code_config)
        if self.redemption is not None and self.redemption.quantity is not None:
            given["quantity"] = self.redemption.quantity
        if kind is VoucherType.LOYALTY and self.loyalty_card is not None and self.loyalty_card.points is not None:
            given["opening"] = self.loyalty_card.points
        if kind is VoucherType.GIFT and self.gift is not None:
            said = {"opening": self.gift.amount, "gift_effect": self.gift.effect}
            given |= {name: value for name, value in said.items() if value is not None}
        return given

    def _kind(self) -> VoucherType | None:
        if self.type is not None:
            return VoucherType(self.type)
        parts = {
            VoucherType.GIFT: self.gift,
            VoucherType.LOYALTY: self.loyalty_card,
            VoucherType.DISCOUNT: self.discount,
        }
        return next((kind for kind, part in parts.items() if part is not None), None)


def import_item(item: Any) -> dict[str, Any]:
    """A voucher of an import as the service takes it: {code, given}, or {code, reason} for one that cannot be made."""
    code = item.get("code") if isinstance(item, dict) else None
    try:
        body = VoucherBody.model_validate(item)
    except ValidationError as error:
        return {"code": code, "reason": first_problem(error)}
    given = body.given()
    return {"code": code, "given": {name: value for name, value in given.items() if name != "shape"}}
