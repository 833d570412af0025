"""The story behind the numbers: three years of a shop's movements, made from a seed.

200 campaigns whose sizes fall off as Zipf's law has it, up to 500,000 cards, times to the millisecond that now and then
lie up to an hour back, balances that add up card by card, transfers that name each other. The same seed and number of
rows give the same story on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

CAMPAIGNS = 200
CARDS_MAX = 500_000
ROWS_PER_CARD = 20
START_MS = 1_700_000_000_000
SPAN_MS = 3 * 365 * 86_400_000
BACKDATED_SHARE = 0.001
BACKDATED_MS = 3_600_000
TRANSFER_SHARE = 0.01

# What a movement is, as numbers into TYPES; gift cards know the first four.
TYPES = (
    "CREDITS_ADDITION",
    "CREDITS_REDEMPTION",
    "CREDITS_REFUND",
    "CREDITS_REMOVAL",
    "POINTS_ACCRUAL",
    "POINTS_ADDITION",
    "POINTS_REDEMPTION",
    "POINTS_REFUND",
    "POINTS_REMOVAL",
    "POINTS_TRANSFER_OUT",
    "POINTS_TRANSFER_IN",
)
_GIFT = (0, 1, 2, 3)
_GIFT_SHARES = (0.45, 0.45, 0.05, 0.05)
_LOYALTY = (4, 5, 6, 7, 8)
_LOYALTY_SHARES = (0.5, 0.1, 0.3, 0.05, 0.05)
_SPENDING = np.array([name.endswith(("REDEMPTION", "REMOVAL", "OUT")) for name in TYPES])
_EARNING_OF_GIFT, _EARNING_OF_LOYALTY, _OUT, _IN = 0, 4, 9, 10

Ints = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Story:
    """Parallel arrays. Movement `i` has seq i + 1; `card` indexes cards, `campaign_of_card` campaigns.

    kind: index into TYPES. created_ms: what the movement says; recorded_ms: when the ledger wrote it, ascending.
    related: distance in rows to the movement that belongs to it, or 0.
    """

    seed: int
    campaign_of_card: Ints
    opened_ms: Ints
    card: Ints
    kind: Ints
    amount: Ints
    balance: Ints
    created_ms: Ints
    recorded_ms: Ints
    related: Ints

    @property
    def rows(self) -> int:
        """How many movements there are."""
        return len(self.card)

    @property
    def cards(self) -> int:
        """How many cards there are."""
        return len(self.campaign_of_card)

    def is_gift(self, campaign: Ints) -> Ints:
        """Whether campaigns are gift-card campaigns; the others are loyalty programmes."""
        return campaign % 3 == 2


def tell(rows: int, seed: int = 7) -> Story:
    """Make the story of `rows` movements."""
    rng = np.random.default_rng(seed)
    cards = max(2, min(CARDS_MAX, rows // ROWS_PER_CARD))
    weights = 1.0 / np.arange(1, CAMPAIGNS + 1)
    campaign_of_card = rng.choice(CAMPAIGNS, cards, p=weights / weights.sum()).astype(np.int32)
    card = rng.integers(0, cards, rows, dtype=np.int32)
    recorded = START_MS + np.sort(rng.integers(0, SPAN_MS, rows))
    created = recorded.copy()
    late = rng.random(rows) < BACKDATED_SHARE
    created[late] -= rng.integers(1, BACKDATED_MS, int(late.sum()))
    gift = campaign_of_card[card] % 3 == 2
    kind = np.where(
        gift, rng.choice(_GIFT, rows, p=_GIFT_SHARES), rng.choice(_LOYALTY, rows, p=_LOYALTY_SHARES)
    ).astype(np.int8)
    related = _pair_transfers(rng, kind, card, gift)
    amount, balance = _balances(rng, card, kind, related, gift)
    opened = np.full(cards, START_MS, dtype=np.int64)
    return Story(seed, campaign_of_card, opened, card, kind, amount, balance, created, recorded, related)


def _pair_transfers(rng: np.random.Generator, kind: Ints, card: Ints, gift: Ints) -> Ints:
    """Make some neighbouring rows of two loyalty cards a transfer; returns `related`."""
    related = np.zeros(len(kind), dtype=np.int8)
    first = np.flatnonzero(rng.random(len(kind) - 1) < TRANSFER_SHARE / 2)
    first = first[np.diff(first, prepend=-2) > 1]
    first = first[~gift[first] & ~gift[first + 1] & (card[first] != card[first + 1])]
    kind[first], kind[first + 1] = _OUT, _IN
    related[first], related[first + 1] = 1, -1
    return related


def _balances(rng: np.random.Generator, card: Ints, kind: Ints, related: Ints, gift: Ints) -> tuple[Ints, Ints]:
    """Amounts and the balance after each. Nobody spends more than there is: what cannot be spent is earned instead."""
    size = rng.integers(1, 500, len(card))
    size = np.where(related == -1, np.roll(size, 1), size)
    order = np.argsort(card, kind="stable")
    new_card = np.diff(card[order], prepend=-1) != 0
    while True:
        wanted = np.where(_SPENDING[kind], -size, size)
        balance = np.empty(len(card), dtype=np.int64)
        balance[order] = _chain(wanted[order], new_card)
        before = np.empty_like(balance)
        sorted_balance = balance[order]
        before[order] = np.where(new_card, 0, np.roll(sorted_balance, 1))
        amount = balance - before
        empty = (amount == 0) | ((kind == _OUT) & (amount != wanted))
        if not empty.any():
            return amount, balance
        pairs = np.flatnonzero(empty & (kind == _OUT))
        empty[pairs + 1] = True
        kind[empty] = np.where(gift[empty], _EARNING_OF_GIFT, _EARNING_OF_LOYALTY)
        related[empty] = 0


def _chain(wanted: Ints, new_card: Ints) -> Ints:
    """Running balances that never fall below zero, beginning anew where `new_card`: b = max(0, b + wanted)."""
    total = np.cumsum(wanted)
    base = np.maximum.accumulate(np.where(new_card, np.arange(len(wanted)), 0))
    start = total[base] - wanted[base]
    running = total - start
    # A running minimum within each card: later cards are pushed so far down that earlier ones do not reach them.
    step = int(np.abs(running).max(initial=0)) + 1
    depth = np.cumsum(new_card) * (2 * step)
    lowest = np.minimum.accumulate(running - depth) + depth
    return running - np.minimum(lowest, 0)
