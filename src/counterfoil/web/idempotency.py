"""The `Idempotency-Key` header, alike in every dialect: one key stands for one request, method, path and body."""

from __future__ import annotations

import hashlib

from starlette.requests import Request

from counterfoil.db.unit import Idempotency
from counterfoil.errors import InvalidInput

HEADER = "Idempotency-Key"
KEY_LENGTH_MAX = 255


def idempotency_of(request: Request, body: bytes) -> Idempotency | None:
    """The request's key with the hash of what it asks, or None without the header. Raises InvalidInput."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not key or len(key) > KEY_LENGTH_MAX or not key.isprintable():
        raise InvalidInput(
            "invalid_idempotency_key",
            f"{HEADER} must have 1 to {KEY_LENGTH_MAX} printable characters",
            field=HEADER,
            value=key,
        )
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
    return Idempotency(key, hashlib.sha256(asked).hexdigest())
