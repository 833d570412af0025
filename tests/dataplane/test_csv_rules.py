"""The CSV rules one by one as bytes, and the same bytes read back by three readers."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pytest
from structlog.testing import capture_logs

from counterfoil.dataplane import csv_encoder as csv_encoder_module
from counterfoil.dataplane.columns import bind
from counterfoil.dataplane.csv_encoder import csv_encoder
from counterfoil.dataplane.csv_ready import METADATA, csv_ready, plain, plain_text
from counterfoil.dataplane.csv_reference import ReferenceCsvEncoder
from counterfoil.dataplane.encoder import Column, EncoderFactory
from counterfoil.errors import InvalidInput

BOTH = pytest.mark.parametrize("factory", [csv_encoder, ReferenceCsvEncoder], ids=["in_use", "reference"])

# Every value that has broken some CSV writer or reader, and some that look as if they might.
HOSTILE = [
    "",
    " ",
    "plain",
    " leading",
    "trailing ",
    '"',
    '""',
    'say "hi"',
    '"quoted"',
    ",",
    "a,b",
    "\n",
    "\r",
    "\r\n",
    "line one\nline two",
    "bare\rreturn",
    "dos\r\nline",
    "\ttab\t",
    "#hash",
    "\\",
    "\\.",
    "\\N",
    "\\n",
    "NULL",
    "null",
    "NaN",
    "None",
    "\ufeffbom",
    "\u2028separator",
    "\x00nul",
    "\x1f\x7f",
    "é",
    "Ω≈ç√",
    "日本語",
    "\U0001f600 emoji",
    "=1+1",
    "+1",
    "-1",
    "@cmd",
    "'",
    ";",
    "219E01BE",
    "0012",
    "1e5",
    "true",
    "2024-01-01",
    "x" * 12_000,
    '"' * 1_000,
    ",\n" * 500,
    '{"a":"b","c":[1,"\\"",null]}',
]


def _file(factory: EncoderFactory, batch: pa.RecordBatch, *columns: Column) -> bytes:
    encoder = factory(batch.schema, columns or [Column(name, name) for name in batch.schema.names])
    return bytes(encoder.begin()) + bytes(encoder.encode(batch)) + bytes(encoder.end())


def _body(factory: EncoderFactory, array: pa.Array[Any], **column: Any) -> list[str]:
    """The cells of one column, read between two others so that a lonely column's rule does not apply."""
    batch = pa.record_batch({"a": pa.nulls(len(array)), "c": array, "z": pa.nulls(len(array))})
    text = _file(factory, batch, Column("a", "a"), Column("c", "c", **column), Column("z", "z")).decode()
    return [line.removeprefix(",").removesuffix(",") for line in text.splitlines()[1:]]


@BOTH
def test_a_whole_file(factory: EncoderFactory) -> None:
    batch = pa.record_batch(
        {
            "id": pa.array(["vtx_1", "vtx_2", None]),
            "amount": pa.array([1050, -5, None], pa.int64()),
            "reason": pa.array(['say "hi"', "", None]),
            "created_at": pa.array([1_728_465_392_521, -1, None], pa.timestamp("ms", "UTC")),
        }
    )
    columns = [
        Column("id", "ID"),
        Column("amount", "Amount, in points", scale=2),
        Column("reason", ""),
        Column("created_at", 'The "date"'),
    ]
    assert _file(factory, batch, *columns) == (
        b'ID,"Amount, in points","","The ""date"""\n'
        b'vtx_1,10.50,"say ""hi""",2024-10-09T09:16:32.521Z\n'
        b'vtx_2,-0.05,"",1969-12-31T23:59:59.999Z\n'
        b",,,\n"
    )


@BOTH
def test_no_rows_still_have_a_header(factory: EncoderFactory) -> None:
    assert _file(factory, pa.record_batch({"id": pa.array([], pa.string())})) == b"id\n"


@BOTH
def test_a_lonely_column_has_no_empty_lines(factory: EncoderFactory) -> None:
    for array in (pa.array(["a", None, ""]), pa.array(["a", None, ""]).dictionary_encode()):
        assert _file(factory, pa.record_batch({"c": array})) == b'c\na\n""\n""\n'
    assert _file(factory, pa.record_batch({"c": pa.array([1, None])})) == b'c\n1\n""\n'
    assert _file(factory, pa.record_batch({"c": pa.nulls(1)}), Column("c", "")) == b'""\n""\n'


@BOTH
def test_integers_and_scales(factory: EncoderFactory) -> None:
    values = [0, 1, -1, 7, -99, 100, 99_999_999, 100_000_000, 10**16, -(10**16) + 1, 2**63 - 1, -(2**63)]
    array = pa.array(values, pa.int64())
    assert _body(factory, array) == [str(value) for value in values]
    assert _body(factory, pa.array([1050, -5, 0, -100, 5], pa.int64()), scale=2) == [
        "10.50",
        "-0.05",
        "0.00",
        "-1.00",
        "0.05",
    ]
    assert _body(factory, array, scale=18)[-1] == "-9.223372036854775808"
    assert _body(factory, array, scale=8)[6:8] == ["0.99999999", "1.00000000"]
    assert _body(factory, pa.array([2**64 - 1], pa.uint64()), scale=3) == ["18446744073709551.615"]


@BOTH
def test_instants_and_dates(factory: EncoderFactory) -> None:
    def cells(unit: Any, value: int, **column: Any) -> str:
        return _body(factory, pa.array([value], pa.int64()).view(pa.timestamp(unit, "UTC")), **column)[0]

    assert cells("s", 0) == "1970-01-01T00:00:00.000Z"
    assert cells("ms", 951_782_400_000) == "2000-02-29T00:00:00.000Z"
    assert cells("us", -1) == "1969-12-31T23:59:59.999Z"
    assert cells("ns", 1_728_465_392_521_999_999) == "2024-10-09T09:16:32.521Z"
    assert cells("ms", -62_135_596_800_000) == "0001-01-01T00:00:00.000Z"
    assert cells("ms", 253_402_300_799_999) == "9999-12-31T23:59:59.999Z"
    assert cells("ms", -1, date_only=True) == "1969-12-31"
    assert _body(factory, pa.array([0], pa.timestamp("s", "America/New_York"))) == ["1970-01-01T00:00:00.000Z"]
    assert _body(factory, pa.array([-719_162, 19_782], pa.int32()).view(pa.date32())) == ["0001-01-01", "2024-02-29"]


@BOTH
def test_decimals_booleans_floats(factory: EncoderFactory) -> None:
    assert _body(factory, pa.array([True, False, None])) == ["true", "false", ""]
    assert _body(
        factory, pa.array([1050, -5, 0], pa.int64()).cast(pa.decimal128(19, 0)).view(pa.decimal128(19, 3))
    ) == [
        "1.050",
        "-0.005",
        "0.000",
    ]
    floats = [0.1, -0.0, 1e22, 5e-324, float("nan"), float("-inf"), 1 / 3, 100.0]
    assert _body(factory, pa.array(floats)) == [repr(value) for value in floats]


@BOTH
def test_csv_ready_text_is_copied(factory: EncoderFactory) -> None:
    values = ['a,"b"', "", None, "plain", '"']
    for array in (pa.array(values), pa.array(values).dictionary_encode()):
        ready = csv_ready(array)
        field = pa.field("c", ready.type, metadata=METADATA)
        batch = pa.RecordBatch.from_arrays([ready, pa.nulls(5)], schema=pa.schema([field, pa.field("n", pa.null())]))
        plainly = pa.RecordBatch.from_arrays([array, pa.nulls(5)], names=["c", "n"])
        assert _file(factory, batch) == _file(factory, plainly)


@pytest.mark.parametrize("data_type", [pa.string(), pa.large_string(), pa.string_view()])
def test_csv_ready_and_back(data_type: pa.DataType) -> None:
    values = [*HOSTILE, None]
    ready = csv_ready(pa.array(values, data_type))
    assert plain_text(ready).to_pylist() == values
    assert [None if cell is None else plain(cell) for cell in ready.to_pylist()] == values
    assert ready.to_pylist() == _lonely_cells(values)


def _lonely_cells(values: list[str | None]) -> list[str | None]:
    return [
        None
        if value is None
        else ReferenceCsvEncoder(pa.schema([("c", pa.string())]), [Column("c", "c")])
        .encode(pa.record_batch({"c": pa.array([value])}))
        .decode()[:-1]
        for value in values
    ]


@BOTH
@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([b"x"]),
        pa.array([1], pa.duration("ms")),
        pa.array([1], pa.time32("ms")),
        pa.array([1.5], pa.float16()),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.RunEndEncodedArray.from_arrays([1], ["a"]),
    ],
    ids=lambda array: str(array.type),
)
def test_types_that_no_cell_holds_are_refused_by_name(factory: EncoderFactory, array: pa.Array[Any]) -> None:
    batch = pa.record_batch({"fine": pa.array([1]), "odd": array})
    with pytest.raises(InvalidInput, match=r"Column 'odd' of type .* cannot be written") as caught:
        factory(batch.schema, [Column("fine", "Fine"), Column("odd", "Odd")])
    assert caught.value.field == "odd"


@pytest.mark.parametrize(
    ("data_type", "metadata", "column", "message"),
    [
        (pa.string(), None, Column("b", "B"), "'b' is not in the data"),
        (pa.int64(), None, Column("a", "A", scale=19), "scale 19"),
        (pa.int64(), None, Column("a", "A", scale=-1), "scale -1"),
        (pa.string(), None, Column("a", "A", scale=1), "only integers"),
        (pa.int64(), None, Column("a", "A", date_only=True), "as a date"),
        (pa.int64(), METADATA, Column("a", "A"), "is not text"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    data_type: pa.DataType, metadata: dict[bytes, bytes] | None, column: Column, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        bind(pa.schema([pa.field("a", data_type, metadata=metadata)]), [column])


@BOTH
def test_a_time_out_of_range_names_column_and_row(factory: EncoderFactory) -> None:
    array = pa.array([0, 0, 253_402_300_800_000], pa.timestamp("ms", "UTC"))
    with pytest.raises(InvalidInput, match="'at' holds a time outside years 0001 to 9999, in row 2"):
        _file(factory, pa.record_batch({"at": array}))


@BOTH
def test_selections_that_do_not_fit_are_refused(factory: EncoderFactory) -> None:
    batch = pa.record_batch({"a": pa.array([1, 2])})
    encoder = factory(batch.schema, [Column("a", "a")])
    for row in (2, -1):
        with pytest.raises(IndexError):
            encoder.encode(batch, selection=pa.array([0, row]))
    for wrong in (pa.array([True]), pa.array([0, None], pa.int64()), pa.array([0], pa.int8()), pa.array(["0"])):
        with pytest.raises(ValueError, match=r"selection|mask"):
            encoder.encode(batch, selection=wrong)


def test_a_batch_of_another_schema_is_refused() -> None:
    pytest.importorskip("counterfoil.dataplane._csv", reason="the C encoder is not built")
    encoder = csv_encoder(pa.schema([("a", pa.string())]), [Column("a", "a")])
    for other in (pa.array([1]), pa.array(["x"], pa.large_string()), pa.array(["x"]).dictionary_encode()):
        with pytest.raises(ValueError, match="schema"):
            encoder.encode(pa.record_batch({"a": other}))


def test_without_the_extension_the_reference_steps_in_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_encoder_module, "_csv", None)
    csv_encoder_module._tell_once.cache_clear()
    schema = pa.schema([("a", pa.string())])
    with capture_logs() as lines:
        encoders = [csv_encoder(schema, [Column("a", "a")]) for _ in range(3)]
    assert all(isinstance(encoder, ReferenceCsvEncoder) for encoder in encoders)
    assert len(lines) == 1
    assert "C encoder is not built" in lines[0]["event"]


def _hostile_file(path: Path) -> list[tuple[int, str | None, str | None]]:
    """A file of every hostile value, beside its neighbours, with nulls among them; and what a reader must find."""
    values: list[str | None] = [None, *HOSTILE, None]
    batch = pa.record_batch({"n": pa.array(range(len(values))), "a": pa.array(values), "b": pa.array(values[::-1])})
    path.write_bytes(_file(csv_encoder, batch))
    return list(zip(range(len(values)), values, values[::-1], strict=True))


def test_python_reads_it_back(tmp_path: Path) -> None:
    rows = _hostile_file(tmp_path / "hostile.csv")
    with (tmp_path / "hostile.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file, strict=True))
    assert found[0] == ["n", "a", "b"]
    assert found[1:] == [[str(n), a or "", b or ""] for n, a, b in rows]


def test_duckdb_reads_it_back(tmp_path: Path) -> None:
    rows = _hostile_file(tmp_path / "hostile.csv")
    found = duckdb.execute(
        """select * from read_csv(?, auto_detect=false, header=true, delim=',', quote='"', escape='"', nullstr='',
           allow_quoted_nulls=false, columns={'n': 'BIGINT', 'a': 'VARCHAR', 'b': 'VARCHAR'})""",
        [str(tmp_path / "hostile.csv")],
    ).fetchall()
    assert found == rows


def test_pyarrow_reads_it_back(tmp_path: Path) -> None:
    rows = _hostile_file(tmp_path / "hostile.csv")
    table = pyarrow.csv.read_csv(
        io.BytesIO((tmp_path / "hostile.csv").read_bytes()),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={"n": pa.int64(), "a": pa.string(), "b": pa.string()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    assert [tuple(row.values()) for row in table.to_pylist()] == rows
