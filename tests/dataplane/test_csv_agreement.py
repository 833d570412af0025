"""The C encoder gives the reference's bytes, whatever the batch."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.dataplane.csv_encoder import CsvEncoder
from counterfoil.dataplane.csv_reference import ReferenceCsvEncoder
from counterfoil.dataplane.encoder import Column, Encoder
from counterfoil.errors import Damaged, InvalidInput
from tests.dataplane.arrow_batches import INDEX_TYPES, TEXT_TYPES, TEXTS, Drawn, drawn

_csv = pytest.importorskip("counterfoil.dataplane._csv", reason="the C encoder is not built")


def _encoded(encoder: Encoder, case: Drawn) -> bytes:
    body = bytes(encoder.encode(case.batch, reverse=case.reverse, selection=case.selection))
    return bytes(encoder.begin()) + body + bytes(encoder.end())


@pytest.mark.parametrize("instructions", _csv.INSTRUCTION_SETS)
@given(case=drawn())
@settings(deadline=None)
def test_every_batch_gives_the_reference_bytes(instructions: str, case: Drawn) -> None:
    expected = _encoded(ReferenceCsvEncoder(case.batch.schema, case.columns), case)
    assert _encoded(CsvEncoder(case.batch.schema, case.columns, instructions), case) == expected


@pytest.mark.parametrize("instructions", _csv.INSTRUCTION_SETS)
@given(texts=st.lists(st.one_of(st.none(), TEXTS), max_size=60), data=st.data())
@settings(deadline=None)
def test_a_stream_of_batches_with_changing_dictionaries(
    instructions: str, texts: list[str | None], data: st.DataObject
) -> None:
    """One encoder over many batches: kept dictionaries and buffers never show in the bytes."""
    data_type = data.draw(st.sampled_from(TEXT_TYPES))
    index_type = data.draw(st.sampled_from(INDEX_TYPES))
    field = pa.field("c", pa.dictionary(index_type, data_type))
    columns = [Column("c", "c")]
    encoder = CsvEncoder(pa.schema([field]), columns, instructions)
    reference = ReferenceCsvEncoder(pa.schema([field]), columns)
    dictionaries = [texts, texts[:-1], [*texts[1:], "other"]]
    for _ in range(data.draw(st.integers(1, 5))):
        entries = data.draw(st.sampled_from(dictionaries)) or ["only"]
        indices = data.draw(st.lists(st.one_of(st.none(), st.integers(0, len(entries) - 1)), max_size=20))
        array = pa.DictionaryArray.from_arrays(pa.array(indices, index_type), pa.array(entries, data_type))
        batch = pa.RecordBatch.from_arrays([array], schema=pa.schema([field]))
        assert bytes(encoder.encode(batch)) == reference.encode(batch)


def test_a_dictionary_far_longer_than_the_batch() -> None:
    entries = pa.array([None if i % 7 == 0 else f'{"x" * (i % 50)}"{i}' for i in range(50_000)])
    indices = pa.array([None if i % 5 == 0 else i * 977 % 50_000 for i in range(300)], pa.int32())
    batch = pa.record_batch({"c": pa.DictionaryArray.from_arrays(indices, entries), "n": pa.array(range(300))})
    columns = [Column("c", "c"), Column("n", "n")]
    expected = ReferenceCsvEncoder(batch.schema, columns).encode(batch)
    assert bytes(CsvEncoder(batch.schema, columns).encode(batch)) == expected


@pytest.mark.parametrize("instructions", _csv.INSTRUCTION_SETS)
def test_more_rows_and_longer_texts_than_one_buffer(instructions: str) -> None:
    """Beyond the row loop's blocks and the first size of the buffer, forwards, backwards and chosen."""
    rows = 5_000
    texts = [None if i % 11 == 0 else ('"' if i % 3 else "y") * (i * 37 % 900) for i in range(rows)]
    batch = pa.record_batch({"t": pa.array(texts), "n": pa.array(range(rows))})
    columns = [Column("t", "t"), Column("n", "n")]
    reference, encoder = ReferenceCsvEncoder(batch.schema, columns), CsvEncoder(batch.schema, columns, instructions)
    mask = pa.array([None if i % 13 == 0 else i % 3 == 0 and not 1_000 < i < 2_000 for i in range(rows)])
    indices = pa.array([i * 7919 % rows for i in range(rows)], pa.int32())
    for selection in (None, mask, indices):
        for reverse in (False, True):
            expected = reference.encode(batch, reverse=reverse, selection=selection)
            assert bytes(encoder.encode(batch, reverse=reverse, selection=selection)) == expected


def test_parts_made_by_threads_join_to_one_run() -> None:
    """One encoder, used by many threads at once: the GIL is free meanwhile, and nothing is shared."""
    rows, parts = 40_000, 40
    batch = pa.record_batch(
        {
            "t": pa.array([f'a "quoted", text {i}' for i in range(rows)]),
            "d": pa.array([f"campaign,{i % 97}" for i in range(rows)]).dictionary_encode(),
            "at": pa.array([i * 86_399_000 for i in range(rows)], pa.timestamp("ms", "UTC")),
            "f": pa.array([i / 7 for i in range(rows)]),
        }
    )
    encoder = CsvEncoder(batch.schema, [Column(name, name) for name in batch.schema.names])
    whole = bytes(encoder.encode(batch))
    slices = [batch.slice(i * rows // parts, rows // parts) for i in range(parts)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(encoder.encode, slices * 3))
    assert b"".join(made) == whole * 3


def test_an_answer_stays_as_it_is_while_it_lives() -> None:
    batches = [pa.record_batch({"t": pa.array([letter * 1_000] * 1_000)}) for letter in "abcdefgh"]
    encoder = CsvEncoder(batches[0].schema, [Column("t", "t")])
    answers = [encoder.encode(batch) for batch in batches]
    expected = [(letter * 1_000 + "\n").encode() * 1_000 for letter in "abcdefgh"]
    assert [bytes(answer) for answer in answers] == expected
    kept = answers[0]
    del answers
    for batch in batches[1:]:
        encoder.encode(batch)
    assert bytes(kept) == expected[0]


@given(
    offsets=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
    large=st.booleans(),
    text=st.binary(max_size=64),
)
@settings(deadline=None)
def test_offsets_that_lie_are_found_out(offsets: list[int], large: bool, text: bytes) -> None:
    """Whatever a damaged file says, no byte outside the text is read; the sanitiser run watches."""
    data_type, width = (pa.large_string(), 8) if large else (pa.string(), 4)
    ends = [0, *offsets, len(text)]  # Arrow itself looks at the first and the last
    raw = b"".join(n.to_bytes(width, "little", signed=True) for n in ends)
    array = pa.Array.from_buffers(data_type, len(ends) - 1, [None, pa.py_buffer(raw), pa.py_buffer(text)])
    batch = pa.record_batch({"t": array})
    honest = all(0 <= a <= b <= len(text) for a, b in itertools.pairwise(ends))
    for instructions in _csv.INSTRUCTION_SETS:
        encoder = CsvEncoder(batch.schema, [Column("t", "t")], instructions)
        if honest:
            encoder.encode(batch)
        else:
            with pytest.raises(Damaged, match="'t' is damaged"):
                encoder.encode(batch)


@given(indices=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20))
@settings(deadline=None)
def test_indices_that_lie_are_found_out(indices: list[int]) -> None:
    entries = pa.array(["a", "b,", None])
    array = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), entries, safe=False)
    batch = pa.record_batch({"t": array})
    encoder = CsvEncoder(batch.schema, [Column("t", "t")])
    if all(0 <= index < 3 for index in indices):
        encoder.encode(batch)
    else:
        with pytest.raises(Damaged, match="'t' is damaged"):
            encoder.encode(batch)


@given(views=st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=10), text=st.binary(max_size=64))
@settings(deadline=None)
def test_views_that_lie_are_found_out(views: list[bytes], text: bytes) -> None:
    raw = pa.py_buffer(b"".join(views))
    array = pa.Array.from_buffers(pa.string_view(), len(views), [None, raw, pa.py_buffer(text)])
    batch = pa.record_batch({"t": array})
    for instructions in _csv.INSTRUCTION_SETS:
        encoder = CsvEncoder(batch.schema, [Column("t", "t")], instructions)
        if all(_honest_view(view, len(text)) for view in views):
            encoder.encode(batch)
        else:
            with pytest.raises(Damaged):
                encoder.encode(batch)


def _honest_view(view: bytes, text_bytes: int) -> bool:
    size, _, buffer, start = (int.from_bytes(view[i : i + 4], "little", signed=True) for i in (0, 4, 8, 12))
    size &= 0xFFFFFFFF
    return size <= 12 or (buffer == 0 and start >= 0 and start + size <= text_bytes)


@given(days=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_days_out_of_range_are_refused_alike(days: list[int]) -> None:
    _same_refusal(pa.array(days, pa.int32()).view(pa.date32()))


@given(
    instants=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8), unit=st.sampled_from(["s", "ms", "us"])
)
@settings(deadline=None)
def test_instants_out_of_range_are_refused_alike(instants: list[int], unit: str) -> None:
    _same_refusal(pa.array(instants, pa.int64()).view(pa.timestamp(unit, "UTC")))


def _same_refusal(array: pa.Array) -> None:
    batch = pa.record_batch({"at": array})
    columns = [Column("at", "At")]
    answers: list[object] = []
    for encoder in (ReferenceCsvEncoder(batch.schema, columns), CsvEncoder(batch.schema, columns)):
        try:
            answers.append(bytes(encoder.encode(batch)))
        except InvalidInput as error:
            answers.append((error.code, error.field, error.message))
    assert answers[0] == answers[1]
