"""Reads a finished CSV file back, with a reader that is not ours, and counts what is in it anew.

For verification only: it shares no code with the encoder or the scan, so a mistake there shows here.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from counterfoil.dataplane.rows import Rows
from counterfoil.dataplane.tally import Totals, exact_sum
from counterfoil.errors import Damaged

_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What the manifest says of the file's columns: labels in order, and the place and scale of fields by name."""

    labels: tuple[str, ...]
    fields: Mapping[str, tuple[int, int]]

    @staticmethod
    def of(columns: Sequence[Mapping[str, Any]]) -> Shape:
        """The shape of a manifest's `columns`. A field that stands twice is read where it stands last; one that is
        shown in other words (`shown_as`) is not read back."""
        fields = {
            each["field"]: (place, each["scale"]) for place, each in enumerate(columns) if each.get("shown_as") is None
        }
        return Shape(tuple(each["label"] for each in columns), fields)

    def has(self, *names: str) -> bool:
        """Whether the file shows all these fields."""
        return all(name in self.fields for name in names)


def blocks(content: BinaryIO, shape: Shape) -> Iterator[list[list[str]]]:
    """The data rows of a CSV file as text cells, in blocks. Raises Damaged for a wrong header, a row of the wrong
    length, or bytes that are no CSV."""
    csv.field_size_limit(sys.maxsize)  # a details cell may be long; the limit is the reader's, not the format's
    text = io.TextIOWrapper(content, encoding="utf-8", newline="")
    reader = csv.reader(text, strict=True)
    block: list[list[str]] = []
    try:
        header = next(reader, None)
        if header is None or tuple(header) != shape.labels:
            raise Damaged("csv_header", f"The header is {header}, and the manifest says {list(shape.labels)}")
        for row in reader:
            if len(row) != len(shape.labels):
                raise Damaged("csv_row", f"The row that ends in line {reader.line_num} has {len(row)} cells")
            block.append(row)
            if len(block) == _ROWS_AT_ONCE:
                yield block
                block = []
    except (csv.Error, UnicodeDecodeError) as error:
        raise Damaged("csv_unreadable", f"Line {reader.line_num} cannot be read: {error}") from error
    finally:
        text.detach()  # the file is its opener's to close
    if block:
        yield block


def count_block(block: Sequence[Sequence[str]], shape: Shape, summed: Sequence[str], totals: Totals) -> None:
    """Add a block's rows, sums of the fields `summed`, and totals by type where type and amount are shown."""
    totals.rows += len(block)
    for name in summed:
        totals.columns[name] = totals.columns.get(name, 0) + exact_sum(_numbers(block, shape, name))
    if shape.has("type", "amount"):
        place = shape.fields["type"][0]
        amounts = _numbers(block, shape, "amount").to_pylist()
        for row, amount in zip(block, amounts, strict=True):
            rows, total = totals.types.get(row[place], (0, 0))
            totals.types[row[place]] = (rows + 1, total + (amount or 0))


def chain_rows(block: Sequence[Sequence[str]], shape: Shape, first_row: int, *, descending: bool) -> Rows:
    """The block as the chain wants it, the row's number standing for the posting order that the file does not show."""
    numbers = range(first_row, first_row + len(block))
    seq = [-number for number in numbers] if descending else list(numbers)
    place = shape.fields["voucher_id"][0]
    columns = {
        "voucher_id": pa.array([row[place] for row in block], pa.string()),
        "seq": pa.array(seq, pa.int64()),
        "amount": _numbers(block, shape, "amount"),
        "balance": _numbers(block, shape, "balance"),
    }
    return Rows(pa.record_batch(list(columns.values()), names=list(columns)))


def _numbers(block: Sequence[Sequence[str]], shape: Shape, name: str) -> pa.Array[Any]:
    """A column in minor units, empty cells as null. Raises Damaged for what is no number of the column's scale."""
    place, scale = shape.fields[name]
    try:
        return pa.array([_minor_units(row[place], scale) for row in block], pa.int64())
    except (ValueError, OverflowError, pa.ArrowInvalid) as error:
        raise Damaged("csv_number", f"The column {shape.labels[place]} holds what is no amount: {error}") from error


def _minor_units(cell: str, scale: int) -> int | None:
    if not cell:
        return None
    if scale:
        whole, _, fraction = cell.partition(".")
        if len(fraction) != scale:
            raise ValueError(f"{cell!r} has not {scale} decimal digits")
        cell = whole + fraction
    if not cell.removeprefix("-").isdecimal() or not cell.isascii():
        raise ValueError(f"{cell!r}")
    return int(cell)
