"""Record batches as hypothesis draws them: every type a cell can hold, sliced, with nulls, dictionaries and views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from counterfoil.dataplane.cells import DAY_MAX, DAY_MIN, UNITS_PER_S
from counterfoil.dataplane.csv_reference import quoted
from counterfoil.dataplane.encoder import Column

TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view()]
INDEX_TYPES = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
INTEGERS = {
    data_type: (0, 2**data_type.bit_width - 1)
    if str(data_type).startswith("u")
    else (-(2 ** (data_type.bit_width - 1)), 2 ** (data_type.bit_width - 1) - 1)
    for data_type in INDEX_TYPES
}
# Short and long enough to cross the blocks of every instruction set, and thick with what must be quoted.
TEXTS = st.one_of(
    st.text(alphabet='",\r\na é\U0001f600{}:', max_size=100),
    st.text(alphabet="abcdefgh0123456789_", max_size=100),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40),
    st.builds(lambda a, b: a * b, st.sampled_from(['"', "x", '{"a":', ",", "\r"]), st.integers(0, 200)),
)


@dataclass(frozen=True)
class Drawn:
    """A batch, the columns of the file made of it, and which of its rows in which order."""

    batch: pa.RecordBatch
    columns: list[Column]
    reverse: bool
    selection: pa.Array[Any] | None


@dataclass(frozen=True)
class _Kind:
    """A column still without rows: how an array is made of values, and what the values are."""

    values: st.SearchStrategy[object]
    array: Callable[[list[object]], pa.Array[Any]]
    scale: int = 0
    date_only: bool = False
    metadata: dict[bytes, bytes] | None = None


def _typed(data_type: pa.DataType) -> Callable[[list[object]], pa.Array[Any]]:
    return lambda values: pa.array(values, data_type)


def _counted(data_type: pa.DataType, of: pa.DataType) -> Callable[[list[object]], pa.Array[Any]]:
    return lambda values: pa.array(values, of).view(data_type)


def _decimals(precision: int, scale: int) -> _Kind:
    data_type = pa.decimal128(precision, scale)
    largest = 10**precision - 1

    def array(values: list[Any]) -> pa.Array[Any]:
        raw = b"".join((value or 0).to_bytes(16, "little", signed=True) for value in values)
        valid = pa.array([value is not None for value in values], pa.bool_()).buffers()[1]
        return pa.Array.from_buffers(data_type, len(values), [valid, pa.py_buffer(raw)])

    return _Kind(st.integers(-largest, largest), array)


def _timestamps(unit: str, zone: str | None, date_only: bool) -> _Kind:
    per_day = UNITS_PER_S[unit] * 86_400
    low = max(DAY_MIN * per_day, -(2**63))
    high = min((DAY_MAX + 1) * per_day - 1, 2**63 - 1)
    near = st.integers(-3 * per_day, 3 * per_day)
    values = st.one_of(st.integers(low, high), near, st.sampled_from([low, high, 0, -1]))
    return _Kind(values, _counted(pa.timestamp(unit, zone), pa.int64()), date_only=date_only)


_PLAIN_KINDS: st.SearchStrategy[_Kind] = st.one_of(
    st.builds(
        lambda data_type, scale: _Kind(st.integers(*INTEGERS[data_type]), _typed(data_type), scale),
        st.sampled_from(INDEX_TYPES),
        st.integers(0, 18),
    ),
    st.builds(lambda scale: _Kind(st.integers(-20_000, 20_000), _typed(pa.int64()), scale), st.integers(0, 3)),
    st.just(_Kind(st.booleans(), _typed(pa.bool_()))),
    st.just(_Kind(st.floats(), _typed(pa.float64()))),
    st.just(_Kind(st.floats(width=32), _typed(pa.float32()))),
    st.builds(_decimals, st.integers(1, 38), st.integers(-38, 38)),
    st.just(_Kind(st.integers(DAY_MIN, DAY_MAX), _counted(pa.date32(), pa.int32()))),
    st.just(_Kind(st.integers(DAY_MIN, DAY_MAX).map(lambda day: day * 86_400_000), _counted(pa.date64(), pa.int64()))),
    st.builds(_timestamps, st.sampled_from(list(UNITS_PER_S)), st.sampled_from([None, "UTC", "+05:30"]), st.booleans()),
    st.just(_Kind(st.none(), _typed(pa.null()))),
    st.just(_Kind(TEXTS, lambda values: pa.array(values, pa.json_()))),
    st.builds(lambda data_type: _Kind(TEXTS, _typed(data_type)), st.sampled_from(TEXT_TYPES)),
    st.builds(
        lambda data_type: _Kind(TEXTS.map(quoted), _typed(data_type), metadata={b"counterfoil.csv_ready": b"1"}),
        st.sampled_from(TEXT_TYPES),
    ),
)


def _exact(array: pa.Array[Any]) -> pa.Array[Any]:
    """The same array in buffers without padding, so that a sanitiser sees a read beyond their end."""
    if isinstance(array, pa.ExtensionArray):
        return array
    buffers = [None if buffer is None else pa.py_buffer(buffer.to_pybytes()) for buffer in array.buffers()]
    return pa.Array.from_buffers(array.type, len(array), buffers, array.null_count, array.offset)


def _optional(draw: st.DrawFn, values: st.SearchStrategy[object], count: int) -> list[object]:
    """Values of which none, some or all are null; without nulls the array has no validity bitmap."""
    nulls = draw(st.sampled_from(["none", "some", "all"])) if count else "none"
    if nulls == "all":
        return [None] * count
    cells = values if nulls == "none" else st.one_of(st.none(), values)
    return draw(st.lists(cells, min_size=count, max_size=count))


def _sliced(draw: st.DrawFn, kind: _Kind, count: int) -> pa.Array[Any]:
    """An array that may begin and end inside longer buffers."""
    before, after = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    return _exact(kind.array(_optional(draw, kind.values, before + count + after))).slice(before, count)


def _column(draw: st.DrawFn, count: int) -> tuple[_Kind, pa.Array[Any]]:
    kind = draw(_PLAIN_KINDS)
    if draw(st.integers(0, 2)) or isinstance(kind.array([]), pa.ExtensionArray):
        return kind, _sliced(draw, kind, count)
    entries = _sliced(draw, kind, draw(st.integers(1, 6)))
    indices = _Kind(st.integers(0, len(entries) - 1), _typed(draw(st.sampled_from(INDEX_TYPES))))
    return kind, pa.DictionaryArray.from_arrays(_sliced(draw, indices, count), entries)


def _selection(draw: st.DrawFn, rows: int) -> pa.Array[Any] | None:
    way = draw(st.sampled_from(["all", "mask", "int32", "int64"]))
    if way == "all":
        return None
    if way == "mask":
        return _sliced(draw, _Kind(st.booleans(), _typed(pa.bool_())), rows)
    data_type = pa.int32() if way == "int32" else pa.int64()
    chosen = st.lists(st.integers(0, rows - 1), max_size=50) if rows else st.just([])
    before = draw(st.integers(0, 3))
    return pa.array([0] * before + draw(chosen), data_type).slice(before)


@st.composite
def drawn(draw: st.DrawFn, columns_max: int = 5, rows_max: int = 30) -> Drawn:
    """A batch with a way to read it. Columns of the file are some of the batch's, in any order, maybe twice."""
    count = draw(st.integers(0, rows_max))
    kinds, arrays, fields = [], [], []
    for i in range(draw(st.integers(1, columns_max))):
        kind, array = _column(draw, count)
        kinds.append(kind)
        arrays.append(array)
        fields.append(pa.field(f"c{i}", array.type, metadata=kind.metadata))
    batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
    start = draw(st.integers(0, count))
    batch = batch.slice(start, draw(st.integers(0, count - start)))
    places = draw(st.lists(st.integers(0, len(kinds) - 1), min_size=1, max_size=columns_max + 1))
    columns = [Column(f"c{i}", draw(TEXTS), scale=kinds[i].scale, date_only=kinds[i].date_only) for i in places]
    return Drawn(batch, columns, draw(st.booleans()), _selection(draw, batch.num_rows))
