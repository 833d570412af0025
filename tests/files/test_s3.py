"""What only S3 can do to us: links, wrong keys, servers that fail halfway, and answers that get lost."""

from __future__ import annotations

import dataclasses
import http.client
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from counterfoil.clock import SystemClock
from counterfoil.errors import Conflict, CounterfoilError, InvalidInput, Misconfigured, NotFound, TooLarge, Unavailable
from counterfoil.files import s3_upload
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.s3 import attachment
from counterfoil.files.store import Store
from counterfoil.ids import random_text
from tests.fakes import FakeClock
from tests.files.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.services import S3Server

MIB = 1 << 20
FAR_FUTURE_MS = 1 << 46
BUSY = Fault(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
HANG_UP = Fault(0)
LOST_ANSWER = Fault(0, after=True)


@pytest.fixture
def options(seaweed: S3Server) -> StoreOptions:
    return StoreOptions(
        endpoint=seaweed.endpoint,
        region=seaweed.region,
        access_key=seaweed.access_key,
        secret_key=seaweed.secret_key,
        allow_http=True,
        part_size_bytes=5 * MIB,
        retry_timeout_s=5,
    )


@pytest.fixture
def url(seaweed: S3Server) -> str:
    return f"s3://{seaweed.bucket}/s3/{random_text(12)}"


@pytest.fixture
def proxy(seaweed: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(seaweed.endpoint) as running:
        yield running


@pytest.fixture
def store(url: str, options: StoreOptions) -> Store:
    return open_store(url, options)


class HurriedClock:
    """The machine's clock, whose pauses take no time: servers look at the time, and we need not wait."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.pauses_s: list[float] = []

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s() + sum(self.pauses_s)

    def sleep_s(self, seconds: float) -> None:
        self.pauses_s.append(seconds)


@pytest.fixture
def hurried() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
def through(url: str, options: StoreOptions, proxy: FaultyProxy, hurried: HurriedClock) -> Store:
    """The same bucket through the proxy."""
    return open_store(url, dataclasses.replace(options, endpoint=proxy.endpoint), hurried)


def get(link: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Follow a link as anyone would, without keys."""
    parts = urlsplit(link)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def link_to(store: Store, key: str, file_name: str = "export.csv", ttl_s: int = 60) -> str:
    link = store.link(key, file_name=file_name, media_type="text/csv; charset=utf-8", ttl_s=ttl_s)
    assert link is not None
    return link


# -- Links -------------------------------------------------------------------------------------------------------------


def test_a_link_gives_the_file_under_its_name(store: Store) -> None:
    store.put("e/1/part ü.csv", b"0123456789")
    status, headers, body = get(link_to(store, "e/1/part ü.csv"))
    assert (status, body) == (200, b"0123456789")
    assert headers["content-disposition"] == 'attachment; filename="export.csv"'
    assert headers["content-type"] == "text/csv; charset=utf-8"


def test_a_link_serves_ranges(store: Store) -> None:
    store.put("ten", b"0123456789")
    status, headers, body = get(link_to(store, "ten"), {"Range": "bytes=3-5"})
    assert (status, body) == (206, b"345")
    assert headers["content-range"] == "bytes 3-5/10"


def test_a_link_names_files_in_any_script(store: Store) -> None:
    store.put("ten", b"0123456789")
    status, headers, _ = get(link_to(store, "ten", 'výpis "2024" 100%.csv'))
    assert status == 200
    assert headers["content-disposition"] == (
        "attachment; filename=\"v_pis _2024_ 100_.csv\"; filename*=UTF-8''v%C3%BDpis%20%222024%22%20100%25.csv"
    )


def test_a_tampered_link_is_refused(store: Store) -> None:
    store.put("e/1", b"mine")
    store.put("e/2", b"theirs")
    link = link_to(store, "e/1")
    tampered = [
        link.replace("/e/1?", "/e/2?"),
        link.replace("export.csv", "other.csv"),
        link.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        re.sub(r"Signature=....", "Signature=0000", link),
        link.partition("?")[0] + "?",
    ]
    assert get(link)[0] == 200
    assert [get(each)[0] for each in tampered] == [403] * len(tampered)


def test_a_link_expires(url: str, options: StoreOptions) -> None:
    now_ms = SystemClock().now_ms()
    open_store(url, options).put("ten", b"0123456789")
    for age_s, wanted in ((30, 200), (120, 403)):
        store = open_store(url, options, FakeClock(now_ms - age_s * 1000))
        assert get(link_to(store, "ten", ttl_s=60))[0] == wanted


def test_a_link_lives_seven_days_at_most(store: Store) -> None:
    assert "X-Amz-Expires=604800&" in link_to(store, "ten", ttl_s=10_000_000)
    assert "X-Amz-Expires=1&" in link_to(store, "ten", ttl_s=0)


def test_a_link_may_name_another_address_than_ours(
    store: Store, url: str, options: StoreOptions, proxy: FaultyProxy
) -> None:
    store.put("ten", b"0123456789")
    linked = open_store(url, dataclasses.replace(options, link_endpoint=proxy.endpoint))
    link = link_to(linked, "ten")
    assert link.startswith(proxy.endpoint)
    assert get(link)[::2] == (200, b"0123456789")
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(
    ("file_name", "header"),
    [
        ("a.csv", 'attachment; filename="a.csv"'),
        (
            "a\r\nSet-Cookie: b.csv",
            "attachment; filename=\"a__Set-Cookie: b.csv\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b.csv",
        ),
    ],
)
def test_the_name_of_an_attachment(file_name: str, header: str) -> None:
    assert attachment(file_name) == header


# -- What is configured wrongly ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"secret_key": "wrong"}, "store_credentials", "COUNTERFOIL_S3_SECRET_KEY"),
        ({"access_key": "unknown"}, "store_credentials", "COUNTERFOIL_S3_ACCESS_KEY"),
    ],
)
def test_wrong_keys_are_told_at_every_door(url: str, options: StoreOptions, change, code: str, words: str) -> None:
    store = open_store(url, dataclasses.replace(options, **change))
    large = store.create("large")
    large.write(bytes(5 * MIB))

    def write_more() -> None:
        large.write(b"more")
        large.seal()

    doors = [
        store.check,
        lambda: store.read("a"),
        lambda: store.put("a", b"1"),
        lambda: list(store.list("a")),
        lambda: store.delete("a"),
        lambda: store.delete_prefix("a"),
        lambda: list(store.remnants("a", FAR_FUTURE_MS)),
        write_more,
    ]
    for door in doors:
        with pytest.raises(Misconfigured, match=words) as error:
            door()
        assert error.value.code in (code, "store_forbidden")
        assert not error.value.transient
    large.abort()


def test_keys_are_never_shown(url: str, options: StoreOptions, seaweed: S3Server) -> None:
    with pytest.raises(Misconfigured) as error:
        open_store(url, dataclasses.replace(options, access_key="unknown")).check()
    assert seaweed.secret_key not in error.value.message
    assert seaweed.secret_key not in repr(options)


def test_a_bucket_that_is_not_there(options: StoreOptions) -> None:
    store = open_store("s3://no-such-bucket/x", options)
    for door in (lambda: store.read("a"), lambda: list(store.list("")), lambda: list(store.remnants("", 0))):
        with pytest.raises(Misconfigured, match=r"no-such-bucket.*make the bucket, or mend COUNTERFOIL_FILES"):
            door()


def test_missing_keys_and_odd_endpoints(url: str, options: StoreOptions, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    for change, words in (
        ({"access_key": ""}, "COUNTERFOIL_S3_ACCESS_KEY"),
        ({"allow_http": False}, "COUNTERFOIL_S3_ALLOW_HTTP"),
        ({"endpoint": "s3.example.com"}, "COUNTERFOIL_S3_ENDPOINT"),
        ({"endpoint": "https://user:word@s3.example.com"}, "COUNTERFOIL_S3_ENDPOINT"),
        ({"endpoint": "https://localhost", "ca_file": tmp_path / "no.pem"}, "COUNTERFOIL_S3_CA_FILE"),
        ({"endpoint": "https://localhost", "ca_file": tmp_path / "none.pem"}, "COUNTERFOIL_S3_CA_FILE"),
    ):
        with pytest.raises(Misconfigured, match=words):
            open_store(url, dataclasses.replace(options, **change))
    for wrong in (4 * MIB, 6 << 30):
        with pytest.raises(Misconfigured, match="COUNTERFOIL_S3_PART_MB"):
            dataclasses.replace(options, part_size_bytes=wrong)


@pytest.mark.parametrize(
    "wrong", ["", "files", "/files", "http://a/b", "file://host/x", "file:x", "s3:///x", "s3://a@b/x"]
)
def test_addresses_that_name_no_store(wrong: str, options: StoreOptions) -> None:
    with pytest.raises(InvalidInput) as error:
        open_store(wrong, options)
    assert error.value.allowed == ("file:///path/to/folder", "s3://bucket/prefix")


# -- Servers that fail -------------------------------------------------------------------------------------------------


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
