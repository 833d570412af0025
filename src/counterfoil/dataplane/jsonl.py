"""JSON Lines: one object a row, UTF-8, LF after each, keys in the order of the columns.

Null is kept as null. Integers and booleans stay what they are; integers with a scale and decimals become strings with
the digits the CSV shows, so that no reader turns an amount into a float. An instant is ISO-8601 in UTC with exactly
three digits of a second, a date is YYYY-MM-DD. A float that is no number (nan, inf) becomes null, since JSON has none.
Text in a field marked `counterfoil.kind` = `json` is put in as the JSON value it is, its own line breaks taken out;
should such a text not be JSON, it is put in as a string, so that the file is whole and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.types as pt

from counterfoil.dataplane.cells import chosen_rows, texts_of, values_of
from counterfoil.dataplane.columns import BoundColumn, bind, distinct_labels
from counterfoil.dataplane.csv_ready import plain
from counterfoil.dataplane.encoder import Column


class JsonLinesEncoder:
    """An `Encoder` of JSON Lines. Two columns with one label are refused."""

    media_type = "application/x-ndjson"
    extension = "jsonl"
    joins = True

    def __init__(self, schema: pa.Schema, columns: Sequence[Column]) -> None:
        distinct_labels(columns)
        self._columns = bind(schema, columns)
        self._labels = tuple(column.label for column in columns)
        self._json = msgspec.json.Encoder()

    def begin(self) -> bytes:
        return b""

    def encode(self, batch: pa.RecordBatch, *, reverse: bool = False, selection: pa.Array[Any] | None = None) -> bytes:
        rows = chosen_rows(batch.num_rows, reverse=reverse, selection=selection)
        values = [_values_of(batch.column(bound.place), bound, rows) for bound in self._columns]
        labels = self._labels
        return self._json.encode_lines([dict(zip(labels, row, strict=True)) for row in zip(*values, strict=True)])

    def end(self) -> bytes:
        return b""


def _values_of(array: pa.Array[Any], bound: BoundColumn, rows: Sequence[int]) -> Sequence[object]:
    kind = bound.type
    if pt.is_integer(kind) and bound.column.scale == 0:
        return _chosen(values_of(array), rows)
    if pt.is_boolean(kind) or pt.is_floating(kind) or pt.is_null(kind):
        return _chosen(values_of(array), rows)
    texts = texts_of(array, bound, rows)
    if bound.csv_ready:
        texts = [None if text is None else plain(text) for text in texts]
    if bound.json:
        return [None if text is None else _json_value(text) for text in texts]
    return texts


def _chosen(values: Sequence[object], rows: Sequence[int]) -> Sequence[object]:
    return [values[row] for row in rows]


def _json_value(text: str) -> msgspec.Raw | str:
    """JSON text as a value on one line, or as a string when it is no JSON."""
    compact = cast("Callable[..., str]", msgspec.json.format)
    try:
        _CHECK.decode(text)
        return msgspec.Raw(compact(text, indent=-1) if "\n" in text or "\r" in text else text)
    except msgspec.DecodeError:
        return text


_CHECK = msgspec.json.Decoder(msgspec.Raw)
