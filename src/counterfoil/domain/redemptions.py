"""Redemptions: whether vouchers may be redeemed, what that takes from cards, and what it takes off an order.

Nothing is changed here: `plan` says what would happen to each voucher, in the order given, or which one refuses and why,
so that the refusal can be kept as a failed redemption and nothing else. Source of the rules: Voucherify, Redeem
Stackable Discounts and Redeem Reward (facts 3.5), error keys: facts 4.3. Where the vendor is silent, each voucher counts
on what those before it left to pay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from counterfoil.domain import cards, validity
from counterfoil.domain.cards import Card, CardKind
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.errors import CounterfoilError, InvalidInput, Refused

REDEEMABLES_MAX = 30
MINOR_PER_MAJOR = 100
"""The vendor's amounts are hundredths (facts 3.1)."""


@dataclass(frozen=True, slots=True)
class Redeemable:
    """What a caller wants redeemed: a voucher by code or id, with what they say about how.

    credits: of a gift card, minor units; None for as much as the order needs or the card has. reward_id: what a loyalty
    card's points are spent on; points: how many, for rewards that pay an order.
    """

    name: str
    credits: int | None = None
    reward_id: str | None = None
    points: int | None = None


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """A reward as assigned to the card's programme: its row, the assignment's id, and its price in points."""

    row: Mapping[str, Any]
    assignment_id: str
    price: int


@dataclass(frozen=True, slots=True)
class Target:
    """A redeemable with what is known of it. voucher, campaign: rows of their tables. card: None for discounts."""

    asked: Redeemable
    voucher: Mapping[str, Any]
    campaign: Mapping[str, Any] | None = None
    card: Card | None = None
    reward: RewardTerms | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """The order so far, minor units. amount: before every discount, None when nobody said. items: in stored form."""

    amount: int | None = None
    left: int = 0
    items: tuple[Mapping[str, Any], ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is an order with an amount."""
        return self.amount is not None


@dataclass(frozen=True, slots=True)
class Effect:
    """What redeeming one target does: what it takes from the card, and what it takes off the order. Minor units."""

    target: Target
    credits: int = 0
    points: int = 0
    discount: int = 0

    @property
    def spent(self) -> int:
        """Credits or points, whichever the card has."""
        return self.credits or self.points


@dataclass(frozen=True, slots=True)
class Failure:
    """The target that refuses, and why."""

    target: Target
    error: Refused


def plan(targets: Sequence[Target], bill: Bill, now_ms: int) -> tuple[Effect, ...] | Failure:
    """What redeeming the targets one after another does, or the first that refuses.

    Raises InvalidInput for what could not be asked at all: amounts out of range, points or an order missing.
    """
    effects: list[Effect] = []
    for target in targets:
        _check_asked(target, bill)
        try:
            check_redeemable(target, now_ms)
            effect = _effect(target, bill)
        except Refused as error:
            return Failure(target, error)
        effects.append(effect)
        bill = replace(bill, left=bill.left - effect.discount)
    return tuple(effects)


def check_redeemable(target: Target, now_ms: int) -> None:
    """Raise Refused unless the voucher, and its campaign, may be redeemed now."""
    voucher, campaign = target.voucher, target.campaign
    code = voucher["code"]
    cards.check_in_force(code, voucher["active"], voucher["start_date"], voucher["expiration_date"], now_ms)
    begins = voucher["start_date"] if voucher["start_date"] is not None else voucher["created_at"]
    if not validity.in_timeframe(voucher["validity_timeframe"], begins, now_ms) or not validity.on_days(
        voucher["validity_day_of_week"], now_ms
    ):
        raise _refused("voucher_not_active_now", "voucher is not active now", code)
    if campaign is not None and not (
        campaign["active"] and validity.in_period(campaign["start_date"], campaign["expiration_date"], now_ms)
    ):
        raise _refused("campaign_not_active", "campaign is not active", code)
    quantity = voucher["redemption_quantity"]
    if quantity is not None and voucher["redeemed_quantity"] >= quantity:
        raise _refused("quantity_exceeded", "quantity exceeded", code)
    if target.reward is not None:
        _check_stock(target.reward, code)
    if any(name.endswith("_formula") and text for name, text in (voucher["discount"] or {}).items()):
        raise _refused("invalid_voucher", "A discount given by a formula cannot be worked out here", code)


def discount_on(discount: Mapping[str, Any], bill: Bill) -> int:
    """What a discount voucher takes off an order: never more than what is left to pay, 0 without an order."""
    if not bill.known:
        return 0
    kind, effect = discount["type"], str(discount.get("effect") or "")
    match kind:
        case "AMOUNT":
            off = _amount_off(_size(discount, "amount_off"), effect, bill)
        case "PERCENT":
            off = _rounded(bill.left * Fraction(str(discount["percent_off"])) / 100)
        case "FIXED":
            fixed = _size(discount, "fixed_amount")
            off = _down_to(fixed, bill) if effect.startswith("APPLY_TO_ITEMS") else bill.left - fixed
        case _:
            off = _units_off(discount, bill)
    limits = (discount.get("amount_limit"), discount.get("aggregated_amount_limit"))
    return max(0, min(off, bill.left, *(int(limit) for limit in limits if limit is not None)))


def points_for(amount: int, coin: Mapping[str, Any]) -> int:
    """The fewest points that pay an amount (minor units) at a coin reward's rate."""
    return int(-(-amount // worth_of_point(coin)))


def paid_by(points: int, coin: Mapping[str, Any]) -> int:
    """What points pay (minor units) at a coin reward's rate, rounded down."""
    return int(points * worth_of_point(coin))


def worth_of_point(coin: Mapping[str, Any]) -> Fraction:
    """What one point pays, in minor units: points_ratio points are worth exchange_ratio of the currency's major unit.

    Source: Voucherify, Create Reward.
    """
    return Fraction(str(coin["exchange_ratio"])) * MINOR_PER_MAJOR / int(coin.get("points_ratio") or 1)


def _check_asked(target: Target, bill: Bill) -> None:
    asked, card = target.asked, target.card
    for amount, field in ((asked.credits, "gift.credits"), (asked.points, "reward.points")):
        if amount is not None and not 0 < amount <= AMOUNT_MAX:
            raise InvalidInput("invalid_amount", "Amount has to be a valid positive number", field=field, value=amount)
    if card is None:
        return
    if card.kind is CardKind.GIFT:
        if asked.credits is None and not bill.known:
            raise InvalidInput("missing_order", "An order with an amount, or gift.credits, is needed", field="order")
    elif target.reward is None:
        raise InvalidInput("missing_reward", "A loyalty card is redeemed for a reward", field="reward.id")
    elif target.reward.row["type"] == "COIN" and not bill.known:
        raise InvalidInput("missing_order", "Points pay an order: it is needed, with its amount", field="order")


def _effect(target: Target, bill: Bill) -> Effect:
    card = target.card
    if card is None:
        return Effect(target, discount=discount_on(target.voucher["discount"], bill))
    if card.kind is CardKind.GIFT:
        return _gift_effect(target, card, bill)
    assert target.reward is not None
    if target.reward.row["type"] == "COIN":
        return _coin_effect(target, card, target.reward.row["parameters"]["coin"], bill)
    _check_balance(card, target.reward.price, "insufficient_points", "loyalty card points exceeded")
    return Effect(target, points=target.reward.price)


def _gift_effect(target: Target, card: Card, bill: Bill) -> Effect:
    asked = target.asked.credits
    wanted = min(bill.left, card.balance) if asked is None else min(asked, bill.left) if bill.known else asked
    _check_balance(card, wanted if asked is None else asked, "insufficient_credits", "gift amount exceeded")
    if wanted == 0:
        raise _refused(
            "insufficient_credits", "gift amount exceeded: the card is empty or nothing is left to pay", card.code
        )
    return Effect(target, credits=wanted, discount=wanted if bill.known else 0)


def _coin_effect(target: Target, card: Card, coin: Mapping[str, Any], bill: Bill) -> Effect:
    needed = points_for(bill.left, coin)
    asked = target.asked.points
    points = min(needed, card.balance) if asked is None else min(asked, needed)
    _check_balance(card, points if asked is None else asked, "insufficient_points", "loyalty card points exceeded")
    off = min(paid_by(points, coin), bill.left)
    if points == 0 or off == 0:
        raise _refused(
            "insufficient_points", "loyalty card points exceeded: too few to pay any of the order", card.code
        )
    return Effect(target, points=points, discount=off)


def _check_balance(card: Card, amount: int, error_code: str, message: str) -> None:
    if amount > card.balance:
        raise _refused(error_code, message, card.code)


def _check_stock(reward: RewardTerms, code: str) -> None:
    stock = reward.row["stock"]
    if stock is not None and reward.row["redeemed"] >= stock:
        raise _refused("quantity_exceeded", f"the reward {reward.row['name']} is out of stock", code)


def _amount_off(amount: int, effect: str, bill: Bill) -> int:
    if effect not in {"APPLY_TO_ITEMS", "APPLY_TO_ITEMS_BY_QUANTITY"}:
        return amount
    by_quantity = effect == "APPLY_TO_ITEMS_BY_QUANTITY"
    return sum(min(amount * (_quantity(item) if by_quantity else 1), item.get("amount", 0)) for item in bill.items)


def _down_to(fixed: int, bill: Bill) -> int:
    return sum(max(0, item.get("amount", 0) - fixed * _quantity(item)) for item in bill.items)


def _units_off(discount: Mapping[str, Any], bill: Bill) -> int:
    """Free units: for each unit type, so many of the order's items of that product or SKU cost nothing."""
    units: Sequence[Mapping[str, Any]] = discount.get("units") or (discount,)
    off = 0
    for unit in units:
        free = int(unit.get("unit_off") or 0)
        for item in bill.items:
            if unit.get("unit_type") in {item.get("product_id"), item.get("sku_id"), item.get("source_id")} - {None}:
                taken = min(free, _quantity(item))
                off += taken * item.get("price", 0)
                free -= taken
    return off


def _size(discount: Mapping[str, Any], name: str) -> int:
    return int(discount.get(name) or 0)


def _rounded(amount: Fraction) -> int:
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def _quantity(item: Mapping[str, Any]) -> int:
    return int(item.get("quantity") or 1)


def _refused(code: str, message: str, voucher_code: str) -> Refused:
    return Refused(code, message, resource_type="voucher", resource_id=voucher_code)


def failure_of(error: CounterfoilError) -> dict[str, Any]:
    """The refusal as plain values, to be remembered with the failed redemption and raised again from them."""
    return {
        "code": error.code,
        "message": error.message,
        "resource_type": error.resource_type,
        "resource_id": error.resource_id,
    }


def refusal(failure: Mapping[str, Any]) -> Refused:
    """The refusal again."""
    return Refused(
        failure["code"], failure["message"], resource_type=failure["resource_type"], resource_id=failure["resource_id"]
    )  # fmt: skip
