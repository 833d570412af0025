"""The one Arrow schema that each object's fields have, and batches of it out of database rows.

Instants are timestamp('ms', 'UTC'), dates date32, amounts int64, booleans bool; text, JSON and exact decimals are
strings. Every column may be null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import exportable
from counterfoil.catalog.sources import Column, Difference, Nothing, Source
from counterfoil.errors import Damaged

INSTANT = pa.timestamp("ms", "UTC")

_TYPES: dict[Kind, pa.DataType] = {
    Kind.INTEGER: pa.int64(),
    Kind.MONEY: pa.int64(),
    Kind.INSTANT: INSTANT,
    Kind.DATE: pa.date32(),
    Kind.BOOLEAN: pa.bool_(),
}


def arrow_type(field: Field) -> pa.DataType:
    """The canonical type of a field's column. Fields of several values stand in one text cell."""
    return pa.string() if field.many else _TYPES.get(field.kind, pa.string())


def arrow_schema(object_name: str, fields: Sequence[str]) -> pa.Schema:
    """The canonical schema of an object's fields, in that order. Names are checked ones, `metadata.NAME` included."""
    about = exportable(object_name)
    return pa.schema([pa.field(name, arrow_type(_field(about, name))) for name in fields])


def batch_of(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """A batch out of database rows as `db.exportables.select_object` gives them, column by position.

    Raises Damaged for a value that its column's type cannot hold.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.record_batch(
        [_array(column, field) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def movement_batch(batch: pa.RecordBatch, object_name: str, fields: Sequence[str]) -> pa.RecordBatch:
    """A batch of an object's fields out of one that has the columns of the movements table, by their names.

    For sources that hold movements as they are (segments). Fields of other tables are not to be had from it.
    """
    about = exportable(object_name)
    schema = arrow_schema(object_name, fields)
    arrays = [
        _movement_array(batch, _field(about, name).source, field.type)
        for name, field in zip(fields, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _movement_array(batch: pa.RecordBatch, source: Source, kind: pa.DataType) -> pa.Array[Any]:
    match source:
        case Column(path):
            array = batch.column(path)
            return array if array.type == kind else array.cast(kind)
        case Nothing():
            return pa.nulls(batch.num_rows).cast(kind)
        case Difference(left, right):
            return pc.subtract_checked(_movement_array(batch, left, kind), _movement_array(batch, right, kind))
        case _:
            raise AssertionError(f"{source} is not of the movements table")


def _array(values: Sequence[Any], field: pa.Field[Any]) -> pa.Array[Any]:
    try:
        if field.type == pa.date32():
            return pa.array(values, pa.string()).cast(pa.date32())
        if field.type == pa.bool_():
            # SQLite's driver hands out 0 and 1 where a select has lost the column's type.
            return pa.array([None if value is None else bool(value) for value in values], pa.bool_())
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise Damaged(
            "invalid_value", f"The column {field.name} holds a value that is no {field.type}: {error}"
        ) from error


def _field(about: Exportable, name: str) -> Field:
    field = about.field(name)
    assert field is not None, name
    return field
