"""Voucherify's customer endpoints (facts 3.5)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from counterfoil.db.customers import CustomerQuery
from counterfoil.errors import NotFound
from counterfoil.services.customers import CustomerService
from counterfoil.web.reply import Json, no_content
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Instant, Text
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.customer_bodies import CustomerBody, CustomerProfileBody
from counterfoil.web.voucherify.customer_views import customer, permanent_deletion
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.query_form import read_query_filters
from counterfoil.web.voucherify.views import page_of

PAGE_MAX = 99

Order = Literal["created_at", "-created_at", "updated_at", "-updated_at", "source_id", "-source_id"]
Said = Annotated[Text | None, BeforeValidator(lambda value: value or None), Query()]
"""A query parameter that counts as absent when it is empty."""

# Source ids may hold slashes, which a client's percent-encoding does not keep from being read as path.
_ONE = "/v1/customers/{customer_id:path}"


def routes(service: CustomerService) -> APIRouter:
    """Every customer route except the bulk ones."""
    router = Router(tags=["customers"], responses=ERRORS, security=CREDENTIALS)
    _listing(router, service)

    @router.post("/v1/customers")
    def upsert(caller: Calling, body: CustomerBody) -> Response:
        """Make a customer, or update the one with that id or source id."""
        return Json(customer(service.upsert(caller, body.draft())))

    @router.post(f"{_ONE}/permanent-deletion")
    def delete_permanently(caller: Calling, customer_id: Text) -> Response:
        """The same as DELETE, with a receipt: the profile is erased, the ledger keeps the bare id."""
        return Json(permanent_deletion(service.delete(caller, customer_id)))

    @router.get(_ONE)
    def get(caller: Calling, customer_id: Text) -> Response:
        """The customer with that id or source id."""
        return Json(customer(service.get(caller, customer_id)))

    @router.put(_ONE)
    def update(caller: Calling, customer_id: Text, body: CustomerProfileBody) -> Response:
        """Change what the body says; the source id never changes (Voucherify: Customer identification)."""
        return Json(customer(service.update(caller, customer_id, body.draft())))

    @router.delete(_ONE, status_code=204)
    def delete(caller: Calling, customer_id: Text) -> Response:
        """Erase the customer's profile; movements, orders and redemptions keep the bare id."""
        service.delete(caller, customer_id)
        return no_content()

    return router


def _listing(router: APIRouter, service: CustomerService) -> None:
    @router.get("/v1/customers")
    def list_customers(
        request: Request,
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
        order: Order = "-created_at",
        email: Said = None,
        city: Said = None,
        name: Said = None,
        segment_id: Said = None,
        starting_after: Annotated[Instant, Query()] = None,
        created_after: Annotated[Instant, Query(alias="created_at[after]")] = None,
        created_before: Annotated[Instant, Query(alias="created_at[before]")] = None,
        updated_after: Annotated[Instant, Query(alias="updated_at[after]")] = None,
        updated_before: Annotated[Instant, Query(alias="updated_at[before]")] = None,
    ) -> Response:
        """Customers of the project, newest first unless said otherwise; with starting_after a walk over all of them."""
        if segment_id is not None:
            # There are no segments here, so none has this id; an empty list would say that the segment is empty.
            raise NotFound("segment", segment_id)
        query = CustomerQuery(
            limit, page, order, email, city, name, created_after, created_before, updated_after, updated_before,
            starting_after, read_query_filters(request),
        )  # fmt: skip
        rows, total, more = service.list_customers(caller, query)
        body = page_of("customers", [customer(row) for row in rows], total)
        return Json(body | {"has_more": more} if starting_after is not None else body)
