"""Voucherify's campaign endpoints (facts 3.5)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from pydantic import Field
from starlette.responses import Response

from counterfoil.db.campaigns import CampaignQuery
from counterfoil.services.campaigns import COUNT_MAX, CampaignService
from counterfoil.services.voucher_imports import VoucherImports
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Document, Instant, Name, Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.campaign_views import campaign
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.query_form import read_query_filters
from counterfoil.web.voucherify.views import page_of
from counterfoil.web.voucherify.voucher_bodies import (
    CampaignVoucherBody,
    CampaignVouchersBody,
    GiftBody,
    RedemptionBody,
    Weekdays,
)
from counterfoil.web.voucherify.voucher_views import voucher
from counterfoil.web.voucherify.vouchers import checked_items

CampaignType = Literal["LOYALTY_PROGRAM", "GIFT_VOUCHERS", "DISCOUNT_COUPONS", "PROMOTION", "REFERRAL_PROGRAM"]
Status = Literal["DONE", "IN_PROGRESS", "FAILED", "DRAFT", "MODIFYING"]
Order = Literal["created_at", "-created_at", "updated_at", "-updated_at"]


class CardTemplate(RequestBody):
    """The opening points of a programme's cards, and when points expire."""

    points: Whole | None = None
    expiration_rules: Document | None = None


class TemplateBody(RequestBody):
    """What a campaign's vouchers are like."""

    type: Literal["DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD"] | None = None
    gift: GiftBody | None = None
    loyalty_card: CardTemplate | None = None
    discount: Document | None = None
    redemption: RedemptionBody | None = None
    code_config: Document | None = None
    metadata: Document | None = None
    start_date: Instant = None
    expiration_date: Instant = None


class CurrencyBody(RequestBody):
    """Our own addition: what the balances of the campaign's cards are counted in, for the other HTTP dialects."""

    eid: Annotated[Name | None, Field(max_length=100)] = None
    scale: Annotated[Whole, Field(ge=0, le=9)] | None = None


class CampaignPart(RequestBody):
    """What may be said of a campaign when it is made and when it is changed."""

    description: Text | None = None
    type: Literal["AUTO_UPDATE", "STATIC", "STANDALONE"] | None = None
    category: Text | None = None
    start_date: Instant = None
    expiration_date: Instant = None
    validity_timeframe: Document | None = None
    validity_day_of_week: Weekdays | None = None
    activity_duration_after_publishing: Text | None = None
    metadata: Document | None = None
    auto_join: bool | None = None
    join_once: bool | None = None


class CampaignBody(CampaignPart):
    """Voucherify: Create Campaign."""

    name: Name
    campaign_type: CampaignType
    voucher: TemplateBody | None = None
    vouchers_count: Annotated[Whole, Field(ge=0, le=COUNT_MAX)] | None = None
    use_voucher_metadata_schema: bool | None = None
    points_currency: CurrencyBody | None = None

    def given(self) -> dict[str, Any]:
        """The values that were said, as `domain.campaigns.new_campaign` takes them."""
        given = _said(self, "vouchers_count", "points_currency")
        if self.points_currency is not None:
            said = {"currency_eid": self.points_currency.eid, "currency_scale": self.points_currency.scale}
            given |= {name: value for name, value in said.items() if value is not None}
        return given


class CampaignUpdateBody(CampaignPart):
    """Voucherify: Update Campaign. Whatever else is sent is skipped, as the vendor says."""

    discount: Document | None = None
    gift: GiftBody | None = None
    loyalty_card: CardTemplate | None = None
    unset_metadata_fields: list[Text] | None = None

    def given(self) -> dict[str, Any]:
        """The values that were said, as `domain.campaigns.changed_campaign` takes them."""
        return _said(self)


def _said(body: RequestBody, *but: str) -> dict[str, Any]:
    return body.model_dump(exclude_none=True, exclude=set(but))


# Names may hold slashes, which a client's percent-encoding does not keep from being read as path. A route for the bare
# name therefore takes whatever no other route of these paths has taken: `name_routes` come last of all.
_ONE = "/v1/campaigns/{name:path}"


def routes(service: CampaignService, imports: VoucherImports) -> APIRouter:
    """Campaign routes without a name in the path, and those with something behind the name."""
    router = Router(tags=["campaigns"], responses=ERRORS, security=CREDENTIALS)
    _listing(router, service)
    _vouchers(router, service, imports)

    @router.post("/v1/campaigns")
    def create(caller: Calling, body: CampaignBody) -> Response:
        """Make a campaign; its vouchers are there at once when they are few, else they are made in the background."""
        return Json(campaign(service.create(caller, body.given(), vouchers_count=body.vouchers_count or 0)))

    @router.post(f"{_ONE}/enable")
    def enable(caller: Calling, name: Text) -> Response:
        """Let the campaign's vouchers be used."""
        service.set_active(caller, name, active=True)
        return Json({})

    @router.post(f"{_ONE}/disable")
    def disable(caller: Calling, name: Text) -> Response:
        """Let the campaign's vouchers not be used."""
        service.set_active(caller, name, active=False)
        return Json({})

    return router


def name_routes(service: CampaignService) -> APIRouter:
    """The routes of one campaign by id or name; to be asked after every other route under /v1/campaigns."""
    router = Router(tags=["campaigns"], responses=ERRORS, security=CREDENTIALS)

    @router.get(_ONE)
    def get(caller: Calling, name: Text) -> Response:
        """The campaign with that id or name."""
        return Json(campaign(service.get(caller, name)))

    @router.put(_ONE)
    def update(caller: Calling, name: Text, body: Annotated[CampaignUpdateBody | None, Body()] = None) -> Response:
        """Change a campaign and its vouchers that are not published or redeemed yet."""
        return Json(campaign(service.update(caller, name, (body or CampaignUpdateBody()).given())))

    @router.delete(_ONE, status_code=202)
    def delete(caller: Calling, name: Text, force: bool = False) -> Response:
        """Remove a campaign, and its vouchers in the background. Movements stay in the ledger, forced or not."""
        return Json({"async_action_id": service.delete(caller, name)}, status_code=202)

    return router


def _listing(router: APIRouter, service: CampaignService) -> None:
    @router.get("/v1/campaigns")
    def list_campaigns(
        request: Request,
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=100)] = 1,
        order: Order = "-created_at",
        campaign_type: CampaignType | None = None,
        campaign_status: Status | None = None,
        is_referral_code: bool | None = None,
        expand: Annotated[str | None, Query(description="Accepted; there are no categories to expand")] = None,
    ) -> Response:
        """Campaigns of the project, newest first unless said otherwise."""
        query = CampaignQuery(
            limit, page, order, campaign_type, campaign_status, is_referral_code, read_query_filters(request)
        )
        rows, total = service.list_campaigns(caller, query)
        return Json(page_of("campaigns", [campaign(row) for row in rows], total))


def _vouchers(router: APIRouter, service: CampaignService, imports: VoucherImports) -> None:
    @router.post(f"{_ONE}/vouchers", responses={202: {"description": "Several are made in the background"}})
    def add_vouchers(
        caller: Calling,
        name: Text,
        vouchers_count: Annotated[int, Query(ge=1, le=COUNT_MAX)] = 1,
        body: Annotated[CampaignVouchersBody | None, Body()] = None,
    ) -> Response:
        """One more voucher with a drawn code, or an async action that makes several."""
        asked = body or CampaignVouchersBody()
        given, config = asked.given(), asked.code_config
        if vouchers_count == 1:
            return Json(voucher(service.add_voucher(caller, name, given, code_config=config)))
        action_id = service.add_vouchers(caller, name, vouchers_count, given, code_config=config)
        return Json({"async_action_id": action_id}, status_code=202)

    @router.post(f"{_ONE}/vouchers/{{code:path}}")
    def add_voucher(
        caller: Calling, name: Text, code: Text, body: Annotated[CampaignVoucherBody | None, Body()] = None
    ) -> Response:
        """One more voucher with the code in the path."""
        given = (body or CampaignVoucherBody()).given()
        return Json(voucher(service.add_voucher(caller, name, {**given, "code": code})))

    @router.post(f"{_ONE}/import", status_code=202)
    def import_many(caller: Calling, name: Text, body: Annotated[list[Any], Body()]) -> Response:
        """Make vouchers of the campaign with given codes in the background; refused ones are told in the result."""
        action_id = imports.import_vouchers(caller, checked_items(body), campaign=name)
        return Json({"async_action_id": action_id}, status_code=202)
