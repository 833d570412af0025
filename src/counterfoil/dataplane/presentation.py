"""The step in front of an encoder that turns columns into the text a file shows (`catalog.shown`), a batch at a time.

It sees batches alike from the database and from the archive, so what a column looks like is said once, in Python and
Arrow, and not in two SQL dialects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.catalog.shown import Shown
from counterfoil.dataplane.encoder import Column, Encoder, EncoderFactory
from counterfoil.files.store import Bytes
from counterfoil.ids import movement_uuid
from counterfoil.plan.presentation import document, document_keys, document_text
from counterfoil.plan.task import OutputColumn

Texts = Any
"""An Arrow array of strings."""

_UUID_LENGTH = 36
_HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(256, 2)
_DASH = ord("-")


def presenting(factory: EncoderFactory, schema: pa.Schema, columns: Sequence[OutputColumn]) -> Encoder:
    """An encoder for the file's columns over batches of the source's schema. Errors as of the factory."""
    plain = [Column(each.field, each.label, each.scale, each.date_only) for each in columns]
    shown = {each.field: each.shown_as for each in columns if each.shown_as is not None}
    if not shown:
        return factory(schema, plain)
    fields = [field.with_type(pa.string()) if field.name in shown else field for field in schema]
    presented = pa.schema(fields)
    return PresentingEncoder(factory(presented, plain), presented, shown)


class PresentingEncoder:
    """An `Encoder` that shows columns first; `inner` gets batches of `schema`, with text in the place of the shown ones."""

    def __init__(self, inner: Encoder, schema: pa.Schema, shown: dict[str, Shown]) -> None:
        self._inner = inner
        self._schema = schema
        self._shown = shown
        self.media_type = inner.media_type
        self.extension = inner.extension
        self.joins = inner.joins

    def begin(self) -> Bytes:
        return self._inner.begin()

    def encode(self, batch: pa.RecordBatch, *, reverse: bool = False, selection: pa.Array[Any] | None = None) -> Bytes:
        if selection is not None:
            # Only what the file shows is made into text: a filter may leave a row in a thousand.
            batch = _chosen(batch, selection)
        return self._inner.encode(self._presented(batch), reverse=reverse)

    def end(self) -> Bytes:
        return self._inner.end()

    def _presented(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        documents = {name: each for name, each in self._shown.items() if each.how in {"member", "first_key"}}
        texts = {name: _texts(each, batch.column(name)) for name, each in self._shown.items() if name not in documents}
        texts |= _document_texts(documents, batch)
        arrays = [texts.get(name, batch.column(at)) for at, name in enumerate(self._schema.names)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def _chosen(batch: pa.RecordBatch, selection: pa.Array[Any]) -> pa.RecordBatch:
    if pa.types.is_boolean(selection.type):
        return batch.filter(selection)
    return batch.take(selection)


def _texts(shown: Shown, values: pa.Array[Any]) -> Texts:
    match shown.how:
        case "movement_uuid":
            return movement_uuids(shown.given or "", values)
        case "words":
            return _words(values, dict(shown.words))
        case _:
            text: Any = pa.scalar(shown.given, pa.string())
            return pa.repeat(text, len(values))


def movement_uuids(project_key: str, seqs: pa.Array[Any]) -> Texts:
    """`ids.movement_uuid` of every seq (int64, none null)."""
    count = len(seqs)
    text = np.empty((count, _UUID_LENGTH), np.uint8)
    text[:, :19] = np.frombuffer(movement_uuid(project_key, 0)[:19].encode(), np.uint8)
    low = seqs.to_numpy(zero_copy_only=False).astype(np.uint64) | np.uint64(1 << 63)
    digits: npt.NDArray[np.uint8] = _HEX[low.astype(">u8").view(np.uint8).reshape(count, 8)].reshape(count, 16)
    text[:, 19:23] = digits[:, :4]
    text[:, 23] = _DASH
    text[:, 24:] = digits[:, 4:]
    offsets = np.arange(0, (count + 1) * _UUID_LENGTH, _UUID_LENGTH, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes()))


def _words(values: pa.Array[Any], words: dict[str, str]) -> Texts:
    coded = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
    shown = [None if value is None else words.get(value, value) for value in coded.dictionary.to_pylist()]
    return cast("Any", pa.array(shown, pa.string())).take(coded.indices)


def _document_texts(columns: dict[str, Shown], batch: pa.RecordBatch) -> dict[str, Texts]:
    """Columns made of JSON documents. Those of one document share the reading of it, and a document without any of the
    names asked for is not read at all: most movements say nothing but their balance."""
    found: dict[str, Texts] = {}
    waiting = dict(columns)
    while waiting:
        values = batch.column(next(iter(waiting)))
        same = {name: each for name, each in waiting.items() if _same_memory(batch.column(name), values)}
        waiting = {name: each for name, each in waiting.items() if name not in same}
        rows = _rows_with(values, frozenset().union(*(document_keys(each) for each in same.values())))
        documents = [document(text) for text in cast("Any", values).take(rows).to_pylist()]
        for name, each in same.items():
            texts: list[str | None] = [None] * len(values)
            for row, read in zip(rows.to_pylist(), documents, strict=True):
                texts[row] = document_text(each, read)
            found[name] = pa.array(texts, pa.string())
    return found


def _rows_with(values: Any, keys: frozenset[str]) -> Any:
    """Numbers of the rows whose text has one of the keys in it."""
    if values.null_count == len(values):
        return pa.array([], pa.int64())
    mask: Any = None
    for key in sorted(keys):
        found: Any = pc.match_substring(values, f'"{key}"')
        mask = found if mask is None else pc.or_(mask, found)
    return pc.indices_nonzero(mask.fill_null(False))


def _same_memory(one: Any, other: Any) -> bool:
    places = [[None if each is None else each.address for each in array.buffers()] for array in (one, other)]
    return len(one) == len(other) and one.offset == other.offset and places[0] == places[1]
