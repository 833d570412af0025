"""Links to files on S3: anyone may follow them, nobody may change them, and they end."""

from __future__ import annotations

import dataclasses
import http.client
import re
from urllib.parse import urlsplit

import pytest

from counterfoil.clock import SystemClock
from counterfoil.files.attachment import attachment
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from tests.fakes import FakeClock
from tests.files.faulty_proxy import FaultyProxy


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
