"""Vouchers before they exist: what a draft holds and what it takes to be a good one.

Source of the shapes: Voucherify, Create Voucher and Create Voucher with Specific Code (facts 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from counterfoil.domain.cards import Card, CardKind
from counterfoil.domain.codes import DEFAULT_SHAPE, CodeShape, check_code
from counterfoil.domain.money import checked
from counterfoil.errors import InvalidInput

GIFT_EFFECTS = ("APPLY_TO_ORDER", "APPLY_TO_ITEMS")
DISCOUNT_TYPES = ("AMOUNT", "PERCENT", "UNIT", "FIXED")
_DISCOUNT_SIZES = {
    "AMOUNT": ("amount_off", "amount_off_formula"),
    "PERCENT": ("percent_off", "percent_off_formula"),
    "UNIT": ("unit_off", "unit_off_formula", "units"),
    "FIXED": ("fixed_amount", "fixed_amount_formula"),
}


class VoucherType(StrEnum):
    """The vendor's three kinds of voucher; the last two are cards."""

    DISCOUNT = "DISCOUNT_VOUCHER"
    GIFT = "GIFT_VOUCHER"
    LOYALTY = "LOYALTY_CARD"

    @property
    def card_kind(self) -> CardKind | None:
        """The kind of card, or None for discounts, which hold no balance."""
        return None if self is VoucherType.DISCOUNT else CardKind(self.value)


@dataclass(frozen=True, slots=True)
class VoucherDraft:
    """A voucher to be made. Instants in ms, amounts in minor units.

    code: None draws one of `shape`. id: given by imports only, else made. opening: the credits or points it starts
    with; opening_expires_on: those points' last day of use (ISO date), None for never. created_at: None means now.
    quantity: how often it may be redeemed, None for any number of times.
    """

    type: VoucherType
    code: str | None = None
    id: str | None = None
    shape: CodeShape = DEFAULT_SHAPE
    campaign_id: str | None = None
    campaign: str | None = None
    category: str | None = None
    discount: Mapping[str, Any] | None = None
    gift_effect: str | None = None
    opening: int = 0
    opening_expires_on: str | None = None
    start_date: int | None = None
    expiration_date: int | None = None
    validity_timeframe: Mapping[str, Any] | None = None
    validity_day_of_week: tuple[int, ...] | None = None
    active: bool = True
    additional_info: str | None = None
    metadata: Mapping[str, Any] | None = None
    holder_id: str | None = None
    is_referral_code: bool = False
    quantity: int | None = None
    created_at: int | None = None

    def card(self, voucher_id: str, code: str) -> Card | None:
        """The card without its opening balance, or None for a discount voucher."""
        kind = self.type.card_kind
        if kind is None:
            return None
        return Card(
            voucher_id, code, kind, self.campaign_id, self.campaign, self.holder_id, self.active, self.start_date,
            self.expiration_date, self.is_referral_code,
        )  # fmt: skip


def draft_of(given: Mapping[str, Any], template: VoucherDraft | None = None) -> VoucherDraft:
    """The draft that somebody asks for, checked.

    given: values for fields of VoucherDraft, only those that were said; `type` among them unless there is a template.
    template: what holds for the rest, a campaign's vouchers. Raises InvalidInput.
    """
    kind = given.get("type") or (template.type if template is not None else None)
    if kind is None:
        raise InvalidInput("invalid_voucher", "Property .type is required", field="type")
    if template is None:
        if kind is VoucherType.GIFT and "opening" not in given:
            raise InvalidInput("invalid_voucher", "Property 'gift' is required for GIFT_VOUCHER", field="gift")
        template = VoucherDraft(kind)
    elif kind is not template.type:
        raise InvalidInput("invalid_voucher", f"Vouchers of campaign {template.campaign} are of type {template.type}",
                           field="type", value=kind.value)  # fmt: skip
    return _checked(replace(template, **given))


def _checked(draft: VoucherDraft) -> VoucherDraft:
    check_period(draft.start_date, draft.expiration_date, "invalid_voucher")
    if draft.code is not None:
        check_code(draft.code, "code")
    if draft.type is VoucherType.DISCOUNT:
        return replace(draft, discount=check_discount(draft.discount), opening=0, gift_effect=None)
    if draft.type is VoucherType.GIFT:
        effect, field = check_gift_effect(draft.gift_effect), "gift.amount"
    else:
        effect, field = None, "loyalty_card.points"
    return replace(draft, opening=check_opening(draft.opening, field), gift_effect=effect, discount=None)


def check_opening(amount: int, field: str) -> int:
    """An opening balance: a whole number >= 0 that the ledger can hold. Raises InvalidInput."""
    if amount < 0:
        raise InvalidInput("invalid_amount", "Amount has to be a valid positive number", field=field, value=amount)
    return checked(amount, field)


def check_discount(discount: Mapping[str, Any] | None, field: str = "discount") -> Mapping[str, Any]:
    """The discount itself, or InvalidInput unless it has a known type and a size that the type can use."""
    if not discount:
        raise InvalidInput("invalid_voucher", f"Property .{field} must be an object", field=field)
    kind = discount.get("type")
    if kind not in DISCOUNT_TYPES:
        raise InvalidInput("invalid_payload", "Unknown discount type", field=f"{field}.type", value=kind,
                           allowed=DISCOUNT_TYPES)  # fmt: skip
    sizes = [(name, discount[name]) for name in _DISCOUNT_SIZES[kind] if discount.get(name) is not None]
    if not sizes:
        names = " or ".join(f"'{name}'" for name in _DISCOUNT_SIZES[kind])
        raise InvalidInput("invalid_voucher", f"Property .{field} must have required property {names}", field=field)
    for name, size in sizes:
        if name.endswith(("_formula", "units")):
            continue
        if isinstance(size, bool) or not isinstance(size, int | float) or size < 0:
            raise InvalidInput("invalid_voucher", f"Property .{field}.{name} must be a number >= 0",
                               field=f"{field}.{name}", value=size)  # fmt: skip
        if name == "percent_off" and size > 100:
            raise InvalidInput("invalid_voucher", f"Property .{field}.{name} must be <= 100", field=f"{field}.{name}",
                               value=size)  # fmt: skip
    return discount


def check_gift_effect(effect: str | None, field: str = "gift.effect") -> str:
    """A gift's effect, APPLY_TO_ORDER when not said. Raises InvalidInput."""
    if effect is None:
        return GIFT_EFFECTS[0]
    if effect not in GIFT_EFFECTS:
        raise InvalidInput("invalid_payload", "Unknown effect", field=field, value=effect, allowed=GIFT_EFFECTS)
    return effect


def check_period(start_date: int | None, expiration_date: int | None, error_code: str) -> None:
    """Raise InvalidInput when the expiration comes before the start (both ms)."""
    if start_date is not None and expiration_date is not None and expiration_date < start_date:
        raise InvalidInput(error_code, "Property .expiration_date must not be earlier than .start_date",
                           field="expiration_date", value=expiration_date)  # fmt: skip
