"""Voucherify's async action endpoints (facts 3.5)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from counterfoil.db.async_actions import Row
from counterfoil.services.async_actions import AsyncActions
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Instant
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.views import instant, page_of, without_none


def routes(actions: AsyncActions) -> APIRouter:
    """GET /v1/async-actions and GET /v1/async-actions/{id}."""
    router = Router(tags=["async actions"], responses=ERRORS, security=CREDENTIALS)

    @router.get("/v1/async-actions")
    def list_actions(
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        end_date: Annotated[Instant, Query()] = None,
    ) -> Response:
        """The latest actions, newest first, without their results; end_date: only those asked for before it."""
        rows, more = actions.latest(caller, limit=limit, end_date=end_date)
        return Json(page_of("async_actions", [async_action(row) for row in rows]) | {"has_more": more})

    @router.get("/v1/async-actions/{action_id}")
    def get(caller: Calling, action_id: str) -> Response:
        """One action with its result."""
        row = actions.get(caller, action_id)
        view = async_action(row)
        if row["result"] is not None:
            view["result"] = row["result"]
        return Json(view)

    return router


def async_action(row: Row) -> dict[str, Any]:
    """The vendor's async action object without its result. processing_time: ms from asking to the end."""
    finished = row["finished_at"]
    view = {
        "id": row["id"],
        "type": row["type"],
        "status": row["status"],
        "operation_status": row["operation_status"],
        "progress": row["progress"],
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "request_id": row["request_id"],
        "processing_time": None if finished is None else finished - row["created_at"],
        "object": "async_action",
    }
    return without_none(view, "operation_status", "updated_at", "request_id", "processing_time")
