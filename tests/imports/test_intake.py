"""Files as they come: formats, packings, encodings, and the line on which every row begins."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.catalog.importables import importable
from counterfoil.dataplane import intake, intake_path
from counterfoil.dataplane.intake import Block, CsvIntake, Flaw, JsonLinesIntake, Place
from counterfoil.dataplane.intake_path import open_file
from counterfoil.errors import InvalidInput
from tests.imports.world import write_jsonl

ORDER = importable("order")
CUSTOMER = importable("customer")
HEADER = "id,source_id,status,customer_id"


def read(content: bytes | str, about: Any = ORDER, rows: int = 3) -> list[Block]:
    content = content.encode() if isinstance(content, str) else content
    return list(CsvIntake(io.BytesIO(content), about).blocks(rows))


def cells(blocks: list[Block], name: str = "id") -> list[tuple[int, Any]]:
    return [pair for block in blocks for pair in zip(block.lines, block.column(name), strict=True)]


def flaws(blocks: list[Block]) -> list[Flaw]:
    return [flaw for block in blocks for flaw in block.flaws]


def refusal(content: bytes | str, about: Any = ORDER) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read(content, about)
    return caught.value


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_byte_order_marks(end: str, mark: str, last: bool) -> None:
    text = mark + end.join([HEADER, "a,1,PAID,", 'b,"x, ""y""",PAID,c']) + (end if last else "")
    blocks = read(text)
    assert cells(blocks) == [(2, "a"), (3, "b")]
    assert cells(blocks, "source_id") == [(2, "1"), (3, 'x, "y"')]
    assert cells(blocks, "customer_id") == [(2, None), (3, "c")]
    assert blocks[-1].after.offset == len(text.encode())


def test_a_row_has_the_line_it_begins_on() -> None:
    blocks = read(
        f'{HEADER}\n\na,"one\ntwo\n\nthree",PAID,\n\n\nb,2,PAID,\nc,"3\r\n4",PAID,\nshort\nd,5,PAID,"e\nf"\ng,6,PAID,\n'
    )
    assert cells(blocks) == [(3, "a"), (9, "b"), (10, "c"), (13, "d"), (15, "g")]
    assert flaws(blocks) == [(12, "the row has 1 cells, the header has 4")]
    assert cells(blocks, "source_id")[2] == (10, "3\r\n4")


def test_only_blank_lines_are_no_rows() -> None:
    assert cells(read(f"{HEADER}\n" + "\n" * 20 + "a,1,PAID,\n", rows=2)) == [(22, "a")]
    assert read(f"{HEADER}\n\n\n") == []


def test_titles_names_and_spellings_are_one() -> None:
    voucher = importable("voucher")
    text = "ID,Code,voucher type,IS REFERRAL CODE?,Metadata shoe-size,metadata.b,QR Code\n1,2,3,true,44,x,http\n"
    [block] = read(text, voucher)
    assert dict(block.columns) == {
        "id": ["1"], "code": ["2"], "voucher_type": ["3"], "is_referral_code": ["true"], "metadata.shoe-size": ["44"],
        "metadata.b": ["x"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("", "empty_file", "The file is empty"),
        ("\n\n", "empty_file", "The file is empty"),
        ("id;status\n", "unknown_column", "cells are separated by commas"),
        ("id,status,colour\n", "unknown_column", "There is no column 'colour' in order"),
        ("id,ID,status\n", "duplicate_column", "The column id stands there twice"),
        ("id\n", "missing_column", "The file has no column status"),
        ('"id\n', "invalid_file", "Line 1 is no CSV header"),
        (HEADER.encode("utf-16"), "wrong_encoding", "The file is UTF-16"),
        (HEADER.encode("utf-16-be"), "invalid_file", "it must be UTF-8 without NUL characters"),
        (b"id,status,\x89PNG\n", "invalid_file", "it must be UTF-8 without NUL characters"),
    ],
)
def test_headers_that_are_refused(content: bytes | str, code: str, words: str) -> None:
    error = refusal(content)
    assert error.code == code
    assert words in error.message


def test_rows_that_are_no_rows() -> None:
    content = b"\n".join([
        HEADER.encode(),
        b"a,1,PAID,",
        b'"b"x,2,PAID,',
        b"c,caf\xe9,PAID,",
        b"d,4,PAID,,,",
        b"e,5\x00,PAID,",
        b"f,6\r7,PAID,",
        b"g,\xc3\xa9,PAID,",
        b'h,"8,PAID,',
        b"i,9,PAID,",
    ])  # fmt: skip
    blocks = read(content, rows=4)
    assert cells(blocks) == [(2, "a"), (8, "g")]
    assert flaws(blocks) == [
        (3, "the row is not CSV: ',' expected after '\"'"),
        (4, "the row is not UTF-8"),
        (5, "the row has 6 cells, the header has 4"),
        (6, "the row holds a NUL character"),
        (7, "the row is not CSV: a carriage return stands alone; lines must end in LF or CRLF"),
        (9, "a quote is opened here and not closed"),
    ]


def test_a_file_without_line_ends_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "LINE_BYTES_MAX", 1000)
    assert refusal(f"{HEADER}\n" + "a" * 1001).code == "line_too_long"
    assert cells(read(f"{HEADER}\n" + "a" * 990 + ",1,PAID,\n"))[0][0] == 2


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(st.lists(st.tuples(texts, texts, texts), max_size=12), st.integers(1, 5))
def test_reading_on_from_any_place_gives_the_same(rows: list[tuple[str, str, str]], size: int) -> None:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    content = ("id,source_id,status\n" + "\n".join(quoted) + "\n").encode()
    whole = read(content, rows=100)
    found = cells(whole)
    assert [value for _, value in found] == [row[0] or None for row in rows]
    text = content.decode().split("\n")
    for line, value in found:
        assert text[line - 1].startswith('"' + (value or "").replace('"', '""').split("\n")[0])
    first = CsvIntake(io.BytesIO(content), ORDER)
    place, again = first.place, []
    while True:
        source = io.BytesIO(content)
        source.seek(place.offset)
        block = next(CsvIntake(source, ORDER, header=first.header, at=place).blocks(size), None)
        if block is None:
            break
        again.append(block)
        place = block.after
    assert cells(again) == found
    if rows:
        assert place == Place(len(content), content.count(b"\n") + 1)


# -- JSON Lines --------------------------------------------------------------------------------------------------------


def read_json(*rows: Any, about: Any = CUSTOMER, size: int = 3) -> list[Block]:
    lines = [row if isinstance(row, bytes) else row.encode() for row in rows]
    return list(JsonLinesIntake(io.BytesIO(b"\n".join(lines)), about).blocks(size))


def test_objects_on_lines() -> None:
    blocks = read_json(
        '{"id": "a", "metadata": {"x": [1, 2.50]}}', "", '{"Source ID":"s","id":"b","metadata":null}',
        '{"id":"c","metadata.n":5}', '{"id":"d","metadata":"{\\"as\\": \\"csv\\"}"}', '{"loyalty_points": 4, "id": "e"}',
    )  # fmt: skip
    assert cells(blocks) == [(1, "a"), (3, "b"), (4, "c"), (5, "d"), (6, "e")]
    assert [value for _, value in cells(blocks, "metadata")] == ['{"x": [1, 2.50]}', None, None, '{"as": "csv"}', None]
    assert cells(blocks, "source_id")[1] == (3, "s")
    assert cells(blocks, "metadata.n")[2] == (4, 5)
    assert all("loyalty_points" not in block.columns for block in blocks)


def test_lines_that_are_no_objects() -> None:
    blocks = read_json(
        b'{"id": "a"}', b"[1]", b'{"id": ', b'{"id": "\xff"}', b'{"id": "b", "color": 1}', b'{"id":"c","ID":"d"}',
        b'{"id": "e\\u0000"}', b'{"id": "\\ud800"}', b'{"id": 1e999}', b'{"id": "z"}', size=4,
    )  # fmt: skip
    assert cells(blocks) == [(1, "a"), (10, "z")]
    found = flaws(blocks)
    assert [line for line, _ in found] == [2, 3, 4, 5, 6, 7, 8, 9]
    words = [reason for _, reason in found]
    assert words[0] == "the line is not a JSON object"
    assert words[1].startswith("the line is not JSON")
    assert words[2] == "the line is not UTF-8"
    assert words[3].startswith("there is no column 'color'")
    assert words[4].startswith("the column id stands there twice")
    assert words[5] == "the row holds a NUL or a broken character"
    assert words[6].startswith("the line is not JSON")
    assert words[7].startswith("the line cannot be read")


def test_an_empty_json_file() -> None:
    with pytest.raises(InvalidInput, match="The file is empty"):
        read_json("")


# -- Parquet, packed files, endings ------------------------------------------------------------------------------------


def test_parquet_values_of_every_kind(tmp_path: Path) -> None:
    at = datetime(2024, 1, 2, 3, 4, 5, 678_901, UTC)
    table = pa.table({
        "id": pa.array(["a", "b", None]).dictionary_encode(),
        "Source ID": pa.array(["x", "y\0", "z"]),
        "status": pa.array(["PAID"] * 3),
        "amount": pa.array([1, 2, 3], pa.int32()),
        "total_amount": pa.array([Decimal("1.50"), None, Decimal("2.00")]),
        "created_at": pa.array([at, at, None], pa.timestamp("us", "UTC")),
        "updated_at": pa.array([date(2024, 1, 2)] * 3),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    with open_file(tmp_path / "a.parquet", ORDER) as file:
        [block] = file.blocks(10)
        assert (file.size, file.position()) == (3, 3)
    assert block.native
    assert list(block.lines) == [1, 3]
    assert dict(block.columns) == {
        "id": ["a", None], "source_id": ["x", "z"], "status": ["PAID", "PAID"], "amount": [1, 3],
        "total_amount": ["1.50", "2.00"], "created_at": [1_704_164_645_678, None], "updated_at": ["2024-01-02"] * 2,
    }  # fmt: skip
    assert block.flaws == [(2, "the row holds a NUL or a broken character")]


def test_parquet_files_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1nonsense")
    pq.write_table(pa.table({"id": [[1]], "status": ["PAID"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "c.parquet")
    for name, code in (("a", "invalid_file"), ("b", "invalid_column"), ("c", "missing_column")):
        with pytest.raises(InvalidInput) as caught:
            open_file(tmp_path / f"{name}.parquet", ORDER)
        assert caught.value.code == code


def test_packed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = f"{HEADER}\na,1,PAID,\n".encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        packed.writestr("export.csv", content)
    for name in ("a.csv.gz", "b.zip"):
        with open_file(tmp_path / name, ORDER) as file:
            assert cells(list(file.blocks(5))) == [(2, "a")]
            assert file.position() > 0
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(content * 500)[:-20])
    with pytest.raises(InvalidInput, match="cannot be read"):
        open_file(tmp_path / "c.csv.gz", ORDER)
    monkeypatch.setattr(intake_path, "_BUFFER_BYTES", 64)
    with open_file(tmp_path / "c.csv.gz", ORDER) as file, pytest.raises(InvalidInput, match="damaged"):
        list(file.blocks(5))
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as packed:
        packed.writestr("a.csv", content)
        packed.writestr("b.csv", content)
    (tmp_path / "e.zip").write_bytes(b"no zip")
    (tmp_path / "f.xls").write_bytes(content)
    for name, words in (
        ("d.zip", "holds 2 files"), ("e.zip", "cannot be read"), ("f.xls", "say it with --format"), ("g.csv", "no file"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            open_file(tmp_path / name, ORDER)
    with open_file(tmp_path / "f.xls", ORDER, "csv") as file:
        assert cells(list(file.blocks(5))) == [(2, "a")]


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_newest_first_is_read_from_its_end(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'\ufeff{HEADER}\na,1,PAID,\nb,"2\n2",PAID,\nc,3,PAID,\nd\ne,5,PAID,\n')
    with open_file(path, ORDER, newest_first=True) as file:
        blocks = list(file.blocks(rows))
        assert file.position() == path.stat().st_size - len(f"\ufeff{HEADER}\n".encode())
    assert cells(blocks) == [(7, "e"), (5, "c"), (3, "b"), (2, "a")]
    assert flaws(blocks) == [(6, "the row has 1 cells, the header has 4")]
    lines = write_jsonl(tmp_path / "a.jsonl", {"id": "a", "status": "PAID"}, {"Status": "PAID", "id": "b"})
    with open_file(lines, ORDER, newest_first=True) as file:
        assert cells(list(file.blocks(rows))) == [(2, "b"), (1, "a")]


def test_what_cannot_be_read_backwards(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEADER.encode()))
    pq.write_table(pa.table({"id": ["a"], "status": ["PAID"]}), tmp_path / "b.parquet")
    for name in ("a.csv.gz", "b.parquet"):
        with pytest.raises(InvalidInput) as caught:
            open_file(tmp_path / name, ORDER, newest_first=True)
        assert caught.value.code == "invalid_option"
