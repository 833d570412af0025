"""Cards: gift and loyalty vouchers, the only things with a balance, and the rules of what may happen to them.

Every function here takes a card's state and returns the new state with the movements that led to it, or raises and
leaves nothing changed. Nothing here reads a clock or a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from counterfoil.domain import buckets as lots_of
from counterfoil.domain.buckets import Buckets, Lots
from counterfoil.domain.money import checked
from counterfoil.domain.movements import AUTOMATION, Movement, MovementType
from counterfoil.errors import InvalidInput, Refused


class CardKind(StrEnum):
    """The voucher types that carry a balance."""

    GIFT = "GIFT_VOUCHER"
    LOYALTY = "LOYALTY_CARD"


@dataclass(frozen=True, slots=True)
class Card:
    """A card and its balance. balance = total - redeemed - expired; total is net of manual removals (subtracted).

    buckets: empty for gift cards; their active sum is the balance for loyalty cards. Instants in ms, amounts minor.
    removed: the voucher was deleted; what is left of the card is its place in the books.
    """

    id: str
    code: str
    kind: CardKind
    campaign_id: str | None = None
    campaign: str | None = None
    holder_id: str | None = None
    active: bool = True
    start_date: int | None = None
    expiration_date: int | None = None
    is_referral_code: bool = False
    removed: bool = False
    balance: int = 0
    total: int = 0
    subtracted: int = 0
    redeemed: int = 0
    expired: int = 0
    buckets: Buckets = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked for a movement and what they said: channel, their own id for it, their reason, when (ms)."""

    source: str | None = None
    source_id: str | None = None
    reason: str | None = None
    created_at: int | None = None


Posted = tuple[Card, tuple[Movement, ...]]


def check_card(card: Card) -> None:
    """Assert what must always hold of a card. A failure is a bug of ours, never of a caller."""
    assert card.balance >= 0, card
    assert card.balance == card.total - card.redeemed - card.expired, card
    assert min(card.total, card.subtracted, card.redeemed, card.expired) >= 0, card
    if card.kind is CardKind.LOYALTY:
        assert card.balance == lots_of.active_points(card.buckets), card
    else:
        assert not card.buckets, card


def check_usable(card: Card, now_ms: int) -> None:
    """Raise Refused unless the card may be spent or topped up now."""
    check_in_force(card.code, card.active, card.start_date, card.expiration_date, now_ms)


def check_in_force(code: str, active: bool, start_date: int | None, expiration_date: int | None, now_ms: int) -> None:
    """Raise Refused unless a voucher with these dates may be used now (Voucherify: Errors, facts 4.3)."""
    if not active:
        raise Refused("voucher_disabled", "voucher is disabled", resource_type="voucher", resource_id=code)
    if start_date is not None and now_ms < start_date:
        raise Refused("voucher_not_active", "voucher is not active yet", resource_type="voucher", resource_id=code)
    if expiration_date is not None and now_ms > expiration_date:
        raise Refused("voucher_expired", "voucher expired", resource_type="voucher", resource_id=code)


def open_with(card: Card, amount: int, expires_on: str | None, now_ms: int, created_at: int | None = None) -> Posted:
    """Give a new card its opening balance, as a movement that the dialects hide."""
    if amount == 0:
        return card, ()
    _positive(amount)
    card, lots = _gain(card, amount, expires_on, now_ms)
    card = replace(card, total=card.total + amount)
    return card, (_movement(card, MovementType.OPENING_BALANCE, amount, lots, Origin(created_at=created_at)),)


def add(card: Card, amount: int, origin: Origin, expires_on: str | None, now_ms: int) -> Posted:
    """Add credits or points by hand. expires_on matters to loyalty cards only."""
    _positive(amount)
    card, lots = _gain(card, amount, expires_on, now_ms)
    card = replace(card, total=card.total + amount)
    kind = MovementType.CREDITS_ADDITION if card.kind is CardKind.GIFT else MovementType.POINTS_ADDITION
    return card, (_movement(card, kind, amount, lots, origin),)


def remove(card: Card, amount: int, origin: Origin) -> Posted:
    """Take credits or points (> 0) away by hand; the points that expire first go first."""
    _positive(amount)
    card, lots = _take(card, amount)
    card = replace(card, total=card.total - amount, subtracted=checked(card.subtracted + amount))
    kind = MovementType.CREDITS_REMOVAL if card.kind is CardKind.GIFT else MovementType.POINTS_REMOVAL
    return card, (_movement(card, kind, -amount, lots, origin),)


def redeem(card: Card, amount: int, about: Mapping[str, Any], origin: Origin) -> Posted:
    """Spend credits or points (> 0). about: the order, redemption and reward the movement's details name."""
    _positive(amount)
    card, lots = _take(card, amount)
    card = replace(card, redeemed=card.redeemed + amount)
    kind = MovementType.CREDITS_REDEMPTION if card.kind is CardKind.GIFT else MovementType.POINTS_REDEMPTION
    return card, (_movement(card, kind, -amount, lots, origin, about, operation=None),)


def refund(
    card: Card, spent: Lots, amount: int, about: Mapping[str, Any], origin: Origin, expired_to: str | None, now_ms: int
) -> Posted:
    """Give back what a redemption took. spent: the redemption's own lots (negative), empty for gift cards.

    Points return to their buckets; those whose bucket has expired since come back with last day `expired_to`.
    """
    _positive(amount)
    if card.kind is CardKind.GIFT:
        card, lots = replace(card, balance=card.balance + amount), ()
        kind = MovementType.CREDITS_REFUND
    else:
        home = tuple((bucket, -points) for bucket, points in spent)
        held, lots = lots_of.give_back(card.buckets, card.id, home, expired_to, now_ms)
        card = replace(card, balance=card.balance + amount, buckets=held)
        kind = MovementType.POINTS_REFUND
    card = replace(card, redeemed=card.redeemed - amount)
    return card, (_movement(card, kind, amount, lots, origin, about, operation=None),)


def accrue(
    card: Card,
    points: int,
    about: Mapping[str, Any],
    expires_on: str | None,
    now_ms: int,
    origin: Origin | None = None,
) -> Posted:
    """Points earned by a rule of the programme; by one that is not ours, when its caller is the origin."""
    origin = origin or Origin(source=AUTOMATION)
    return _earn(card, MovementType.POINTS_ACCRUAL, points, about, origin, expires_on, now_ms)


def activate(
    card: Card, points: int, about: Mapping[str, Any], origin: Origin, expires_on: str | None, now_ms: int
) -> Posted:
    """Pending points become spendable."""
    return _earn(card, MovementType.PENDING_POINTS_ACTIVATION, points, about, origin, expires_on, now_ms)


def expire_due(card: Card, today: str) -> Posted:
    """Expire every bucket whose last day of use is before `today`: one movement for each that still holds points."""
    movements: list[Movement] = []
    for bucket in lots_of.due(card.buckets, today):
        held = tuple(replace(b, status=lots_of.EXPIRED) if b.id == bucket.id else b for b in card.buckets)
        points = bucket.points
        card = replace(card, buckets=held, balance=card.balance - points, expired=card.expired + points)
        if points:
            movements.append(
                _movement(
                    card,
                    MovementType.POINTS_EXPIRATION,
                    -points,
                    ((bucket.id, -points),),
                    Origin(AUTOMATION),
                    operation="AUTOMATIC",
                )
            )
    return card, tuple(movements)


def transfer(
    giver: Card, taker: Card, points: int, origin: Origin, expires_on: str | None, now_ms: int
) -> tuple[Card, Card, tuple[Movement, Movement]]:
    """Move points (> 0) between two loyalty cards: two movements that name each other.

    The moved points take the receiving programme's expiry (facts 3.3). source_id stays with the giving side; the
    reason stands on both (seed 000).
    """
    _positive(points)
    for card in (giver, taker):
        if card.kind is not CardKind.LOYALTY:
            raise Refused(
                "invalid_voucher_type",
                "Points can be transferred only between loyalty cards",
                resource_type="voucher",
                resource_id=card.code,
            )
    if giver.id == taker.id:
        raise InvalidInput(
            "invalid_transfer", "A card cannot transfer points to itself", field="code", value=giver.code
        )
    giver, taken = _take(giver, points)
    giver = replace(giver, total=giver.total - points)
    taker, given = _gain(taker, points, expires_on, now_ms)
    taker = replace(taker, total=taker.total + points)
    out = _movement(
        giver, MovementType.POINTS_TRANSFER_OUT, -points, taken, origin, {"destination_voucher": face(taker)}
    )
    origin_in = replace(origin, source_id=None)
    into = _movement(taker, MovementType.POINTS_TRANSFER_IN, points, given, origin_in, {"source_voucher": face(giver)})
    return giver, taker, (replace(out, related=1), replace(into, related=-1))


def face(card: Card) -> dict[str, Any]:
    """The other card of a transfer, as the vendor's details show it."""
    coming = [b for b in card.buckets if b.status == lots_of.ACTIVE and b.points and b.expires_on]
    following = min(coming, key=lambda b: b.rank, default=None)
    return {
        "id": card.id,
        "code": card.code,
        "type": str(card.kind),
        "campaign": card.campaign,
        "campaign_id": card.campaign_id,
        "loyalty_card": {
            "points": card.total + card.subtracted,
            "balance": card.balance,
            "next_expiration_date": following.expires_on if following else None,
            "next_expiration_points": following.points if following else None,
        },
        "is_referral_code": card.is_referral_code,
    }


def balance_view(card: Card, amount: int, operation: str | None) -> dict[str, Any]:
    """The vendor's balance object: what stands in a movement's details and in the answer to a balance call."""
    gift = card.kind is CardKind.GIFT
    view: dict[str, Any] = {
        "type": "gift_voucher" if gift else "loyalty_card",
        "total": card.total,
        "amount" if gift else "points": amount,
        "object": "balance",
        "balance": card.balance,
    }
    if operation is not None:
        view["operation_type"] = operation
    view["related_object"] = {"id": card.id, "type": "voucher"}
    return view


def _earn(
    card: Card,
    kind: MovementType,
    points: int,
    about: Mapping[str, Any],
    origin: Origin,
    expires_on: str | None,
    now_ms: int,
) -> Posted:
    _positive(points)
    if card.kind is not CardKind.LOYALTY:
        raise Refused(
            "invalid_voucher_type", "Only loyalty cards earn points", resource_type="voucher", resource_id=card.code
        )
    card, lots = _gain(card, points, expires_on, now_ms)
    card = replace(card, total=card.total + points)
    return card, (_movement(card, kind, points, lots, origin, about, operation="AUTOMATIC"),)


def _gain(card: Card, amount: int, expires_on: str | None, now_ms: int) -> tuple[Card, Lots]:
    balance = checked(card.balance + amount)
    checked(card.total + amount)
    if card.kind is CardKind.GIFT:
        return replace(card, balance=balance), ()
    held, lots = lots_of.grant(card.buckets, card.id, amount, expires_on, now_ms)
    return replace(card, balance=balance, buckets=held), lots


def _take(card: Card, amount: int) -> tuple[Card, Lots]:
    if amount > card.balance:
        if card.kind is CardKind.GIFT:
            raise Refused(
                "insufficient_credits",
                "gift amount exceeded",
                field="amount",
                value=amount,
                resource_type="voucher",
                resource_id=card.code,
            )
        raise Refused(
            "insufficient_points",
            "loyalty card points exceeded",
            field="points",
            value=amount,
            resource_type="voucher",
            resource_id=card.code,
        )
    if card.kind is CardKind.GIFT:
        return replace(card, balance=card.balance - amount), ()
    held, lots = lots_of.spend(card.buckets, amount)
    return replace(card, balance=card.balance - amount, buckets=held), lots


def _movement(
    card: Card,
    kind: MovementType,
    amount: int,
    lots: Lots,
    origin: Origin,
    about: Mapping[str, Any] | None = None,
    operation: str | None = "MANUAL",
) -> Movement:
    details = {"balance": balance_view(card, amount, operation), **(about or {})}
    return Movement(
        card.id,
        card.campaign_id,
        card.holder_id,
        kind,
        amount,
        card.balance,
        details,
        lots,
        origin.source,
        origin.source_id,
        origin.reason,
        None,
        origin.created_at,
    )


def _positive(amount: int) -> None:
    if amount <= 0:
        raise InvalidInput("invalid_amount", "Amount has to be a valid positive number", field="amount", value=amount)
    checked(amount)
