"""What became of the rows of a file, and what an importer must know and do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from counterfoil.dataplane.intake import Block
from counterfoil.db.unit import Unit
from counterfoil.errors import CounterfoilError

SHOWN_MAX = 20
BATCH_ROWS = 25_000
"""A batch writes each page of the indexes once, and rows of many cards touch nearly all of them, so large batches are
faster (a million movements of 100,000 cards: 60 s by 10,000, 46 s by 25,000). Meanwhile nobody else can write: a second."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not taken in. line: where it begins in the file; id: the row's own, as far as it could be read."""

    line: int
    reason: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch. kept: what the importer remembers once the batch is committed."""

    imported: int = 0
    known: int = 0
    refused: tuple[Refusal, ...] = ()
    kept: Any = None


@dataclass(slots=True)
class Report:
    """Sums over the file so far. known: rows that were there already with the same content. first: refusals to show."""

    rows: int = 0
    imported: int = 0
    known: int = 0
    refused: int = 0
    first: list[Refusal] = field(default_factory=list[Refusal])

    def add(self, rows: int, outcome: Outcome) -> None:
        """Count a batch in."""
        self.rows += rows
        self.imported += outcome.imported
        self.known += outcome.known
        self.refused += len(outcome.refused)
        self.first.extend(outcome.refused[: max(0, SHOWN_MAX - len(self.first))])


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a file is to be taken.

    batch_rows: rows in one transaction. strict: stop at the first refused row, its batch undone. decimals: digits after
    the point that amounts of money have in the file, 0 for whole minor units. campaign: id or name of the one that every
    voucher of the file belongs to. make_campaigns: make those that vouchers name and that are not there.
    movements_follow: leave cards without a balance, since their movements come in a file of their own. removed_cards: take
    movements of cards that are not there, as those of cards removed since.
    """

    batch_rows: int = BATCH_ROWS
    strict: bool = False
    decimals: int = 0
    campaign: str | None = None
    make_campaigns: bool = False
    movements_follow: bool = False
    removed_cards: bool = False


class Importer(Protocol):
    """Takes in one kind of object."""

    def read(self, block: Block) -> Any:
        """A block's rows, read and checked by themselves; called outside of any transaction."""
        ...

    def apply(self, unit: Unit, given: Any) -> Outcome:
        """Take in what `read` gave, within one transaction that may be tried again: nothing of the importer changes."""
        ...

    def committed(self, outcome: Outcome) -> None:
        """The batch is there for good."""
        ...


Cells = Mapping[str, Any]
"""A row by column name; empty cells are None, columns that the file has not are left out."""


@dataclass(frozen=True, slots=True)
class Item:
    """A row that was read: what it holds, or why it cannot be taken in."""

    line: int
    cells: Cells
    value: Any = None
    reason: str | None = None

    @property
    def id(self) -> str | None:
        """What names the row in a report."""
        named = self.cells.get("id") or self.cells.get("code") or self.cells.get("source_id") or self.cells.get("name")
        return None if named is None else str(named)

    def refusal(self, reason: str) -> Refusal:
        """The row's refusal."""
        return Refusal(self.line, reason, self.id)


def read_items(block: Block, read: Callable[[Cells], Any]) -> list[Item]:
    """A block's rows, each read by itself; those that cannot be read carry the reason. In the order of the lines."""
    names = tuple(block.columns)
    items: list[Item] = []
    for line, *values in zip(block.lines, *block.columns.values(), strict=True):
        cells = dict(zip(names, values, strict=True))
        try:
            items.append(Item(line, cells, read(cells)))
        except CounterfoilError as error:
            items.append(Item(line, cells, reason=error.message))
    items.extend(Item(line, {}, reason=reason) for line, reason in block.flaws)
    items.sort(key=lambda item: item.line)
    return items
