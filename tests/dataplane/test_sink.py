"""The sink, compression and totals: what is written is what was handed over, counted and hashed rightly."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.dataplane.compress import check_compression, compress, compressed_name
from counterfoil.dataplane.rows import Rows
from counterfoil.dataplane.sink import Sink
from counterfoil.dataplane.stop import StopFlag
from counterfoil.dataplane.tally import Tally, Totals, exact_sum
from counterfoil.errors import Conflict, InvalidInput, StoreFull, Unavailable
from counterfoil.files.local import LocalStagedFile, LocalStore

CHUNKS = [b"header\n", b"", bytearray(b"a,b\n"), memoryview(b"c,d\n" * 1000), b"end\n"]
WHOLE = b"".join(bytes(chunk) for chunk in CHUNKS)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def test_what_is_written_is_counted_and_hashed(store: LocalStore) -> None:
    with Sink(store, "a/file") as sink:
        for chunk in CHUNKS:
            sink.write(chunk)
        sealed = sink.seal()
    assert store.read("a/file") == WHOLE
    assert (sealed.key, sealed.size_bytes) == ("a/file", len(WHOLE))
    assert sealed.sha256 == hashlib.sha256(WHOLE).hexdigest()


def test_a_sink_that_is_not_sealed_leaves_no_trace(store: LocalStore) -> None:
    def fail() -> None:
        with Sink(store, "a/file") as sink:
            sink.write(b"some")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(store.list("a")) == []
    assert list(store.remnants("a", 1 << 60)) == []


def test_a_full_disk_reaches_the_writer(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: object, _data: object) -> None:
        raise StoreFull("No space is left")

    monkeypatch.setattr(LocalStagedFile, "write", full)
    with Sink(store, "a/file") as sink:
        sink.write(b"some")
        with pytest.raises(StoreFull):
            sink.seal()
        with pytest.raises(StoreFull):
            sink.write(b"more")


def test_two_writers_of_one_key_do_not_both_win(store: LocalStore) -> None:
    with Sink(store, "a/file") as one, Sink(store, "a/file") as other:
        one.write(b"one")
        other.write(b"other")
        one.seal()
        with pytest.raises(Conflict):
            other.seal()
    assert store.read("a/file") == b"one"


@pytest.mark.parametrize("compression", [None, "gzip", "zip"])
def test_compressed_bytes_depend_on_the_content_alone(compression: str | None) -> None:
    def packed(chunks: list[bytes | bytearray | memoryview]) -> bytes:
        return b"".join(map(bytes, compress(iter(chunks), compression, name="a b.csv", at_ms=1_728_465_392_521)))

    assert packed(CHUNKS) == packed(CHUNKS)
    assert unpacked(packed(CHUNKS), compression) == WHOLE
    assert unpacked(packed([]), compression) == b""


def unpacked(data: bytes, compression: str | None) -> bytes:
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (member,) = archive.infolist()
            assert (member.filename, member.date_time) == ("a b.csv", (2024, 10, 9, 9, 16, 32))
            return archive.read(member)
    return data


def test_names_of_compressed_files() -> None:
    assert [compressed_name("a.b.csv", each) for each in (None, "gzip", "zip")] == ["a.b.csv", "a.b.csv.gz", "a.b.zip"]
    assert check_compression("none") is None
    with pytest.raises(InvalidInput) as raised:
        check_compression("rar")
    assert raised.value.allowed == ("none", "gzip", "zip")


# -- totals -----------------------------------------------------------------------------------------------------------

NUMBERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=50)


@given(NUMBERS)
def test_sums_are_exact(values: list[int | None]) -> None:
    assert exact_sum(pa.array(values, pa.int64())) == sum(value for value in values if value is not None)


MOVEMENTS = st.lists(
    st.tuples(st.sampled_from(["POINTS_ACCRUAL", "POINTS_REFUND", "ü"]), st.integers(-(2**62), 2**62)), max_size=30
)


@given(MOVEMENTS, st.integers(0, 30), st.booleans(), st.booleans())
def test_totals_of_pieces_are_the_totals_of_the_whole(
    movements: list[tuple[str, int]], cut: int, dictionary: bool, reverse: bool
) -> None:
    def rows(some: list[tuple[int, tuple[str, int]]]) -> Rows:
        some = some[::-1] if reverse else some
        types = pa.array([each[1][0] for each in some], pa.string())
        columns = {
            "type": types.dictionary_encode() if dictionary else types,
            "amount": pa.array([each[1][1] for each in some], pa.int64()),
            "seq": pa.array([each[0] for each in some], pa.int64()),
            "created_at": pa.array([each[0] * 7 for each in some], pa.timestamp("ms", "UTC")),
        }
        return Rows(pa.record_batch(list(columns.values()), names=list(columns)), reverse)

    numbered = list(enumerate(movements, 1))
    whole = Tally(["amount"], movements=True)
    whole.add(rows(numbered))
    pieces = Totals()
    for piece in (numbered[:cut], numbered[cut:]):
        tally = Tally(["amount"], movements=True)
        tally.add(rows(piece))
        pieces.add(Totals.from_json(tally.totals.to_json()))
    assert whole.totals.to_json() == pieces.to_json()
    assert whole.totals.rows == len(movements)
    assert whole.totals.columns["amount"] == sum(amount for _, amount in movements)
    assert whole.totals.last == ((len(movements) * 7, len(movements)) if movements else None)
    for name in {name for name, _ in movements}:
        amounts = [amount for each, amount in movements if each == name]
        assert whole.totals.types[name] == (len(amounts), sum(amounts))


# -- rows and stopping ------------------------------------------------------------------------------------------------


@given(st.data(), st.booleans(), st.sampled_from(["all", "numbers", "mask"]))
def test_rows_are_sliced_in_file_order(data: st.DataObject, reverse: bool, how: str) -> None:
    values = list(range(data.draw(st.integers(1, 9))))
    batch = pa.record_batch([pa.array(values)], names=["n"])
    picked, selection = values, None
    if how == "numbers":
        picked = data.draw(st.lists(st.sampled_from(values)))
        selection = pa.array(picked, pa.int32())
    elif how == "mask":
        mask = [data.draw(st.booleans()) for _ in values]
        picked, selection = [value for value, keep in zip(values, mask, strict=True) if keep], pa.array(mask)
    rows = Rows(batch, reverse, selection)
    shown = in_file_order(rows)
    assert shown == (picked[::-1] if reverse else picked)
    assert len(rows) == len(picked)
    start = data.draw(st.integers(0, len(picked)))
    count = data.draw(st.integers(0, len(picked) - start))
    assert in_file_order(rows.slice(start, count)) == shown[start : start + count]


def in_file_order(rows: Rows) -> list[int]:
    found = rows.column("n").to_pylist()
    return found[::-1] if rows.reverse else found


def test_the_first_reason_to_stop_stands_and_hooks_hear_of_it() -> None:
    stop, heard = StopFlag(), []
    stop.check()
    with stop.on_set(lambda: heard.append("now")):
        stop.set(Unavailable("first", "first"))
        stop.set(Unavailable("second", "second"))
    with stop.on_set(lambda: heard.append("late")):
        pass
    assert heard == ["now", "late"]
    assert stop.wait(0)
    with pytest.raises(Unavailable, match="first"):
        stop.check()
