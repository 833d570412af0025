"""The seam between where rows come from and what becomes of them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.dataplane.stop import StopFlag
from counterfoil.plan.task import Selection, Task

MOVEMENT_COLUMNS = ("seq", "created_at", "voucher_id", "type", "amount", "balance")
"""What every source of movements has in its batches besides the file's columns, whatever the file asks for: the proof
and the cursor are made of them. int64 but for created_at (timestamp ms UTC) and the two texts; none is ever null."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in file order: those of `batch` that `selection` names, in its order (None: all), from last to first when
    `reverse`. selection: int32 or int64 row numbers, or a boolean for each row."""

    batch: pa.RecordBatch
    reverse: bool = False
    selection: pa.Array[Any] | None = None

    def __len__(self) -> int:
        if self.selection is None:
            return self.batch.num_rows
        if pa.types.is_boolean(self.selection.type):
            return int(pc.sum(self.selection).as_py() or 0)
        return len(self.selection)

    def slice(self, start: int, count: int) -> Rows:
        """`count` rows from the `start`-th on, in file order."""
        first = len(self) - start - count if self.reverse else start
        chosen = self.selection
        if chosen is None:
            return Rows(self.batch.slice(first, count), self.reverse)
        if pa.types.is_boolean(chosen.type):
            chosen = pc.indices_nonzero(chosen).cast(pa.int64())
        return Rows(self.batch, self.reverse, chosen.slice(first, count))

    def column(self, name: str) -> pa.Array[Any]:
        """The chosen values of a column; in file order but for `reverse`, which is left to the caller."""
        column = self.batch.column(name)
        if self.selection is None:
            return column
        if pa.types.is_boolean(self.selection.type):
            return column.filter(self.selection)
        return column.take(self.selection)


class RowSource(Protocol):
    """Where a task's rows come from: the ledger database, the archive's segments, or both merged."""

    def schema(self, selection: Selection) -> pa.Schema:
        """The canonical Arrow schema of the batches: the file's columns by field name, and for movements
        MOVEMENT_COLUMNS."""
        ...

    def batches(self, selection: Selection, task: Task, stop: StopFlag) -> Generator[Rows]:
        """A task's rows in file order, in batches of bounded size. The same task gives the same rows always (for
        reads `movements`), cut into whatever batches. Filter, scope, order, cursor and seq_max are applied; limit_rows
        may be. To be closed by whoever takes them, or a cursor stays open. Raises what `stop` was set with, Unavailable
        for what may pass, Damaged for a broken segment."""
        ...
