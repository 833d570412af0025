"""Downloads as clients make them: headers, ranges, conditions, HEAD, and links that are expired, forged or another's."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.web.conftest import signed_in
from tests.web.exporting import finished, working


@pytest.fixture(scope="module")
def now() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, now: FakeClock) -> Iterator[tuple[System, TestClient]]:
    with working(tmp_path_factory.mktemp("downloads"), now) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(world: tuple[System, TestClient]) -> TestClient:
    api = signed_in(*world, "shop")
    for no in range(50):
        assert api.post("/v1/customers", json={"source_id": f"c{no}", "name": f"Zoë {no}"}).status_code == 200
    return api


@pytest.fixture(scope="module")
def export(shop: TestClient) -> dict[str, Any]:
    return finished(shop, "customer", {"fields": ["source_id", "name"]})


@pytest.fixture(scope="module")
def content(shop: TestClient, export: dict[str, Any]) -> bytes:
    return shop.get(export["result"]["url"]).content


@pytest.mark.parametrize("headers", [{}, {"accept": "text/plain"}, {"accept": "text/csv"}])
def test_the_whole_file_says_what_it_is(
    shop: TestClient, export: dict[str, Any], content: bytes, headers: dict[str, str]
) -> None:
    answer = shop.get(export["result"]["url"], headers=headers)
    sha256 = hashlib.sha256(content)
    assert answer.status_code == 200 and answer.content == content
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == str(len(content)) == str(export["result"]["bytes"])
    assert answer.headers["etag"] == f'"{sha256.hexdigest()}"' == f'"{export["result"]["sha256"]}"'
    digest = base64.b64encode(sha256.digest()).decode()
    assert answer.headers["digest"] == f"sha-256={digest}"
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["accept-ranges"] == "bytes"
    assert f"customer-{export['id']}.csv" in answer.headers["content-disposition"]


def test_head_says_the_same_without_the_file(shop: TestClient, export: dict[str, Any]) -> None:
    url = export["result"]["url"]
    whole, head = shop.get(url), shop.head(url)
    assert (head.status_code, head.content) == (200, b"")
    names = ("etag", "content-length", "content-type", "digest", "content-disposition")
    assert {name: head.headers[name] for name in names} == {name: whole.headers[name] for name in names}
    part = shop.head(url, headers={"range": "bytes=0-9"})
    assert (part.status_code, part.headers["content-length"], part.content) == (206, "10", b"")
    assert shop.head(url.replace("token=", "token=x")).status_code == 401


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=5-20", 5, 21), ("bytes=10-", 10, None), ("bytes=-7", -7, None)],
)
def test_ranges(
    shop: TestClient, export: dict[str, Any], content: bytes, wanted: str, start: int, end: int | None
) -> None:
    answer = shop.get(export["result"]["url"], headers={"range": wanted})
    assert (answer.status_code, answer.content) == (206, content[start:end])
    at = start % len(content)
    assert answer.headers["content-range"] == f"bytes {at}-{at + len(answer.content) - 1}/{len(content)}"


def test_a_cut_download_is_gone_on_with_where_it_broke_off(
    shop: TestClient, export: dict[str, Any], content: bytes
) -> None:
    got = b""
    while len(got) < len(content):
        # Each piece by a link of its own: a slow client outlives one.
        url = shop.get(f"/v1/exports/{export['id']}").json()["result"]["url"]
        etag = f'"{export["result"]["sha256"]}"'
        answer = shop.get(url, headers={"range": f"bytes={len(got)}-{len(got) + 99}", "if-range": etag})
        assert answer.status_code == 206
        got += answer.content
    assert got == content


@pytest.mark.parametrize("wanted", ["bytes=9999999-", "bytes=20-10", "bytes=-0"])
def test_a_range_that_is_not_there_is_416(
    shop: TestClient, export: dict[str, Any], content: bytes, wanted: str
) -> None:
    answer = shop.get(export["result"]["url"], headers={"range": wanted})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(content)}"


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=a-b", "bytes=-", "bytes=0-1,4-5", ""])
def test_a_range_that_cannot_be_read_is_left_aside(
    shop: TestClient, export: dict[str, Any], content: bytes, wanted: str
) -> None:
    answer = shop.get(export["result"]["url"], headers={"range": wanted})
    assert (answer.status_code, answer.content) == (200, content)


def test_conditions(shop: TestClient, export: dict[str, Any], content: bytes) -> None:
    url, etag = export["result"]["url"], f'"{export["result"]["sha256"]}"'
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = shop.get(url, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag), known
    assert shop.get(url, headers={"if-none-match": '"other"'}).content == content
    changed = shop.get(url, headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert (changed.status_code, changed.content) == (200, content)


def unauthorized(answer: Any) -> bool:
    return (answer.status_code, answer.json()) == (
        401,
        {"code": 401, "message": "Unauthorized", "key": "unauthorized"},
    )


def test_a_link_dies_and_each_look_gives_a_fresh_one(
    world: tuple[System, TestClient], shop: TestClient, export: dict[str, Any], now: FakeClock
) -> None:
    anonymous, path = world[1], f"/v1/exports/{export['id']}"

    def fresh() -> str:
        return shop.get(path).json()["result"]["url"]

    first = fresh()
    now.advance_ms(600_000)
    second = fresh()
    assert first != second
    assert [anonymous.get(url).status_code for url in (first, second)] == [200, 200]
    now.advance_ms(301_000)
    assert unauthorized(anonymous.get(first)) and unauthorized(shop.get(first))
    assert anonymous.get(second).status_code == 200
    listed = shop.get("/v1/exports").json()["exports"]
    assert anonymous.get(next(e for e in listed if e["id"] == export["id"])["result"]["url"]).status_code == 200


def test_a_link_that_is_no_link_of_this_file_is_401(
    world: tuple[System, TestClient], shop: TestClient, export: dict[str, Any]
) -> None:
    system, anonymous = world
    path = f"/v1/exports/{export['id']}"
    token = shop.get(path).json()["result"]["url"].split("token=")[1]
    stranger = signed_in(system, anonymous, "other-shop")
    theirs = finished(stranger, "customer", {})["result"]["url"].split("token=")[1]
    forged = [token[:-1] + ("A" if token[-1] != "A" else "B"), "B" + token[1:], token[:40] + theirs[40:], token * 2]
    for wrong in ("", "x", "é", "%00", theirs, token[:-4], *forged):
        assert unauthorized(anonymous.get(path, params={"token": wrong})), wrong
    assert unauthorized(stranger.get(path, params={"token": token})), "keys of another project do not go with it"
    assert stranger.get(path).status_code == 404
    assert unauthorized(anonymous.get(path))
    wrong_keys = {"X-App-Id": "nobody", "X-App-Token": "x"}
    assert unauthorized(anonymous.get(path, params={"token": token}, headers=wrong_keys))
    assert anonymous.get(path, params={"token": token}).status_code == 200


def test_a_removed_export_has_no_link_any_more(shop: TestClient, world: tuple[System, TestClient]) -> None:
    export = finished(shop, "customer", {})
    assert shop.delete(f"/v1/exports/{export['id']}").status_code == 204
    answer = world[1].get(export["result"]["url"])
    assert answer.status_code == 404
    assert answer.json()["details"] == f"Cannot find export with id {export['id']}"
