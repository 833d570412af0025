"""Parquet: typed columns for engines, one file that grows by whole row groups.

Amounts with a scale become decimals, instants `timestamp[ms, UTC]` (finer units floored), dates `date32`; text of every
layout is plain UTF-8, CSV-ready text is unquoted, dictionaries are resolved. Columns are named by their labels. The
bytes depend on the rows alone, not on the batches they came in: row groups are cut at ROWS_PER_GROUP. Pages are
compressed with zstd and carry statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from counterfoil.dataplane.cells import DAY_MAX, DAY_MIN, MS_PER_DAY, chosen_rows, out_of_range, units_per_s
from counterfoil.dataplane.columns import BoundColumn, bind, distinct_labels, is_decimal, is_text
from counterfoil.dataplane.csv_ready import plain_text
from counterfoil.dataplane.encoder import Column
from counterfoil.errors import InvalidInput

ROWS_PER_GROUP = 128 * 1024
_ZSTD_LEVEL = 1  # on movements level 3 takes half as long again and gives larger files
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}
_MS_MIN = DAY_MIN * MS_PER_DAY
_MS_MAX = (DAY_MAX + 1) * MS_PER_DAY - 1
_INSTANT = pa.timestamp("ms", "UTC")


class ParquetEncoder:
    """An `Encoder` of Parquet. Holds at most one row group and one batch. Two columns with one label are refused."""

    media_type = "application/vnd.apache.parquet"
    extension = "parquet"
    joins = False

    def __init__(self, schema: pa.Schema, columns: Sequence[Column]) -> None:
        distinct_labels(columns)
        self._columns = bind(schema, columns)
        self._schema = pa.schema([pa.field(bound.column.label, _target(bound)) for bound in self._columns])
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._made = _MadeBytes()
        self._writer: pq.ParquetWriter | None = None

    def begin(self) -> bytes:
        self._writer = pq.ParquetWriter(
            cast("IO[bytes]", self._made),
            self._schema,
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            write_statistics=True,
            write_page_index=True,
            store_schema=False,
        )
        return self._made.take()

    def encode(self, batch: pa.RecordBatch, *, reverse: bool = False, selection: pa.Array[Any] | None = None) -> bytes:
        arrays = [_converted(batch.column(bound.place), bound) for bound in self._columns]
        rows = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        if reverse or selection is not None:
            rows = rows.take(pa.array(chosen_rows(batch.num_rows, reverse=reverse, selection=selection), pa.int64()))
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows
        if self._waiting_rows >= ROWS_PER_GROUP:
            self._write_groups(self._waiting_rows - self._waiting_rows % ROWS_PER_GROUP)
        return self._made.take()

    def end(self) -> bytes:
        assert self._writer is not None, "begin comes first"
        if self._waiting_rows:
            self._write_groups(self._waiting_rows)
        self._writer.close()
        return self._made.take()

    def _write_groups(self, rows: int) -> None:
        """Write the first `rows` waiting rows, in groups, and keep the rest."""
        assert self._writer is not None, "begin comes first"
        table = pa.Table.from_batches(self._waiting, self._schema)
        for start in range(0, rows, ROWS_PER_GROUP):
            group = table.slice(start, min(ROWS_PER_GROUP, rows - start))
            self._writer.write_table(group.combine_chunks(), row_group_size=ROWS_PER_GROUP)
        self._waiting = table.slice(rows).to_batches()
        self._waiting_rows -= rows


class _MadeBytes:
    """The file object the Parquet writer writes to: bytes wait here until they are taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._size_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size_bytes

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        made = b"".join(self._pieces)
        self._pieces.clear()
        return made


def _target(bound: BoundColumn) -> pa.DataType:
    """The Parquet column's type. InvalidInput for a decimal of negative scale, which Parquet does not know."""
    kind, column = bound.type, bound.column
    if pt.is_date(kind) or column.date_only:
        return pa.date32()
    if pt.is_timestamp(kind):
        return _INSTANT
    if pt.is_integer(kind) and column.scale:
        return pa.decimal128(max(_DIGITS[kind.bit_width], column.scale), column.scale)
    if is_decimal(kind):
        if kind.scale < 0:
            message = f"Column '{column.name}' of type {kind} cannot be written: Parquet has no negative scales"
            raise InvalidInput("unsupported_column", message, field=column.name, value=str(kind))
        return pa.decimal128(max(kind.precision, kind.scale), kind.scale)  # Parquet wants no more scale than precision
    return pa.string() if is_text(kind) or pt.is_null(kind) else kind


def _converted(array: pa.Array[Any], bound: BoundColumn) -> pa.Array[Any]:
    target = _target(bound)
    if isinstance(array, pa.ExtensionArray):
        return _converted(array.storage, bound)
    if isinstance(array, pa.DictionaryArray):
        entries = _converted(array.dictionary, bound)
        return entries.take(array.indices)
    if is_text(bound.type):
        return (plain_text(array) if bound.csv_ready else array).cast(target)
    if pt.is_timestamp(array.type) or pt.is_date64(array.type):
        return _instants(array, bound).cast(target)
    if isinstance(target, pa.Decimal128Type) and pt.is_integer(array.type):
        # Minor units are the decimal's own digits: the same 128 bits, read with another scale.
        return array.cast(pa.decimal128(max(_DIGITS[array.type.bit_width], bound.column.scale), 0)).view(target)
    return array.cast(target)


def _instants(array: pa.Array[Any], bound: BoundColumn) -> pa.Array[Any]:
    """Timestamps or date64 in milliseconds, floored, without a zone, so that a cast to a date is of UTC."""
    per_s = units_per_s(array.type)
    counted: Any = array.cast(pa.int64())
    outside = _outside(counted, _MS_MIN * per_s // 1_000, (_MS_MAX + 1) * per_s // 1_000 - 1)
    if outside >= 0:
        raise out_of_range(bound, outside)
    if per_s < 1_000:
        counted = pc.multiply(counted, pa.scalar(1_000 // per_s, pa.int64()))
    elif per_s > 1_000:
        # Arrow divides towards zero, and its own floor of timestamps overflows near the ends of 64 bits.
        per_ms = pa.scalar(per_s // 1_000, pa.int64())
        whole = pc.divide(counted, per_ms)
        before = pc.less(pc.subtract(counted, pc.multiply(whole, per_ms)), pa.scalar(0, pa.int64()))
        counted = pc.subtract(whole, before.cast(pa.int64()))
    naive = bound.column.date_only or pt.is_date64(array.type)
    return counted.view(pa.timestamp("ms") if naive else _INSTANT)


def _outside(counted: pa.Array[Any], low: int, high: int) -> int:
    """The place of the first value outside low..high, or -1."""
    least, most = (pa.scalar(min(max(n, -(2**63)), 2**63 - 1), pa.int64()) for n in (low, high))
    wrong = pc.or_(pc.less(counted, least), pc.greater(counted, most))
    return pc.index(wrong, pa.scalar(True)).as_py()
