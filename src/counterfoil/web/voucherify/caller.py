"""Who calls, in Voucherify's way: X-App-Id with X-App-Token, or an OAuth bearer token (facts 4.1, 4.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.concurrency import run_in_threadpool

from counterfoil.db.unit import Idempotency
from counterfoil.errors import Forbidden, InvalidInput, Unauthenticated
from counterfoil.services.core import Caller

IDEMPOTENCY_KEY_LENGTH_MAX = 255
CHANNEL_LENGTH_MAX = 255

app_id_scheme = APIKeyHeader(name="X-App-Id", auto_error=False, scheme_name="X-App-Id")
app_token_scheme = APIKeyHeader(name="X-App-Token", auto_error=False, scheme_name="X-App-Token")
oauth_scheme = HTTPBearer(auto_error=False, scheme_name="X-Voucherify-OAuth")

Recognise = Callable[[str | None, str | None, str | None], Caller]
"""(app id, app token, bearer token) -> the caller, or Unauthenticated."""


async def caller(
    request: Request,
    app_id: Annotated[str | None, Security(app_id_scheme)],
    app_token: Annotated[str | None, Security(app_token_scheme)],
    channel: Annotated[str | None, Header(alias="X-Voucherify-Channel", include_in_schema=False)] = None,
    key: Annotated[str | None, Header(alias="Idempotency-Key", include_in_schema=False)] = None,
) -> Caller:
    """The authenticated caller of this request; the scope its path needs is checked here, for every route alike."""
    recognise: Recognise = request.app.state.recognise
    authorization = request.headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    found = await run_in_threadpool(recognise, app_id, app_token, bearer)
    require_scope(found, request.scope["path"])
    idempotency = None
    if key is not None and request.method in {"POST", "PUT", "DELETE", "PATCH"}:
        idempotency = _idempotency(request, key, await request.body())
    return replace(
        found,
        channel=channel[:CHANNEL_LENGTH_MAX] if channel else None,
        request_id=request.scope["state"]["request_id"],
        idempotency=idempotency,
    )


def require_scope(found: Caller, path: str) -> None:
    """Raise Forbidden unless the caller's scopes hold `api` or the path's first word (seed 000, securitySchemes)."""
    if found.scopes is None or "api" in found.scopes:
        return
    words = path.split("/")
    word = words[2].lower() if len(words) > 2 else ""
    if word not in found.scopes:
        raise Forbidden("missing_permission", f"This key or token lacks the scope `{word}` (or `api`)")


def _idempotency(request: Request, key: str, body: bytes) -> Idempotency:
    if not key or len(key) > IDEMPOTENCY_KEY_LENGTH_MAX or not key.isprintable():
        raise InvalidInput(
            "invalid_idempotency_key",
            f"Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable characters",
            field="Idempotency-Key",
            value=key,
        )
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
    return Idempotency(key, hashlib.sha256(asked).hexdigest())


def unauthenticated() -> Caller:
    """For routes that decide by themselves: always raises."""
    raise Unauthenticated


Calling = Annotated[Caller, Depends(caller)]
"""The parameter type of every route that needs a caller."""
