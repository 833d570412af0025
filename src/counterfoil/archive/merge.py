"""Sorted streams of movements into one. Where one stream alone has rows they pass untouched; where several have, their
rows are put together and sorted, a batch's worth at a time. Memory is a batch of each stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from counterfoil.archive.segment_file import Int64s, keys_of, row_numbers

_RUN_ROWS = 1024
"""So many rows of one stream in a row pass by themselves; shorter runs are cheaper sorted together."""

Key = tuple[int, int]
"""(created_at ms, seq): the order of movements, unique in a project."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Rows of a batch, ascending by Key: all of them, or those numbered in `rows`."""

    batch: pa.RecordBatch
    rows: Int64s | None = None

    def __len__(self) -> int:
        return self.batch.num_rows if self.rows is None else len(self.rows)

    def slice(self, start: int, end: int) -> Chosen:
        """The rows from `start` up to `end`, counted among those chosen."""
        if start == 0 and end == len(self):
            return self
        if self.rows is None:
            return Chosen(self.batch.slice(start, end - start))
        return Chosen(self.batch, self.rows[start:end])

    def taken(self) -> pa.RecordBatch:
        """Those rows alone, copied."""
        return self.batch if self.rows is None else self.batch.take(row_numbers(self.rows))


class _Head:
    """What is left of a stream's present batch."""

    def __init__(self, chosen: Chosen, following: Iterator[Chosen]) -> None:
        self.following = following
        self._chosen = chosen
        self._created, self._seq = keys_of(chosen.batch)
        if chosen.rows is not None:
            self._created, self._seq = self._created[chosen.rows], self._seq[chosen.rows]
        self._start, self._end = 0, len(chosen)

    def __len__(self) -> int:
        return self._end - self._start

    def first(self, *, descending: bool) -> Key:
        """The key that comes next."""
        at = self._end - 1 if descending else self._start
        return int(self._created[at]), int(self._seq[at])

    def last(self, *, descending: bool) -> Key:
        """The key that ends the batch."""
        return self.first(descending=not descending)

    def take_through(self, key: Key, *, descending: bool) -> Chosen:
        """Take the rows up to that key and with it."""
        beyond = (key[0], key[1] - 1 if descending else key[1] + 1)
        return self.take(self.count_before(beyond, descending=descending), descending=descending)

    def count_before(self, key: Key, *, descending: bool) -> int:
        """How many rows come before that key."""
        if descending:
            return self._end - self._place((key[0], key[1] + 1))
        return self._place(key) - self._start

    def take(self, count: int, *, descending: bool) -> Chosen:
        """Take the next `count` rows."""
        if descending:
            self._end -= count
            return self._chosen.slice(self._end, self._end + count)
        self._start += count
        return self._chosen.slice(self._start - count, self._start)

    def _place(self, key: Key) -> int:
        """How many rows of the batch, taken ones too, have a lesser key."""
        created, seq = key
        low = int(np.searchsorted(self._created, created, "left"))
        high = int(np.searchsorted(self._created, created, "right"))
        place = low + int(np.searchsorted(self._seq[low:high], seq, "left"))
        return max(self._start, min(self._end, place))


def merged(streams: Sequence[Iterator[Chosen]], *, descending: bool) -> Iterator[Chosen]:
    """One stream out of several that share a schema and no row. Each gives its batches in the order asked for, each
    batch ascending in itself; so does this."""
    heads = [head for stream in streams if (head := _next_head(stream)) is not None]
    while heads:
        if len(heads) == 1:
            yield heads[0].take(len(heads[0]), descending=descending)
            yield from heads[0].following
            return
        heads.sort(key=lambda head: head.first(descending=descending), reverse=descending)
        alone = heads[0].count_before(heads[1].first(descending=descending), descending=descending)
        if alone >= _RUN_ROWS or alone == len(heads[0]):
            yield heads[0].take(alone, descending=descending)
        else:
            ends = [head.last(descending=descending) for head in heads]
            bound = max(ends) if descending else min(ends)
            parts = [head.take_through(bound, descending=descending) for head in heads]
            yield _together([part for part in parts if len(part)])
        heads = [kept for head in heads if (kept := head if len(head) else _next_head(head.following)) is not None]


def _next_head(stream: Iterator[Chosen]) -> _Head | None:
    for chosen in stream:
        if len(chosen):
            return _Head(chosen, stream)
    return None


def _together(parts: Sequence[Chosen]) -> Chosen:
    if len(parts) == 1:
        return parts[0]
    table = pa.Table.from_batches([part.taken() for part in parts]).unify_dictionaries().combine_chunks()
    batch = table.to_batches()[0]
    created, seq = keys_of(batch)
    return Chosen(batch, np.lexsort((seq, created)))
