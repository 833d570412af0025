"""Voucherify's transaction lists (facts 3.2): of a voucher, a campaign, a loyalty programme, a member's card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from counterfoil.db.movements import Row
from counterfoil.errors import InvalidInput
from counterfoil.plan.request import Filter
from counterfoil.services.transactions import TransactionPage, Transactions, TransactionService
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Text
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.query_form import read_query_filters
from counterfoil.web.voucherify.views import instant, page_of

Limit = Annotated[int, Query(ge=1, le=100)]
Order = Literal["id", "-id"]
EventOrder = Literal["created_at", "-created_at"]
After = Annotated[Text | None, BeforeValidator(lambda value: value or None), Query()]

# The vendor's words (their spelling too) for what happened to a member's card.
_EVENTS = {
    "POINTS_ACCRUAL": "customer.rewarded.loyalty_points",
    "POINTS_ADDITION": "customer.voucher.loyalty_card.points_added",
    "POINTS_REMOVAL": "customer.voucher.loyalty_card.points_added",
    "POINTS_REDEMPTION": "customer.redemption.succceeded",
    "POINTS_REFUND": "customer.redemption.rollback.succceeded",
    "POINTS_EXPIRATION": "customer.voucher.loyalty_card.points_expired",
    "POINTS_TRANSFER_OUT": "customer.voucher.loyalty_card.points_transferred",
    "POINTS_TRANSFER_IN": "customer.voucher.loyalty_card.points_transferred",
    "PENDING_POINTS_ACTIVATION": "customer.voucher.loyalty_card.pending_points.activated",
}

# Fields by which the vendor's lists can be filtered (facts 3.2).
_CAMPAIGN_FILTERS = frozenset({"id", "voucher_id"})
_MEMBER_FILTERS = frozenset({"id", "created_at"})


def transaction(row: Row) -> dict[str, Any]:
    """A movement's row as the vendor's transaction object."""
    return {
        "id": row["id"],
        "source_id": row["source_id"],
        "voucher_id": row["voucher_id"],
        "campaign_id": row["campaign_id"],
        "source": row["source"],
        "reason": row["reason"],
        "type": row["type"],
        "details": msgspec.Raw((row["details"] or "null").encode()),
        "related_transaction_id": row["related_transaction_id"],
        "created_at": instant(row["created_at"]),
    }


def activity(row: Row) -> dict[str, Any]:
    """A movement's row as an event of the member's activity; the event has the transaction's id."""
    event = {"id": row["id"], "type": _EVENTS[row["type"]], "data": {"transaction": transaction(row)}}
    return event | {"created_at": instant(row["created_at"]), "group_id": None}


def routes(service: TransactionService) -> APIRouter:
    """Every list of transactions, and the activity of members, which is made of them."""
    router = Router(tags=["transactions"], responses=ERRORS, security=CREDENTIALS)
    _cards(router, service)
    _activity(router, service)

    @router.get("/v1/campaigns/{name:path}/transactions")
    def of_campaign(
        request: Request, caller: Calling, name: Text, limit: Limit = 10, order: Order = "-id", starting_after_id: After = None
    ) -> Response:  # fmt: skip
        """Transactions of every card of a campaign."""
        page = _page(limit, order, starting_after_id, _filters(request, _CAMPAIGN_FILTERS))
        found = service.of_campaign(caller, name, page)
        return _listed(found) if found.has_cards else Json(page_of("data", [], 0))

    @router.get("/v1/loyalties/{campaign_id}/transactions")
    def of_programme(
        request: Request, caller: Calling, campaign_id: Text, limit: Limit = 10, order: Order = "-id",
        starting_after_id: After = None,
    ) -> Response:  # fmt: skip
        """Transactions of every card of a loyalty programme."""
        page = _page(limit, order, starting_after_id, _filters(request, _CAMPAIGN_FILTERS))
        return _listed(service.of_campaign(caller, campaign_id, page, loyalty=True))

    return router


def _cards(router: APIRouter, service: TransactionService) -> None:
    @router.get("/v1/vouchers/{code:path}/transactions")
    def of_voucher(
        caller: Calling, code: Text, limit: Limit = 10, order: Order = "-id", starting_after_id: After = None
    ) -> Response:
        """Transactions of a gift or loyalty card; a discount voucher has none."""
        return _listed(service.of_voucher(caller, code, _page(limit, order, starting_after_id, Filter())))

    @router.get("/v1/loyalties/members/{member_id:path}/transactions")
    def of_member(
        request: Request, caller: Calling, member_id: Text, limit: Limit = 10, order: Order = "-id",
        starting_after_id: After = None,
    ) -> Response:  # fmt: skip
        """Transactions of a member's card."""
        page = _page(limit, order, starting_after_id, _filters(request, _MEMBER_FILTERS))
        return _listed(service.of_member(caller, member_id, page))

    @router.get("/v1/loyalties/{campaign_id}/members/{member_id:path}/transactions")
    def of_campaign_member(
        request: Request, caller: Calling, campaign_id: Text, member_id: Text, limit: Limit = 10, order: Order = "-id",
        starting_after_id: After = None,
    ) -> Response:  # fmt: skip
        """Transactions of a member's card in that programme."""
        page = _page(limit, order, starting_after_id, _filters(request, _MEMBER_FILTERS))
        return _listed(service.of_member(caller, member_id, page, campaign_id))


def _activity(router: APIRouter, service: TransactionService) -> None:
    @router.get("/v1/loyalties/members/{member_id:path}/activity")
    def of_member(
        caller: Calling, member_id: Text, limit: Limit = 10, order: EventOrder = "-created_at",
        starting_after_id: After = None,
    ) -> Response:  # fmt: skip
        """What happened to a member's points."""
        page = _page(limit, order, starting_after_id, Filter())
        return _listed(service.of_member(caller, member_id, page), activity)

    @router.get("/v1/loyalties/{campaign_id}/members/{member_id:path}/activity")
    def of_campaign_member(
        caller: Calling, campaign_id: Text, member_id: Text, limit: Limit = 10, order: EventOrder = "-created_at",
        starting_after_id: After = None,
    ) -> Response:  # fmt: skip
        """What happened to a member's points in that programme."""
        page = _page(limit, order, starting_after_id, Filter())
        return _listed(service.of_member(caller, member_id, page, campaign_id), activity)


def _page(limit: int, order: str, after: str | None, asked: Filter) -> TransactionPage:
    return TransactionPage(limit, order.startswith("-"), after, asked)


def _filters(request: Request, allowed: frozenset[str]) -> Filter:
    asked = read_query_filters(request)
    for field in asked.fields:
        if field.field not in allowed:
            raise InvalidInput("invalid_query_params", f"This list cannot be filtered by {field.field}",
                               field=f".filters.{field.field}", value=field.field, allowed=sorted(allowed))  # fmt: skip
    return asked


def _listed(found: Transactions, view: Callable[[Row], dict[str, Any]] = transaction) -> Response:
    body = page_of("data", [view(row) for row in found.rows]) | {"has_more": found.has_more}
    if found.has_more:
        body["more_starting_after"] = found.rows[-1]["id"]
    return Json(body)
