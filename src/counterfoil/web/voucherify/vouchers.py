"""Voucherify's voucher endpoints (facts 3.3, 3.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from counterfoil.db.vouchers import VoucherQuery
from counterfoil.errors import InvalidInput
from counterfoil.services.voucher_imports import VoucherImports
from counterfoil.services.vouchers import VoucherService
from counterfoil.web.reply import Json, no_content
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Instant, Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.query_form import read_query_filters
from counterfoil.web.voucherify.views import page_of
from counterfoil.web.voucherify.voucher_bodies import VoucherBody, VoucherUpdateBody, import_item
from counterfoil.web.voucherify.voucher_views import voucher

PAGE_MAX = 99
_IDS = re.compile(r"ids(\[\d*\])?\Z")

Order = Literal["created_at", "-created_at", "updated_at", "-updated_at", "code", "-code"]
Said = Annotated[Text | None, BeforeValidator(lambda value: value or None), Query()]
"""A query parameter that counts as absent when it is empty."""


class BalanceBody(RequestBody):
    """Voucherify: Adjust Voucher Balance."""

    amount: Whole
    source_id: Text | None = None
    reason: Text | None = None


# Codes may hold slashes, which a client's percent-encoding does not keep from being read as path. A route for the bare
# code therefore takes whatever no other route of these paths has taken: `code_routes` come last of all.
_ONE = "/v1/vouchers/{code:path}"


def routes(service: VoucherService, imports: VoucherImports) -> APIRouter:
    """Voucher routes without a code in the path, and those with something behind the code."""
    router = Router(tags=["vouchers"], responses=ERRORS, security=CREDENTIALS)
    _listing(router, service)

    @router.post("/v1/vouchers")
    def create(caller: Calling, body: Annotated[VoucherBody | None, Body()] = None) -> Response:
        """Make a voucher with the code in the body, or with a drawn one."""
        return _created(service, caller, body or VoucherBody(), None)

    @router.post("/v1/vouchers/import", status_code=202)
    def import_many(caller: Calling, body: Annotated[list[Any], Body()]) -> Response:
        """Make many standalone vouchers in the background; refused ones are told in the async action's result."""
        action_id = imports.import_vouchers(caller, checked_items(body))
        return Json({"async_action_id": action_id}, status_code=202)

    @router.post(f"{_ONE}/enable")
    def enable(caller: Calling, code: Text) -> Response:
        """Let the voucher be used."""
        return Json(voucher(service.set_active(caller, code, active=True)))

    @router.post(f"{_ONE}/disable")
    def disable(caller: Calling, code: Text) -> Response:
        """Let the voucher not be used."""
        return Json(voucher(service.set_active(caller, code, active=False)))

    @router.post(f"{_ONE}/balance")
    def change_balance(caller: Calling, code: Text, body: BalanceBody) -> Response:
        """Add credits or points to a card, or remove them with a negative amount."""
        done = service.change_balance(caller, code, body.amount, source_id=body.source_id, reason=body.reason)
        return Json(done)

    return router


def code_routes(service: VoucherService) -> APIRouter:
    """The routes of one voucher by code or id; to be asked after every other route under /v1/vouchers."""
    router = Router(tags=["vouchers"], responses=ERRORS, security=CREDENTIALS)

    @router.get(_ONE)
    def get(caller: Calling, code: Text) -> Response:
        """The voucher with that code or id."""
        return Json(voucher(service.get(caller, code)))

    @router.post(_ONE)
    def create_with_code(caller: Calling, code: Text, body: Annotated[VoucherBody | None, Body()] = None) -> Response:
        """Make a voucher with the code in the path."""
        return _created(service, caller, body or VoucherBody(), code)

    @router.put(_ONE)
    def update(caller: Calling, code: Text, body: Annotated[VoucherUpdateBody | None, Body()] = None) -> Response:
        """Change a voucher; what stands here cannot change a balance."""
        return Json(voucher(service.update(caller, code, (body or VoucherUpdateBody()).changes())))

    @router.delete(_ONE, status_code=204)
    def delete(caller: Calling, code: Text, force: bool = False) -> Response:
        """Remove a voucher. Its movements stay in the ledger, whether forced or not, and its code becomes free."""
        service.delete(caller, code)
        return no_content()

    return router


def _created(service: VoucherService, caller: Calling, body: VoucherBody, code: str | None) -> Response:
    given = body.given()
    if code is not None:
        given["code"] = code
    return Json(voucher(service.create(caller, given, campaign=body.campaign_id or body.campaign)))


def checked_items(items: list[Any]) -> list[dict[str, Any]]:
    """The items of an import; what is wrong with one of them is kept with it.

    Raises InvalidInput for the whole body: nothing in it, an item without a code (invalid_voucher), a code that stands
    there twice (duplicate_key) (facts 3.5).
    """
    if not items:
        raise InvalidInput("missing_vouchers", "Payload must NOT have fewer than 1 items")
    seen: set[str] = set()
    for at, item in enumerate(items):
        code = item.get("code") if isinstance(item, Mapping) else None
        if not isinstance(code, str) or not code:
            raise InvalidInput("invalid_voucher", f"Property [{at}].code is required", field=f"[{at}].code", value=code)
        if code in seen:
            raise InvalidInput("duplicate_key", f"Duplicate codes: {code}", field=f"[{at}].code", value=code)
        seen.add(code)
    return [import_item(item) for item in items]


def _listing(router: APIRouter, service: VoucherService) -> None:
    @router.get("/v1/vouchers")
    def list_vouchers(
        request: Request,
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
        order: Order = "-created_at",
        category: Said = None,
        campaign_id: Said = None,
        campaign: Said = None,
        customer: Said = None,
        code: Said = None,
        ids: Annotated[list[str] | None, Query()] = None,
        created_after: Annotated[Instant, Query(alias="created_at[after]")] = None,
        created_before: Annotated[Instant, Query(alias="created_at[before]")] = None,
        updated_after: Annotated[Instant, Query(alias="updated_at[after]")] = None,
        updated_before: Annotated[Instant, Query(alias="updated_at[before]")] = None,
    ) -> Response:
        """Vouchers of the project, newest first unless said otherwise."""
        query = VoucherQuery(
            limit, page, order, category, campaign_id, campaign, customer, code, _ids(request),
            created_after, created_before, updated_after, updated_before, read_query_filters(request),
        )  # fmt: skip
        rows, total = service.list_vouchers(caller, query)
        return Json(page_of("vouchers", [voucher(row) for row in rows], total))


def _ids(request: Request) -> tuple[str, ...] | None:
    """`ids=a&ids=b`, `ids[]=a`, `ids[0]=a` and `ids=a,b`: clients write arrays in all these ways."""
    found = [value for name, value in request.query_params.multi_items() if _IDS.match(name)]
    if any("\0" in value for value in found):
        raise InvalidInput(
            "invalid_query_params", "Property .ids must hold no NUL and no broken characters", field="ids"
        )
    return tuple(part for value in found for part in value.split(",") if part) or None
