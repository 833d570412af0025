"""Voucherify's loyalty programmes (facts 3.5): campaigns of type LOYALTY_PROGRAM under a path of their own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from counterfoil.db.campaigns import CampaignQuery
from counterfoil.domain.campaigns import CampaignType as Kind
from counterfoil.errors import InvalidInput
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.loyalty import LoyaltyService
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Text
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.campaign_views import campaign
from counterfoil.web.voucherify.campaigns import CampaignBody, CampaignType, CampaignUpdateBody, Order
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.views import page_of

_ONE = "/v1/loyalties/{campaign_id}"


class LoyaltyBody(CampaignBody):
    """Voucherify: Create Loyalty Program. Nothing but LOYALTY_PROGRAM may stand as its type, and it need not."""

    campaign_type: CampaignType = "LOYALTY_PROGRAM"


def routes(service: CampaignService, loyalty: LoyaltyService) -> APIRouter:
    """The programmes themselves; members, rewards, earning rules have modules of their own."""
    router = Router(tags=["loyalties"], responses=ERRORS, security=CREDENTIALS)

    @router.post("/v1/loyalties")
    def create(caller: Calling, body: LoyaltyBody) -> Response:
        """Make a programme; its campaign_type need not be said."""
        if body.campaign_type != Kind.LOYALTY:
            raise InvalidInput("invalid_payload", "Not a loyalty programme", field="campaign_type",
                               value=body.campaign_type, allowed=(Kind.LOYALTY.value,))  # fmt: skip
        return Json(campaign(service.create(caller, body.given(), vouchers_count=body.vouchers_count or 0)))

    @router.get("/v1/loyalties")
    def list_programmes(
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=100)] = 1,
        order: Order = "-created_at",
    ) -> Response:
        """Programmes of the project, newest first unless said otherwise."""
        query = CampaignQuery(limit, page, order, Kind.LOYALTY.value)
        rows, total = service.list_campaigns(caller, query)
        return Json(page_of("campaigns", [campaign(row) for row in rows], total))

    @router.get(_ONE)
    def get(caller: Calling, campaign_id: Text) -> Response:
        """The programme with that id or name."""
        return Json(campaign(loyalty.get_programme(caller, campaign_id)))

    @router.put(_ONE)
    def update(
        caller: Calling, campaign_id: Text, body: Annotated[CampaignUpdateBody | None, Body()] = None
    ) -> Response:
        """Change a programme and its cards that are not published yet."""
        given = (body or CampaignUpdateBody()).given()
        return Json(campaign(service.update(caller, campaign_id, given, campaign_type=Kind.LOYALTY)))

    @router.delete(_ONE)
    def delete(caller: Calling, campaign_id: Text, force: bool = False) -> Response:
        """Remove a programme, and its cards in the background. Movements stay in the ledger, forced or not."""
        return Json({"async_action_id": service.delete(caller, campaign_id, campaign_type=Kind.LOYALTY)})

    return router
