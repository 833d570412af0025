"""XLSX: a workbook for people, of sheets that each begin with the header.

Text is always a text cell, so codes such as `219E01BE` or `0012` survive, and there are no formulas. Whole numbers and
decimals of up to 15 digits are numbers, shown with their scale; longer ones, which a spreadsheet would round, are text.
Dates and instants are real dates, shown as `yyyy-mm-dd` and `yyyy-mm-dd hh:mm:ss.000` in UTC, so that they sort and
filter; before 1900-03-01, where spreadsheets disagree about the calendar, they are ISO-8601 text. Null is no cell, the
empty string an empty text. A text longer than a cell may be (32,767 UTF-16 units) is refused, never cut.

A sheet ends at Excel's limit of 1,048,576 rows, header included, and the next begins. The bytes depend on the rows
alone. They are made in an unnamed temporary file, since a zip's sizes stand before its content, and `end` maps it.

The workbook is written here and not by a library: XlsxWriter 3.3 in its constant-memory mode puts text such as
`<r>…</r>` into the sheet as markup, and takes more than three times as long.
"""

from __future__ import annotations

import mmap
import re
import tempfile
import weakref
from collections.abc import Callable, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, BinaryIO, cast
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.types as pt

from counterfoil.dataplane import xlsx_package as package_module
from counterfoil.dataplane.cells import (
    MS_PER_DAY,
    chosen_rows,
    instant_ms,
    texts_of,
    units_per_s,
    values_of,
)
from counterfoil.dataplane.columns import BoundColumn, bind, is_decimal, is_text
from counterfoil.dataplane.csv_ready import plain
from counterfoil.dataplane.encoder import Column
from counterfoil.dataplane.xlsx_package import SHEET_TAIL, ZipPackage, add_workbook, sheet_head, sheet_path
from counterfoil.domain.money import decimal_text
from counterfoil.errors import InvalidInput

SHEET_ROWS_MAX = 1_048_576
COLUMNS_MAX = 16_384
TEXT_UNITS_MAX = 32_767
NUMBER_DIGITS_MAX = 15
# A zip member's and a zip's own limit is 2^32; the margin holds the last rows, the tail and the directory.
SHEET_BYTES_MAX = 2**32 - 2**28
_EPOCH_SERIAL = 25_569
_FIRST_DAY = 61 - _EPOCH_SERIAL  # 1900-03-01: spreadsheets count a 29 February 1900 that never was
_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_SPECIAL = re.compile("[&<>\x00-\x1f\ufffe\uffff]|_x")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_WIDTH, _INSTANT_WIDTH = 14, 24

Cell = str
"""A cell's XML after its reference: attributes, content and closing tag. The empty string is no cell."""


class XlsxEncoder:
    """An `Encoder` of XLSX. sheet_rows: rows of a sheet, the header included."""

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    extension = "xlsx"
    joins = False

    def __init__(self, schema: pa.Schema, columns: Sequence[Column], sheet_rows: int = SHEET_ROWS_MAX) -> None:
        if len(columns) > COLUMNS_MAX:
            message = f"A sheet has at most {COLUMNS_MAX} columns, not {len(columns)}"
            raise InvalidInput("too_many_columns", message, value=len(columns))
        self._columns = bind(schema, columns)
        self._sheet_rows = sheet_rows
        self._starts = [f'<c r="{_letters(place)}' for place in range(len(columns))]
        self._head = sheet_head([_INSTANT_WIDTH if _is_instant(bound) else _WIDTH for bound in self._columns])
        header = [_text_cell(bound.column.label, bound, package_module.STYLE_HEADER) for bound in self._columns]
        self._header = self._row(1, header)
        self._sheets = self._rows = self._bytes = 0

    def begin(self) -> bytes:
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the encoder
        weakref.finalize(self, self._file.close)
        self._package = ZipPackage(self._file)
        self._start_sheet()
        return b""

    def encode(self, batch: pa.RecordBatch, *, reverse: bool = False, selection: pa.Array[Any] | None = None) -> bytes:
        rows = chosen_rows(batch.num_rows, reverse=reverse, selection=selection)
        cells = [_cells_of(batch.column(bound.place), bound, rows) for bound in self._columns]
        made: list[bytes] = []
        for row in zip(*cells, strict=True):
            if self._rows == self._sheet_rows or self._bytes > SHEET_BYTES_MAX:
                self._package.write(b"".join(made))
                made.clear()
                self._finish_sheet()
                self._start_sheet()
            self._rows += 1
            made.append(self._row(self._rows, row))
            self._bytes += len(made[-1])
        self._package.write(b"".join(made))
        return b""

    def end(self) -> memoryview:
        self._finish_sheet()
        add_workbook(self._package, self._sheets)
        size_bytes = self._package.close()
        self._file.flush()
        mapped = memoryview(mmap.mmap(self._file.fileno(), size_bytes, access=mmap.ACCESS_READ))
        self._file.close()
        return mapped

    def _start_sheet(self) -> None:
        if self._file.tell() > SHEET_BYTES_MAX:
            message = "An XLSX file cannot be larger than 4 GiB; choose CSV or Parquet, or fewer rows"
            raise InvalidInput("file_too_large", message)
        self._sheets += 1
        self._package.start(sheet_path(self._sheets))
        start = self._head.encode() + self._header
        self._package.write(start)
        self._rows, self._bytes = 1, len(start)

    def _finish_sheet(self) -> None:
        self._package.write(SHEET_TAIL.encode())
        self._package.finish()

    def _row(self, number: int, cells: Sequence[Cell]) -> bytes:
        inner = "".join([f"{start}{number}{cell}" for start, cell in zip(self._starts, cells, strict=True) if cell])
        return f'<row r="{number}">{inner}</row>'.encode()


def _letters(place: int) -> str:
    """Column 0 is A, 25 is Z, 26 is AA."""
    place, last = divmod(place, 26)
    return (_letters(place - 1) if place else "") + chr(ord("A") + last)


def _is_instant(bound: BoundColumn) -> bool:
    return pt.is_timestamp(bound.type) and not bound.column.date_only


def _cells_of(array: pa.Array[Any], bound: BoundColumn, rows: Sequence[int]) -> list[Cell]:
    kind = bound.type
    if is_text(kind):
        texts = texts_of(array, bound, rows)
        if bound.csv_ready:
            texts = [None if text is None else plain(text) for text in texts]
        return ["" if text is None else _text_cell(text, bound) for text in texts]
    values = values_of(array)
    chosen = [values[row] for row in rows]
    if pt.is_timestamp(kind) or pt.is_date(kind):
        moment = _moment(bound)
        texts = texts_of(array, bound, rows)  # refuses what lies outside years 0001 to 9999
        return [
            "" if value is None else moment(cast("int", value), cast("str", text))
            for value, text in zip(chosen, texts, strict=True)
        ]
    cell = _number(bound)
    return ["" if value is None else cell(value) for value in chosen]


def _text_cell(text: str, bound: BoundColumn, style: int = package_module.STYLE_PLAIN) -> Cell:
    if 2 * len(text) > TEXT_UNITS_MAX and len(text.encode("utf-16-le")) // 2 > TEXT_UNITS_MAX:
        message = f"Column '{bound.column.name}' holds a text longer than the {TEXT_UNITS_MAX} characters of a cell"
        raise InvalidInput("text_too_long", message, field=bound.column.name)
    styled = f' s="{style}"' if style else ""
    if not _SPECIAL.search(text) and text == text.strip():
        return f'"{styled} t="inlineStr"><is><t>{text}</t></is></c>'
    kept = _UNPRINTABLE.sub(lambda match: f"_x{ord(match[0]):04X}_", _ESCAPED.sub("_x005F_", text))
    space = ' xml:space="preserve"' if kept != kept.strip() or "\n" in kept else ""
    return f'"{styled} t="inlineStr"><is><t{space}>{escape(kept)}</t></is></c>'


def _number_cell(text: str, style: int = package_module.STYLE_PLAIN) -> Cell:
    return f'" s="{style}"><v>{text}</v></c>' if style else f'"><v>{text}</v></c>'


def _number(bound: BoundColumn) -> Callable[[object], Cell]:
    """How a number or boolean of this column becomes a cell."""
    kind, scale = bound.type, bound.column.scale
    if pt.is_boolean(kind):
        return lambda value: f'" t="b"><v>{int(cast("bool", value))}</v></c>'
    if pt.is_floating(kind):
        return lambda value: (
            _number_cell(repr(value)) if isfinite(cast("float", value)) else _text_cell(repr(value), bound)
        )
    if is_decimal(kind):
        scale = kind.scale
    style = package_module.STYLE_SCALE + scale - 1 if scale > 0 else package_module.STYLE_PLAIN

    def cell(value: object) -> Cell:
        if isinstance(value, Decimal):
            text, exact = f"{value:f}", len(value.as_tuple().digits) + max(0, -scale) <= NUMBER_DIGITS_MAX
        else:
            number = cast("int", value)
            text, exact = decimal_text(number, scale), abs(number) < 10**NUMBER_DIGITS_MAX
        return _number_cell(text, style) if exact else _text_cell(text, bound)

    return cell


def _moment(bound: BoundColumn) -> Callable[[int, str], Cell]:
    """How a date or an instant becomes a cell; its text stands in where spreadsheets have no such day."""
    per_s = None if pt.is_date32(bound.type) else units_per_s(bound.type)
    instant = _is_instant(bound)

    def cell(value: int, text: str) -> Cell:
        ms = value * MS_PER_DAY if per_s is None else instant_ms(value, per_s)
        day, of_day = divmod(ms, MS_PER_DAY)
        if day < _FIRST_DAY:
            return _text_cell(text, bound)
        if not instant:
            return _number_cell(str(day + _EPOCH_SERIAL), package_module.STYLE_DATE)
        return _number_cell(repr(day + _EPOCH_SERIAL + of_day / MS_PER_DAY), package_module.STYLE_INSTANT)

    return cell
