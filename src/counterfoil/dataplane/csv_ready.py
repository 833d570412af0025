"""Text kept as CSV cells: quoted once when it is stored, copied ever after.

A field whose metadata holds `counterfoil.csv_ready` = `1` has text that obeys the quoting rule of csv_reference.py
already: what needs quotes has them, the empty string is `""`, null is null. Any Arrow reader still understands it.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.dataplane.columns import is_text

METADATA = {b"counterfoil.csv_ready": b"1"}
_NEEDS_QUOTES = '[",\r\n]|^$'


def csv_ready(array: pa.Array[Any]) -> pa.Array[Any]:
    """A text array, or a dictionary of text, with each value as its CSV cell. The type stays, but views become text."""
    if isinstance(array, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(array.indices, csv_ready(array.dictionary))
    text = _in_one_piece(array)
    needs = pc.match_substring_regex(text, _NEEDS_QUOTES)
    if not pc.any(needs).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""')
    quote = pa.scalar('"', text.type)
    joined = pc.binary_join_element_wise(quote, doubled, quote, pa.scalar("", text.type))
    return pc.if_else(needs, joined, text)


def plain_text(array: pa.Array[Any]) -> pa.Array[Any]:
    """The reverse of `csv_ready`."""
    if isinstance(array, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(array.indices, plain_text(array.dictionary))
    text = _in_one_piece(array)
    quoted = pc.starts_with(text, '"')
    if not pc.any(quoted).as_py():
        return text
    inner = pc.replace_substring(pc.utf8_slice_codeunits(text, 1, -1), '""', '"')
    return pc.if_else(quoted, inner, text)


def plain(cell: str) -> str:
    """One CSV-ready value as the text it stands for."""
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def _in_one_piece(array: pa.Array[Any]) -> pa.Array[Any]:
    """Views as ordinary text, since Arrow's text functions do not take them yet."""
    assert is_text(array.type), f"CSV cells are made of text, not of {array.type}"
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array
