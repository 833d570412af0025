"""One call: who makes it, and with which parameters.

The token comes in `Authorization: Bearer`, in the body as `token`, or (discouraged, since URLs are logged) in the query;
sent in several places it must be the same one (decision 0016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from counterfoil.errors import Forbidden, Unauthenticated
from counterfoil.services.core import Caller
from counterfoil.services.rates import Rates
from counterfoil.web.altcraft.envelope import success
from counterfoil.web.altcraft.parameters import Parameters, read
from counterfoil.web.idempotency import idempotency_of

EXPORT_PATHS = ("/api/v1.1/loyalty/transactions_export", "/api/v1.1/tasks/", "/api/download/")
token_scheme = HTTPBearer(auto_error=False, scheme_name="Altcraft token", description="The `altcraft_token` of a key")


@dataclass(frozen=True, slots=True)
class Gate:
    """What the app hands to every request, as `app.state.altcraft`. recognise: token -> caller, or Unauthenticated."""

    recognise: Callable[[str], Caller]
    rates: Rates


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated call."""

    request: Request
    caller: Caller
    parameters: Parameters

    def answer(self, data: Any = None, **beside: Any) -> Response:
        """The envelope of a success, in the form asked for."""
        return success(self.request, data, **beside)


async def call(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Security(token_scheme)]
) -> Call:
    """The call that a request is. Raises InvalidInput for its body, Unauthenticated, Forbidden, RateLimited."""
    header = _header_token(request, bearer)
    # A wrong token in the header is refused before the body is looked at.
    caller = None if header is None else await _caller(request, header)
    parameters = await read(request)
    tokens = [header, parameters.text("token"), request.query_params.get("token")]
    said = [token for token in tokens if token]
    if len(set(said)) > 1:
        raise Unauthenticated("Different tokens in the header, the body and the URL; send one")
    if not said:
        raise Unauthenticated("API token required: send Authorization: Bearer <token>, or token in the body")
    caller = caller or await _caller(request, said[0])
    key = idempotency_of(request, await request.body())
    return Call(request, replace(caller, idempotency=key), parameters)


async def downloader(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Security(token_scheme)]
) -> Caller:
    """Who downloads: by the header alone (seed 004, step 3). Raises as `call`."""
    token = _header_token(request, bearer)
    if token is None:
        raise Unauthenticated("Send the header Authorization: Bearer <token> with the download")
    return await _caller(request, token)


def _header_token(request: Request, bearer: HTTPAuthorizationCredentials | None) -> str | None:
    if bearer is not None and bearer.credentials:
        return bearer.credentials
    if request.headers.get("authorization"):
        raise Unauthenticated("The Authorization header must be: Bearer <token>")
    return None


async def _caller(request: Request, token: str) -> Caller:
    gate: Gate = request.app.state.altcraft
    try:
        found = await run_in_threadpool(gate.recognise, token)
    except Unauthenticated as error:
        raise Unauthenticated("Unknown token; `counterfoil keys create` makes one (altcraft_token)") from error
    if found.key_id is not None:
        gate.rates.take(found.key_id)
    _require_scope(found, request.scope["path"])
    return replace(found, request_id=request.scope["state"]["request_id"])


def _require_scope(found: Caller, path: str) -> None:
    """Scopes are the words of Voucherify's keys: `exports` for exports, tasks and files, `loyalties` for the rest."""
    wanted = "exports" if path.startswith(EXPORT_PATHS) else "loyalties"
    if found.scopes is not None and not {"api", wanted} & found.scopes:
        raise Forbidden("missing_permission", f"This token lacks the scope {wanted!r} (or 'api')")


Calling = Annotated[Call, Depends(call)]
"""The parameter type of every route that needs a call."""

Downloading = Annotated[Caller, Depends(downloader)]
"""The parameter type of the download."""
