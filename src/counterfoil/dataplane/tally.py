"""Totals of rows as they pass: how many, sums of whole-number columns, and movements by type. All exact.

Tallies of parts add up to the tally of the whole, and encode to JSON without loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.dataplane.rows import Rows

Int64s = npt.NDArray[Any]
_INT64_MAX = 2**63 - 1
_EXACT_ROWS = 1 << 20


@dataclass(slots=True)
class Totals:
    """rows: how many. columns: sum by file column that holds whole numbers (minor units for amounts). types: for
    movements, (rows, sum of amounts) by type. last: (created_at ms, seq) of the last movement in file order."""

    rows: int = 0
    columns: dict[str, int] = field(default_factory=dict[str, int])
    types: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    last: tuple[int, int] | None = None

    def add(self, other: Totals) -> None:
        """Take in the totals of what follows these rows in the file."""
        self.rows += other.rows
        for name, total in other.columns.items():
            self.columns[name] = self.columns.get(name, 0) + total
        for name, (rows, amount) in other.types.items():
            before = self.types.get(name, (0, 0))
            self.types[name] = (before[0] + rows, before[1] + amount)
        if other.last is not None:
            self.last = other.last

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, types and columns in the order of their names."""
        return {
            "rows": self.rows,
            "columns": {name: self.columns[name] for name in sorted(self.columns)},
            "types": {
                name: {"rows": self.types[name][0], "amount": self.types[name][1]} for name in sorted(self.types)
            },
            "last": None if self.last is None else list(self.last),
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Totals:
        """What `to_json` gave."""
        types = {name: (each["rows"], each["amount"]) for name, each in values["types"].items()}
        last = values["last"]
        return Totals(values["rows"], dict(values["columns"]), types, None if last is None else (last[0], last[1]))


class Tally:
    """Counts rows of one schema. columns: the file's columns that hold whole numbers, see `whole_columns`."""

    def __init__(self, columns: Sequence[str], *, movements: bool) -> None:
        self.totals = Totals(columns=dict.fromkeys(columns, 0))
        self._movements = movements

    def add(self, rows: Rows) -> None:
        """Count the rows, which follow those counted before."""
        self.totals.add(self.of(rows))

    def of(self, rows: Rows) -> Totals:
        """The totals of some rows by themselves. Any thread may ask."""
        count = len(rows)
        found = Totals(count, dict.fromkeys(self.totals.columns, 0))
        if count == 0:
            return found
        for name in found.columns:
            found.columns[name] = exact_sum(rows.column(name))
        if self._movements:
            found.types = _by_type(rows)
            end = rows.slice(count - 1, 1)
            at = end.column("created_at").cast(pa.int64())[0].as_py()
            found.last = (at, end.column("seq")[0].as_py())
        return found


def whole_columns(schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """Those of the file's columns that hold whole numbers, each once."""
    return [name for name in dict.fromkeys(names) if pa.types.is_integer(schema.field(name).type)]


def exact_sum(values: pa.Array[Any]) -> int:
    """The sum of an integer array, nulls left out, also where it leaves 64 bits."""
    if len(values) == values.null_count:
        return 0
    low, high = int(pc.min(values).as_py()), int(pc.max(values).as_py())
    if max(-low, high) * len(values) <= _INT64_MAX:
        return int(pc.sum(values).as_py())
    return sum(value for value in values.to_pylist() if value is not None)


def _by_type(rows: Rows) -> dict[str, tuple[int, int]]:
    values = rows.column("type")
    encoded = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    amounts = rows.column("amount").to_numpy(zero_copy_only=False)
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(codes), _EXACT_ROWS):
        some = slice(start, start + _EXACT_ROWS)
        for code, (count, amount) in _by_code(codes[some], amounts[some]).items():
            name = str(encoded.dictionary[code])
            before = found.get(name, (0, 0))
            found[name] = (before[0] + count, before[1] + amount)
    return found


def _by_code(codes: Int64s, amounts: Int64s) -> dict[int, tuple[int, int]]:
    """(rows, sum of amounts) by code. Halves of 32 bits add up exactly in a float, up to _EXACT_ROWS of them."""
    counts = np.bincount(codes)
    high = np.bincount(codes, weights=amounts >> 32)
    low = np.bincount(codes, weights=amounts & 0xFFFFFFFF)
    return {
        code: (int(counts[code]), (int(high[code]) << 32) + int(low[code])) for code in np.flatnonzero(counts).tolist()
    }
