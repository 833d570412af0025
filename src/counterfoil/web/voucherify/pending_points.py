"""Voucherify's pending points (facts 3.5): lists, activation, adjustment, cancelation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BeforeValidator
from starlette.responses import Response

from counterfoil.db.pending_points import Row
from counterfoil.services.pending_points import PendingPage, PendingPointsService
from counterfoil.web.reply import Json, no_content
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.views import instant, page_of

Limit = Annotated[int, Query(ge=1, le=100)]
Order = Literal["id", "-id"]
After = Annotated[Text | None, BeforeValidator(lambda value: value or None), Query()]

_ONE = "/v1/loyalties/members/{member_id:path}/pending-points/{pending_points_id}"


class ChangeBody(RequestBody):
    """How many pending points more, or less when negative."""

    points: Whole


def pending(row: Row) -> dict[str, Any]:
    """A promise's row as the vendor's object."""
    details: dict[str, Any] = row["details"] or {}
    return {
        "id": row["id"],
        "voucher_id": row["voucher_id"],
        "campaign_id": row["campaign_id"],
        "customer_id": row["customer_id"],
        "order_id": (details.get("order") or {}).get("id"),
        "points": row["points"],
        "activates_at": row["activates_on"],
        "details": details,
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
    }


def routes(service: PendingPointsService) -> APIRouter:
    """Every pending points route."""
    router = Router(tags=["pending points"], responses=ERRORS, security=CREDENTIALS)
    _listing(router, service)

    @router.post(f"{_ONE}/activate")
    def activate(caller: Calling, member_id: Text, pending_points_id: Text) -> Response:
        """Make the points spendable now."""
        return Json(service.activate(caller, member_id, pending_points_id))

    @router.post(f"{_ONE}/balance")
    def adjust(caller: Calling, member_id: Text, pending_points_id: Text, body: ChangeBody) -> Response:
        """Promise more points, or fewer."""
        return Json(service.adjust(caller, member_id, pending_points_id, body.points))

    @router.post(f"{_ONE}/cancel", status_code=204)
    def cancel(caller: Calling, member_id: Text, pending_points_id: Text) -> Response:
        """Take the promise back."""
        service.cancel(caller, member_id, pending_points_id)
        return no_content()

    return router


def _listing(router: APIRouter, service: PendingPointsService) -> None:
    @router.get("/v1/loyalties/{campaign_id}/pending-points")
    def of_programme(
        caller: Calling, campaign_id: Text, limit: Limit = 10, order: Order = "-id", starting_after_id: After = None
    ) -> Response:
        """What is pending on the programme's cards."""
        page = PendingPage(limit, order.startswith("-"), starting_after_id)
        return _listed(*service.of_campaign(caller, campaign_id, page))

    @router.get("/v1/loyalties/members/{member_id:path}/pending-points")
    def of_member(
        caller: Calling, member_id: Text, limit: Limit = 10, order: Order = "-id", starting_after_id: After = None
    ) -> Response:
        """What is pending on a member's card."""
        page = PendingPage(limit, order.startswith("-"), starting_after_id)
        return _listed(*service.of_member(caller, member_id, page))

    @router.get("/v1/loyalties/{campaign_id}/members/{member_id:path}/pending-points")
    def of_campaign_member(
        caller: Calling, campaign_id: Text, member_id: Text, limit: Limit = 10, order: Order = "-id",
        starting_after_id: After = None,
    ) -> Response:  # fmt: skip
        """What is pending on a member's card in that programme."""
        page = PendingPage(limit, order.startswith("-"), starting_after_id)
        return _listed(*service.of_member(caller, member_id, page, campaign_id))


def _listed(rows: list[Row], has_more: bool) -> Response:
    body = page_of("data", [pending(row) for row in rows]) | {"has_more": has_more}
    return Json(body | {"more_starting_after": rows[-1]["id"]} if has_more else body)
