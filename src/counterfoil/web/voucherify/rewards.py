"""Voucherify's reward endpoints, and rewards assigned to loyalty programmes (facts 3.5)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import Field
from starlette.responses import Response

from counterfoil.db.rewards import Row
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.services.rewards import RewardDraft, RewardService
from counterfoil.web.reply import Json, no_content
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Document, Name, Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.views import instant, page_of

Limit = Annotated[int, Query(ge=1, le=100)]
Page = Annotated[int, Query(ge=1, le=100)]

PYTHON_CLIENT = "Python-SDK"
"""The channel the vendor's Python client names; where its model contradicts the others, it gets its own shape."""


class AttributesBody(RequestBody):
    """How a reward is shown."""

    image_url: Text | None = None
    description: Text | None = None


class RewardBody(RequestBody):
    """A reward to make or change (Voucherify: Create Reward). Its type follows from its parameters."""

    name: Name | None = None
    parameters: Document | None = None
    stock: Annotated[Whole, Field(ge=0, le=AMOUNT_MAX)] | None = None
    attributes: AttributesBody | None = None
    metadata: Document | None = None

    def draft(self) -> RewardDraft:
        """The draft as the service takes it."""
        attributes = None if self.attributes is None else self.attributes.model_dump(exclude_none=True)
        return RewardDraft(self.name, self.parameters, self.stock, attributes, self.metadata)


class PointsBody(RequestBody):
    """The price of a reward."""

    points: Whole | None = None


class PriceBody(RequestBody):
    """The price, where the vendor has it."""

    loyalty: PointsBody | None = None

    @property
    def points(self) -> int | None:
        """The price in points, None when it is not said."""
        return None if self.loyalty is None else self.loyalty.points


class AssignmentBody(RequestBody):
    """Voucherify: Create Reward Assignment, on the reward. campaign: a programme's id or name."""

    campaign: Name
    parameters: PriceBody | None = None


class AssignedRewardBody(RequestBody):
    """Voucherify: Create Reward Assignments, on the programme. reward: a reward's id."""

    reward: Name
    parameters: PriceBody | None = None


class PriceChangeBody(RequestBody):
    """Voucherify: Update Reward Assignment."""

    parameters: PriceBody | None = None


def reward(row: Row) -> dict[str, Any]:
    """A reward's row as the vendor's object."""
    return {
        "id": row["id"],
        "name": row["name"],
        "stock": row["stock"],
        "redeemed": row["redeemed"],
        "attributes": row["attributes"] or {},
        "metadata": row["metadata"] or {},
        "type": row["type"],
        "parameters": row["parameters"],
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "object": "reward",
    }


def assignment(row: Row) -> dict[str, Any]:
    """An assignment's row as the vendor's object."""
    return {
        "id": row["id"],
        "reward_id": row["reward_id"],
        "related_object_id": row["campaign_id"],
        "related_object_type": "campaign",
        "parameters": {"loyalty": {"points": row["points"]}},
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "object": "reward_assignment",
    }


def routes(service: RewardService) -> APIRouter:
    """Every reward route; what members may choose from is with the members."""
    router = Router(tags=["rewards"], responses=ERRORS, security=CREDENTIALS)
    _rewards(router, service)
    _assignments(router, service)
    _of_programme(router, service)
    return router


def _rewards(router: APIRouter, service: RewardService) -> None:
    @router.post("/v1/rewards")
    def create(caller: Calling, body: RewardBody) -> Response:
        """Make a reward: a voucher of a campaign, a product, or an order paid with points."""
        return Json(reward(service.create(caller, body.draft())))

    @router.get("/v1/rewards")
    def list_rewards(caller: Calling, limit: Limit = 10, page: Page = 1) -> Response:
        """Rewards of the project, newest first."""
        rows, total = service.list_rewards(caller, limit=limit, page=page)
        return Json(page_of("data", [reward(row) for row in rows], total))

    @router.get("/v1/rewards/{reward_id}")
    def get(caller: Calling, reward_id: Text) -> Response:
        """One reward."""
        return Json(reward(service.get(caller, reward_id)))

    @router.put("/v1/rewards/{reward_id}")
    def update(caller: Calling, reward_id: Text, body: RewardBody) -> Response:
        """Change what the body says; the type stays."""
        return Json(reward(service.update(caller, reward_id, body.draft())))

    @router.delete("/v1/rewards/{reward_id}", status_code=204)
    def delete(caller: Calling, reward_id: Text) -> Response:
        """Remove a reward and its assignments."""
        service.delete(caller, reward_id)
        return no_content()


def _assignments(router: APIRouter, service: RewardService) -> None:
    every = "/v1/rewards/{reward_id}/assignments"
    one = f"{every}/{{assignment_id}}"

    @router.post(every)
    def assign(caller: Calling, reward_id: Text, body: AssignmentBody) -> Response:
        """Let a programme's points be spent on the reward."""
        points = None if body.parameters is None else body.parameters.points
        return Json(assignment(service.assign(caller, body.campaign, [(reward_id, points)])[0]))

    @router.get(every)
    def list_assignments(caller: Calling, reward_id: Text, limit: Limit = 10, page: Page = 1) -> Response:
        """The programmes that offer the reward."""
        rows, total = service.list_assignments(caller, limit=limit, page=page, reward=reward_id)
        return Json(page_of("data", [assignment(row) for row in rows], total))

    @router.get(one)
    def get_assignment(caller: Calling, reward_id: Text, assignment_id: Text) -> Response:
        """One assignment of the reward."""
        return Json(assignment(service.find_assignment(caller, assignment_id, reward=reward_id)))

    @router.put(one)
    def change_price(caller: Calling, reward_id: Text, assignment_id: Text, body: PriceChangeBody) -> Response:
        """Another price."""
        points = None if body.parameters is None else body.parameters.points
        return Json(assignment(service.change_price(caller, assignment_id, points, reward=reward_id)))

    @router.delete(one, status_code=204)
    def unassign(caller: Calling, reward_id: Text, assignment_id: Text) -> Response:
        """Take the reward out of the programme."""
        service.unassign(caller, assignment_id, reward=reward_id)
        return no_content()


def _of_programme(router: APIRouter, service: RewardService) -> None:
    every = "/v1/loyalties/{campaign_id}/rewards"
    one = f"{every}/{{assignment_id}}"

    @router.post(every)
    def assign_many(
        caller: Calling, campaign_id: Text, body: Annotated[list[AssignedRewardBody], Body(min_length=1, max_length=100)]
    ) -> Response:  # fmt: skip
        """Offer rewards to the programme's members, all or none."""
        prices = [(each.reward, None if each.parameters is None else each.parameters.points) for each in body]
        made = [assignment(row) for row in service.assign(caller, campaign_id, prices)]
        # The Python client's model of this answer is one object, the documented one an array.
        return Json(made[0] if caller.channel == PYTHON_CLIENT and len(made) == 1 else made)

    @router.put(one)
    def change_price_there(caller: Calling, campaign_id: Text, assignment_id: Text, body: PriceChangeBody) -> Response:
        """Another price."""
        points = None if body.parameters is None else body.parameters.points
        return Json(assignment(service.change_price(caller, assignment_id, points, campaign=campaign_id)))

    @router.delete(one, status_code=204)
    def unassign_there(caller: Calling, campaign_id: Text, assignment_id: Text) -> Response:
        """Take the reward out of the programme."""
        service.unassign(caller, assignment_id, campaign=campaign_id)
        return no_content()

    _reading_programme(router, service, "/v1/loyalties/{campaign_id}/rewards")
    _reading_programme(router, service, "/v1/loyalties/{campaign_id}/reward-assignments")

    @router.get("/v1/loyalties/{campaign_id}/reward-assignments/{assignment_id}/reward")
    def assigned_reward(caller: Calling, campaign_id: Text, assignment_id: Text) -> Response:
        """The reward behind an assignment."""
        found = service.find_assignment(caller, assignment_id, campaign=campaign_id)
        return Json(reward(service.get(caller, found["reward_id"])))


def _reading_programme(router: APIRouter, service: RewardService, every: str) -> None:
    """The list and one of a programme's assignments: the vendor has them under two names."""

    @router.get(every)
    def list_assigned(
        caller: Calling, campaign_id: Text, limit: Limit = 10, page: Page = 1, assignment_id: Text | None = None
    ) -> Response:  # fmt: skip
        """What the programme offers."""
        rows, total = service.list_assignments(
            caller, limit=limit, page=page, assignment_id=assignment_id, campaign=campaign_id
        )
        return Json(page_of("data", [assignment(row) for row in rows], total))

    @router.get(f"{every}/{{assignment_id}}")
    def get_assigned(caller: Calling, campaign_id: Text, assignment_id: Text) -> Response:
        """One thing the programme offers."""
        return Json(assignment(service.find_assignment(caller, assignment_id, campaign=campaign_id)))
