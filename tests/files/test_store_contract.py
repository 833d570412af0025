"""What every store promises, held to each of them: a folder on this disk, and a bucket of a real S3 server."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from pathlib import Path

import pytest

from counterfoil.errors import Conflict, InvalidInput, NotFound
from counterfoil.files.local import LocalStore
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from counterfoil.ids import random_text
from tests.services import S3Server

MIB = 1 << 20
FAR_FUTURE_MS = 1 << 46
ODD_KEYS = (
    "odd/sp ace.csv",
    "odd/plus+and&and=and?and#and%20.csv",
    "odd/quote'double\"comma,semi;colon:at@.csv",
    "odd/[brackets]{braces}(round)<angle>.csv",
    "odd/star*bar|hat^tick`tilde~dollar$bang!.csv",
    "odd/žluťoučký kůň-日本-🐎.csv",
    "odd/.hidden",
    "odd/...",
)


def keys(store: Store, prefix: str = "") -> list[str]:
    return [file.key for file in store.list(prefix)]


def nothing_left(store: Store) -> bool:
    return keys(store) == [] and list(store.remnants("", FAR_FUTURE_MS)) == []


def race(store: Store, key: str, name: bytes, ready: threading.Barrier, won: list[bytes], lost: list[str]) -> None:
    """Write `name` to `key` at the same moment as others, and note how it went."""
    with store.create(key) as file:
        file.write(name)
        ready.wait(30)
        try:
            file.seal()
            won.append(name)
        except Conflict as conflict:
            lost.append(conflict.code)


class StoreContract:
    """The tests; each implementation below gives them its `store`, which is empty."""

    def test_a_file_is_seen_only_once_sealed(self, store: Store) -> None:
        with store.create("a/b.csv") as file:
            file.write(b"head\r\n")
            file.write(bytearray(b"row") * 2)
            file.write(memoryview(b"\r\n"))
            assert keys(store) == []
            with pytest.raises(NotFound) as missing:
                store.size_bytes("a/b.csv")
            assert missing.value.resource_id == "a/b.csv"
            assert file.seal() == 14
        assert keys(store) == ["a/b.csv"]
        assert store.size_bytes("a/b.csv") == 14
        assert store.read("a/b.csv") == b"head\r\nrowrow\r\n"

    def test_a_large_file_is_seen_only_once_sealed(self, store: Store) -> None:
        with store.create("a/large") as file:
            for _ in range(12):
                file.write(b"x" * MIB)
            assert keys(store) == []
            assert file.seal() == 12 * MIB
        assert store.size_bytes("a/large") == 12 * MIB

    @pytest.mark.parametrize("size_bytes", [0, 10, 12 * MIB])
    def test_abort_leaves_nothing(self, store: Store, size_bytes: int) -> None:
        file = store.create("a/b.csv")
        file.write(bytes(size_bytes))
        file.abort()
        file.abort()
        assert nothing_left(store)

    def test_leaving_the_block_unsealed_aborts(self, store: Store) -> None:
        def write_and_fail() -> None:
            with store.create("a/b.csv") as file:
                file.write(bytes(12 * MIB))
                raise RuntimeError("boom")

        with pytest.raises(RuntimeError, match="boom"):
            write_and_fail()
        assert nothing_left(store)

    @pytest.mark.parametrize("size_bytes", [3, 12 * MIB])
    def test_a_taken_key_is_not_overwritten(self, store: Store, size_bytes: int) -> None:
        store.put("a/b.csv", b"first")
        with store.create("a/b.csv") as file:
            file.write(bytes(size_bytes))
            with pytest.raises(Conflict) as conflict:
                file.seal()
        assert conflict.value.code == "file_exists"
        assert not conflict.value.transient
        assert store.read("a/b.csv") == b"first"
        assert list(store.remnants("", FAR_FUTURE_MS)) == []

    @pytest.mark.parametrize("size_bytes", [3, 12 * MIB])
    def test_a_key_is_overwritten_when_asked(self, store: Store, size_bytes: int) -> None:
        store.put("a/b.csv", b"first")
        with store.create("a/b.csv", create_only=False) as file:
            file.write(b"z" * size_bytes)
            file.seal()
        assert store.size_bytes("a/b.csv") == size_bytes
        store.put("a/b.csv", b"third", create_only=False)
        assert store.read("a/b.csv") == b"third"

    def test_of_racing_writers_one_wins(self, store: Store) -> None:
        writers = 4
        for round_number in range(4):
            key = f"race/{round_number}"
            ready = threading.Barrier(writers)
            won: list[bytes] = []
            lost: list[str] = []

            threads = [
                threading.Thread(target=race, args=(store, key, b"%d" % number, ready, won, lost))
                for number in range(writers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert lost == ["file_exists"] * (writers - 1)
            assert [store.read(key)] == won
        assert list(store.remnants("", FAR_FUTURE_MS)) == []

    def test_an_empty_file(self, store: Store) -> None:
        with store.create("empty") as file:
            file.write(b"")
            assert file.seal() == 0
        assert store.size_bytes("empty") == 0
        assert store.read("empty") == b""
        assert store.read("empty", 0, 10) == b""
        assert list(store.stream("empty")) == []
        assert keys(store) == ["empty"]

    def test_forty_megabytes_come_back_as_they_went(self, store: Store) -> None:
        source = random.Random(7)
        block = source.randbytes(MIB)
        sent, size_bytes = hashlib.sha256(), 0
        with store.create("forty") as file:
            while size_bytes < 40_000_000:
                piece = memoryview(block)[: source.choice([1, 999, 65_536, MIB, MIB])]
                piece = piece[: 40_000_000 - size_bytes]
                sent.update(piece)
                size_bytes += len(piece)
                file.write(piece)
            assert file.seal() == 40_000_000
        received = hashlib.sha256()
        for chunk in store.stream("forty"):
            received.update(chunk)
        assert received.digest() == sent.digest()
        assert hashlib.sha256(store.read("forty")).digest() == sent.digest()

    @pytest.mark.parametrize(
        ("start", "length"),
        [(0, None), (0, 0), (0, 1), (3, 4), (9, 1), (9, 5), (10, None), (10, 1), (11, 3), (5, 1 << 40), (1000, 0)],
    )
    def test_ranges_are_those_of_a_slice(self, store: Store, start: int, length: int | None) -> None:
        data = b"0123456789"
        store.put("ten", data)
        wanted = data[start:] if length is None else data[start : start + length]
        assert store.read("ten", start, length) == wanted
        assert b"".join(store.stream("ten", start, length, chunk_bytes=3)) == wanted

    def test_a_range_across_blocks(self, store: Store) -> None:
        data = random.Random(1).randbytes(20 * MIB)
        store.put("blocks", data)
        assert store.read("blocks", 8 * MIB - 3, 6) == data[8 * MIB - 3 : 8 * MIB + 3]
        assert store.read("blocks", 5, 17 * MIB) == data[5 : 17 * MIB + 5]

    def test_a_negative_range_is_refused(self, store: Store) -> None:
        store.put("ten", b"0123456789")
        for start, length in [(-1, None), (0, -1)]:
            with pytest.raises(InvalidInput, match="negative"):
                store.read("ten", start, length)

    def test_chunks_have_the_size_asked_for(self, store: Store) -> None:
        store.put("chunks", bytes(20 * MIB + 5))
        sizes = [len(chunk) for chunk in store.stream("chunks", chunk_bytes=3 * MIB)]
        assert sum(sizes) == 20 * MIB + 5
        assert max(sizes) <= 3 * MIB
        assert all(sizes)

    def test_a_stream_may_be_left_halfway(self, store: Store) -> None:
        store.put("chunks", b"ab" * (10 * MIB))
        chunks = store.stream("chunks", chunk_bytes=MIB)
        assert next(chunks) == b"ab" * (MIB // 2)
        del chunks
        assert store.delete_prefix("none") == 0

    def test_a_missing_key_is_told_at_once(self, store: Store) -> None:
        store.put("a/b", b"1")
        for missing in ("none", "a", "a/b/c", "a/c"):
            for ask in (store.size_bytes, store.read, store.stream):
                with pytest.raises(NotFound) as error:
                    ask(missing)
                assert (error.value.resource_type, error.value.resource_id) == ("file", missing)

    def test_files_are_listed_in_key_order(self, store: Store) -> None:
        wanted = sorted(
            [
                "a",
                "a-b/x",
                "a.txt",
                "a0",
                "b/a/z",
                "b/a.csv",
                "b/a-1",
                "b/a/b/c",
                "c/10",
                "c/2",
                "c/1",
                "é",
                "z/€",
                "z/🐎",
            ]
        )
        for key in random.Random(3).sample(wanted, len(wanted)):
            store.put(key, key.encode())
        assert keys(store) == wanted
        assert [file.size_bytes for file in store.list("")] == [len(key.encode()) for key in wanted]

    def test_a_prefix_is_a_folder(self, store: Store) -> None:
        for key in ("e/1/x", "e/1/y/z", "e/10/x", "e/1.csv", "f"):
            store.put(key, b"1")
        assert keys(store, "e/1") == keys(store, "e/1/") == ["e/1/x", "e/1/y/z"]
        assert keys(store, "e/1/y") == ["e/1/y/z"]
        assert keys(store, "none") == keys(store, "f") == []

    def test_times_are_those_of_the_writing(self, store: Store) -> None:
        # Stores tell whole seconds at worst.
        before_ms = time.time_ns() // 1_000_000 - 1000
        store.put("now", b"1")
        after_ms = time.time_ns() // 1_000_000 + 1000
        (file,) = store.list("")
        assert before_ms <= file.modified_ms <= after_ms

    def test_delete(self, store: Store) -> None:
        store.put("a/b", b"1")
        store.put("a/c", b"2")
        store.delete("a/b")
        store.delete("a/b")
        store.delete("none/at/all")
        store.delete("a/c/d")
        store.delete("a")
        assert keys(store) == ["a/c"]
        store.put("a/b", b"3")
        assert store.read("a/b") == b"3"

    def test_delete_prefix_removes_the_folder_and_nothing_beside(self, store: Store) -> None:
        for key in ("e/1/x", "e/1/y/z", "e/10/x", "e/1.csv"):
            store.put(key, b"1")
        assert store.delete_prefix("e/1") == 2
        assert store.delete_prefix("e/1") == 0
        assert keys(store) == ["e/1.csv", "e/10/x"]
        for unwanted in ("", "/"):
            with pytest.raises(InvalidInput):
                store.delete_prefix(unwanted)
        assert keys(store) == ["e/1.csv", "e/10/x"]

    def test_a_file_removed_while_it_is_written_cannot_be_sealed(self, store: Store) -> None:
        with store.create("e/1/part") as file:
            file.write(bytes(12 * MIB))
            (remnant,) = store.remnants("e/1", FAR_FUTURE_MS)
            assert remnant.key == "e/1/part"
            assert store.delete_prefix("e/1") == 1
            with pytest.raises(Conflict) as conflict:
                file.seal()
        assert conflict.value.code == "file_removed"
        assert nothing_left(store)

    def test_remnants_are_told_by_age_and_folder(self, store: Store) -> None:
        before_ms = time.time_ns() // 1_000_000 - 2000
        file = store.create("e/1/part")
        file.write(bytes(12 * MIB))
        assert list(store.remnants("", before_ms)) == []
        assert list(store.remnants("e/2", FAR_FUTURE_MS)) == []
        (remnant,) = store.remnants("e", FAR_FUTURE_MS)
        assert remnant.modified_ms >= before_ms
        store.discard(remnant)
        store.discard(remnant)
        assert list(store.remnants("", FAR_FUTURE_MS)) == []
        with pytest.raises(Conflict):
            file.seal()
        assert nothing_left(store)

    def test_parts_are_joined_in_order(self, store: Store) -> None:
        source = random.Random(5)
        sizes = [40, 0, 12 * MIB, 0, 7, 6 * MIB + 1, 1, 5 * MIB, 5 * MIB - 1, 3]
        parts = [source.randbytes(size) for size in sizes]
        names = [f"parts/{number:03d}" for number in range(len(parts))]
        for name, data in zip(names, parts, strict=True):
            store.put(name, data)
        assert store.concat(names, "joined/all") == sum(sizes)
        assert hashlib.sha256(store.read("joined/all")).digest() == hashlib.sha256(b"".join(parts)).digest()
        assert keys(store, "parts") == names
        assert store.concat([names[2], names[2]], "joined/twice") == 24 * MIB
        assert store.read("joined/twice") == parts[2] * 2

    def test_many_small_parts_and_none(self, store: Store) -> None:
        names = [f"parts/{number:03d}" for number in range(60)]
        for number, name in enumerate(names):
            store.put(name, b"%d\n" % number if number % 3 else b"")
        wanted = b"".join(b"%d\n" % number for number in range(60) if number % 3)
        assert store.concat(names, "joined") == len(wanted)
        assert store.read("joined") == wanted
        assert store.concat([], "nothing") == 0
        assert store.concat([names[0]], "empty") == 0
        assert store.read("nothing") == store.read("empty") == b""

    def test_a_join_that_cannot_be_leaves_nothing(self, store: Store) -> None:
        store.put("a", bytes(12 * MIB))
        with pytest.raises(NotFound) as missing:
            store.concat(["a", "none"], "joined")
        assert missing.value.resource_id == "none"
        store.put("taken", b"mine")
        with pytest.raises(Conflict) as conflict:
            store.concat(["a", "a"], "taken")
        assert conflict.value.code == "file_exists"
        assert store.read("taken") == b"mine"
        assert keys(store) == ["a", "taken"]
        assert list(store.remnants("", FAR_FUTURE_MS)) == []

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys(self, store: Store, key: str) -> None:
        store.put(key, key.encode())
        with store.create(f"{key}-large/{key}") as file:
            file.write(bytes(12 * MIB))
            file.seal()
        assert keys(store) == sorted([key, f"{key}-large/{key}"])
        assert store.read(key) == key.encode()
        assert store.concat([key, f"{key}-large/{key}"], f"{key}+") == len(key.encode()) + 12 * MIB
        store.delete(key)
        store.delete(f"{key}+")
        assert keys(store) == [f"{key}-large/{key}"]
        assert store.delete_prefix(f"{key}-large") == 1
        assert keys(store) == []

    @pytest.mark.parametrize(
        "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a\\b", "a\nb", ".staged-x", "x" * 201]
    )
    def test_keys_that_not_every_store_can_hold(self, store: Store, key: str) -> None:
        asks = [store.size_bytes, store.read, store.stream, store.create, store.delete, store.local_path]
        for ask in asks:
            with pytest.raises(InvalidInput) as error:
                ask(key)
            assert error.value.code == "invalid_key"
        with pytest.raises(InvalidInput):
            store.put(key, b"")
        with pytest.raises(InvalidInput):
            store.link(key, file_name="a", media_type="text/csv", ttl_s=60)

    def test_check_passes_and_leaves_nothing(self, store: Store) -> None:
        store.check()
        assert nothing_left(store)


class TestLocalStore(StoreContract):
    """A folder on this machine's disk."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store((tmp_path / "files with spaces").as_uri())

    def test_there_is_no_link_but_a_path(self, store: Store, tmp_path: Path) -> None:
        store.put("a/b.csv", b"1")
        assert store.link("a/b.csv", file_name="b.csv", media_type="text/csv", ttl_s=60) is None
        assert store.local_path("a/b.csv") == tmp_path / "files with spaces/a/b.csv"
        assert store.local_path("a/none") == tmp_path / "files with spaces/a/none"

    def test_its_address_opens_it_again(self, store: Store, tmp_path: Path) -> None:
        store.put("a", b"1")
        assert open_store(store.url).read("a") == b"1"
        assert LocalStore(tmp_path / "files with spaces").url == store.url


class TestS3Store(StoreContract):
    """A bucket of SeaweedFS, below a prefix of the test's own."""

    @pytest.fixture
    def store(self, seaweed: S3Server) -> Store:
        options = StoreOptions(
            endpoint=seaweed.endpoint,
            region=seaweed.region,
            access_key=seaweed.access_key,
            secret_key=seaweed.secret_key,
            allow_http=True,
            part_size_bytes=5 * MIB,
        )
        return open_store(f"s3://{seaweed.bucket}/contract tests/{random_text(12)}/", options)

    def test_it_has_no_path(self, store: Store) -> None:
        store.put("a/b.csv", b"1")
        assert store.local_path("a/b.csv") is None
        with store.create("c") as file:
            assert file.fileno() is None
