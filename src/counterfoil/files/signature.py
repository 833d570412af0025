"""Amazon's request signature, version 4, for S3 (Amazon S3: Authenticating Requests, AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from counterfoil.clock import iso_ms

_ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs. session_token: only for keys that were lent for a time, until `expires_ms`."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_ms: int | None = None


def encoded_path(path: str) -> str:
    """A path as it is sent and signed: all but letters, digits, `-_.~` and the slash as %XX of UTF-8."""
    return quote(path, safe="/")


def encoded_query(query: Mapping[str, str]) -> str:
    """A query as it is sent and signed: names in order, all but letters, digits and `-_.~` as %XX of UTF-8."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed_headers(
    credentials: Credentials,
    region: str,
    now_ms: int,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload_sha256: str,
) -> dict[str, str]:
    """`headers` (names in lower case, `host` among them) and what signs them with the request.

    path: already encoded. payload_sha256: hex digest of the body.
    """
    stamp = _stamp(now_ms)
    signed = {**headers, "x-amz-content-sha256": payload_sha256, "x-amz-date": stamp}
    if credentials.session_token:
        signed["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(signed))
    scope, signature = _sign(credentials, region, stamp, [method, path, encoded_query(query)], signed, payload_sha256)
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return signed


def presigned_query(
    credentials: Credentials, region: str, now_ms: int, host: str, path: str, query: Mapping[str, str], ttl_s: int
) -> str:
    """The whole query of a GET that anyone may send to `host` for `ttl_s` seconds (1 to 604,800: seven days).

    path: already encoded.
    """
    stamp = _stamp(now_ms)
    full = {
        **query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key_id}/{_scope(stamp, region)}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(ttl_s),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session_token:
        full["X-Amz-Security-Token"] = credentials.session_token
    text = encoded_query(full)
    _, signature = _sign(credentials, region, stamp, ["GET", path, text], {"host": host}, UNSIGNED)
    return f"{text}&X-Amz-Signature={signature}"


def _sign(
    credentials: Credentials,
    region: str,
    stamp: str,
    request: list[str],
    headers: Mapping[str, str],
    payload_sha256: str,
) -> tuple[str, str]:
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)]
    canonical = "\n".join([*request, *lines, "", ";".join(sorted(headers)), payload_sha256])
    scope = _scope(stamp, region)
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return scope, hmac.digest(key, text.encode(), "sha256").hex()


def _scope(stamp: str, region: str) -> str:
    return f"{stamp[:8]}/{region}/s3/aws4_request"


def _stamp(now_ms: int) -> str:
    return iso_ms(now_ms)[:19].replace("-", "").replace(":", "") + "Z"
