"""Who calls, in Voucherify's way: X-App-Id with X-App-Token, or an OAuth bearer token (facts 4.1, 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.concurrency import run_in_threadpool

from counterfoil.errors import Forbidden
from counterfoil.services.core import Caller
from counterfoil.services.rates import Rates
from counterfoil.web.idempotency import idempotency_of

CHANNEL_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class Gate:
    """What the app hands to every request, as `app.state.gate`.

    recognise: (app id, app token, bearer token) -> the caller, or Unauthenticated; may ask the database. recall: the same
    for an id and token that are remembered, None for others, without waiting for anything. rates: requests a minute.
    """

    recognise: Callable[[str | None, str | None, str | None], Caller]
    recall: Callable[[str, str], Caller | None]
    rates: Rates


async def key_caller(request: Request) -> Caller:
    """The caller behind an id and token pair, whatever its scopes: for routes about keys themselves."""
    return await _recognised(request, *_key(request), None)


def _key(request: Request) -> tuple[str | None, str | None]:
    return request.headers.get("x-app-id"), request.headers.get("x-app-token")


def _bearer(request: Request) -> str | None:
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == "bearer" and token else None


async def _recognised(request: Request, app_id: str | None, app_token: str | None, bearer: str | None) -> Caller:
    gate: Gate = request.app.state.gate
    found = gate.recall(app_id, app_token) if app_id and app_token else None
    if found is None:
        found = await run_in_threadpool(gate.recognise, app_id, app_token, bearer)
    if found.key_id is not None:
        allowance = gate.rates.take(found.key_id)
        if allowance is not None:
            request.scope["state"]["reply_headers"] = {
                "X-Rate-Limit-Limit": str(allowance.limit),
                "X-Rate-Limit-Remaining": str(allowance.remaining),
                "X-Rate-Limit-Retry": str(allowance.retry_at_s),
            }
    return found


async def caller(request: Request) -> Caller:
    """The authenticated caller of this request; the scope its path needs is checked here, for every route alike."""
    found = await _recognised(request, *_key(request), _bearer(request))
    require_scope(found, request.scope["path"])
    headers = request.headers
    # An upload is not read into memory here: whoever takes it adds its content to what the key stands for.
    upload = headers.get("content-type", "").startswith("multipart/")
    channel = headers.get("x-voucherify-channel")
    return replace(
        found,
        channel=channel[:CHANNEL_LENGTH_MAX] if channel else None,
        request_id=request.scope["state"]["request_id"],
        idempotency=idempotency_of(request, b"" if upload else await request.body()),
    )


async def optional_caller(request: Request) -> Caller | None:
    """The caller, or None without any credentials: for links that carry a token of their own."""
    if not any(_key(request)) and _bearer(request) is None:
        return None
    return await caller(request)


def require_scope(found: Caller, path: str) -> None:
    """Raise Forbidden unless the caller's scopes hold `api` or the path's first word (seed 000, securitySchemes)."""
    if found.scopes is None or "api" in found.scopes:
        return
    words = path.split("/")
    word = words[2].lower() if len(words) > 2 else ""
    if word not in found.scopes:
        raise Forbidden("missing_permission", f"This key or token lacks the scope `{word}` (or `api`)")


Calling = Annotated[Caller, Depends(caller)]
"""The parameter type of every route that needs a caller."""
