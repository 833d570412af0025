"""The columns of a file, matched with the Arrow schema of its batches and checked once, before the first byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import pyarrow as pa
import pyarrow.types as pt

from counterfoil.dataplane.encoder import Column
from counterfoil.errors import InvalidInput

SCALE_MAX = 18
DECIMAL_SCALE_MAX = 38


@dataclass(frozen=True, slots=True)
class BoundColumn:
    """A column of the file and where its values come from.

    place: the field's position in the batch. type: the type of its values, without dictionary and extension.
    csv_ready, json: what the field's metadata says (encoder.Column).
    """

    column: Column
    place: int
    type: pa.DataType
    csv_ready: bool
    json: bool


def value_type(data_type: pa.DataType) -> pa.DataType:
    """The type of the values themselves: of a dictionary's entries, of an extension's storage."""
    if isinstance(data_type, pa.BaseExtensionType):
        return value_type(data_type.storage_type)
    if isinstance(data_type, pa.DictionaryType):
        return value_type(data_type.value_type)
    return data_type


def is_text(data_type: pa.DataType) -> bool:
    """Whether values are UTF-8 text in any of Arrow's layouts."""
    return pt.is_string(data_type) or pt.is_large_string(data_type) or pt.is_string_view(data_type)


def is_decimal(data_type: pa.DataType) -> TypeGuard[pa.Decimal128Type]:
    """Whether values are decimals of up to 128 bits."""
    return pt.is_decimal32(data_type) or pt.is_decimal64(data_type) or pt.is_decimal128(data_type)


def bind(schema: pa.Schema, columns: Sequence[Column]) -> tuple[BoundColumn, ...]:
    """Match the columns of a file with the fields of a schema.

    Raises InvalidInput, naming the column, for a name the schema lacks, a type that no cell holds (nested types,
    binary, durations, …), and a `scale`, `date_only` or metadata that does not fit the type.
    """
    if not columns:
        raise InvalidInput("no_columns", "A file needs at least one column")
    return tuple(_bound(schema, column) for column in columns)


def distinct_labels(columns: Sequence[Column]) -> None:
    """Raise InvalidInput when two columns have one label: JSON objects and Parquet files would lose one of them."""
    seen: set[str] = set()
    for column in columns:
        if column.label in seen:
            message = f"Two columns are labelled '{column.label}'; this format needs distinct labels"
            raise InvalidInput("duplicate_label", message, field=column.name, value=column.label)
        seen.add(column.label)


def _bound(schema: pa.Schema, column: Column) -> BoundColumn:
    place = schema.get_field_index(column.name)
    if place < 0:
        found = "more than once" if column.name in schema.names else "not"
        raise InvalidInput(
            "unknown_column", f"Column '{column.name}' is {found} in the data", field=column.name, allowed=schema.names
        )
    field = schema.field(place)
    metadata = field.metadata or {}
    bound = BoundColumn(
        column,
        place,
        value_type(field.type),
        csv_ready=metadata.get(b"counterfoil.csv_ready") == b"1",
        json=metadata.get(b"counterfoil.kind") == b"json",
    )
    wrong = _what_is_wrong(bound)
    if wrong:
        message = f"Column '{column.name}' of type {field.type} {wrong}"
        raise InvalidInput("unsupported_column", message, field=column.name, value=str(field.type))
    return bound


def _what_is_wrong(bound: BoundColumn) -> str | None:
    column, kind = bound.column, bound.type
    if not _fits_a_cell(kind):
        return "cannot be written into a file: a cell holds text, numbers, booleans, dates and times"
    if not 0 <= column.scale <= SCALE_MAX:
        return f"has scale {column.scale}, which is not in 0 to {SCALE_MAX}"
    if column.scale and not pt.is_integer(kind):
        return "cannot have a scale: only integers are minor units"
    if column.date_only and not (pt.is_timestamp(kind) or pt.is_date(kind)):
        return "cannot be shown as a date"
    if (bound.csv_ready or bound.json) and not is_text(kind):
        return "is marked as CSV-ready or JSON text, and is not text"
    return None


def _fits_a_cell(kind: pa.DataType) -> bool:
    plain = pt.is_null(kind) or pt.is_boolean(kind) or pt.is_integer(kind) or is_text(kind)
    number = pt.is_float32(kind) or pt.is_float64(kind)
    decimal = is_decimal(kind) and abs(kind.scale) <= DECIMAL_SCALE_MAX
    return plain or number or decimal or pt.is_date(kind) or pt.is_timestamp(kind)
