"""Earning rules: what a loyalty programme gives for what its members do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil.clock import MS_PER_DAY, iso_date
from counterfoil.db import earning_rules as stored
from counterfoil.db.campaigns import campaign_row
from counterfoil.db.customers import customers_by_id
from counterfoil.db.earning_rules import Row
from counterfoil.db.unit import Unit
from counterfoil.domain import cards, earning, expiry
from counterfoil.domain.campaigns import CampaignType
from counterfoil.domain.earning import RuleDraft
from counterfoil.domain.movements import AUTOMATION
from counterfoil.errors import InvalidInput, NotFound
from counterfoil.ids import hex_id, random_id
from counterfoil.services.core import Caller, Core

_PLAIN = (
    "event",
    "loyalty",
    "target",
    "pending_points",
    "expiration_rules",
    "active",
    "start_date",
    "expiration_date",
    "validity_timeframe",
    "validity_day_of_week",
    "validity_hours",
    "metadata",
)


def accrue_for_order(unit: Unit, order: Mapping[str, Any]) -> None:
    """Let the rules of every programme whose card the order's customer holds pay for a paid order.

    In each campaign the customer's oldest usable card earns, once per rule. Points of a rule with pending_points are
    promised, in pending_points; the others are posted at once. The caller sees to it that an order is paid only once.
    """
    customer_id = order["customer_id"]
    rules = stored.earning(unit.sql, unit.project_id, customer_id, earning.ORDER_PAID, unit.now_ms)
    if not rules:
        return
    customer = _customer(unit, customer_id, rules)
    event_id = hex_id("evcus_", unit.now_ms)
    promised: list[dict[str, Any]] = []
    for rule in rules:
        if not earning.runs_at(rule, rule["campaign_start_date"], unit.now_ms):
            continue
        points = earning.points_for(rule["loyalty"], order, customer)
        if points <= 0:
            continue
        about = earning.details(rule, order, event_id)
        if rule["pending_points"]:
            promised.append(_promise(unit, rule, customer_id, points, about))
        else:
            _pay(unit, rule, points, about)
    if promised:
        stored.insert_pending(unit.sql, promised)


def _customer(unit: Unit, customer_id: str, rules: Sequence[Row]) -> Mapping[str, Any]:
    """The customer's row, or nothing when no rule asks for it."""
    if not any(earning.asks_for_customer(rule["loyalty"]) for rule in rules):
        return {}
    return customers_by_id(unit.sql, unit.project_id, (customer_id,))[customer_id]


def _pay(unit: Unit, rule: Row, points: int, about: Mapping[str, Any]) -> None:
    terms = rule["expiration_rules"] or ((rule["template"] or {}).get("loyalty_card") or {}).get("expiration_rules")
    card = unit.card(rule["card_code"])
    unit.post(*cards.accrue(card, points, about, expiry.last_day(terms, unit.today), unit.now_ms))


def _promise(unit: Unit, rule: Row, customer_id: str, points: int, about: Mapping[str, Any]) -> dict[str, Any]:
    days = rule["pending_points"]["period_value"]
    return {
        "project_id": unit.project_id,
        "id": random_id("lopp_"),
        "voucher_id": rule["card_id"],
        "campaign_id": rule["campaign_id"],
        "customer_id": customer_id,
        "points": points,
        "status": "PENDING",
        "activates_on": iso_date(unit.now_ms + days * MS_PER_DAY),
        # The points' own time begins when they become active (Voucherify: Loyalty points, Pending points).
        "expires_on": None,
        "source": AUTOMATION,
        "details": dict(about),
        "created_at": unit.now_ms,
    }


class EarningRuleService:
    """The use-cases of earning rules; `campaign` is always a loyalty campaign's id or name (NotFound for others)."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def create(self, caller: Caller, campaign: str, drafts: Sequence[RuleDraft]) -> list[Row]:
        """Make rules, all or none, in the order given. Raises InvalidInput for one that cannot be stored."""
        return self._core.write(caller, lambda unit: _create(unit, campaign, drafts))

    def get(self, caller: Caller, campaign: str, rule_id: str) -> Row:
        """One rule. Raises NotFound."""
        with self._core.read() as connection:
            home = _programme(campaign_row(connection, caller.project_id, campaign), campaign)
            found = stored.find_rule(connection, caller.project_id, home, rule_id)
        if found is None:
            raise NotFound("earning_rule", rule_id)
        return found

    def list(
        self, caller: Caller, campaign: str, *, order: str = "-created_at", limit: int = 10, page: int = 1
    ) -> tuple[list[Row], int]:
        """A page of the campaign's rules and how many there are in all."""
        with self._core.read() as connection:
            home = _programme(campaign_row(connection, caller.project_id, campaign), campaign)
            return stored.list_rules(
                connection, caller.project_id, home, order=order, limit=limit, offset=(page - 1) * limit
            )

    def update(self, caller: Caller, campaign: str, rule_id: str, draft: RuleDraft) -> Row:
        """Change what the draft says; the event never changes. Raises NotFound and InvalidInput."""

        def work(unit: Unit) -> Row:
            rule = _rule(unit, campaign, rule_id)
            earning.check_rule(draft, rule["event"], "")
            values = {name: value for name in _PLAIN if (value := getattr(draft, name)) is not None and name != "event"}
            if draft.banner is not None:
                values["source"] = {"banner": draft.banner}
            if draft.metadata is not None:
                values["metadata"] = {**(rule["metadata"] or {}), **draft.metadata}
            return _changed(unit, rule, values)

        return self._core.write(caller, work)

    def switch(self, caller: Caller, campaign: str, rule_id: str, *, active: bool) -> Row:
        """Turn a rule on or off."""
        return self._core.write(caller, lambda unit: _changed(unit, _rule(unit, campaign, rule_id), {"active": active}))

    def delete(self, caller: Caller, campaign: str, rule_id: str) -> None:
        """Remove a rule; what it paid stays."""
        self._core.write(
            caller, lambda unit: _changed(unit, _rule(unit, campaign, rule_id), {"deleted_at": unit.now_ms})["id"]
        )


def _create(unit: Unit, campaign: str, drafts: Sequence[RuleDraft]) -> list[Row]:
    unit.lock()
    home = _programme(campaign_row(unit, unit.project_id, campaign), campaign)
    if not 1 <= len(drafts) <= earning.RULES_PER_CALL_MAX:
        raise InvalidInput("invalid_payload", f"Payload must have 1 to {earning.RULES_PER_CALL_MAX} items")
    rows = [_new(unit, home, draft, f"[{at}]") for at, draft in enumerate(drafts)]
    stored.insert_rules(unit.sql, rows)
    return rows


def _new(unit: Unit, campaign_id: str, draft: RuleDraft, place: str) -> Row:
    for name in ("event", "loyalty"):
        if getattr(draft, name) is None:
            raise InvalidInput("invalid_payload", f"Property {place} must have required property '{name}'",
                               field=f"{place}.{name}")  # fmt: skip
    earning.check_rule(draft, draft.event or "", place)
    return {
        "project_id": unit.project_id,
        "id": random_id("ern_"),
        "campaign_id": campaign_id,
        **{name: getattr(draft, name) for name in _PLAIN},
        "active": True if draft.active is None else draft.active,
        "source": {"banner": draft.banner} if draft.banner is not None else None,
        "automation_id": random_id("auto_"),
        "created_at": unit.now_ms,
        "updated_at": None,
        "deleted_at": None,
    }


def _programme(campaign: Mapping[str, Any], name: str) -> str:
    """The id of a campaign that is a loyalty programme. Raises NotFound for others: they have no such path."""
    if campaign["campaign_type"] != CampaignType.LOYALTY:
        raise NotFound("campaign", name)
    return campaign["id"]


def _rule(unit: Unit, campaign: str, rule_id: str) -> Row:
    unit.lock()
    home = _programme(campaign_row(unit, unit.project_id, campaign), campaign)
    found = stored.find_rule(unit.sql, unit.project_id, home, rule_id)
    if found is None:
        raise NotFound("earning_rule", rule_id)
    return found


def _changed(unit: Unit, rule: Row, values: Mapping[str, Any]) -> Row:
    written = {**values, "updated_at": unit.now_ms}
    stored.update_rule(unit.sql, unit.project_id, rule["id"], written)
    return rule | written
