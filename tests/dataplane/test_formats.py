"""JSON Lines, Parquet and XLSX: what is written is what their readers find, whatever the batch."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.dataplane.cells import chosen_rows, texts_of
from counterfoil.dataplane.columns import bind
from counterfoil.dataplane.csv_ready import METADATA, csv_ready, plain
from counterfoil.dataplane.encoder import Column, Encoder
from counterfoil.dataplane.formats import FORMATS, format_named
from counterfoil.dataplane.jsonl import JsonLinesEncoder
from counterfoil.dataplane.parquet import ROWS_PER_GROUP, ParquetEncoder
from counterfoil.errors import InvalidInput
from tests.dataplane.arrow_batches import Drawn, drawn
from tests.dataplane.test_csv_rules import HOSTILE

JSON_FIELD = {b"counterfoil.kind": b"json"}
SAMPLE = pa.RecordBatch.from_arrays(
    [
        pa.array(["vtx_1", "0012", None]),
        pa.array(["B,1", 'say "x"', None]).dictionary_encode(),
        pa.array([1050, -5, None], pa.int64()),
        pa.array([1_728_465_392_521_999, -1, None], pa.timestamp("us", "UTC")),
        pa.array([1_728_465_392_521, -1, None], pa.timestamp("ms", "UTC")),
        pa.array(['{"a": [1, null]}', '{\n"b":\r\n"x\\ny"}', None]),
        pa.array([True, False, None]),
        pa.array([2**60 + 1, -7, None], pa.int64()),
        csv_ready(pa.array(['q"', "", None])),
    ],
    schema=pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("reason", pa.dictionary(pa.int32(), pa.string())),
            pa.field("amount", pa.int64()),
            pa.field("created_at", pa.timestamp("us", "UTC")),
            pa.field("expires", pa.timestamp("ms", "UTC")),
            pa.field("details", pa.string(), metadata=JSON_FIELD),
            pa.field("active", pa.bool_()),
            pa.field("seq", pa.int64()),
            pa.field("note", pa.string(), metadata=METADATA),
        ]
    ),
)
SAMPLE_COLUMNS = [
    Column("id", "ID"),
    Column("reason", "Reason"),
    Column("amount", "Amount", scale=2),
    Column("created_at", "Creation date"),
    Column("expires", "Expires", date_only=True),
    Column("details", "Details"),
    Column("active", "Active"),
    Column("seq", "Seq"),
    Column("note", "Note"),
]


def written(encoder: Encoder, batches: Sequence[pa.RecordBatch]) -> bytes:
    """A whole file of the batches."""
    pieces = [bytes(encoder.begin()), *(bytes(encoder.encode(batch)) for batch in batches), bytes(encoder.end())]
    return b"".join(pieces)


def labelled(case: Drawn) -> list[Column]:
    """The drawn columns with a label each of its own."""
    return [
        Column(column.name, f"label {i}", scale=column.scale, date_only=column.date_only)
        for i, column in enumerate(case.columns)
    ]


def chosen(encoder: Encoder, case: Drawn) -> bytes:
    """A whole file of the drawn rows in their order."""
    begun = bytes(encoder.begin())
    body = bytes(encoder.encode(case.batch, reverse=case.reverse, selection=case.selection))
    return begun + body + bytes(encoder.end())


def cell_texts(case: Drawn, columns: Sequence[Column]) -> list[list[str | None]]:
    """What the CSV rules show in each column before quoting, null as None."""
    rows = chosen_rows(case.batch.num_rows, reverse=case.reverse, selection=case.selection)
    texts: list[list[str | None]] = []
    for bound in bind(case.batch.schema, columns):
        shown = texts_of(case.batch.column(bound.place), bound, rows)
        texts.append([plain(text) if text is not None and bound.csv_ready else text for text in shown])
    return texts


def test_every_format_is_known_by_name() -> None:
    for name, known in FORMATS.items():
        encoder = known.factory(SAMPLE.schema, SAMPLE_COLUMNS)
        assert (name, encoder.media_type, encoder.extension) == (known.name, known.media_type, known.extension)
        assert encoder.joins == known.joins
    with pytest.raises(InvalidInput, match="no format 'xml'") as caught:
        format_named("xml")
    assert caught.value.allowed == ("csv", "jsonl", "parquet", "xlsx")


# JSON Lines


def test_json_lines_of_the_sample() -> None:
    assert written(JsonLinesEncoder(SAMPLE.schema, SAMPLE_COLUMNS), [SAMPLE]).decode().split("\n") == [
        (
            '{"ID":"vtx_1","Reason":"B,1","Amount":"10.50","Creation date":"2024-10-09T09:16:32.521Z",'
            '"Expires":"2024-10-09","Details":{"a": [1, null]},"Active":true,"Seq":1152921504606846977,"Note":"q\\""}'
        ),
        (
            '{"ID":"0012","Reason":"say \\"x\\"","Amount":"-0.05","Creation date":"1969-12-31T23:59:59.999Z",'
            '"Expires":"1969-12-31","Details":{"b":"x\\ny"},"Active":false,"Seq":-7,"Note":""}'
        ),
        (
            '{"ID":null,"Reason":null,"Amount":null,"Creation date":null,"Expires":null,"Details":null,"Active":null,'
            '"Seq":null,"Note":null}'
        ),
        "",
    ]


@given(
    texts=st.lists(
        st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(['{"a":1}', "[1,\n2]"]))
    )
)
def test_json_text_is_a_value_or_at_least_a_string(texts: list[str | None]) -> None:
    field = pa.field("d", pa.string(), metadata=JSON_FIELD)
    batch = pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], schema=pa.schema([field]))
    lines = written(JsonLinesEncoder(batch.schema, [Column("d", "d")]), [batch]).decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["d"] for line in lines] == [_json_or_text(text) for text in texts]


def _json_or_text(text: str | None) -> object:
    def no_constant(name: str) -> object:
        raise ValueError(name)

    try:
        return None if text is None else json.loads(text, parse_constant=no_constant)
    except ValueError:
        return text


@given(case=drawn())
def test_json_lines_say_what_the_csv_says(case: Drawn) -> None:
    columns = labelled(case)
    lines = chosen(JsonLinesEncoder(case.batch.schema, columns), case).decode().split("\n")
    assert lines.pop() == ""
    found = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    for column, texts in zip(columns, cell_texts(case, columns), strict=True):
        assert [_shown(row[column.label]) for row in found] == [_number_or_none(text, column, case) for text in texts]


def _shown(value: object) -> object:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else value


def _number_or_none(text: str | None, column: Column, case: Drawn) -> object:
    data_type = case.batch.schema.field(column.name).type
    kind = data_type.value_type if isinstance(data_type, pa.DictionaryType) else data_type
    if text is None or not pa.types.is_floating(kind):
        return text
    return None if text in ("nan", "inf", "-inf") else _as_json_float(float(text))


def _as_json_float(value: float) -> str:
    [text] = (
        JsonLinesEncoder(pa.schema([("f", pa.float64())]), [Column("f", "f")])
        .encode(pa.record_batch({"f": pa.array([value])}))
        .decode()
        .splitlines()
    )
    shown = text.removeprefix('{"f":').removesuffix("}")
    assert float(shown) == value
    return shown


@pytest.mark.parametrize("factory", [JsonLinesEncoder, ParquetEncoder])
def test_labels_must_differ(factory: Any) -> None:
    with pytest.raises(InvalidInput, match="Two columns are labelled 'X'"):
        factory(SAMPLE.schema, [Column("id", "X"), Column("seq", "X")])


# Parquet


def test_parquet_of_the_sample() -> None:
    table = pq.read_table(io.BytesIO(written(ParquetEncoder(SAMPLE.schema, SAMPLE_COLUMNS), [SAMPLE])))
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("ID", "string"),
        ("Reason", "string"),
        ("Amount", "decimal128(20, 2)"),
        ("Creation date", "timestamp[ms, tz=UTC]"),
        ("Expires", "date32[day]"),
        ("Details", "string"),
        ("Active", "bool"),
        ("Seq", "int64"),
        ("Note", "string"),
    ]
    assert list(table.to_pylist()[0].values()) == [
        "vtx_1",
        "B,1",
        Decimal("10.50"),
        datetime(2024, 10, 9, 9, 16, 32, 521_000, UTC),
        date(2024, 10, 9),
        '{"a": [1, null]}',
        True,
        2**60 + 1,
        'q"',
    ]
    assert table.to_pylist()[1]["Creation date"] == datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)
    assert set(table.to_pylist()[2].values()) == {None}


@given(case=drawn())
def test_parquet_says_what_the_csv_says(case: Drawn) -> None:
    columns = labelled(case)
    kinds = [case.batch.schema.field(column.name).type for column in columns]
    if any(str(kind).startswith("decimal") and ", -" in str(kind) for kind in kinds) or any(
        isinstance(kind, pa.DictionaryType) and ", -" in str(kind.value_type) for kind in kinds
    ):
        with pytest.raises(InvalidInput, match="negative scales"):
            ParquetEncoder(case.batch.schema, columns)
        return
    table = pq.read_table(io.BytesIO(chosen(ParquetEncoder(case.batch.schema, columns), case)))
    again = pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], names=table.schema.names)
    read = Drawn(again, [Column(column.label, column.label) for column in columns], reverse=False, selection=None)
    assert cell_texts(read, read.columns) == cell_texts(case, columns)


def test_parquet_takes_decimals_that_are_all_fraction() -> None:
    batch = pa.record_batch({"d": pa.array([12]).cast(pa.decimal128(19, 0)).view(pa.decimal128(2, 5))})
    table = pq.read_table(io.BytesIO(written(ParquetEncoder(batch.schema, [Column("d", "d")]), [batch])))
    assert table.column("d").to_pylist() == [Decimal("0.00012")]


def _stream(rows: int) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "id": pa.array([f"vtx_{i * 2654435761 % 2**32:08x}" for i in range(rows)]),
            "type": pa.array([f"type {i % 5}" for i in range(rows)]).dictionary_encode(),
            "amount": pa.array(range(rows), pa.int64()),
        }
    )


def test_parquet_bytes_do_not_depend_on_the_batches() -> None:
    rows = ROWS_PER_GROUP * 2 + 1_000
    batch = _stream(rows)
    columns = [Column("id", "ID"), Column("type", "Type"), Column("amount", "Amount", scale=2)]
    files = {
        written(ParquetEncoder(batch.schema, columns), [batch.slice(i, size) for i in range(0, rows, size)])
        for size in (rows, ROWS_PER_GROUP, 50_000, 8_191)
    }
    assert len(files) == 1
    read = pq.ParquetFile(io.BytesIO(files.pop()))
    groups = [read.metadata.row_group(i) for i in range(read.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [ROWS_PER_GROUP, ROWS_PER_GROUP, 1_000]
    assert {group.column(0).compression for group in groups} == {"ZSTD"}
    assert groups[1].column(2).statistics.min == Decimal(ROWS_PER_GROUP) / 100


def test_parquet_comes_out_while_rows_go_in() -> None:
    batch = _stream(ROWS_PER_GROUP)
    encoder = ParquetEncoder(batch.schema, [Column("id", "ID")])
    assert encoder.begin() == b"PAR1"
    assert len(encoder.encode(batch)) > 100_000
    assert encoder.encode(batch.slice(0, 10)) == b""
    assert encoder.end().endswith(b"PAR1")


def test_duckdb_reads_the_parquet(tmp_path: Any) -> None:
    path = tmp_path / "sample.parquet"
    path.write_bytes(written(ParquetEncoder(SAMPLE.schema, SAMPLE_COLUMNS), [SAMPLE]))
    found = duckdb.execute('select "ID", "Amount", "Expires", "Note" from read_parquet(?)', [str(path)]).fetchall()
    assert found == [
        ("vtx_1", Decimal("10.50"), date(2024, 10, 9), 'q"'),
        ("0012", Decimal("-0.05"), date(1969, 12, 31), ""),
        (None, None, None, None),
    ]


def test_no_rows_are_a_file_too() -> None:
    empty = SAMPLE.slice(0, 0)
    assert written(JsonLinesEncoder(SAMPLE.schema, SAMPLE_COLUMNS), [empty]) == b""
    assert pq.read_table(io.BytesIO(written(ParquetEncoder(SAMPLE.schema, SAMPLE_COLUMNS), []))).num_rows == 0


def test_hostile_text_survives_in_both() -> None:
    batch = pa.record_batch({"t": pa.array(HOSTILE)})
    columns = [Column("t", "t")]
    lines = written(JsonLinesEncoder(batch.schema, columns), [batch]).decode().split("\n")
    assert [json.loads(line)["t"] for line in lines[:-1]] == HOSTILE
    table = pq.read_table(io.BytesIO(written(ParquetEncoder(batch.schema, columns), [batch])))
    assert table.column("t").to_pylist() == HOSTILE


@pytest.mark.parametrize("name", ["jsonl", "xlsx", "parquet"])
@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_a_time_out_of_range_names_its_column(name: str, unit: Any) -> None:
    array = pa.array([0, 10_000 * 366 * 86_400_000_000 if unit == "us" else 2**61], pa.int64())
    batch = pa.record_batch({"at": array.view(pa.timestamp(unit, "UTC"))})
    for selected in (batch, batch.append_column("n", pa.nulls(2))):
        encoder = format_named(name).factory(selected.schema, [Column("at", "At", date_only=selected is batch)])
        encoder.begin()
        with pytest.raises(InvalidInput, match="'at' holds a time outside years 0001 to 9999, in row 1"):
            encoder.encode(selected)
