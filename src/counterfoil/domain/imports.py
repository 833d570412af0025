"""Movements of the past, brought in with their own ids, balances and times: what makes one follow from the one before.

A card's movements are a chain: balance before + amount = balance. The first movement of a card that has none says what the
card began with, and that becomes a hidden opening balance. What a card spent before that is known only where the movement's
details tell the total; a refund proves the spending it gives back.

The points of a loyalty card whose buckets are not known (yet) lie in one bucket that never expires, the unplaced one.
Bringing in the buckets moves them from there to where they belong.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import msgspec

from counterfoil.domain.buckets import ACTIVE, Bucket, Buckets, spend
from counterfoil.domain.cards import CardKind
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.domain.movements import MovementType

GIFT, LOYALTY = CardKind.GIFT, CardKind.LOYALTY
# What each type does: the card's kind, the sign of its amount, and how many times the amount is added to the card's
# total, subtracted, redeemed and expired.
_Effect = tuple[CardKind, int, int, int, int, int]
_EFFECTS: dict[str, _Effect] = {
    kind.value: effect
    for kind, effect in {
        MovementType.CREDITS_ADDITION: (GIFT, 1, 1, 0, 0, 0),
        MovementType.CREDITS_REMOVAL: (GIFT, -1, 1, -1, 0, 0),
        MovementType.CREDITS_REDEMPTION: (GIFT, -1, 0, 0, -1, 0),
        MovementType.CREDITS_REFUND: (GIFT, 1, 0, 0, -1, 0),
        MovementType.POINTS_ACCRUAL: (LOYALTY, 1, 1, 0, 0, 0),
        MovementType.POINTS_ADDITION: (LOYALTY, 1, 1, 0, 0, 0),
        MovementType.POINTS_REMOVAL: (LOYALTY, -1, 1, -1, 0, 0),
        MovementType.POINTS_REDEMPTION: (LOYALTY, -1, 0, 0, -1, 0),
        MovementType.POINTS_REFUND: (LOYALTY, 1, 0, 0, -1, 0),
        MovementType.POINTS_EXPIRATION: (LOYALTY, -1, 0, 0, 0, -1),
        MovementType.POINTS_TRANSFER_OUT: (LOYALTY, -1, 1, 0, 0, 0),
        MovementType.POINTS_TRANSFER_IN: (LOYALTY, 1, 1, 0, 0, 0),
        MovementType.PENDING_POINTS_ACTIVATION: (LOYALTY, 1, 1, 0, 0, 0),
    }.items()
}
OPENING = MovementType.OPENING_BALANCE.value


@dataclass(slots=True)
class ImportedCard:
    """A card while its movements come in; changed in place by `follow`, so copy it first.

    kind: None for a discount voucher, which takes no movements. moved: whether it has any movement at all; opened: whether
    an opening balance is the only one. removed: whether its voucher was removed. buckets: its active buckets where some
    of them are placed, else None: then all its points are unplaced (or it is a gift card).
    """

    id: str
    kind: CardKind | None
    campaign_id: str | None
    holder_id: str | None
    created_at: int
    balance: int = 0
    total: int = 0
    subtracted: int = 0
    redeemed: int = 0
    expired: int = 0
    moved: bool = False
    opened: bool = False
    removed: bool = False
    buckets: Buckets | None = None

    def copied(self) -> ImportedCard:
        """Another one like it."""
        return ImportedCard(
            self.id, self.kind, self.campaign_id, self.holder_id, self.created_at, self.balance, self.total,
            self.subtracted, self.redeemed, self.expired, self.moved, self.opened, self.removed, self.buckets,
        )  # fmt: skip


class _Balance(msgspec.Struct):
    total: int | None = None


class _Details(msgspec.Struct):
    balance: _Balance | None = None


_details = msgspec.json.Decoder(_Details).decode


def unplaced_bucket_id(card_id: str) -> str:
    """The id of the bucket for a card's points whose expiry is not known: it follows from the card."""
    return "lopb_" + hashlib.sha256(f"{card_id}|unplaced".encode()).hexdigest()[:24]


def opening_movement_id(card_id: str) -> str:
    """The id of a card's implied opening balance: it follows from the card, so that no file's ids collide with it."""
    return "vtx_" + hashlib.sha256(f"{card_id}|opening".encode()).hexdigest()[:18]


def kind_of(movement_type: str) -> CardKind | None:
    """The kind of card that has movements of this type; None for the opening balance, and for a type there is not."""
    effect = _EFFECTS.get(movement_type)
    return None if effect is None else effect[0]


def follow(card: ImportedCard, movement_type: str, amount: int, balance: int) -> str | None:
    """Let the card take a movement; the reason why it cannot be, or None when it did. Nothing changes if it cannot.

    A card without any movement must have been given its opening balance before (`open_before`).
    """
    effect = _EFFECTS.get(movement_type)
    if effect is None:
        return _unknown_type(movement_type)
    wrong = _objection(card, effect, amount, balance)
    if wrong is not None:
        return wrong
    _, _, granting, removing, spending, expiring = effect
    total, redeemed = card.total + granting * amount, card.redeemed + spending * amount
    subtracted = card.subtracted + removing * amount
    if redeemed < 0:
        total, redeemed = total - redeemed, 0
    if total > AMOUNT_MAX or subtracted > AMOUNT_MAX:
        return f"the card's sums grow beyond {AMOUNT_MAX}"
    card.total, card.subtracted, card.redeemed = total, subtracted, redeemed
    card.expired += expiring * amount
    card.balance, card.moved, card.opened = balance, True, False
    if card.buckets is not None:
        card.buckets = _moved(card, amount)
    return None


def _objection(card: ImportedCard, effect: _Effect, amount: int, balance: int) -> str | None:
    if effect[0] is not card.kind:
        return f"its type is not one of the card's, a {card.kind}"
    if amount * effect[1] < 0:
        return f"amount {amount} has the wrong sign for its type"
    if card.balance + amount != balance:
        hint = " since its voucher came in (see --movements-follow)" if card.opened else ""
        return f"the chain is broken: {balance} - {amount} is {balance - amount}, and the card had {card.balance}{hint}"
    if balance < 0:
        return f"balance {balance} is below 0"
    return None


def open_before(card: ImportedCard, movement_type: str, amount: int, balance: int, details: str | None) -> str | None:
    """Give a card without movements the opening balance that its first movement implies; a reason if none can be.

    details: the movement's, whose `balance.total` tells what had been granted by then.
    """
    effect = _EFFECTS.get(movement_type)
    if effect is None:
        return _unknown_type(movement_type)
    opening = balance - amount
    if opening < 0:
        return f"the card would have begun with {opening}: {balance} - {amount}"
    if opening > AMOUNT_MAX:
        return f"the card would have begun with more than {AMOUNT_MAX}"
    total = _total_of(details)
    granted = opening if total is None else total - effect[2] * amount
    open_with(card, opening, min(granted, AMOUNT_MAX) - opening)
    return None


def open_with(card: ImportedCard, balance: int, spent: int = 0) -> None:
    """Begin a card with a balance and with what it spent before, as far as that is known."""
    card.redeemed = max(card.redeemed, spent, 0)
    card.balance, card.total = balance, balance + card.redeemed + card.expired
    card.moved = card.opened = balance > 0


def _moved(card: ImportedCard, amount: int) -> Buckets:
    """The card's buckets after a movement; what it gains is unplaced, what it loses is taken from what expires first."""
    assert card.buckets is not None
    if amount < 0:
        return spend(card.buckets, -amount)[0]
    unplaced = unplaced_bucket_id(card.id)
    found = next((each for each in card.buckets if each.id == unplaced), None)
    if found is None:
        return (*card.buckets, Bucket(unplaced, amount, None, ACTIVE))
    return tuple(replace(each, points=each.points + amount) if each is found else each for each in card.buckets)


def _unknown_type(movement_type: str) -> str:
    return f"type is {movement_type!r}; there are {', '.join(_EFFECTS)}"


def _total_of(details: str | None) -> int | None:
    if details is None:
        return None
    try:
        found = _details(details)
    except msgspec.DecodeError:
        return None
    return None if found.balance is None else found.balance.total
