"""The chain of each card: every balance is the one before it plus the amount, all along the card's run of movements.

Rows come in file order, cards mixed. They are gathered into runs: stretches of one card's movements, in posting order
(seq), each of which follows from the one before. Runs that follow one another are merged, so a whole card is one run
however many batches and parts it came in. Memory holds runs, not rows; beyond `runs_max` they go to scratch files by
card. Cards are known by their fingerprints, so whatever seems wrong is looked at again by id (`settle`).
Runs are held in shares by card: merging one share after another stays in the processor's cache.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
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
    ("block_from", "<i4"),
    ("block_to", "<i4"),
    ("shuffled", "?"),
    ("tangled", "?"),
]
RUN = np.dtype(RUN_FIELDS, align=True)
"""A run: its card's fingerprint, the seq of its first and last movement in posting order, the balance before and after
it, and the blocks of the file those two stand in. shuffled: the file's order of the card is not the posting order
(back-dated movements). tangled: another run of the card lies inside this one's seq range, so whether it follows is not
known without the rows."""

Runs = npt.NDArray[np.void]
Int64s = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]

BLOCK_ROWS = 1 << 20
"""Rows are sorted by card in blocks of about so many: the larger, the fewer runs come of them."""

_BLOCKS_PER_PART = 1 << 11
_SHARES = 64
_SHARE_SHIFT = np.uint64(64 - 6)
_SUSPECTS_AT_ONCE = 100_000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class ChainTotals:
    """cards and runs: how many (of settled cards). opening and closing: sums over the runs' ends. shuffled: cards
    whose file order is not their posting order. broken: up to 10 (card, seq) at which a run does not follow the one
    before it. suspects: fingerprints of cards that must be looked at again."""

    cards: int = 0
    runs: int = 0
    opening: int = 0
    closing: int = 0
    shuffled: int = 0
    broken: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    suspects: UInt64s = field(default_factory=lambda: np.empty(0, np.uint64))


@dataclass(frozen=True, slots=True)
class _Columns:
    """What the chain needs of rows: one element a row."""

    card: UInt64s
    seq: Int64s
    before: Int64s
    after: Int64s

    @staticmethod
    def of(rows: Rows, fingerprints: Fingerprints) -> _Columns:
        """The columns of rows, in file order."""
        card = fingerprints.of(rows.column("voucher_id"))
        seq, after, amount = (int64s(rows.column(name)) for name in ("seq", "balance", "amount"))
        before = after - amount
        if rows.reverse:
            return _Columns(card[::-1], seq[::-1], before[::-1], after[::-1])
        return _Columns(card, seq, before, after)

    @staticmethod
    def joined(parts: list[_Columns]) -> _Columns:
        """One after the other."""
        return _Columns(
            np.concatenate([each.card for each in parts]),
            np.concatenate([each.seq for each in parts]),
            np.concatenate([each.before for each in parts]),
            np.concatenate([each.after for each in parts]),
        )


class Chain:
    """Gathers runs. descending: the file's order. runs_max: how many runs are held in memory, 56 bytes each."""

    def __init__(self, *, descending: bool, runs_max: int = 8_000_000, scratch: Path | None = None) -> None:
        self._descending = descending
        self._runs_max = runs_max
        self._scratch = scratch
        self._fingerprints = Fingerprints()
        self._waiting: list[_Columns] = []
        self._waiting_rows = 0
        self._shares: list[list[Runs]] = [[] for _ in range(_SHARES)]
        self._held = 0
        self._merged = 0
        self._block = 0
        self._folder: Path | None = None
        self._aside: ThreadPoolExecutor | None = None
        self._sorted: Future[Runs] | None = None

    def start_part(self, no: int) -> None:
        """What is added from here on stands in part `no` of the file."""
        self._flush()
        self._block = no * _BLOCKS_PER_PART

    def add(self, rows: Rows) -> None:
        """Take in rows of the file (with MOVEMENT_COLUMNS), in file order."""
        if len(rows):
            self._waiting.append(_Columns.of(rows, self._fingerprints))
            self._waiting_rows += len(rows)
            if self._waiting_rows >= BLOCK_ROWS:
                self._sort_aside()

    def add_runs(self, runs: Runs) -> None:
        """Take in runs that were gathered elsewhere, in the order `runs` gave them."""
        bounds = np.searchsorted(_share_of(runs["card"]), np.arange(_SHARES + 1))
        for share, start, end in zip(self._shares, bounds[:-1], bounds[1:], strict=True):
            if start < end:
                share.append(runs[start:end])
        self._held += len(runs)
        if self._held > 2 * self._merged + self._runs_max // 2:
            self._compact()
            if self._held > self._runs_max:
                self._spill()

    def runs(self) -> Runs:
        """The runs gathered so far, merged. Only for a chain that never left memory."""
        self._flush()
        assert self._folder is None, "runs went to scratch files; ask for totals"
        self._compact()
        self.close()
        held = [runs for share in self._shares for runs in share]
        return np.concatenate(held) if held else np.empty(0, RUN)

    def totals(self) -> ChainTotals:
        """Count and check what was gathered. Call once."""
        self._flush()
        totals = ChainTotals()
        suspects: list[UInt64s] = []
        try:
            for no, share in enumerate(self._shares):
                if self._folder is not None:
                    share.append(np.fromfile(self._folder / str(no), RUN))
                suspects.append(_count(self._merge(share), totals))
                share.clear()
        finally:
            self.close()
        totals.suspects = np.concatenate(suspects)
        return totals

    def close(self) -> None:
        """Remove the scratch files and end the thread, if any."""
        if self._aside is not None:
            self._aside.shutdown()
            self._aside = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _sort_aside(self) -> None:
        """Let another thread sort the block, while the caller goes on to encode the rows; one block at a time."""
        self._collect()
        self._aside = self._aside or ThreadPoolExecutor(1, thread_name_prefix="counterfoil-chain")
        self._sorted = self._aside.submit(self._runs_of_block, self._waiting, self._block)
        self._waiting, self._waiting_rows, self._block = [], 0, self._block + 1

    def _collect(self) -> None:
        if self._sorted is not None:
            self.add_runs(self._sorted.result())
            self._sorted = None

    def _flush(self) -> None:
        self._collect()
        if self._waiting:
            self.add_runs(self._runs_of_block(self._waiting, self._block))
            self._waiting, self._waiting_rows, self._block = [], 0, self._block + 1

    def _runs_of_block(self, columns: list[_Columns], block: int) -> Runs:
        return runs_of(_Columns.joined(columns), block, descending=self._descending)

    def _compact(self) -> None:
        for share in self._shares:
            if len(share) > 1:
                share[:] = [self._merge(share)]
        self._held = self._merged = sum(len(runs) for share in self._shares for runs in share)

    def _merge(self, share: list[Runs]) -> Runs:
        return merge_runs(np.concatenate(share) if share else np.empty(0, RUN), descending=self._descending)

    def _spill(self) -> None:
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="counterfoil-chain-", dir=self._scratch))
        for no, share in enumerate(self._shares):
            with (self._folder / str(no)).open("ab") as file:
                for runs in share:
                    file.write(runs.tobytes())
            share.clear()
        self._held = self._merged = 0


def runs_of(columns: _Columns, block: int, *, descending: bool) -> Runs:
    """The runs in one block of the file, exact as far as the block knows: within it, posting order is known."""
    order = _by_card_then_seq(columns.card, columns.seq)
    card, seq = columns.card[order], columns.seq[order]
    before, after = columns.before[order], columns.after[order]
    same = card[1:] == card[:-1]
    starts, ends = _stretches(same & (seq[1:] > seq[:-1]) & (before[1:] == after[:-1]), len(card))
    runs = np.empty(len(starts), RUN)
    runs["card"] = card[starts]
    runs["seq_from"], runs["seq_to"] = seq[starts], seq[ends]
    runs["opening"], runs["closing"] = before[starts], after[ends]
    runs["block_from"] = runs["block_to"] = block
    runs["shuffled"] = _any(_back(order[:-1], order[1:], descending) & same, starts)
    runs["tangled"] = False
    return runs


def merge_runs(runs: Runs, *, descending: bool) -> Runs:
    """Join runs that follow one another; mark those that lie over one another. Sorted by card, then seq."""
    if len(runs) == 0:
        return runs
    runs = runs[_by_card_then_seq(runs["card"], runs["seq_from"])]
    same = runs["card"][1:] == runs["card"][:-1]
    over = same & (runs["seq_from"][1:] <= runs["seq_to"][:-1])
    starts, ends = _stretches(same & ~over & (runs["opening"][1:] == runs["closing"][:-1]), len(runs))
    back = same & _back(runs["block_to"][:-1], runs["block_from"][1:], descending)
    merged = runs[starts]
    for name in ("seq_to", "closing", "block_to"):
        merged[name] = runs[name][ends]
    merged["shuffled"] = np.logical_or.reduceat(runs["shuffled"], starts) | _any(back, starts)
    merged["tangled"] = np.logical_or.reduceat(runs["tangled"], starts) | _any(over, starts)
    return merged


def settle(totals: ChainTotals, scan: Iterable[Iterable[Rows]], *, descending: bool) -> None:
    """Look at the suspects again, by id and with every row at hand, and add them to the totals.

    scan: gives all the file's rows anew each time it is asked for; once for every 100,000 suspects.
    """
    scans = iter(scan)
    suspects, totals.suspects = totals.suspects, np.empty(0, np.uint64)
    for at in range(0, len(suspects), _SUSPECTS_AT_ONCE):
        wanted = suspects[at : at + _SUSPECTS_AT_ONCE]
        _settle_some(totals, wanted, next(scans), descending=descending)


def _settle_some(totals: ChainTotals, wanted: UInt64s, rows: Iterable[Rows], *, descending: bool) -> None:
    fingerprints = Fingerprints()
    places: dict[str, int] = {}
    found: list[_Columns] = []
    for each in rows:
        columns = _Columns.of(each, fingerprints)
        chosen = np.flatnonzero(np.isin(columns.card, wanted))
        if len(chosen) == 0:
            continue
        at = len(each) - 1 - chosen if each.reverse else chosen
        ids = each.column("voucher_id").take(pa.array(at, pa.int64()))
        numbers = np.array([places.setdefault(str(card), len(places)) for card in ids], np.uint64)
        found.append(_Columns(numbers, columns.seq[chosen], columns.before[chosen], columns.after[chosen]))
    if found:
        # A card's place among the suspects takes the fingerprint's part, so no two share one.
        _count_exact(totals, runs_of(_Columns.joined(found), 0, descending=descending), list(places))


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


def _share_of(card: UInt64s) -> UInt64s:
    """Which share a card belongs to; runs sorted as `_by_card_then_seq` does lie share by share."""
    return (card * _SPREAD) >> _SHARE_SHIFT


def _stretches(follows: _Bools, count: int) -> tuple[Int64s, Int64s]:
    """First and last row of each stretch, when each row but the first is said to follow the one before or not."""
    starts = np.flatnonzero(np.concatenate(([True], ~follows)))
    return starts, np.append(starts[1:], count) - 1


def _any(of_rows: _Bools, starts: Int64s) -> _Bools:
    """Whether any row of each stretch has the mark; a first row's mark is against the stretch before it."""
    return np.logical_or.reduceat(np.concatenate(([False], of_rows)), starts)


def _back(earlier: Int64s, later: Int64s, descending: bool) -> _Bools:
    """Where the file shows two movements of posting order the other way round than it should."""
    return earlier < later if descending else later < earlier


def _count(runs: Runs, totals: ChainTotals) -> UInt64s:
    """Add merged runs of whole cards to the totals, but for cards that are tangled or have several runs: those are
    returned."""
    card = runs["card"]
    suspects = np.union1d(card[1:][card[1:] == card[:-1]], card[runs["tangled"]])
    good = runs[~np.isin(runs["card"], suspects)] if len(suspects) else runs
    totals.cards += len(good)
    totals.runs += len(good)
    totals.shuffled += int(good["shuffled"].sum())
    totals.opening += _sum(good["opening"])
    totals.closing += _sum(good["closing"])
    return suspects


def _count_exact(totals: ChainTotals, runs: Runs, names: list[str]) -> None:
    again = np.concatenate(([False], runs["card"][1:] == runs["card"][:-1]))
    totals.cards += int(len(runs) - again.sum())
    totals.runs += len(runs)
    totals.shuffled += len(np.unique(runs["card"][runs["shuffled"]]))
    totals.opening += _sum(runs["opening"])
    totals.closing += _sum(runs["closing"])
    for at in np.flatnonzero(again)[: 10 - len(totals.broken)].tolist():
        totals.broken.append((names[int(runs["card"][at])], int(runs["seq_from"][at])))


def _sum(values: Int64s) -> int:
    """Exact, also where it leaves 64 bits: high and low halves are summed apart."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
