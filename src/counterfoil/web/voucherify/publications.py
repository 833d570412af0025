"""Voucherify's publication endpoints (facts 3.5)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator, Field, ValidationError
from starlette.responses import Response

from counterfoil.db.publications import PublicationQuery
from counterfoil.domain.publications import PublicationDraft
from counterfoil.errors import InvalidInput
from counterfoil.services.publications import PublicationService
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body, Document, Name, Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.customer_bodies import CustomerBody
from counterfoil.web.voucherify.errors import first_problem
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.publication_views import listed_publication, publication
from counterfoil.web.voucherify.query_form import deep_object, read_query_filters
from counterfoil.web.voucherify.views import page_of

_VOUCHER_TYPES = {"discount": "DISCOUNT_VOUCHER", "gift": "GIFT_VOUCHER", "loyalty": "LOYALTY_CARD"}
_OBJECTS = ("campaign", "customer", "metadata")
_TEXTS = ("voucher", "source_id", "channel")

Said = Annotated[Text | None, BeforeValidator(lambda value: value or None), Query()]
"""A query parameter that counts as absent when it is empty."""

Order = Literal[
    "id", "-id", "voucher_code", "-voucher_code", "tracking_id", "-tracking_id", "customer_id", "-customer_id",
    "created_at", "-created_at", "channel", "-channel",
]  # fmt: skip


class CampaignBody(Body):
    """A campaign by name or id, and how many of its vouchers."""

    name: Name
    count: Whole | None = None


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _known(value: Any) -> Any:
    return {"source_id": value} if isinstance(value, str) else value


class PublicationBody(Body):
    """What to publish to whom (Voucherify: Create Publication); a campaign may be given by its bare name."""

    customer: Annotated[CustomerBody, BeforeValidator(_known), Field()]
    campaign: Annotated[CampaignBody | None, BeforeValidator(_named)] = None
    voucher: Text | None = None
    source_id: Name | None = None
    channel: Text | None = None
    metadata: Document | None = None

    def draft(self, *, join_once: bool) -> PublicationDraft:
        """The draft as the service takes it."""
        asked = None if self.campaign is None else self.campaign.count
        return PublicationDraft(
            customer=self.customer.draft(),
            campaign=None if self.campaign is None else self.campaign.name,
            voucher=self.voucher or None,
            count=1 if asked is None or self.voucher else asked,
            source_id=self.source_id,
            channel=self.channel,
            metadata=self.metadata,
            join_once=join_once,
        )


def routes(service: PublicationService) -> APIRouter:
    """Every publication route."""
    router = Router(tags=["publications"], responses=ERRORS, security=CREDENTIALS)

    @router.post("/v1/publications")
    def create(caller: Calling, body: PublicationBody, join_once: bool = False) -> Response:
        """Give a customer a named voucher, or free ones of a campaign."""
        return Json(publication(service.publish(caller, body.draft(join_once=join_once))))

    @router.get("/v1/publications/create")
    def create_by_query(request: Request, caller: Calling, join_once: bool = False) -> Response:
        """The same through query parameters, such as `campaign[name]=…&customer[source_id]=…`; one voucher only."""
        draft = _queried(request).draft(join_once=join_once)
        if draft.count > 1:
            raise InvalidInput("too_many_vouchers_requested", "Only up to 1 can be published", field="campaign.count",
                               value=draft.count)  # fmt: skip
        return Json(publication(service.publish(caller, draft)))

    _listing(router, service)
    return router


def _listing(router: APIRouter, service: PublicationService) -> None:
    @router.get("/v1/publications")
    def list_publications(
        request: Request,
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1)] = 1,
        order: Order = "-created_at",
        campaign: Said = None,
        customer: Said = None,
        voucher: Said = None,
        result: Literal["SUCCESS", "FAILURE"] | None = None,
        voucher_type: Literal["discount", "gift", "loyalty"] | None = None,
        is_referral_code: bool = False,
        source_id: Said = None,
    ) -> Response:
        """Publications of the project, newest first unless said otherwise; up to page 1000, then use an export."""
        query = PublicationQuery(
            limit, page, order, campaign, customer, voucher, result, _VOUCHER_TYPES.get(voucher_type or ""),
            is_referral_code or None, source_id, read_query_filters(request),
        )  # fmt: skip
        return _listed(service, caller, query)

    @router.get("/v1/vouchers/{code:path}/publications")
    def of_voucher(
        caller: Calling,
        code: Text,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1)] = 1,
    ) -> Response:
        """The publications of one voucher, as `publish.url` of the voucher object has it."""
        return _listed(service, caller, PublicationQuery(limit, page, voucher=code))


def _listed(service: PublicationService, caller: Calling, query: PublicationQuery) -> Response:
    rows, total = service.list_publications(caller, query)
    return Json(page_of("publications", [listed_publication(row) for row in rows], total))


def _queried(request: Request) -> PublicationBody:
    """The body that the query parameters spell. Raises InvalidInput in the words for query parameters."""
    items = request.query_params.multi_items()
    said: dict[str, Any] = {name: value for name, value in items if name in _TEXTS and value not in ("", "None")}
    said |= {name: found for name in _OBJECTS if (found := deep_object(items, name)) is not None}
    if "customer" not in said:
        raise InvalidInput("invalid_query_params", "Query should have required property 'customer'", field="customer")
    campaign = said.get("campaign")
    if isinstance(campaign, dict) and str(campaign.get("count", "")).isdecimal():
        campaign["count"] = int(campaign["count"])
    try:
        return PublicationBody.model_validate(said)
    except ValidationError as error:
        raise InvalidInput("invalid_query_params", first_problem(error)) from error
