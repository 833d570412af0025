"""The signature against the worked examples in Amazon's own documentation."""

from __future__ import annotations

import hashlib

from counterfoil.clock import parse_instant_ms
from counterfoil.files.signature import (
    EMPTY_SHA256,
    Credentials,
    encoded_path,
    encoded_query,
    presigned_query,
    signed_headers,
)

# Amazon S3: Signature Calculations for the Authorization Header, "Examples"; and Authenticating Requests: Using Query
# Parameters, "An Example".
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
AT_MS = parse_instant_ms("2013-05-24T00:00:00Z")


def _signature(method: str, path: str, query: dict[str, str], headers: dict[str, str], sha256: str) -> str:
    signed = signed_headers(EXAMPLE, "us-east-1", AT_MS, method, path, query, {"host": HOST, **headers}, sha256)
    return signed["authorization"].rpartition("Signature=")[2]


def test_get_object() -> None:
    assert (
        _signature("GET", "/test.txt", {}, {"range": "bytes=0-9"}, EMPTY_SHA256)
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_put_object() -> None:
    body = b"Welcome to Amazon S3."
    headers = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    assert (
        _signature("PUT", encoded_path("/test$file.text"), {}, headers, hashlib.sha256(body).hexdigest())
        == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_get_bucket_lifecycle() -> None:
    assert (
        _signature("GET", "/", {"lifecycle": ""}, {}, EMPTY_SHA256)
        == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )


def test_list_objects() -> None:
    assert (
        _signature("GET", "/", {"prefix": "J", "max-keys": "2"}, {}, EMPTY_SHA256)
        == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_presigned_url() -> None:
    query = presigned_query(EXAMPLE, "us-east-1", AT_MS, HOST, "/test.txt", {}, 86_400)
    assert query.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_query_is_sorted_by_encoded_name() -> None:
    assert encoded_query({"b": "1 +/=", "a-b": "ü", "a": ""}) == "a=&a-b=%C3%BC&b=1%20%2B%2F%3D"


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("id", "secret", "token"))
    assert "secret'" not in shown
    assert "token'" not in shown
