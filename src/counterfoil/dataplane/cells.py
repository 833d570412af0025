"""Values as text, one at a time: the forms every text format shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pyarrow.types as pt

from counterfoil.dataplane.columns import BoundColumn, is_decimal
from counterfoil.domain.money import decimal_text
from counterfoil.errors import InvalidInput

MS_PER_DAY = 86_400_000
# The proleptic Gregorian calendar's 1970-01-01, counted from 0001-01-01 = 1.
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
DAY_MIN = date.min.toordinal() - EPOCH_ORDINAL
DAY_MAX = date.max.toordinal() - EPOCH_ORDINAL
UNITS_PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def values_of(array: pa.Array[Any]) -> Sequence[object]:
    """The values of a column as plain Python, null as None.

    Integers, dates and timestamps are ints as stored (days, or the timestamp's own unit since the epoch), decimals
    are Decimal, floats float, booleans bool, text str as it stands in the batch.
    """
    if isinstance(array, pa.ExtensionArray):
        return values_of(array.storage)
    if isinstance(array, pa.DictionaryArray):
        entries = values_of(array.dictionary)
        indices = cast("list[int | None]", array.indices.to_pylist())
        return [None if index is None else entries[index] for index in indices]
    if pt.is_date32(array.type):
        return array.cast(pa.int32()).to_pylist()
    if pt.is_timestamp(array.type) or pt.is_date64(array.type):
        return array.cast(pa.int64()).to_pylist()
    return array.to_pylist()


def day_text(day: int) -> str:
    """Days since 1970-01-01 as YYYY-MM-DD. ValueError outside years 0001 to 9999."""
    return date.fromordinal(day + EPOCH_ORDINAL).isoformat()


def instant_ms(value: int, units_per_s: int) -> int:
    """A count of units since the epoch in whole milliseconds, floored."""
    return value * 1_000 // units_per_s


def instant_text(ms: int) -> str:
    """Milliseconds since the epoch as YYYY-MM-DDTHH:MM:SS.mmmZ. ValueError outside years 0001 to 9999."""
    day, of_day = divmod(ms, MS_PER_DAY)
    seconds, milliseconds = divmod(of_day, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{day_text(day)}T{hour:02d}:{minute:02d}:{second:02d}.{milliseconds:03d}Z"


def units_per_s(data_type: pa.DataType) -> int:
    """How many units of a timestamp or date64 type make a second."""
    return UNITS_PER_S[data_type.unit] if isinstance(data_type, pa.TimestampType) else UNITS_PER_S["ms"]


def texts_of(array: pa.Array[Any], bound: BoundColumn, rows: Sequence[int]) -> list[str | None]:
    """The values of the given rows of a column as the text of CSV cells before quoting, null as None.

    Raises InvalidInput for an instant or date outside years 0001 to 9999.
    """
    shown = _shown_as_text(bound)
    values = values_of(array)
    texts: list[str | None] = []
    for row in rows:
        value = values[row]
        try:
            texts.append(None if value is None else shown(value))
        except (ValueError, OverflowError):
            raise out_of_range(bound, row) from None
    return texts


def out_of_range(bound: BoundColumn, row: int) -> InvalidInput:
    """The error for a date or instant that ISO-8601 with four year digits cannot show; `row` counts in its batch."""
    message = f"Column '{bound.column.name}' holds a time outside years 0001 to 9999, in row {row} of a batch"
    return InvalidInput("invalid_time", message, field=bound.column.name)


def _shown_as_text(bound: BoundColumn) -> Callable[[object], str]:
    kind, column = bound.type, bound.column
    if pt.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if pt.is_integer(kind):
        return lambda value: decimal_text(cast("int", value), column.scale)
    if is_decimal(kind):
        return lambda value: f"{cast('Decimal', value):f}"
    if pt.is_date32(kind):
        return lambda value: day_text(cast("int", value))
    if pt.is_date64(kind) or (pt.is_timestamp(kind) and column.date_only):
        per_s = units_per_s(kind)
        return lambda value: day_text(instant_ms(cast("int", value), per_s) // MS_PER_DAY)
    if pt.is_timestamp(kind):
        per_s = units_per_s(kind)
        return lambda value: instant_text(instant_ms(cast("int", value), per_s))
    return str  # text as it is; floats as their shortest form, which is Python's repr


def chosen_rows(rows: int, *, reverse: bool, selection: pa.Array[Any] | None) -> Sequence[int]:
    """The row numbers that `Encoder.encode` writes, in order. IndexError for a row the batch does not have."""
    chosen: Sequence[int] = range(rows)
    if selection is not None and pt.is_boolean(selection.type):
        if len(selection) != rows:
            raise ValueError("a mask must have one value for each row of the batch")
        chosen = [row for row, wanted in enumerate(selection.to_pylist()) if wanted]
    elif selection is not None:
        if not (pt.is_int32(selection.type) or pt.is_int64(selection.type)):
            raise ValueError("a selection must be int32 or int64 row numbers, or a boolean mask")
        if selection.null_count:
            raise ValueError("a row number in a selection is null")
        chosen = cast("list[int]", selection.to_pylist())
        if any(not 0 <= row < rows for row in chosen):
            raise IndexError("the selection names a row the batch does not have")
    return chosen[::-1] if reverse else chosen
