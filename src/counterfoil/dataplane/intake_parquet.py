"""Parquet files that come in, as the blocks that `intake` describes; a row's line is its number from 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from counterfoil.catalog.importables import Importable, ImportColumn
from counterfoil.dataplane.cells import day_text
from counterfoil.dataplane.columns import is_decimal, is_text, value_type
from counterfoil.dataplane.intake import Block, Lookup, Place, check_columns, storable_rows, unknown_column
from counterfoil.errors import InvalidInput


class ParquetIntake:
    """A Parquet file, one batch of rows in memory at a time. Raises InvalidInput for what is none, and for columns
    that are unknown, repeated, missing, or of a type that no row holds (lists, structs, binary)."""

    def __init__(self, path: Path, about: Importable, lookup: Lookup | None = None) -> None:
        try:
            self._file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput("invalid_file", f"{path.name} is not a Parquet file: {error}") from None
        schema = self._file.schema_arrow
        self._columns: dict[str, ImportColumn] = {}
        for field in schema:
            column = (lookup or about.column)(field.name)
            if column is None:
                raise unknown_column(about, field.name)
            if column.used and not _holds_cells(value_type(field.type)):
                message = f"The column {field.name} is of type {field.type}; write it as text, numbers or times"
                raise InvalidInput("invalid_column", message, field=field.name, value=str(field.type))
            self._columns[field.name] = column
        check_columns(about, [column.name for column in self._columns.values()])

    @property
    def row_count(self) -> int:
        """How many rows the file says it has."""
        return self._file.metadata.num_rows

    def blocks(self, rows: int) -> Iterator[Block]:
        wanted = [label for label, column in self._columns.items() if column.used]
        row = 0
        try:
            for batch in self._file.iter_batches(batch_size=rows, columns=wanted, use_threads=False):
                yield self._block(batch, row)
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput("invalid_file", f"The file is damaged behind row {row}: {error}") from None

    def _block(self, batch: pa.RecordBatch, before: int) -> Block:
        lines = list(range(before + 1, before + 1 + batch.num_rows))
        named = {
            self._columns[label].name: _values(batch.column(place), batch.schema.field(place))
            for place, label in enumerate(batch.schema.names)
        }
        flaws = storable_rows(named, lines)
        return Block(lines, named, flaws, Place(0, before + 1 + batch.num_rows), native=True)


def _holds_cells(kind: pa.DataType) -> bool:
    plain = pt.is_null(kind) or pt.is_boolean(kind) or pt.is_integer(kind) or pt.is_floating(kind) or is_text(kind)
    return plain or is_decimal(kind) or pt.is_decimal256(kind) or pt.is_date(kind) or pt.is_timestamp(kind)


def _values(array: pa.Array[Any], field: pa.Field[Any]) -> list[Any]:
    """Instants as ms since the epoch (floored, UTC unless said), dates as ISO text, decimals as text, the rest as is."""
    kind = value_type(field.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if pt.is_timestamp(kind):
        per_ms = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}[cast("pa.TimestampType", kind).unit]
        counts = array.cast(pa.int64()).to_pylist()
        return [None if count is None else _ms(count, per_ms) for count in counts]
    if pt.is_date32(kind):
        return _mapped(array.cast(pa.int32()).to_pylist(), day_text)
    if pt.is_date64(kind):
        return _mapped(array.cast(pa.int64()).to_pylist(), lambda ms: day_text(ms // 86_400_000))
    if is_decimal(kind) or pt.is_decimal256(kind):
        return _mapped(array.to_pylist(), lambda number: f"{number:f}")
    return array.to_pylist()


def _ms(count: int, per_ms: float) -> int:
    return count * 1_000 if per_ms < 1 else count // int(per_ms)


def _mapped(values: Sequence[Any], shown: Callable[[Any], str]) -> list[Any]:
    return [None if value is None else shown(value) for value in values]
