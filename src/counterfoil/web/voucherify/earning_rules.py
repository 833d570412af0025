"""Voucherify's earning rule endpoints (facts 3.5, Voucherify: Create Earning Rules).

Rules of any event are stored. Those of `order.paid` run, when an order becomes PAID: FIXED, and PROPORTIONAL by
ORDER_AMOUNT, ORDER_TOTAL_AMOUNT, ORDER_METADATA, ORDER_ITEMS_QUANTITY, ORDER_ITEMS_AMOUNT, ORDER_ITEMS_SUBTOTAL_AMOUNT
(of products and SKUs) and CUSTOMER_METADATA. Formulas, validation rules and product collections are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from counterfoil.db.earning_rules import Row
from counterfoil.domain.earning import RuleDraft
from counterfoil.services.earning_rules import EarningRuleService
from counterfoil.web.reply import Json, no_content
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Document, Instant, Name, Text, Whole
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS
from counterfoil.web.voucherify.views import instant, page_of, without_none

_TARGETS = ("segment", "custom_event", "loyalty_tier")
_LEFT_OUT = (
    "start_date",
    "expiration_date",
    "validity_timeframe",
    "validity_day_of_week",
    "validity_hours",
    "pending_points",
    "expiration_rules",
)
_ALL = "/v1/loyalties/{campaign_id}/earning-rules"
_ONE = f"{_ALL}/{{rule_id}}"

Order = Literal["created_at", "-created_at", "updated_at", "-updated_at"]


class SourceBody(RequestBody):
    """The rule's name."""

    banner: Text | None = None


class RuleBody(RequestBody):
    """An earning rule to make or change; `event` counts only when it is made."""

    event: Name | None = None
    loyalty: Document | None = None
    source: SourceBody | None = None
    segment: Document | None = None
    custom_event: Document | None = None
    loyalty_tier: Document | None = None
    pending_points: Document | None = None
    expiration_rules: Document | None = None
    validation_rule_id: Text | None = None
    active: bool | None = None
    start_date: Instant = None
    expiration_date: Instant = None
    validity_timeframe: Document | None = None
    validity_day_of_week: list[Whole] | None = None
    validity_hours: Document | None = None
    metadata: Document | None = None

    def draft(self) -> RuleDraft:
        """The draft as the service takes it."""
        target = {name: _said(getattr(self, name)) for name in _TARGETS if getattr(self, name) is not None}
        return RuleDraft(
            event=self.event,
            loyalty=_with_number(_said(self.loyalty)),
            banner=None if self.source is None else self.source.banner,
            target=target or None,
            pending_points=_said(self.pending_points) or None,
            expiration_rules=_said(self.expiration_rules) or None,
            validation_rule_id=self.validation_rule_id,
            active=self.active,
            start_date=self.start_date,
            expiration_date=self.expiration_date,
            validity_timeframe=_said(self.validity_timeframe) or None,
            validity_day_of_week=self.validity_day_of_week,
            validity_hours=_said(self.validity_hours) or None,
            metadata=self.metadata,
        )


def routes(service: EarningRuleService) -> APIRouter:
    """Every earning rule route; campaigns go by id or name."""
    router = Router(tags=["earning rules"], responses=ERRORS, security=CREDENTIALS)

    @router.post(_ALL)
    def create(caller: Calling, campaign_id: Text, body: Annotated[list[RuleBody], Body()]) -> Response:
        """Add rules to a loyalty programme, all of them or none."""
        return Json([rule(row) for row in service.create(caller, campaign_id, [each.draft() for each in body])])

    @router.get(_ALL)
    def list_rules(
        caller: Calling,
        campaign_id: Text,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
        page: Annotated[int, Query(ge=1, le=100)] = 1,
        order: Order = "created_at",
    ) -> Response:
        """The programme's rules, oldest first unless said otherwise."""
        rows, total = service.list(caller, campaign_id, order=order, limit=limit, page=page)
        return Json(page_of("data", [rule(row) for row in rows], total))

    @router.get(_ONE)
    def get(caller: Calling, campaign_id: Text, rule_id: Text) -> Response:
        """One rule."""
        return Json(rule(service.get(caller, campaign_id, rule_id)))

    @router.put(_ONE)
    def update(caller: Calling, campaign_id: Text, rule_id: Text, body: RuleBody) -> Response:
        """Change what the body says; the event stays what it was."""
        return Json(rule(service.update(caller, campaign_id, rule_id, body.draft())))

    @router.delete(_ONE, status_code=204)
    def delete(caller: Calling, campaign_id: Text, rule_id: Text) -> Response:
        """Remove a rule; what it paid stays."""
        service.delete(caller, campaign_id, rule_id)
        return no_content()

    @router.post(f"{_ONE}/enable")
    def enable(caller: Calling, campaign_id: Text, rule_id: Text) -> Response:
        """Let the rule pay."""
        return Json(rule(service.switch(caller, campaign_id, rule_id, active=True)))

    @router.post(f"{_ONE}/disable")
    def disable(caller: Calling, campaign_id: Text, rule_id: Text) -> Response:
        """Let the rule pay no more."""
        return Json(rule(service.switch(caller, campaign_id, rule_id, active=False)))

    return router


def rule(row: Row) -> dict[str, Any]:
    """A rule's row as the vendor's object; what was never said is left out, save the nulls the vendor shows."""
    body = {
        "id": row["id"],
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "validation_rule_id": None,
        "loyalty": row["loyalty"],
        **(row["target"] or {}),
        "event": row["event"],
        "source": {
            "banner": (row["source"] or {}).get("banner"),
            "object_id": row["campaign_id"],
            "object_type": "campaign",
        },
        "active": row["active"],
        "start_date": instant(row["start_date"]),
        "expiration_date": instant(row["expiration_date"]),
        **{name: row[name] for name in _LEFT_OUT[2:]},
        "object": "earning_rule",
        "automation_id": row["automation_id"],
        "metadata": row["metadata"] or {},
    }
    return without_none(body, *_LEFT_OUT)


def _said(value: Any) -> Any:
    """A document without its nulls, and with whole numbers as such: 5.0 is 5."""
    if isinstance(value, dict):
        return {key: _said(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_said(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_number(loyalty: dict[str, Any] | None) -> dict[str, Any] | None:
    """The vendor's own example writes the points of a FIXED rule as text: "5"."""
    points = (loyalty or {}).get("points")
    if loyalty is not None and isinstance(points, str) and points.isascii() and points.isdigit() and len(points) < 10:
        return {**loyalty, "points": int(points)}
    return loyalty
