"""XLSX, read back by a reader that knows the standard (ECMA-376) and nothing of the writer."""

from __future__ import annotations

import gc
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import pyarrow as pa
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given

from counterfoil.dataplane.csv_ready import METADATA, csv_ready
from counterfoil.dataplane.encoder import Column
from counterfoil.dataplane.xlsx import TEXT_UNITS_MAX, XlsxEncoder
from counterfoil.errors import InvalidInput
from tests.dataplane.arrow_batches import Drawn, drawn
from tests.dataplane.test_csv_rules import HOSTILE
from tests.dataplane.test_formats import SAMPLE, SAMPLE_COLUMNS, cell_texts, chosen, labelled, written

NS = {
    "m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "r": "http://schemas.openxmlformats.org/package/2006/relationships",
}
REL_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
MARKUP = ["<r>rich</r>", "<r><t>rich</t></r>", "a & b < c > d", "_x0041_", "_x005F_x0041_", "__x000D_", "]]>", "&amp;"]


@dataclass(frozen=True)
class Found:
    """A cell as a reader finds it: kind (text, number, boolean), value as written, and its number format's code."""

    kind: str
    value: str
    shown_as: str


def sheets(data: bytes) -> dict[str, list[dict[str, Found]]]:
    """Each sheet by name: its rows, each by column letter."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.testzip() is None
        formats = _formats(fromstring(package.read("xl/styles.xml")))
        targets = {
            entry.get("Id"): f"xl/{entry.get('Target')}"
            for entry in fromstring(package.read("xl/_rels/workbook.xml.rels")).findall("r:Relationship", NS)
        }
        entries = fromstring(package.read("xl/workbook.xml")).findall("m:sheets/m:sheet", NS)
        return {
            str(entry.get("name")): list(_rows(fromstring(package.read(targets[entry.get(REL_ID)])), formats))
            for entry in entries
        }


def _formats(styles: Element) -> list[str]:
    codes = {entry.get("numFmtId"): str(entry.get("formatCode")) for entry in styles.findall("m:numFmts/m:numFmt", NS)}
    return [codes.get(entry.get("numFmtId"), "General") for entry in styles.findall("m:cellXfs/m:xf", NS)]


def _rows(sheet: Element, formats: list[str]) -> Iterator[dict[str, Found]]:
    for number, row in enumerate(sheet.findall("m:sheetData/m:row", NS), 1):
        assert row.get("r") == str(number)
        cells: dict[str, Found] = {}
        for cell in row.findall("m:c", NS):
            letters = str(cell.get("r")).removesuffix(str(number))
            assert letters.isalpha()
            cells[letters] = _found(cell, formats[int(cell.get("s", "0"))])
        assert list(cells) == sorted(cells, key=lambda letters: (len(letters), letters))
        yield cells


def _found(cell: Element, shown_as: str) -> Found:
    assert cell.find("m:f", NS) is None, "no formulas, ever"
    if cell.get("t") == "inlineStr":
        text = cell.findtext("m:is/m:t", "", NS)
        # Office Open XML part 1, 22.9.2.19: _xHHHH_ stands for a character that XML has not.
        return Found("text", re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), text), shown_as)
    return Found({"b": "boolean"}.get(cell.get("t", ""), "number"), cell.findtext("m:v", "", NS), shown_as)


def test_the_sample() -> None:
    rows = sheets(written(XlsxEncoder(SAMPLE.schema, SAMPLE_COLUMNS), [SAMPLE]))["Sheet1"]
    assert [cell.value for cell in rows[0].values()] == [column.label for column in SAMPLE_COLUMNS]
    date, instant = "yyyy\\-mm\\-dd", "yyyy\\-mm\\-dd\\ hh:mm:ss.000"
    assert list(rows[1].values()) == [
        Found("text", "vtx_1", "General"),
        Found("text", "B,1", "General"),
        Found("number", "10.50", "0.00"),
        Found("number", repr(45574 + 33_392_521 / 86_400_000), instant),
        Found("number", "45574", date),
        Found("text", '{"a": [1, null]}', "General"),
        Found("boolean", "1", "General"),
        Found("text", str(2**60 + 1), "General"),
        Found("text", 'q"', "General"),
    ]
    assert rows[2]["A"] == Found("text", "0012", "General")
    assert rows[2]["C"] == Found("number", "-0.05", "0.00")
    assert rows[2]["I"] == Found("text", "", "General")
    assert rows[3] == {}


def test_hostile_text_survives() -> None:
    texts = [*HOSTILE, *MARKUP, *[chr(code) for code in range(0x20)], "\ufffe\uffff", "\x85\u2028"]
    for array, field in [
        (pa.array(texts), pa.field("t", pa.string())),
        (csv_ready(pa.array(texts)), pa.field("t", pa.string(), metadata=METADATA)),
    ]:
        batch = pa.RecordBatch.from_arrays([array], schema=pa.schema([field]))
        rows = sheets(written(XlsxEncoder(batch.schema, [Column("t", "<r>&</r>")]), [batch]))["Sheet1"]
        assert rows[0]["A"].value == "<r>&</r>"
        assert [row["A"] for row in rows[1:]] == [Found("text", text, "General") for text in texts]


@pytest.mark.slow
@given(case=drawn())
def test_cells_say_what_the_csv_says(case: Drawn) -> None:
    columns = labelled(case)
    rows = sheets(chosen(XlsxEncoder(case.batch.schema, columns), case))["Sheet1"]
    letters = [chr(ord("A") + place) for place in range(len(columns))]
    found = [[row.get(letter) for row in rows[1:]] for letter in letters]
    for cells, texts in zip(found, cell_texts(case, columns), strict=True):
        assert [
            None if cell is None else _as_csv(cell, text or "") for cell, text in zip(cells, texts, strict=True)
        ] == texts


def _as_csv(cell: Found, expected: str) -> str:
    """What the CSV would show for a cell, given that it is no longer than a number may be."""
    if cell.kind == "boolean":
        return {"1": "true", "0": "false"}[cell.value]
    if cell.kind == "number" and cell.shown_as.startswith("yyyy"):
        milliseconds = round((float(cell.value) - 25_569) * 86_400_000)
        array = pa.array([milliseconds], pa.int64()).view(pa.timestamp("ms"))
        [[text]] = cell_texts(
            Drawn(pa.record_batch({"at": array}), [], reverse=False, selection=None),
            [Column("at", "at", date_only=":" not in cell.shown_as)],
        )
        return str(text)
    if cell.kind == "number":
        assert len(re.sub("e.*|[^0-9]", "", cell.value.lstrip("-0."))) <= 15 or "." in cell.value or "e" in cell.value
        assert cell.value == expected
    return cell.value


@pytest.mark.parametrize(
    ("value", "kind"),
    [(10**15 - 1, "number"), (-(10**15) + 1, "number"), (10**15, "text"), (2**63 - 1, "text"), (0, "number")],
)
def test_numbers_have_at_most_fifteen_digits(value: int, kind: str) -> None:
    batch = pa.record_batch({"n": pa.array([value], pa.int64())})
    for scale in (0, 2):
        encoder = XlsxEncoder(batch.schema, [Column("n", "N", scale=scale)])
        assert sheets(written(encoder, [batch]))["Sheet1"][1]["A"].kind == kind


def test_days_before_spreadsheets_agree_are_text() -> None:
    days = pa.array([-25_509, -25_508], pa.int32()).view(pa.date32())
    rows = sheets(
        written(XlsxEncoder(pa.schema([("d", pa.date32())]), [Column("d", "D")]), [pa.record_batch({"d": days})])
    )
    assert [row["A"].value for row in rows["Sheet1"][1:]] == ["1900-02-28", "61"]


def test_a_full_sheet_is_followed_by_another() -> None:
    batch = pa.record_batch({"n": pa.array(range(25))})
    files = {
        written(
            XlsxEncoder(batch.schema, [Column("n", "N")], sheet_rows=11),
            [batch.slice(i, size) for i in range(0, 25, size)],
        )
        for size in (25, 10, 7, 1)
    }
    assert len(files) == 1, "the bytes do not depend on the batches"
    found = sheets(files.pop())
    assert list(found) == ["Sheet1", "Sheet2", "Sheet3"]
    assert [[row["A"].value for row in rows] for rows in found.values()] == [
        ["N", *map(str, range(10))],
        ["N", *map(str, range(10, 20))],
        ["N", *map(str, range(20, 25))],
    ]


def test_a_sheet_that_is_just_full_stands_alone() -> None:
    batch = pa.record_batch({"n": pa.array(range(10))})
    encoder = XlsxEncoder(batch.schema, [Column("n", "N")], sheet_rows=11)
    assert [len(rows) for rows in sheets(written(encoder, [batch])).values()] == [11]


def test_a_sheet_ends_before_it_outgrows_a_zip_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.dataplane.xlsx.SHEET_BYTES_MAX", 2_000)
    batch = pa.record_batch({"t": pa.array(["x" * 100] * 50)})
    found = sheets(written(XlsxEncoder(batch.schema, [Column("t", "T")]), [batch]))
    assert len(found) > 2
    assert sum(len(rows) - 1 for rows in found.values()) == 50


def test_a_file_beyond_what_a_zip_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.dataplane.xlsx.SHEET_BYTES_MAX", 2_000)
    batch = pa.record_batch({"t": pa.array([hashlib.sha512(bytes([i])).hexdigest() for i in range(100)])})
    with pytest.raises(InvalidInput, match="larger than 4 GiB"):
        written(XlsxEncoder(batch.schema, [Column("t", "T")]), [batch])


def test_columns_beyond_z() -> None:
    names = [f"c{i}" for i in range(730)]
    batch = pa.RecordBatch.from_arrays([pa.array([i]) for i in range(730)], names=names)
    rows = sheets(written(XlsxEncoder(batch.schema, [Column(name, name) for name in names]), [batch]))["Sheet1"]
    assert [letters for letters, cell in rows[1].items() if cell.value in ("25", "26", "701", "702", "729")] == [
        "Z",
        "AA",
        "ZZ",
        "AAA",
        "ABB",
    ]


def test_what_no_sheet_holds_is_refused() -> None:
    schema = pa.schema([("t", pa.string())])
    with pytest.raises(InvalidInput, match="at most 16384 columns, not 16385"):
        XlsxEncoder(schema, [Column("t", "T")] * 16_385)
    encoder = XlsxEncoder(schema, [Column("t", "T")])
    encoder.begin()
    encoder.encode(pa.record_batch({"t": pa.array(["x" * TEXT_UNITS_MAX])}))
    for text in ("x" * (TEXT_UNITS_MAX + 1), "\U0001f600" * 16_384):
        with pytest.raises(InvalidInput, match="'t' holds a text longer than the 32767 characters"):
            encoder.encode(pa.record_batch({"t": pa.array([text])}))


def test_an_encoder_left_halfway_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    encoder = XlsxEncoder(SAMPLE.schema, SAMPLE_COLUMNS)
    encoder.begin()
    encoder.encode(SAMPLE)
    del encoder
    gc.collect()
    assert list(tmp_path.iterdir()) == []
