"""Campaigns: what kinds there are, and how a campaign's template becomes a voucher.

Source of the rules: Voucherify, Create Campaign, Update Campaign and the campaign object (facts 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from counterfoil.clock import iso_date
from counterfoil.domain import expiry
from counterfoil.domain.codes import CodeShape, code_shape
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.errors import InvalidInput

AUTO_UPDATE = "AUTO_UPDATE"
STATIC = "STATIC"
STANDALONE = "STANDALONE"
GROWTH_TYPES = (AUTO_UPDATE, STATIC, STANDALONE)
"""The vendor's `type`: whether more vouchers can be drawn; a standalone campaign has vouchers with given codes only."""


class CampaignType(StrEnum):
    """What a campaign gives out."""

    LOYALTY = "LOYALTY_PROGRAM"
    GIFT = "GIFT_VOUCHERS"
    DISCOUNT = "DISCOUNT_COUPONS"
    PROMOTION = "PROMOTION"
    REFERRAL = "REFERRAL_PROGRAM"

    @property
    def voucher_types(self) -> tuple[VoucherType, ...]:
        """The vouchers it may have, the usual one first; a promotion has none."""
        return _VOUCHER_TYPES[self]

    @property
    def has_currency(self) -> bool:
        """Whether its vouchers are cards, so that their balances are counted in something."""
        return self in (CampaignType.LOYALTY, CampaignType.GIFT)


_VOUCHER_TYPES: Mapping[CampaignType, tuple[VoucherType, ...]] = {
    CampaignType.LOYALTY: (VoucherType.LOYALTY,),
    CampaignType.GIFT: (VoucherType.GIFT,),
    CampaignType.DISCOUNT: (VoucherType.DISCOUNT,),
    CampaignType.PROMOTION: (),
    CampaignType.REFERRAL: (VoucherType.DISCOUNT, VoucherType.GIFT),
}


def template_shape(campaign: Mapping[str, Any]) -> CodeShape:
    """What the campaign's drawn codes look like."""
    return code_shape((campaign["voucher"] or {}).get("code_config"), "voucher.code_config")


def voucher_draft(
    campaign: Mapping[str, Any], granted_at: int, *, code: str | None = None, holder_id: str | None = None
) -> VoucherDraft:
    """A voucher as the campaign's template has it, for the caller to change with `dataclasses.replace` and insert.

    campaign: a row of the campaigns table. granted_at: ms; the day from which points' last day of use counts.
    code: None draws one of the template's shape.
    """
    template: Mapping[str, Any] = campaign["voucher"] or {}
    draft = VoucherDraft(
        type=VoucherType(template["type"]),
        code=code,
        shape=template_shape(campaign),
        campaign_id=campaign["id"],
        campaign=campaign["name"],
        category=campaign["category"],
        start_date=_first(template.get("start_date"), campaign["start_date"]),
        expiration_date=_first(template.get("expiration_date"), campaign["expiration_date"]),
        validity_timeframe=_first(template.get("validity_timeframe"), campaign["validity_timeframe"]),
        validity_day_of_week=_days(_first(template.get("validity_day_of_week"), campaign["validity_day_of_week"])),
        metadata=template.get("metadata"),
        holder_id=holder_id,
        is_referral_code=campaign["campaign_type"] == CampaignType.REFERRAL,
        quantity=(template.get("redemption") or {}).get("quantity"),
    )
    if draft.type is VoucherType.GIFT:
        gift = template.get("gift") or {}
        return replace(draft, opening=gift.get("amount") or 0, gift_effect=gift.get("effect"))
    if draft.type is VoucherType.LOYALTY:
        card = template.get("loyalty_card") or {}
        last_day = expiry.last_day(card.get("expiration_rules"), iso_date(granted_at))
        return replace(draft, opening=card.get("points") or 0, opening_expires_on=last_day)
    return replace(draft, discount=template.get("discount"))


def template_of(campaign: Mapping[str, Any], granted_at: int, *, drawn: bool) -> VoucherDraft:
    """The draft of one more voucher of the campaign. drawn: its code is to be drawn, not given.

    Raises InvalidInput (invalid_campaign) for a promotion, which has no vouchers, and for a standalone campaign that is
    asked for drawn codes (Voucherify: Create Voucher, 400).
    """
    if campaign["voucher"] is None:
        raise InvalidInput("invalid_campaign", f"You can not generate vouchers for {campaign['campaign_type']} campaign.",
                           field="campaign", value=campaign["name"])  # fmt: skip
    if drawn and campaign["type"] == STANDALONE:
        raise InvalidInput("invalid_campaign", "You can not generate vouchers for STANDALONE type campaign.",
                           field="campaign", value=campaign["name"])  # fmt: skip
    return voucher_draft(campaign, granted_at)


def _first(own: Any, inherited: Any) -> Any:
    return inherited if own is None else own


def _days(days: Any) -> tuple[int, ...] | None:
    return None if days is None else tuple(days)
