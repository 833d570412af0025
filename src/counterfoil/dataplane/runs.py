"""Runs: stretches of one card's movements in posting order (seq), each of which follows from the one before.

What is known of a run is where it begins and ends, so that runs gathered apart can be merged, whatever order they come
in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from counterfoil.dataplane.fingerprint import Fingerprints, UInt64s
from counterfoil.dataplane.rows import Rows

RUN_FIELDS = [
    ("card", "<u8"),
    ("seq_from", "<i8"),
    ("seq_to", "<i8"),
    ("opening", "<i8"),
    ("closing", "<i8"),
    ("place_from", "<i8"),
    ("place_to", "<i8"),
    ("shuffled", "?"),
    ("tangled", "?"),
]
RUN = np.dtype(RUN_FIELDS, align=True)
"""A run: its card's fingerprint, the seq of its first and last movement in posting order, the balance before and after
it, and the places in the file where those two stand. shuffled: the file's order of the card is not the posting order
(back-dated movements). tangled: another run of the card lies inside this one's seq range, so whether it follows is not
known without the rows. The C table (_chain.c) writes records of just this form."""

Runs = npt.NDArray[np.void]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHARES = 64
_SHARE_SHIFT = np.uint64(64 - 6)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Links:
    """What the chain needs of rows: one element a row, in file order but for `reverse`.

    place: of the row that comes first in the file.
    """

    card: UInt64s
    seq: Int64s
    amount: Int64s
    balance: Int64s
    reverse: bool
    place: int

    @staticmethod
    def of(rows: Rows, fingerprints: Fingerprints, place: int) -> Links:
        """The links of rows with MOVEMENT_COLUMNS."""
        card = fingerprints.of(rows.column("voucher_id"))
        seq, amount, balance = (int64s(rows.column(name)) for name in ("seq", "amount", "balance"))
        return Links(card, seq, amount, balance, rows.reverse, place)

    def places(self) -> Int64s:
        """Where each row stands in the file."""
        places = np.arange(self.place, self.place + len(self.card), dtype=np.int64)
        return places[::-1] if self.reverse else places


def runs_of(parts: list[Links], *, descending: bool) -> Runs:
    """The runs in some rows, exact as far as those know: among them, posting order is known."""
    card = np.concatenate([each.card for each in parts])
    seq = np.concatenate([each.seq for each in parts])
    after = np.concatenate([each.balance for each in parts])
    before = after - np.concatenate([each.amount for each in parts])
    place = np.concatenate([each.places() for each in parts])
    order = _by_card_then_seq(card, seq)
    card, seq, before, after, place = card[order], seq[order], before[order], after[order], place[order]
    same = card[1:] == card[:-1]
    starts, ends = _stretches(same & (seq[1:] > seq[:-1]) & (before[1:] == after[:-1]), len(card))
    runs = np.zeros(len(starts), RUN)
    runs["card"] = card[starts]
    runs["seq_from"], runs["seq_to"] = seq[starts], seq[ends]
    runs["opening"], runs["closing"] = before[starts], after[ends]
    runs["place_from"], runs["place_to"] = place[starts], place[ends]
    runs["shuffled"] = _any(_back(place[:-1], place[1:], descending) & same, starts)
    return runs


def merge_runs(runs: Runs, *, descending: bool) -> Runs:
    """Join runs that follow one another; mark those that lie over one another. Sorted by card, then seq."""
    if len(runs) == 0:
        return runs
    runs = runs[_by_card_then_seq(runs["card"], runs["seq_from"])]
    same = runs["card"][1:] == runs["card"][:-1]
    if not same.any():
        return runs
    over = same & (runs["seq_from"][1:] <= runs["seq_to"][:-1])
    starts, ends = _stretches(same & ~over & (runs["opening"][1:] == runs["closing"][:-1]), len(runs))
    back = same & _back(runs["place_to"][:-1], runs["place_from"][1:], descending)
    merged = runs[starts]
    for name in ("seq_to", "closing", "place_to"):
        merged[name] = runs[name][ends]
    merged["shuffled"] = np.logical_or.reduceat(runs["shuffled"], starts) | _any(back, starts)
    merged["tangled"] = np.logical_or.reduceat(runs["tangled"], starts) | _any(over, starts)
    return merged


def share_of(card: UInt64s) -> UInt64s:
    """Which of SHARES a card belongs to; runs sorted as `merge_runs` does lie share by share."""
    return (card * _SPREAD) >> _SHARE_SHIFT


def int64s(values: pa.Array[Any]) -> Int64s:
    """The values of an integer or timestamp array as numpy sees them. Raises ValueError for nulls."""
    if values.null_count:
        raise ValueError("a column of the proof holds nulls")
    return values.cast(pa.int64()).to_numpy(zero_copy_only=True)


# -- arrays -----------------------------------------------------------------------------------------------------------


def _by_card_then_seq(card: UInt64s, seq: Int64s) -> Int64s:
    """Row numbers in the order (card, seq); cards in the order of their spread numbers.

    The row's place in seq order goes into the low bits of the card's number, so one fast sort of plain numbers does
    both; the few cards that differ in those low bits only are sorted apart afterwards.
    """
    count = len(card)
    steps = np.diff(seq)
    if (steps > 0).all():
        by_seq = np.arange(count)
    elif (steps < 0).all():
        by_seq = np.arange(count)[::-1]
    else:
        by_seq = np.argsort(seq, kind="stable")
    low = np.uint64((1 << count.bit_length()) - 1)
    keys = (card[by_seq] * _SPREAD) & ~low | np.arange(count, dtype=np.uint64)
    keys.sort()
    order = by_seq[(keys & low).astype(np.int64)]
    ordered = card[order]
    mixed = ((keys[1:] ^ keys[:-1]) <= low) & (ordered[1:] != ordered[:-1])
    for key in np.unique(keys[1:][mixed] | low).tolist():
        start, end = np.searchsorted(keys, [key & ~int(low), key], side="left")
        group = slice(int(start), int(end) + int(end < count and keys[end] == key))
        order[group] = order[group][np.argsort(card[order[group]], kind="stable")]
    return order


def _stretches(follows: Bools, count: int) -> tuple[Int64s, Int64s]:
    """First and last row of each stretch, when each row but the first is said to follow the one before or not."""
    starts = np.flatnonzero(np.concatenate(([True], ~follows)))
    return starts, np.append(starts[1:], count) - 1


def _any(of_rows: Bools, starts: Int64s) -> Bools:
    """Whether any row of each stretch has the mark; a first row's mark is against the stretch before it."""
    return np.logical_or.reduceat(np.concatenate(([False], of_rows)), starts)


def _back(earlier: Int64s, later: Int64s, descending: bool) -> Bools:
    """Where the file shows two movements of posting order the other way round than it should."""
    return earlier < later if descending else later < earlier
