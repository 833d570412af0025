"""Movements that are not sealed yet, for tasks that have no ledger: copied into files of the attempt, as a sealer would.

So the ledger is read once and by this process, however many tasks look into the tail, and the files go with the attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from counterfoil.archive.sealer import segment_rows
from counterfoil.archive.segment_writer import codec_for, write_segment
from counterfoil.archive.workbench import Workbench
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db.engine import Database
from counterfoil.files.store import Store
from counterfoil.plan.task import SegmentRef, Task


@dataclass(frozen=True, slots=True)
class Tail:
    """Of one project in its ledger, read while `stop` is not set."""

    database: Database
    project_id: int
    stop: StopFlag

    def keep(self) -> None:
        """Raise what `stop` was set with."""
        self.stop.check()


def without_tail(tasks: Sequence[Task], tail: Tail, store: Store, folder: str) -> list[Task]:
    """The same tasks with files in the place of the tail; they yield the same rows. At most a segment's rows are in
    memory at once. Raises what `stop` was set with, Unavailable, StoreFull."""
    span = next((task.tail for task in tasks if task.tail is not None), None)
    if span is None:
        return list(tasks)
    assert all(task.tail in (None, span) for task in tasks), "all tasks of a plan look into the same tail"
    pieces = _written(tail, store, folder, *span)
    return [replace(task, segments=task.segments + _overlapping(task, pieces), tail=None) for task in tasks]


def _written(tail: Tail, store: Store, folder: str, seq_from: int, seq_to: int) -> list[SegmentRef]:
    bench = Workbench(store, codec_for(store))
    pieces: list[SegmentRef] = []
    while seq_from <= seq_to:
        rows = segment_rows(tail, bench, seq_from, seq_to)
        name = f"tail-{len(pieces):05}"
        pieces.append(write_segment(store, name, f"{folder}/{name}.arrow", rows, bench.codec, bench.batch_rows))
        seq_from += rows.num_rows
    return pieces


def _overlapping(task: Task, pieces: Sequence[SegmentRef]) -> tuple[SegmentRef, ...]:
    if task.tail is None:
        return ()
    low = -(2**63) if task.created_from is None else task.created_from
    high = 2**63 if task.created_to is None else task.created_to
    return tuple(piece for piece in pieces if piece.created_from < high and piece.created_to >= low)
