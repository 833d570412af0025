"""Texts as 64-bit numbers, a column at a time: what lets millions of cards be told apart without holding their ids.

Two ids may share a number by chance (one in 10^7 for a million cards), so nothing is decided by it that is not looked
at again when it seems wrong. Not a secret, not a signature.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

try:
    from counterfoil.dataplane import _chain
except ImportError:
    _chain = None

UInt64s = npt.NDArray[np.uint64]
_Bytes = npt.NDArray[np.uint8]

_ODD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_WORD_BYTES = 8


class Fingerprints:
    """Gives texts their numbers. Remembers the last dictionary, since the batches of a segment share theirs."""

    def __init__(self) -> None:
        self._dictionary: pa.Array[Any] | None = None
        self._of_dictionary = np.empty(0, np.uint64)

    def of(self, values: pa.Array[Any]) -> UInt64s:
        """The number of each text; the array (string, large_string or a dictionary of them) has no nulls."""
        if not isinstance(values, pa.DictionaryArray):
            return of_texts(values)
        known = self._dictionary
        dictionary = values.dictionary
        if known is None or not _same_memory(known, dictionary):
            self._dictionary, self._of_dictionary = dictionary, of_texts(dictionary)
        return self._of_dictionary[values.indices.to_numpy(zero_copy_only=False)]


def of_texts(values: pa.Array[Any]) -> UInt64s:
    """The number of each text of a plain array (string, large_string) without nulls."""
    count = len(values)
    if count == 0:
        return np.empty(0, np.uint64)
    if _chain is None or sys.byteorder != "little":
        return reference(values)
    numbers = np.empty(count, np.uint64)
    _, offsets, data = values.buffers()
    wide = pa.types.is_large_string(values.type)
    _chain.fingerprints(offsets, wide, values.offset, b"" if data is None else data, numbers)
    return numbers


def reference(values: pa.Array[Any]) -> UInt64s:
    """The same, in numpy: the definition that the C function is held to. At least one text."""
    count = len(values)
    offsets, data = _layout(values.cast(pa.large_string()))
    starts, lengths = offsets[:-1], np.diff(offsets)
    first = int(lengths[0])
    if (lengths == first).all():
        start = int(starts[0])
        return _mixed(data[start : start + count * first].reshape(count, first))
    numbers = np.empty(count, np.uint64)
    for length in np.unique(lengths).tolist():
        chosen = np.flatnonzero(lengths == length)
        numbers[chosen] = _mixed(data[starts[chosen, np.newaxis] + np.arange(length)])
    return numbers


def _layout(values: pa.Array[Any]) -> tuple[npt.NDArray[np.int64], _Bytes]:
    _, offsets, data = values.buffers()
    assert offsets is not None
    places = np.frombuffer(memoryview(offsets), np.int64)[values.offset : values.offset + len(values) + 1]
    return places, np.frombuffer(memoryview(data) if data is not None else b"", np.uint8)


def _mixed(texts: _Bytes) -> UInt64s:
    """One number for each row of a matrix of bytes: word by word, each step one to one in the word."""
    count, length = texts.shape
    numbers = np.full(count, length, np.uint64)
    for at in range(0, length, _WORD_BYTES):
        word = texts[:, at : at + _WORD_BYTES]
        if word.shape[1] < _WORD_BYTES:
            padded = np.zeros((count, _WORD_BYTES), np.uint8)
            padded[:, : word.shape[1]] = word
            word = padded
        numbers = (numbers ^ np.ascontiguousarray(word).view("<u8").ravel()) * _ODD
        numbers ^= numbers >> _HALF
    numbers *= _ODD
    return numbers


def _same_memory(one: pa.Array[Any], other: pa.Array[Any]) -> bool:
    def places(values: pa.Array[Any]) -> list[int | None]:
        return [None if buffer is None else buffer.address for buffer in values.buffers()]

    return len(one) == len(other) and one.offset == other.offset and places(one) == places(other)
