"""Gathering runs out of rows: by the C table where it could be built, else by sorting blocks of rows."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from counterfoil.dataplane.runs import RUN, Links, Runs, runs_of

try:
    from counterfoil.dataplane import _chain
except ImportError:
    _chain = None

BLOCK_ROWS = 1 << 20
"""Rows are sorted by card in blocks of about so many: the larger, the fewer runs come of them."""

TABLE_RUNS = 1 << 20
"""How many runs the table holds before it is emptied: cards, as a rule. At 64 bytes each, in a table at most 3/5 full."""


class Gatherer(Protocol):
    """Takes in rows and gives runs. For one thread."""

    def add(self, links: Links) -> bool:
        """Take in rows, in file order; whether it is time to `take`."""
        ...

    def take(self) -> Runs:
        """The runs of what was added since the last time, merged (so sorted by card, then seq)."""
        ...


def gatherer(*, descending: bool) -> Gatherer:
    """The faster one there is. descending: the file's order."""
    return BlockGatherer(descending=descending) if _chain is None else TableGatherer(descending=descending)


class TableGatherer:
    """A Gatherer by the C table: each row is joined to its card's run as it passes, without the interpreter's lock."""

    def __init__(self, *, descending: bool) -> None:
        assert _chain is not None, "gatherer() chooses the other where the extension is missing"
        self._table = _chain.Table(descending)

    def add(self, links: Links) -> bool:
        seq, amount, balance = (np.ascontiguousarray(each) for each in (links.seq, links.amount, links.balance))
        self._table.add(np.ascontiguousarray(links.card), seq, amount, balance, links.reverse, links.place)
        return len(self._table) >= TABLE_RUNS

    def take(self) -> Runs:
        return np.frombuffer(self._table.take(), RUN)


class BlockGatherer:
    """A Gatherer in numpy: rows wait for a block of them, which is sorted by card."""

    def __init__(self, *, descending: bool) -> None:
        self._descending = descending
        self._waiting: list[Links] = []

    def add(self, links: Links) -> bool:
        self._waiting.append(links)
        return sum(len(each.card) for each in self._waiting) >= BLOCK_ROWS

    def take(self) -> Runs:
        waiting, self._waiting = self._waiting, []
        return runs_of(waiting, descending=self._descending) if waiting else np.empty(0, RUN)
