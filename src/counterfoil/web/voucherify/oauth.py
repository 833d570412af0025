"""Voucherify's OAuth endpoints: token, introspect, revoke (facts 4.1)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from counterfoil.errors import InvalidInput
from counterfoil.services.core import Caller
from counterfoil.services.oauth import OAuth
from counterfoil.web.reply import Json, no_content
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.caller import key_caller
from counterfoil.web.voucherify.openapi import ERRORS, KEY

KeyCalling = Annotated[Caller, Depends(key_caller)]
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "grant_type": {"type": "string"},
                        "scope": {"type": "string"},
                        "access_token": {"type": "string"},
                        "token": {"type": "string", "description": "The same by RFC 7662's name"},
                    },
                }
            }
        },
    }
}


async def _form(request: Request) -> dict[str, str]:
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


def _secret(form: dict[str, str]) -> str | None:
    """The token that is asked about: the vendor's clients send `access_token`, RFC 7662 and 7009 say `token`."""
    return form.get("access_token") or form.get("token")


def routes(oauth: OAuth) -> APIRouter:
    """POST /v1/oauth/token, /v1/oauth/introspect, /v1/oauth/token/revoke."""
    router = Router(prefix="/v1/oauth", tags=["oauth"], security=KEY)

    @router.post("/token", responses=ERRORS, openapi_extra=_FORM)
    async def token(request: Request, caller: KeyCalling) -> Response:
        """A token for the key in the headers."""
        form = await _form(request)
        app_id = request.headers["x-app-id"]
        grant = await run_in_threadpool(oauth.grant, caller, app_id, form.get("grant_type"), form.get("scope"))
        body = {
            "access_token": grant.access_token,
            "client_id": grant.client_id,
            "expires_at": grant.expires_at,
            "expires_in": grant.expires_in,
            "scope": grant.scope,
            "token_type": "Bearer",
        }
        return Json(body, headers={"Cache-Control": "no-store"})

    @router.post("/introspect", responses=ERRORS, openapi_extra=_FORM)
    async def introspect(request: Request, caller: KeyCalling) -> Response:
        """What a token is good for; `active: false` for one that is not (any more)."""
        secret = _secret(await _form(request))
        if not secret:
            raise InvalidInput("missing_parameters", "Missing parameters: access_token", field="access_token")
        found = await run_in_threadpool(oauth.introspect, caller, secret)
        if found is None:
            return Json({"active": False})
        return Json(
            {
                "active": True,
                "access_token": secret,
                "client_id": found.app_id,
                "expires_at": found.expires_at // 1000,
                "expires_in": oauth.seconds_left(found),
                "scope": " ".join(found.scopes),
                "token_type": "Bearer",
            }
        )

    @router.post(
        "/token/revoke",
        status_code=204,
        responses={404: {"description": "No such token"}, **ERRORS},
        openapi_extra=_FORM,
    )
    async def revoke(request: Request, caller: KeyCalling) -> Response:
        """End a token; the answer has no body either way."""
        secret = _secret(await _form(request)) or ""
        revoked = await run_in_threadpool(oauth.revoke, caller, secret)
        return no_content() if revoked else Response(status_code=404)

    return router
