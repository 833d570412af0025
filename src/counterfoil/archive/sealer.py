"""Sealing: movements are copied from the ledger database into segments, in the order of their seq.

The file comes first and is durable; then one transaction names it, if what it follows is still the archive's end. A
death at any point leaves either no row, and a file that nobody reads, or a row with its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from counterfoil.archive.hold import Hold
from counterfoil.archive.segment_file import SCHEMA, keys_of
from counterfoil.archive.segment_writer import coded
from counterfoil.archive.workbench import Workbench
from counterfoil.dataplane.schema import arrow_schema, batch_of
from counterfoil.db import ledger, segments
from counterfoil.db.engine import Database
from counterfoil.db.segments import MOVEMENT_VALUES, NewSegment

ROWS_PER_READ = 5_000
"""Movements read in one short transaction, so that no snapshot of the database is held open for long and
other threads get their turn."""

LATE_SHARE = 0.05

_PLAIN = arrow_schema("movement", MOVEMENT_VALUES)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a round of sealing wrote."""

    segments: int = 0
    rows: int = 0


def seal(hold: Hold, bench: Workbench, *, rows_min: int = 1) -> Sealed:
    """Seal what the ledger holds, in as many segments as it takes, while at least rows_min movements are left.

    Raises Conflict `archive_taken` when the hold is lost, Unavailable, StoreFull.
    """
    done = Sealed()
    while True:
        with hold.database.read() as connection:
            behind = segments.sealed_seq(connection, hold.project_id)
            until = ledger.last_seq(connection, hold.project_id)
            frontier = segments.latest_created(connection, hold.project_id)
        if until - behind < max(1, rows_min):
            return done
        rows = segment_rows(hold, bench, behind + 1, until)
        new = _write(hold, bench, rows, frontier)
        bench.reach("segment_written")
        with hold.write() as connection:
            segments.add_sealed(connection, hold.project_id, behind, new)
            bench.reach("segment_recording")
        bench.reach("segment_recorded")
        done = Sealed(done.segments + len(new), done.rows + rows.num_rows)


class Ledger(Protocol):
    """Whose movements are read, and who is told that the reading goes on."""

    @property
    def database(self) -> Database:
        """Where they are."""
        ...

    @property
    def project_id(self) -> int:
        """Of which project."""
        ...

    def keep(self) -> None:
        """Called between short reads; may raise to end them."""
        ...


def movements_table(whose: Ledger, seq_from: int, seq_to: int) -> pa.Table:
    """The movements seq_from..seq_to out of the ledger, read in short transactions."""
    batches: list[pa.RecordBatch] = []
    for start in range(seq_from, seq_to + 1, ROWS_PER_READ):
        end = min(start + ROWS_PER_READ - 1, seq_to)
        with whose.database.read() as connection:
            found = segments.movement_values(connection, whose.project_id, start, end)
        assert len(found) == end - start + 1, "seq has no gaps"
        batches.append(coded(batch_of(found, _PLAIN)))
        whose.keep()
    return pa.Table.from_batches(batches, SCHEMA)


def segment_rows(whose: Ledger, bench: Workbench, seq_from: int, seq_to: int) -> pa.Table:
    """The movements from seq_from on, up to seq_to or to the limits of a segment, whichever comes first."""
    parts: list[pa.Table] = []
    rows = size_bytes = 0
    while seq_from + rows <= seq_to and rows < bench.rows_max and size_bytes < bench.bytes_max:
        count = min(ROWS_PER_READ, bench.rows_max - rows, seq_to - seq_from - rows + 1)
        parts.append(movements_table(whose, seq_from + rows, seq_from + rows + count - 1))
        rows += count
        size_bytes += parts[-1].nbytes
        bench.reach("segment_read")
    return pa.concat_tables(parts)


def late_rows(rows: pa.Table, frontier: int | None) -> Any:
    """For each row whether it is dated so far before `frontier` (the latest created_at sealed, ms) that a segment with
    it would lie over others for more than LATE_SHARE of its own span. A numpy array of bool."""
    created, _ = keys_of(rows)
    if frontier is None:
        return np.zeros(len(created), bool)
    span = max(0, int(created.max()) - frontier)
    return created < frontier - int(span * LATE_SHARE)


def _write(hold: Hold, bench: Workbench, rows: pa.Table, frontier: int | None) -> list[NewSegment]:
    """Write one segment, or two when some movements are dated far before what is sealed: by themselves those lie over
    older segments, and the others do not."""
    late = late_rows(rows, frontier)
    if not late.any() or late.all():
        return [bench.write(hold.project_id, rows, level=0, late=bool(late.any()))]
    halves = ((~late, False), (late, True))
    return [
        bench.write(hold.project_id, rows.filter(pa.array(mask)), level=0, late=is_late) for mask, is_late in halves
    ]
