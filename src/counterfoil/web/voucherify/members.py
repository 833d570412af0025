"""Voucherify's loyalty members (facts 3.3, 3.4, 3.5): their card, its points, what these buy and when they expire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from pydantic import AfterValidator, BeforeValidator
from starlette.responses import Response

from counterfoil.clock import iso_date
from counterfoil.db.buckets import Row as BucketRow
from counterfoil.db.vouchers import VoucherQuery
from counterfoil.domain.publications import PublicationDraft
from counterfoil.services.core import Caller
from counterfoil.services.loyalty import LoyaltyService, PointsChange, PointsExpiry, PointsSource
from counterfoil.services.redemptions import RedemptionAsked, RedemptionService
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Document, Instant, Name, Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.order_bodies import OrderBody
from counterfoil.web.voucherify.redemption_views import single
from counterfoil.web.voucherify.redemptions import Person, RewardBody, redeemable
from counterfoil.web.voucherify.rewards import PYTHON_CLIENT, assignment, reward
from counterfoil.web.voucherify.views import instant, page_of
from counterfoil.web.voucherify.voucher_views import voucher

Limit = Annotated[int, Query(ge=1, le=100)]
Page = Annotated[int, Query(ge=1, le=100)]
Said = Annotated[Text | None, BeforeValidator(lambda value: value or None), Query()]
Order = Literal["created_at", "-created_at", "updated_at", "-updated_at", "code", "-code"]


def _day(value: int | None) -> str | None:
    return None if value is None else iso_date(value)


Day = Annotated[Instant, AfterValidator(_day)]
"""An ISO date, or an instant of which only the date counts; ISO text inside."""

# Codes may hold slashes; a route for the bare member therefore takes what no other has taken (`member_routes`).
_MEMBER = "/v1/loyalties/members/{member_id:path}"
_OF_PROGRAMME = "/v1/loyalties/{campaign_id}/members/{member_id:path}"


class MemberBody(RequestBody):
    """Voucherify: Add Member. voucher: the code of the card to give; without it a free or new one is given."""

    customer: Person
    voucher: Text | None = None
    source_id: Name | None = None
    channel: Text | None = None
    metadata: Document | None = None

    def draft(self) -> PublicationDraft:
        """The publication that makes the member."""
        return PublicationDraft(
            self.customer.draft(), voucher=self.voucher or None, source_id=self.source_id, channel=self.channel,
            metadata=self.metadata,
        )  # fmt: skip


class PointsBody(RequestBody):
    """Voucherify: Adjust Loyalty Card Balance."""

    points: Whole
    expiration_type: Literal["PROGRAM_RULES", "CUSTOM_DATE", "NON_EXPIRING"] | None = None
    expiration_date: Day = None
    source_id: Text | None = None
    reason: Text | None = None

    def change(self) -> PointsChange:
        """The change as the service takes it."""
        expiry = None if self.expiration_type is None else PointsExpiry(self.expiration_type)
        expires_on: Any = self.expiration_date
        return PointsChange(self.points, expiry, expires_on, self.source_id, self.reason)


class TransferBody(RequestBody):
    """A card that points are moved from. source_id is optional, as in the vendor's own samples."""

    code: Name
    points: Whole
    source_id: Text | None = None
    reason: Text | None = None


class RewardRedemptionBody(RequestBody):
    """Voucherify: Redeem Reward."""

    reward: RewardBody | None = None
    order: OrderBody | None = None
    metadata: Document | None = None


def bucket(row: BucketRow) -> dict[str, Any]:
    """A bucket's row as the vendor's object; expires_at is left out of points that never expire."""
    body = {
        "id": row["id"],
        "voucher_id": row["voucher_id"],
        "campaign_id": row["campaign_id"],
        "bucket": {"total_points": row["points"]},
        "status": row["status"],
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "object": "loyalty_points_bucket",
    }
    return body if row["expires_on"] is None else body | {"expires_at": row["expires_on"]}


def routes(service: LoyaltyService, redemptions: RedemptionService) -> APIRouter:
    """Member routes with something behind the member, and those without a member in the path."""
    router = Router(tags=["members"], responses=ERRORS, security=CREDENTIALS)
    _members(router, service)
    _balances(router, service)
    _rewards(router, service, redemptions)

    @router.get(f"{_OF_PROGRAMME}/points-expiration")
    def points_expiration(
        caller: Calling, campaign_id: Text, member_id: Text, limit: Limit = 10, page: Page = 1
    ) -> Response:
        """When the card's points expire, soonest first."""
        rows, total = service.points_expiration(caller, campaign_id, member_id, limit=limit, page=page)
        return Json(page_of("data", [bucket(row) for row in rows], total))

    return router


def member_routes(service: LoyaltyService) -> APIRouter:
    """The routes of one member and nothing behind; to be asked after every other route under /v1/loyalties."""
    router = Router(tags=["members"], responses=ERRORS, security=CREDENTIALS)

    @router.get(_MEMBER)
    def get(caller: Calling, member_id: Text) -> Response:
        """A member's card."""
        return Json(voucher(service.get_member(caller, member_id)))

    @router.get(_OF_PROGRAMME)
    def get_of_programme(caller: Calling, campaign_id: Text, member_id: Text) -> Response:
        """A member's card in that programme."""
        return Json(voucher(service.get_member(caller, member_id, campaign_id)))

    return router


def _members(router: APIRouter, service: LoyaltyService) -> None:
    @router.post("/v1/loyalties/{campaign_id}/members")
    def add(caller: Calling, campaign_id: Text, body: MemberBody) -> Response:
        """Give a customer a card of the programme."""
        return Json(voucher(service.add_member(caller, campaign_id, body.draft())))

    @router.get("/v1/loyalties/{campaign_id}/members")
    def list_members(
        caller: Calling,
        campaign_id: Text,
        limit: Limit = 10,
        page: Page = 1,
        order: Order = "-created_at",
        customer: Said = None,
        code: Said = None,
        created_after: Annotated[Instant, Query(alias="created_at[after]")] = None,
        created_before: Annotated[Instant, Query(alias="created_at[before]")] = None,
        updated_after: Annotated[Instant, Query(alias="updated_at[after]")] = None,
        updated_before: Annotated[Instant, Query(alias="updated_at[before]")] = None,
    ) -> Response:
        """The programme's cards, newest first unless said otherwise."""
        query = VoucherQuery(
            limit, page, order, customer=customer, code=code, created_after=created_after,
            created_before=created_before, updated_after=updated_after, updated_before=updated_before,
        )  # fmt: skip
        rows, total = service.list_members(caller, campaign_id, query)
        return Json(page_of("vouchers", [voucher(row) for row in rows], total))


def _balances(router: APIRouter, service: LoyaltyService) -> None:
    @router.post(f"{_MEMBER}/balance")
    def change_points(caller: Calling, member_id: Text, body: PointsBody) -> Response:
        """Add points to the card, or remove them with a negative number."""
        return Json(service.change_points(caller, member_id, body.change()))

    @router.post(f"{_OF_PROGRAMME}/balance")
    def change_points_of_programme(caller: Calling, campaign_id: Text, member_id: Text, body: PointsBody) -> Response:
        """The same for a card of that programme."""
        return Json(service.change_points(caller, member_id, body.change(), campaign_id))

    @router.post(f"{_OF_PROGRAMME}/transfers")
    def transfer(
        caller: Calling, campaign_id: Text, member_id: Text, body: Annotated[list[TransferBody], Body(min_length=1)]
    ) -> Response:
        """Move points from other cards to this one, all or none."""
        sources = [PointsSource(each.code, each.points, each.source_id, each.reason) for each in body]
        return Json(_receiver(caller, voucher(service.transfer(caller, campaign_id, member_id, sources))))


def _receiver(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """The receiving card. The Python client's model of it wants `active` as text and no nulls in its validity."""
    if caller.channel != PYTHON_CLIENT:
        return body
    return body | {
        "active": str(body["active"]).lower(),
        "validity_timeframe": body["validity_timeframe"] or {},
        "validity_day_of_week": body["validity_day_of_week"] or [],
    }


def _rewards(router: APIRouter, service: LoyaltyService, redemptions: RedemptionService) -> None:
    @router.post(f"{_MEMBER}/redemption")
    def redeem_reward(caller: Calling, member_id: Text, body: RewardRedemptionBody) -> Response:
        """Spend the card's points on a reward."""
        return Json(single(redemptions.redeem_reward(caller, member_id, _asked(member_id, body))))

    @router.post(f"{_OF_PROGRAMME}/redemption")
    def redeem_reward_of_programme(
        caller: Calling, campaign_id: Text, member_id: Text, body: RewardRedemptionBody
    ) -> Response:
        """The same for a card of that programme."""
        return Json(single(redemptions.redeem_reward(caller, member_id, _asked(member_id, body), campaign_id)))

    @router.get(f"{_MEMBER}/rewards")
    def list_rewards(caller: Calling, member_id: Text, affordable_only: bool = False) -> Response:
        """What the card's points can be spent on."""
        found = service.member_rewards(caller, member_id, affordable_only=affordable_only)
        items = [
            {"reward": reward(row), "assignment": assignment(assigned), "object": "loyalty_reward"}
            for row, assigned in found
        ]
        return Json(page_of("data", items, len(items)))


def _asked(member_id: str, body: RewardRedemptionBody) -> RedemptionAsked:
    order = None if body.order is None else body.order.draft()
    return RedemptionAsked((redeemable(member_id, None, body.reward),), order, metadata=body.metadata or {})
