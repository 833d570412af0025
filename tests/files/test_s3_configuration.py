"""What is configured wrongly is told in words that name the setting to mend."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from counterfoil.errors import InvalidInput, Misconfigured
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from tests.files.authority import new_authority
from tests.files.faulty_proxy import faulty_proxy
from tests.services import S3Server

MIB = 1 << 20
FAR_FUTURE_MS = 1 << 46


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


def test_a_certificate_is_checked(seaweed: S3Server, url: str, options: StoreOptions, tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    with faulty_proxy(seaweed.endpoint, authority.server) as proxy:
        options = dataclasses.replace(options, endpoint=proxy.endpoint, allow_http=False, retry_timeout_s=0.3)
        stranger = open_store(url, options)
        for door in (lambda: stranger.size_bytes("a"), lambda: list(stranger.remnants("", 0))):
            with pytest.raises(Misconfigured, match="COUNTERFOIL_S3_CA_FILE") as error:
                door()
            assert error.value.code == "store_certificate"
        assert proxy.seen == []
        store = open_store(url, dataclasses.replace(options, ca_file=authority.certificate))
        store.check()
        with store.create("large") as file:
            file.write(bytes(6 * MIB))
            file.seal()
        assert store.size_bytes("large") == 6 * MIB
