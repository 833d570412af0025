"""An S3 server that fails halfway, is busy, is silent, or whose answers get lost on the way."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time

import pytest

from counterfoil.errors import Conflict, CounterfoilError, NotFound, TooLarge, Unavailable
from counterfoil.files import s3_upload
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from tests.files.faulty_proxy import Fault, FaultyProxy
from tests.files.hurried_clock import HurriedClock

MIB = 1 << 20
FAR_FUTURE_MS = 1 << 46
BUSY = Fault(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
HANG_UP = Fault(0)
LOST_ANSWER = Fault(0, after=True)


def test_an_endpoint_nobody_listens_on_is_given_up_in_time(url: str, options: StoreOptions) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        store = open_store(url, dataclasses.replace(options, endpoint=endpoint, retry_timeout_s=0.3))
        for door in doors_of(store):
            started_s = time.monotonic()
            with pytest.raises(Unavailable) as error:
                door()
            assert time.monotonic() - started_s < 3
            assert error.value.transient
            assert endpoint in error.value.message


def test_a_server_that_never_answers_is_given_up_in_time(url: str, options: StoreOptions) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # the kernel takes the connections, and nobody reads them
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        change = {"endpoint": endpoint, "retry_timeout_s": 0.1, "request_timeout_s": 0.2}
        store = open_store(url, dataclasses.replace(options, **change))
        for door in doors_of(store):
            started_s = time.monotonic()
            with pytest.raises(Unavailable):
                door()
            assert time.monotonic() - started_s < 4


def doors_of(store: Store):
    def large() -> None:
        with store.create("large") as file:
            file.write(bytes(6 * MIB))

    return [
        lambda: store.size_bytes("a"),
        lambda: store.put("a", b"1"),
        lambda: list(store.list("")),
        lambda: store.delete("a"),
        lambda: list(store.remnants("", FAR_FUTURE_MS)),
        large,
    ]


@pytest.mark.parametrize("fault", [BUSY, HANG_UP], ids=["busy", "hang up"])
@pytest.mark.parametrize(
    ("method", "part"),
    [("POST", "uploads="), ("PUT", "partNumber=2"), ("POST", "uploadId="), ("HEAD", "/large")],
    ids=["begin", "part", "complete", "look"],
)
def test_a_passing_failure_is_got_over(
    through: Store, proxy: FaultyProxy, fault: Fault, method: str, part: str
) -> None:
    proxy.times(2, method, part, fault)
    with through.create("large") as file:
        file.write(bytes(12 * MIB))
        assert file.seal() == 12 * MIB
    assert proxy.count(method, part) >= 3
    assert through.size_bytes("large") == 12 * MIB
    assert list(through.remnants("", FAR_FUTURE_MS)) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_passing_failure_of_a_small_file_is_got_over(through: Store, proxy: FaultyProxy, method: str) -> None:
    proxy.times(2, method, "/small", BUSY)
    through.put("small", b"0123456789")
    assert through.size_bytes("small") == 10
    assert through.read("small") == b"0123456789"
    assert proxy.count(method, "/small") >= 3


@pytest.mark.parametrize(("size_bytes", "method"), [(12 * MIB, "POST"), (10, "PUT")], ids=["large", "small"])
def test_a_lost_answer_to_the_last_step_does_not_lose_the_file(
    through: Store, proxy: FaultyProxy, size_bytes: int, method: str
) -> None:
    proxy.times(1, method, "uploadId=" if method == "POST" else "/file", LOST_ANSWER)
    with through.create("file") as file:
        file.write(b"x" * size_bytes)
        assert file.seal() == size_bytes
    assert through.read("file") == b"x" * size_bytes
    assert list(through.remnants("", FAR_FUTURE_MS)) == []


@pytest.mark.parametrize(("size_bytes", "method"), [(12 * MIB, "POST"), (10, "PUT")], ids=["large", "small"])
def test_a_lost_answer_does_not_hide_that_another_was_first(
    through: Store, store: Store, proxy: FaultyProxy, size_bytes: int, method: str
) -> None:
    # Another writer's file is there already; the refusal is lost, and the second refusal must not look like our success.
    with through.create("file") as file:
        file.write(b"x" * size_bytes)
        store.put("file", b"theirs")
        proxy.times(1, method, "uploadId=" if method == "POST" else "/file", LOST_ANSWER)
        with pytest.raises(Conflict) as conflict:
            file.seal()
    assert conflict.value.code == "file_exists"
    assert store.read("file") == b"theirs"
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def test_another_writer_between_our_look_and_our_last_step_is_not_overwritten(
    through: Store, store: Store, proxy: FaultyProxy
) -> None:
    def choose(method: str, path: str) -> Fault | None:
        if method == "POST" and "uploadId=" in path:
            store.put("file", b"theirs")
        return None

    proxy.choose = choose
    with through.create("file") as file:
        file.write(bytes(12 * MIB))
        with pytest.raises(Conflict) as conflict:
            file.seal()
    assert conflict.value.code == "file_exists"
    assert store.read("file") == b"theirs"
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def test_an_abort_waits_for_the_parts_on_their_way(through: Store, store: Store, proxy: FaultyProxy) -> None:
    # A part that lands after the abort would bring back what the abort removed (Amazon S3: AbortMultipartUpload).
    sent, aborted = threading.Event(), threading.Event()
    aborted_first: list[bool] = []

    def choose(method: str, path: str) -> Fault | None:
        if method == "PUT":
            sent.set()
            aborted_first.append(aborted.wait(0.2))
        elif method == "DELETE":
            aborted.set()
        return None

    proxy.choose = choose
    with through.create("file") as file:
        file.write(bytes(6 * MIB))
        assert sent.wait(10)
    assert aborted.is_set()
    assert aborted_first == [False]
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def test_a_late_error_in_an_answer_that_began_well_is_seen(through: Store, store: Store, proxy: FaultyProxy) -> None:
    late = Fault(200, b'<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>try again</Message></Error>')
    proxy.times(1, "POST", "uploadId=", late)
    with through.create("file") as file:
        file.write(bytes(12 * MIB))
        assert store.delete_prefix("none") == 0
        assert file.seal() == 12 * MIB
    assert proxy.count("POST", "uploadId=") == 2
    assert store.size_bytes("file") == 12 * MIB


def test_a_part_that_never_arrives_fails_the_file_and_leaves_nothing(
    through: Store, proxy: FaultyProxy, store: Store, hurried: HurriedClock
) -> None:
    proxy.times(1000, "PUT", "partNumber=2", BUSY)

    def write() -> None:
        with through.create("file") as file:
            for _ in range(30):
                file.write(bytes(MIB))
            file.seal()

    with pytest.raises(Unavailable, match="SlowDown"):
        write()
    # Pauses that double, and an end to them.
    assert hurried.pauses_s[:4] == [0.1, 0.2, 0.4, 0.8]
    assert 2 < sum(hurried.pauses_s) <= 5
    assert list(store.list("")) == []
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def test_an_abort_that_cannot_reach_the_server_leaves_a_remnant_and_raises_nothing(
    url: str, options: StoreOptions, proxy: FaultyProxy, store: Store
) -> None:
    through = open_store(url, dataclasses.replace(options, endpoint=proxy.endpoint, retry_timeout_s=0.1))
    with through.create("e/1/file") as file:
        file.write(bytes(6 * MIB))
        proxy.choose = lambda method, path: BUSY
    (remnant,) = store.remnants("e/1", FAR_FUTURE_MS)
    assert remnant.key == "e/1/file"
    assert store.delete_prefix("e/1") == 1
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


@pytest.mark.parametrize("status", [501, 405])
def test_a_server_that_cannot_copy_parts_is_copied_for(
    through: Store, store: Store, proxy: FaultyProxy, status: int
) -> None:
    store.put("a", b"a" * (12 * MIB))
    store.put("b", b"b")
    proxy.times(1000, "PUT", "partNumber=1", Fault(status, b"<Error><Code>NotImplemented</Code></Error>"))

    def choose(method: str, path: str) -> Fault | None:
        copies = method == "PUT" and "partNumber=" in path and proxy.count("POST", "uploads=") == 1
        return Fault(status, b"<Error><Code>NotImplemented</Code></Error>") if copies else None

    proxy.choose = choose
    assert through.concat(["a", "b"], "joined") == 12 * MIB + 1
    assert store.read("joined") == b"a" * (12 * MIB) + b"b"
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def test_a_file_replaced_while_it_is_read_is_told(store: Store) -> None:
    store.put("file", b"a" * (20 * MIB))
    chunks = store.stream("file", chunk_bytes=8 * MIB)
    assert next(chunks) == b"a" * (8 * MIB)
    store.put("file", b"b" * (20 * MIB), create_only=False)
    with pytest.raises(CounterfoilError, match="replaced") as error:
        b"".join(chunks)
    assert error.value.code == "file_differs"


def test_a_kept_connection_that_the_server_closed_is_no_failure(
    url: str, options: StoreOptions, proxy: FaultyProxy
) -> None:
    hurried = open_store(url, dataclasses.replace(options, endpoint=proxy.endpoint, retry_timeout_s=0.0))
    assert list(hurried.remnants("", 0)) == []
    proxy.times(1, "GET", "uploads=", HANG_UP)
    assert list(hurried.remnants("", 0)) == []
    proxy.times(2, "GET", "uploads=", HANG_UP)
    with pytest.raises(Unavailable):
        list(hurried.remnants("", 0))


def test_more_parts_than_s3_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_upload, "PARTS_MAX", 2)
    with store.create("file") as file:
        file.write(bytes(15 * MIB))
        with pytest.raises(TooLarge, match="COUNTERFOIL_S3_PART_MB"):
            file.write(bytes(6 * MIB))
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def test_many_remnants_are_listed_page_by_page(through: Store, store: Store, proxy: FaultyProxy) -> None:
    files = [store.create(f"e/{number % 3}/file-{number}") for number in range(7)]
    for file in files:
        file.write(bytes(5 * MIB + 1))
    seen = [remnant.key for remnant in store.remnants("e", FAR_FUTURE_MS)]
    assert sorted(seen) == sorted(file.key for file in files)
    assert store.delete_prefix("e") == 7
    with pytest.raises(NotFound):
        store.read("e/0/file-0")
    for file in files:
        file.abort()
