"""A plan and its tasks: everything needed to make an export's bytes, and nothing else.

A task is a pure function of its description. The same task run by a thread, by another process, or by Spark yields
the same part. Plans and tasks encode to JSON (msgspec); a task's hash says whether a finished part can be taken over.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import msgspec

from counterfoil.catalog.shown import Shown
from counterfoil.plan.request import Filter, Order

Reads = Literal["movements", "rows"]


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """One column of the file: the catalogue field (or `metadata.NAME`), its header, and how integers are scaled.

    shown_as: made into text by `dataplane.presentation` before it is encoded; None for most.
    """

    field: str
    label: str
    scale: int = 0
    date_only: bool = False
    shown_as: Shown | None = None


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """A sealed columnar file as the segments table names it; created_from/created_to are inclusive ms bounds."""

    id: str
    key: str
    format: str
    hash: str
    rows: int
    size_bytes: int
    seq_from: int
    seq_to: int
    created_from: int
    created_to: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a plan that every task shares: which rows, which columns, in what order, in which format.

    filter and scope are resolved: no operator in them depends on the present time any more.
    """

    project_id: int
    object: str
    columns: tuple[OutputColumn, ...]
    filter: Filter
    scope: Filter
    order: Order
    seq_max: int
    format: str = "csv"
    compression: str | None = None
    limit_rows: int | None = None
    cursor: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One slice of the export in file order.

    reads `movements`: rows with created_from <= created_at < created_to (None: unbounded) out of `segments` and out of
    the database's movements with tail[0] <= seq <= tail[1] (None: no tail). reads `rows`: the object's rows in the
    database, whole, in one snapshot.
    """

    no: int
    reads: Reads
    segments: tuple[SegmentRef, ...] = ()
    tail: tuple[int, int] | None = None
    created_from: int | None = None
    created_to: int | None = None
    rows_estimate: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An ordered list of tasks over one selection; parts join in task order under one header.

    path: `database` or `archive`, and why, recorded on the export.
    """

    selection: Selection
    tasks: tuple[Task, ...]
    path: Literal["database", "archive"]
    reason: str
    rows_estimate: int | None = None


def task_hash(selection: Selection, task: Task) -> str:
    """SHA-256 of the description: equal hashes mean equal bytes (movements never change behind a seq)."""
    return hashlib.sha256(msgspec.json.encode((selection, task))).hexdigest()
