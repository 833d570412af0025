"""Writing the file of a segment: sorted, cut into batches, each with its checksums, hashed on its way to the store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec
import numpy as np
import pyarrow as pa

from counterfoil.archive.segment_file import (
    CHECKSUMS,
    CODES,
    DICTIONARIES,
    FORMAT,
    SCHEMA,
    Index,
    Int64s,
    checksum,
    keys_of,
    row_numbers,
)
from counterfoil.files.store import Bytes, StagedFile, Store
from counterfoil.plan.task import SegmentRef

Codec = Literal["none", "lz4", "zstd"]
BATCH_ROWS = 32_768
_NEAR = 8
"""A batch whose rows lie within so many times its size of the table is copied from there; the rest of it is not read."""


def codec_for(store: Store, wanted: str = "auto") -> Codec:
    """How a segment is compressed: as wanted, or by where the store is: not at all on this machine's disk."""
    if wanted == "auto":
        return "none" if store.local_path("segments") is not None else "zstd"
    return cast("Codec", wanted)


def coded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch of movements in SCHEMA: with dictionaries of its own where SCHEMA has them."""
    columns = [
        batch.column(field.name).dictionary_encode().cast(CODES)
        if field.name in DICTIONARIES
        else batch.column(field.name)
        for field in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def write_segment(
    store: Store, segment_id: str, key: str, rows: pa.Table, codec: Codec, batch_rows: int = BATCH_ROWS
) -> SegmentRef:
    """Write movements (SCHEMA, in any order, at least one row) as a segment's file; returns when it is durable.
    Errors as `StagedFile.write` and `seal`."""
    table = rows.unify_dictionaries()
    created, seq = keys_of(table)
    order = np.lexsort((seq, created))
    created = created[order]
    schema = Index(_places(created, batch_rows), _dictionary_sums(table)).schema()
    options = pa.ipc.IpcWriteOptions(compression=None if codec == "none" else codec, use_threads=False)
    with store.create(key) as file:
        out = _HashedFile(file)
        with (
            pa.PythonFile(cast("Any", out), mode="w") as sink,
            pa.ipc.new_file(sink, schema, options=options) as writer,
        ):
            for start in range(0, len(order), batch_rows):
                batch = _rows_of(table, order[start : start + batch_rows])
                sums = {name: checksum(batch.column(name)) for name in SCHEMA.names}
                writer.write_batch(batch, custom_metadata={CHECKSUMS: msgspec.json.encode(sums)})
        size_bytes = file.seal()
    return SegmentRef(
        segment_id, key, FORMAT, out.hash.hexdigest(), len(seq), size_bytes, int(seq.min()), int(seq.max()),
        int(created[0]), int(created[-1]),
    )  # fmt: skip


def _places(created: Int64s, batch_rows: int) -> list[tuple[int, int, int]]:
    parts = (created[start : start + batch_rows] for start in range(0, len(created), batch_rows))
    return [(len(part), int(part[0]), int(part[-1])) for part in parts]


def _dictionary_sums(table: pa.Table) -> dict[str, int]:
    first: Sequence[pa.RecordBatch] = table.slice(0, 1).to_batches()
    columns = {name: cast("pa.DictionaryArray[Any, Any]", first[0].column(name)) for name in DICTIONARIES}
    return {name: checksum(column.dictionary) for name, column in columns.items()}


def _rows_of(table: pa.Table, numbers: Int64s) -> pa.RecordBatch:
    """Those rows in that order, copied. They come nearly in the table's order, so few of its chunks are looked at."""
    low, high = int(numbers.min()), int(numbers.max())
    if high - low >= _NEAR * len(numbers):
        # Scattered rows: piece by piece where they lie, then into their order.
        by_place = np.argsort(numbers, kind="stable")
        gathered = pa.concat_tables(
            [_whole(part).take(row_numbers(places)) for part, places in _pieces(table, numbers[by_place])]
        )
        back = np.empty(len(numbers), np.int64)
        back[by_place] = np.arange(len(numbers))
        return _whole(gathered.combine_chunks().take(row_numbers(back))).to_batches()[0]
    near = _whole(table.slice(low, high - low + 1))
    return near.take(row_numbers(numbers - low)).combine_chunks().to_batches()[0]


def _pieces(table: pa.Table, ascending: Int64s) -> list[tuple[pa.Table, Int64s]]:
    """For each chunk of the table that has some of the rows: the chunk, and the rows counted within it."""
    found: list[tuple[pa.Table, Int64s]] = []
    start = 0
    for batch in table.to_batches():
        first, last = np.searchsorted(ascending, [start, start + batch.num_rows])
        if first < last:
            found.append((pa.Table.from_batches([batch]), ascending[first:last] - start))
        start += batch.num_rows
    return found


def _whole(table: pa.Table) -> pa.Table:
    return table.combine_chunks()


class _HashedFile:
    """What pyarrow writes to: a staged file that is hashed on its way."""

    def __init__(self, file: StagedFile) -> None:
        self.hash = hashlib.sha256()
        self.closed = False
        self._file = file
        self._size_bytes = 0

    def write(self, data: Bytes) -> int:
        view = memoryview(data)
        self.hash.update(view)
        self._file.write(bytes(view))  # the memory is Arrow's again once this returns
        self._size_bytes += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._size_bytes

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
