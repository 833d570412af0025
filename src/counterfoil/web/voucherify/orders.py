"""Voucherify's order endpoints (facts 3.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from counterfoil.db.orders import OrderQuery
from counterfoil.services.order_imports import OrderImports
from counterfoil.services.orders import OrderService
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Text
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.order_bodies import OrderBody
from counterfoil.web.voucherify.order_views import order as order_view
from counterfoil.web.voucherify.query_form import read_query_filters
from counterfoil.web.voucherify.views import page_of

Order = Literal["created_at", "-created_at", "updated_at", "-updated_at"]

# Source ids may hold slashes, which a client's percent-encoding does not keep from being read as path.
_ONE = "/v1/orders/{order_id:path}"


def routes(service: OrderService, imports: OrderImports) -> APIRouter:
    """Every order route except exports."""
    router = Router(tags=["orders"], responses=ERRORS, security=CREDENTIALS)

    @router.post("/v1/orders")
    def upsert(caller: Calling, body: OrderBody) -> Response:
        """Make an order, or update the one with that id or source id; paying it lets the earning rules run."""
        return Json(order_view(service.save(caller, body.draft())))

    @router.post("/v1/orders/import")
    def import_many(caller: Calling, body: Annotated[list[OrderBody], Body()]) -> Response:
        """Store orders of the past in the background: nothing is earned with them."""
        return Json({"async_action_id": imports.import_orders(caller, [each.draft() for each in body])})

    @router.get("/v1/orders")
    def list_orders(
        request: Request,
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=100)] = 1,
        order: Order = "created_at",
    ) -> Response:
        """Orders of the project, oldest first unless said otherwise."""
        rows, total = service.list_orders(caller, OrderQuery(limit, page, order, read_query_filters(request)))
        return Json(page_of("orders", [order_view(row) for row in rows], total))

    @router.get(_ONE)
    def get(caller: Calling, order_id: Text) -> Response:
        """The order with that id or source id."""
        return Json(order_view(service.get(caller, order_id)))

    @router.put(_ONE)
    def update(caller: Calling, order_id: Text, body: OrderBody) -> Response:
        """Change what the body says. Canceling a paid order takes no points back: that is a rollback's work."""
        return Json(order_view(service.update(caller, order_id, replace(body.draft(), id=None))))

    return router
