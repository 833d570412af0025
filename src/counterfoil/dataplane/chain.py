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
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from counterfoil.dataplane.fingerprint import Fingerprints, UInt64s
from counterfoil.dataplane.gather import gatherer
from counterfoil.dataplane.rows import Rows
from counterfoil.dataplane.runs import RUN, SHARES, Int64s, Links, Runs, merge_runs, runs_of, share_of

_PLACES_PER_PART = 1 << 40
_SUSPECTS_AT_ONCE = 100_000


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


class Chain:
    """Gathers runs. descending: the file's order. runs_max: how many runs are held in memory, 64 bytes each."""

    def __init__(self, *, descending: bool, runs_max: int = 8_000_000, scratch: Path | None = None) -> None:
        self._descending = descending
        self._runs_max = runs_max
        self._scratch = scratch
        self._fingerprints = Fingerprints()
        self._gatherer = gatherer(descending=descending)
        self._shares: list[list[Runs]] = [[] for _ in range(SHARES)]
        self._held = 0
        self._merged = 0
        self._place = 0
        self._folder: Path | None = None
        self._totals: ChainTotals | None = None

    def start_part(self, no: int) -> None:
        """What is added from here on stands in part `no` of the file."""
        self._flush()
        self._place = no * _PLACES_PER_PART

    def add(self, rows: Rows) -> None:
        """Take in rows of the file (with MOVEMENT_COLUMNS), in file order."""
        if len(rows):
            links = Links.of(rows, self._fingerprints, self._place)
            self._place += len(rows)
            if self._gatherer.add(links):
                self._flush()

    def add_runs(self, runs: Runs) -> None:
        """Take in runs that were gathered elsewhere, in the order `runs` gave them."""
        bounds = np.searchsorted(share_of(runs["card"]), np.arange(SHARES + 1))
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
        held = [runs for share in self._shares for runs in share]
        return np.concatenate(held) if held else np.empty(0, RUN)

    def totals(self) -> ChainTotals:
        """Count and check what was gathered; nothing can be added after that. Asked again, the same answer."""
        if self._totals is None:
            self._totals = self._counted()
        return self._totals

    def _counted(self) -> ChainTotals:
        self._flush()
        totals = ChainTotals()
        suspects: list[UInt64s] = []
        try:
            for no, share in enumerate(self._shares):
                if self._folder is not None:
                    share.append(np.fromfile(self._folder / str(no), RUN))
                if share:  # of few cards, most shares have none
                    suspects.append(_count(self._merge(share), totals))
                    share.clear()
        finally:
            self.close()
        totals.suspects = np.concatenate([totals.suspects, *suspects])
        return totals

    def close(self) -> None:
        """Remove the scratch files, if any."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _flush(self) -> None:
        self.add_runs(self._gatherer.take())

    def _compact(self) -> None:
        for share in self._shares:
            if len(share) > 1:
                share[:] = [self._merge(share)]
        self._held = self._merged = sum(len(runs) for share in self._shares for runs in share)

    def _merge(self, share: list[Runs]) -> Runs:
        if len(share) == 1 and self._folder is None:
            return share[0]  # as the gatherer, or whoever gathered it elsewhere, merged it
        return merge_runs(np.concatenate(share) if share else np.empty(0, RUN), descending=self._descending)

    def _spill(self) -> None:
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="counterfoil-chain-", dir=self._scratch))
        for no, share in enumerate(self._shares):
            with (self._folder / str(no)).open("ab") as file:
                for runs in share:
                    file.write(runs.tobytes())
            share.clear()
        self._held = self._merged = 0


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
    place = 0
    found: list[Links] = []
    for each in rows:
        links = Links.of(each, fingerprints, place)
        place += len(each)
        chosen = np.flatnonzero(np.isin(links.card, wanted))
        if len(chosen) == 0:
            continue
        ids = each.column("voucher_id").take(pa.array(chosen, pa.int64()))
        numbers = np.array([places.setdefault(str(card), len(places)) for card in ids], np.uint64)
        # Places need not be true here, only in order.
        found.append(
            replace(
                links, card=numbers, seq=links.seq[chosen], amount=links.amount[chosen], balance=links.balance[chosen]
            )
        )
    if found:
        # A card's place among the suspects takes the fingerprint's part, so no two share one.
        _count_exact(totals, runs_of(found, descending=descending), list(places))


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
