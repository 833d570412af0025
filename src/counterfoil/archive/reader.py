"""Exports out of the archive: the RowSource over sealed segments and the movements not sealed yet."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from counterfoil.archive.merge import Chosen, Key, merged
from counterfoil.archive.predicate import Predicate
from counterfoil.archive.segment_file import DICTIONARIES, SCHEMA, SegmentFile, keys_of, row_numbers
from counterfoil.catalog.objects import exportable
from counterfoil.catalog.sources import Column, paths_of
from counterfoil.dataplane.rows import MOVEMENT_COLUMNS, Rows, RowSource
from counterfoil.dataplane.scan_rows import reads_movements
from counterfoil.dataplane.schema import arrow_schema, movement_batch
from counterfoil.dataplane.stop import StopFlag
from counterfoil.errors import Damaged
from counterfoil.files.store import Store
from counterfoil.plan.task import SegmentRef, Selection, Task

OnDamage = Callable[[int, SegmentRef, Damaged], None]
"""Told the project, the segment and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """low <= key < high; None: no bound. seq_max: for segments that hold later movements too."""

    low: Key | None
    high: Key | None
    seq_max: int


class ArchiveRows:
    """The RowSource over segments and tail. What it yields is the same, byte for byte, as the database's.

    database: gives the tail, and everything in the place of a segment that turns out to be damaged; None where there
    is no database to ask (then such tasks raise Damaged). on_damage: hears of damaged segments.
    """

    def __init__(self, store: Store, database: RowSource | None, on_damage: OnDamage | None = None) -> None:
        self._store = store
        self._database = database
        self._on_damage = on_damage

    def schema(self, selection: Selection) -> pa.Schema:
        if not reads_movements(selection.object):
            return self._of_database().schema(selection)
        fields = list(dict.fromkeys(column.field for column in selection.columns))
        extra = [name for name in MOVEMENT_COLUMNS if name not in fields]
        about = exportable(selection.object)
        schema: list[pa.Field[Any]] = []
        for field in [*arrow_schema(selection.object, fields), *arrow_schema("movement", extra)]:
            found = about.field(field.name)
            coded = found is not None and isinstance(found.source, Column) and found.source.path in DICTIONARIES
            coded = coded or (found is None and field.name in DICTIONARIES)
            schema.append(field.with_type(SCHEMA.field(DICTIONARIES[0]).type) if coded else field)
        return pa.schema(schema)

    def batches(self, selection: Selection, task: Task, stop: StopFlag) -> Generator[Rows]:
        if task.reads == "rows":
            yield from self._of_database().batches(selection, task, stop)
        elif task.segments or task.tail is None:
            yield from self._archived(selection, task, stop)
        else:
            with closing(self._coded(selection, task, stop)) as coded:
                yield from map(Rows, coded)

    def _archived(self, selection: Selection, task: Task, stop: StopFlag) -> Iterator[Rows]:
        """A task that names segments. Where one is damaged, what is left of the task comes from the database."""
        descending = selection.order.descending
        last: Key | None = None
        try:
            with closing(self._chosen(selection, task, stop)) as found:
                for chosen in found:
                    if not len(chosen):
                        continue
                    last = _last_key(chosen, descending=descending)
                    yield Rows(chosen.batch, descending, None if chosen.rows is None else pa.array(chosen.rows))
                    stop.check()
        except Damaged as error:
            segment = next((each for each in task.segments if each.id == error.resource_id), None)
            if segment is None or self._database is None:
                raise
            if self._on_damage is not None:
                self._on_damage(selection.project_id, segment, error)
            yield from self._from_database(selection, task, last, stop)

    def _from_database(self, selection: Selection, task: Task, behind: Key | None, stop: StopFlag) -> Iterator[Rows]:
        """The rest of a task that met a damaged segment: the database has every movement, if more slowly."""
        whole = replace(task, segments=(), tail=(1, selection.seq_max))
        rest = selection if behind is None else replace(selection, cursor=behind)
        with closing(self._coded(rest, whole, stop)) as coded:
            yield from map(Rows, coded)

    def _chosen(self, selection: Selection, task: Task, stop: StopFlag) -> Generator[Chosen]:
        bounds = _bounds(selection, task)
        with ExitStack() as open_files:
            predicate = Predicate(selection)
            open_files.callback(predicate.close)
            streams: list[Iterator[Chosen]] = []
            for ref in task.segments:
                if _may_hold(ref, bounds):
                    reader = _SegmentReader(self._store, ref, selection, self.schema(selection), predicate)
                    streams.append(open_files.enter_context(reader).chosen(bounds))
            if task.tail is not None:
                tail = self._tail(selection, replace(task, segments=()), stop)
                streams.append(open_files.enter_context(closing(tail)))
            yield from merged(streams, descending=selection.order.descending)

    def _tail(self, selection: Selection, task: Task, stop: StopFlag) -> Generator[Chosen]:
        descending = selection.order.descending
        with closing(self._coded(selection, task, stop)) as coded:
            for batch in coded:
                yield Chosen(batch.take(row_numbers(np.arange(batch.num_rows)[::-1])) if descending else batch)

    def _coded(self, selection: Selection, task: Task, stop: StopFlag) -> Generator[pa.RecordBatch]:
        """The database's rows of a task in file order, in the archive's schema."""
        schema = self.schema(selection)
        with closing(self._of_database().batches(selection, task, stop)) as batches:
            for rows in batches:
                assert rows.selection is None and not rows.reverse, "the database gives its rows as they are to stand"
                columns = [
                    column.dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else column
                    for column, field in zip((rows.batch.column(name) for name in schema.names), schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

    def _of_database(self) -> RowSource:
        assert self._database is not None, "a task without segments needs the database"
        return self._database


class _SegmentReader:
    """One segment's rows for one task: first the columns that decide, then, where rows are wanted, the others."""

    def __init__(
        self, store: Store, ref: SegmentRef, selection: Selection, schema: pa.Schema, predicate: Predicate
    ) -> None:
        self._schema = schema
        self._object = selection.object
        self._descending = selection.order.descending
        self._predicate = predicate
        needed = _columns_of(selection, schema)
        asked = predicate.columns
        self._files = ExitStack()
        self._file = self._files.enter_context(SegmentFile(store, ref, [*needed]))
        self._deciding = self._file
        if asked:
            self._deciding = self._files.enter_context(SegmentFile(store, ref, [*asked]))

    def __enter__(self) -> _SegmentReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._files.close()

    def chosen(self, bounds: _Bounds) -> Generator[Chosen]:
        """The rows wanted within bounds, batch by batch in the order of the selection."""
        places = self._file.places
        low = None if bounds.low is None else bounds.low[0]
        high = None if bounds.high is None else bounds.high[0]
        numbers = [
            number
            for number, place in enumerate(places)
            if (low is None or place.created_to >= low) and (high is None or place.created_from <= high)
        ]
        for number in reversed(numbers) if self._descending else numbers:
            found = self._read(number, bounds)
            if found is not None:
                yield found

    def _read(self, number: int, bounds: _Bounds) -> Chosen | None:
        mask = self._predicate.wanted(self._deciding.read(number)) if self._predicate.columns else None
        if mask is not None and not mask.any():
            return None
        batch = self._file.read(number)
        created, seq = keys_of(batch)
        start = 0 if bounds.low is None else _place(created, seq, bounds.low)
        end = len(seq) if bounds.high is None else _place(created, seq, bounds.high)
        if self._file.ref.seq_to > bounds.seq_max:
            visible = seq <= bounds.seq_max
            mask = visible if mask is None else mask & visible
        shown = _projected(batch, self._object, self._schema)
        if mask is None or mask[start:end].all():
            return Chosen(shown, None).slice(start, max(start, end))
        return Chosen(shown, np.flatnonzero(mask[start:end]) + start)


def _bounds(selection: Selection, task: Task) -> _Bounds:
    """The task's slice of the timeline, cut at the cursor; keys with seq 0 stand before every movement of their ms."""
    low = None if task.created_from is None else (task.created_from, 0)
    high = None if task.created_to is None else (task.created_to, 0)
    if selection.cursor is not None:
        created, seq = selection.cursor
        if selection.order.descending:
            high = (created, seq) if high is None else min(high, (created, seq))
        else:
            low = (created, seq + 1) if low is None else max(low, (created, seq + 1))
    return _Bounds(low, high, selection.seq_max)


def _may_hold(ref: SegmentRef, bounds: _Bounds) -> bool:
    if ref.seq_from > bounds.seq_max:
        return False
    before = bounds.high is not None and (ref.created_from, 0) >= bounds.high
    return not before and (bounds.low is None or ref.created_to >= bounds.low[0])


def _place(created: Any, seq: Any, key: Key) -> int:
    """How many rows of a sorted batch have a lesser key."""
    low, high = (int(np.searchsorted(created, key[0], side)) for side in ("left", "right"))
    return low + int(np.searchsorted(seq[low:high], key[1], "left"))


def _last_key(chosen: Chosen, *, descending: bool) -> Key:
    at = 0 if descending else len(chosen) - 1
    row = at if chosen.rows is None else int(chosen.rows[at])
    one = chosen.batch.slice(row, 1)
    created, seq = keys_of(one)
    return int(created[0]), int(seq[0])


def _columns_of(selection: Selection, schema: pa.Schema) -> list[str]:
    """The columns of the movements table that the fields of a schema are made of."""
    found: dict[str, None] = {"created_at": None, "seq": None}
    for name in schema.names:
        field = exportable(selection.object).field(name) or exportable("movement").field(name)
        assert field is not None, name
        found.update(dict.fromkeys(paths_of(field.source)))
    return list(found)


def _projected(batch: pa.RecordBatch, object_name: str, schema: pa.Schema) -> pa.RecordBatch:
    """A segment's batch as a batch of the selection's schema; columns that both have are not copied."""
    arrays: list[pa.Array[Any]] = []
    about = exportable(object_name)
    for field in schema:
        own = about.field(field.name)
        source = Column(field.name) if own is None else own.source
        if isinstance(source, Column):
            arrays.append(batch.column(source.path))
        else:
            arrays.append(movement_batch(batch, object_name, [field.name]).column(0))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
