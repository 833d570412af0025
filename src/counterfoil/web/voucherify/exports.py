"""Voucherify's exports: create, list, get, delete, download, and the shortcuts S1 to S7 (facts 1.1, seeds 000 to 003)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request
from starlette.responses import Response

from counterfoil.dataplane.formats import FORMATS
from counterfoil.errors import Unauthenticated
from counterfoil.plan.request import Filter
from counterfoil.services.core import Caller
from counterfoil.services.exports import Ask, ExportService, only
from counterfoil.web.downloads import send
from counterfoil.web.reply import Json, no_content
from counterfoil.web.routing import Router
from counterfoil.web.voucherify import export_views
from counterfoil.web.voucherify.caller import Calling, optional_caller
from counterfoil.web.voucherify.export_form import EXPORT_BODY, SHORTCUT_BODY, Asked, echo_with, read
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.views import page_of

CSV_MEDIA_TYPE = "text/plain; charset=utf-8"
"""The vendor's Python client takes text/plain only (facts 1.6)."""
TRANSACTIONS = "voucher_transactions"
POINTS_EXPIRATION = "points_expiration"

_DOWNLOADED: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part of the file that `Range` asks for"},
    302: {"description": "The file is at the store, by its own signed link (where the server is set so)"},
    304: {"description": "The file is the one that `If-None-Match` names"},
    416: {"description": "The file has no such part"},
}
_BY_LINK: dict[str, Any] = {"security": [*CREDENTIALS, {}]}
"""A link with a token of its own needs no credentials."""
OptionalCaller = Annotated[Caller | None, Depends(optional_caller)]
ExportBody = Annotated[dict[str, Any] | None, Body(json_schema_extra=EXPORT_BODY)]
ShortcutBody = Annotated[dict[str, Any] | None, Body(json_schema_extra=SHORTCUT_BODY)]


def routes(service: ExportService, public_url: str, redirect_ttl_s: int | None) -> APIRouter:
    """/v1/exports and below. redirect_ttl_s: as `web.downloads.send` takes it."""
    router = Router(tags=["exports"], responses=ERRORS, security=CREDENTIALS)

    def base_url(request: Request) -> str:
        return public_url or str(request.base_url).rstrip("/")

    _asking(router, service)
    _looking(router, service, base_url, redirect_ttl_s)
    _shortcuts(router, service)
    _card_shortcuts(router, service)
    return router


def _asking(router: APIRouter, service: ExportService) -> None:
    @router.post("/v1/exports")
    def create(caller: Calling, body: ExportBody = None) -> Response:
        """Ask for an export of one of the objects."""
        asked = read(body)
        scope = Filter()
        if asked.campaign_id is not None:
            scope = only("campaign_id", asked.campaign_id)
        return _create(service, caller, asked, scope)

    @router.delete("/v1/exports/{export_id}", status_code=204)
    def delete(export_id: str, caller: Calling) -> Response:
        """Remove an export; one that runs is stopped."""
        service.delete(caller, export_id)
        return no_content()

    @router.get("/v1/exports/{export_id}/manifest")
    def manifest(export_id: str, caller: Calling) -> Response:
        """The signed manifest of a finished export; `counterfoil verify` checks it offline."""
        return Json(service.manifest(caller, export_id))


def _looking(
    router: APIRouter, service: ExportService, base_url: Callable[[Request], str], redirect_ttl_s: int | None
) -> None:
    @router.get("/v1/exports")
    def list_exports(
        request: Request,
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=100)] = 1,
        order: Literal["created_at", "-created_at", "status", "-status"] = "-created_at",
    ) -> Response:
        """The project's exports, newest first unless ordered otherwise."""
        found = service.list(caller, limit=limit, page=page, order=order, dialect=export_views.DIALECT)
        url = base_url(request)
        shown = [export_views.shown(e, url, partial(service.token, caller, e), caller.channel) for e in found.rows]
        return Json(page_of("exports", shown, found.total))

    @router.head("/v1/exports/{export_id}", include_in_schema=False)
    @router.get("/v1/exports/{export_id}", responses=_DOWNLOADED, openapi_extra=_BY_LINK)
    def get(
        request: Request,
        export_id: str,
        caller: OptionalCaller,
        token: str | None = None,
    ) -> Response:
        """An export; with `token` (as `result.url` and `result.parts` have it) its file. Supports Range and
        conditional requests."""
        if token is None:
            if caller is None:
                raise Unauthenticated
            export = service.get(caller, export_id)
            link = partial(service.token, caller, export)
            return Json(export_views.shown(export, base_url(request), link, caller.channel))
        designated, designated_id, part = service.caller_of(token)
        if designated_id != export_id or (caller is not None and caller.project_id != designated.project_id):
            raise Unauthenticated
        file = service.download(designated, export_id, part)
        media_type = CSV_MEDIA_TYPE if file.format == "csv" else FORMATS[file.format].media_type
        return send(request, service.store, file, media_type=media_type, redirect_ttl_s=redirect_ttl_s)


def _shortcuts(router: APIRouter, service: ExportService) -> None:
    @router.post("/v1/campaigns/{campaign_id}/transactions/export")
    def of_campaign(campaign_id: str, caller: Calling, body: ShortcutBody = None) -> Response:
        """S2: the transactions of a campaign of cards, by id or name (seed 000)."""
        return _of_campaign(service, caller, body, campaign_id)

    @router.post("/v1/loyalties/{campaign_id}/transactions/export")
    def of_programme(campaign_id: str, caller: Calling, body: ShortcutBody = None) -> Response:
        """S3: the same under its older path."""
        return _of_campaign(service, caller, body, campaign_id)

    @router.post("/v1/loyalties/{campaign_id}/points-expiration/export")
    def of_expirations(campaign_id: str, caller: Calling, body: ShortcutBody = None) -> Response:
        """S6: a programme's points buckets (seed 003)."""
        campaign = service.card_campaign(caller, campaign_id)
        return _create(service, caller, read(body, POINTS_EXPIRATION), only("campaign_id", campaign))

    @router.post("/v1/orders/export")
    def of_orders(caller: Calling, body: ShortcutBody = None) -> Response:
        """S7: orders."""
        return _create(service, caller, read(body, "order"), Filter())


def _card_shortcuts(router: APIRouter, service: ExportService) -> None:
    @router.post("/v1/vouchers/{code}/transactions/export")
    def of_voucher(code: str, caller: Calling, body: ShortcutBody = None) -> Response:
        """S1: the transactions of one card, by code or id."""
        return _of_card(service, caller, body, code, None)

    @router.post("/v1/loyalties/members/{member_id}/transactions/export")
    def of_member(member_id: str, caller: Calling, body: ShortcutBody = None) -> Response:
        """S5: the transactions of a loyalty card."""
        return _of_card(service, caller, body, member_id, None)

    @router.post("/v1/loyalties/{campaign_id}/members/{member_id}/transactions/export")
    def of_campaign_member(campaign_id: str, member_id: str, caller: Calling, body: ShortcutBody = None) -> Response:
        """S4: the transactions of a loyalty card of that campaign."""
        return _of_card(service, caller, body, member_id, campaign_id)


def _of_campaign(service: ExportService, caller: Caller, body: dict[str, Any] | None, name: str) -> Response:
    asked = read(body, TRANSACTIONS)
    campaign = service.card_campaign(caller, name)
    echo = echo_with(asked.echo, "campaign_id", campaign, caller.channel)
    return _create(service, caller, Asked(asked.request, echo), only("campaign_id", campaign))


def _of_card(
    service: ExportService, caller: Caller, body: dict[str, Any] | None, name: str, campaign: str | None
) -> Response:
    asked = read(body, TRANSACTIONS)
    voucher = service.voucher_id(caller, name, campaign)
    echo = echo_with(asked.echo, "voucher_id", name, caller.channel)
    return _create(service, caller, Asked(asked.request, echo), only("voucher_id", voucher))


def _create(service: ExportService, caller: Caller, asked: Asked, scope: Filter) -> Response:
    request = asked.scoped(scope)
    made = service.create(caller, Ask(request, export_views.DIALECT, asked.echo, path=".parameters."))
    return Json(export_views.created(made, caller.channel))
