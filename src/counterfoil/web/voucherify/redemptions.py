"""Voucherify's redemption endpoints (facts 3.5): redeem, look up, list, roll back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from counterfoil.db.redemptions import RedemptionQuery
from counterfoil.domain.redemptions import REDEEMABLES_MAX, Redeemable
from counterfoil.errors import InvalidInput
from counterfoil.services.redemptions import RedemptionAsked, RedemptionService
from counterfoil.services.rollbacks import RollbackAsked, RollbackService
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Document, Instant, Name, Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.customer_bodies import CustomerBody
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.order_bodies import OrderBody
from counterfoil.web.voucherify.query_form import read_query_filters
from counterfoil.web.voucherify.redemption_views import redeemed, redemption, rolled_back, single
from counterfoil.web.voucherify.views import page_of

PAGE_MAX = 99

Said = Annotated[Text | None, BeforeValidator(lambda value: value or None), Query()]
Order = Literal[
    "created_at", "-created_at", "id", "-id", "voucher_code", "-voucher_code", "tracking_id", "-tracking_id",
    "customer_id", "-customer_id",
]  # fmt: skip
Result = Literal["SUCCESS", "FAILURE"]


def _person(value: Any) -> Any:
    """A customer given by the bare id of their own, as older clients do."""
    return {"source_id": value} if isinstance(value, str) else value


Person = Annotated[CustomerBody, BeforeValidator(_person)]


class GiftBody(RequestBody):
    """How many of a gift card's credits are wanted, minor units."""

    credits: Whole | None = None


class RewardBody(RequestBody):
    """What a loyalty card's points are spent on; points for rewards that pay an order."""

    id: Name | None = None
    points: Whole | None = None


class RedeemableBody(RequestBody):
    """One thing to redeem. Promotions are not part of Counterfoil; `id` is a voucher's code or id."""

    object: Text
    id: Name
    gift: GiftBody | None = None
    reward: RewardBody | None = None


class RedemptionPart(RequestBody):
    """What may be said of a redemption besides what is redeemed."""

    order: OrderBody | None = None
    customer: Person | None = None
    metadata: Document | None = None
    tracking_id: Name | None = None

    def asked(self, redeemables: tuple[Redeemable, ...], tracking_id: str | None = None) -> RedemptionAsked:
        """The request as the service takes it."""
        return RedemptionAsked(
            redeemables,
            None if self.order is None else self.order.draft(),
            None if self.customer is None else self.customer.draft(),
            self.tracking_id or tracking_id,
            self.metadata or {},
        )


class StackBody(RedemptionPart):
    """Voucherify: Redeem Stackable Discounts."""

    redeemables: Annotated[list[RedeemableBody], Field(min_length=1, max_length=REDEEMABLES_MAX)]


class VoucherRedemptionBody(RedemptionPart):
    """Voucherify: Redeem Voucher (the older call for one voucher)."""

    gift: GiftBody | None = None
    reward: RewardBody | None = None


class RollbackBody(RequestBody):
    """Voucherify: Rollback Redemption. The order's own values are not taken from here: it becomes CANCELED."""

    reason: Text | None = None
    tracking_id: Name | None = None
    customer: Person | None = None
    metadata: Document | None = None


def redeemable(name: str, gift: GiftBody | None, reward: RewardBody | None) -> Redeemable:
    """The redeemable of a body's parts."""
    return Redeemable(
        name,
        None if gift is None else gift.credits,
        None if reward is None else reward.id,
        None if reward is None else reward.points,
    )


def routes(service: RedemptionService, rollbacks: RollbackService) -> APIRouter:
    """Every redemption route; those of members are with the members."""
    router = Router(tags=["redemptions"], responses=ERRORS, security=CREDENTIALS)
    _listing(router, service)
    _rollbacks(router, rollbacks)

    @router.post("/v1/redemptions")
    def redeem(caller: Calling, body: StackBody) -> Response:
        """Redeem one voucher or several at once, all or none."""
        for at, each in enumerate(body.redeemables):
            if each.object != "voucher":
                raise InvalidInput("invalid_payload", "Only vouchers can be redeemed here; there are no promotions",
                                   field=f".redeemables[{at}].object", value=each.object, allowed=("voucher",))  # fmt: skip
        asked = tuple(redeemable(each.id, each.gift, each.reward) for each in body.redeemables)
        return Json(redeemed(service.redeem(caller, body.asked(asked))))

    @router.post("/v1/vouchers/{code:path}/redemption")
    def redeem_voucher(
        caller: Calling, code: Text, body: Annotated[VoucherRedemptionBody | None, Body()] = None, tracking_id: Said = None
    ) -> Response:  # fmt: skip
        """Redeem one voucher: the call before stackable redemptions, which clients still make."""
        said = body or VoucherRedemptionBody()
        asked = said.asked((redeemable(code, said.gift, said.reward),), tracking_id)
        return Json(single(service.redeem(caller, asked)))

    @router.get("/v1/redemptions/{redemption_id}")
    def get(caller: Calling, redemption_id: Text) -> Response:
        """One redemption or rollback."""
        return Json(single(service.get(caller, redemption_id)))

    return router


def _listing(router: APIRouter, service: RedemptionService) -> None:
    @router.get("/v1/redemptions")
    def list_redemptions(
        request: Request,
        caller: Calling,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
        order: Order = "-created_at",
        result: Annotated[list[Result] | None, Query()] = None,
        campaign: Said = None,
        customer: Said = None,
        created_after: Annotated[Instant, Query(alias="created_at[after]")] = None,
        created_before: Annotated[Instant, Query(alias="created_at[before]")] = None,
    ) -> Response:
        """Redemptions and rollbacks of the project, failed ones too, newest first unless said otherwise."""
        query = RedemptionQuery(
            limit, page, order, tuple(result or ()), campaign, customer, None, created_after, created_before,
            read_query_filters(request),
        )  # fmt: skip
        found, total = service.list_redemptions(caller, query)
        return Json(page_of("redemptions", [redemption(row, found) for row in found["redemptions"]], total))

    @router.get("/v1/vouchers/{code:path}/redemption")
    def of_voucher(caller: Calling, code: Text) -> Response:
        """A voucher's redemptions, the latest hundred of them (Voucherify: Get Voucher's Redemptions)."""
        row, found, total = service.of_voucher(caller, code)
        entries = [redemption(each, found) for each in found["redemptions"]]
        return Json(
            {
                "quantity": row["redemption_quantity"],
                "redeemed_quantity": row["redeemed_quantity"],
                "object": "list",
                "url": f"/v1/vouchers/{code}/redemptions?page=1&limit=10",
                "data_ref": "redemption_entries",
                "total": total,
                "redemption_entries": entries,
            }
        )

    @router.get("/v1/vouchers/{code:path}/redemptions")
    def page_of_voucher(
        caller: Calling,
        code: Text,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 1,
    ) -> Response:
        """The same by pages, as `redemption.url` of the voucher object has it."""
        _, found, total = service.of_voucher(caller, code, limit=limit, page=page)
        return Json(page_of("redemptions", [redemption(row, found) for row in found["redemptions"]], total))


def _rollbacks(router: APIRouter, service: RollbackService) -> None:
    @router.post("/v1/redemptions/{redemption_id}/rollback")
    def roll_back(
        caller: Calling, redemption_id: Text, body: Annotated[RollbackBody | None, Body()] = None,
        reason: Said = None, tracking_id: Said = None,
    ) -> Response:  # fmt: skip
        """Undo one redemption; what was spent goes back to the card."""
        return Json(single(service.roll_back(caller, redemption_id, _asked(body, reason, tracking_id))))

    @router.post("/v1/redemptions/{redemption_id}/rollbacks")
    def roll_back_stack(
        caller: Calling, redemption_id: Text, body: Annotated[RollbackBody | None, Body()] = None,
        reason: Said = None, tracking_id: Said = None,
    ) -> Response:  # fmt: skip
        """Undo every redemption of a stack, given its parent."""
        return Json(rolled_back(service.roll_back_stack(caller, redemption_id, _asked(body, reason, tracking_id))))


def _asked(body: RollbackBody | None, reason: str | None, tracking_id: str | None) -> RollbackAsked:
    said = body or RollbackBody()
    customer = None if said.customer is None else said.customer.draft()
    return RollbackAsked(said.reason or reason, said.tracking_id or tracking_id, said.metadata or {}, customer)
