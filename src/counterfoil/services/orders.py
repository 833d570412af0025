"""Orders: make or update, look up, list, import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from counterfoil.catalog.objects import exportable
from counterfoil.db import orders as stored
from counterfoil.db import summaries
from counterfoil.db.customers import customer_by_id
from counterfoil.db.orders import OrderQuery, Row
from counterfoil.db.unit import Unit
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import OrderDraft, check_order, order_columns
from counterfoil.errors import Conflict, NotFound
from counterfoil.ids import random_id
from counterfoil.plan.filters import resolve
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import upsert_customer
from counterfoil.services.earning_rules import accrue_for_order


def save_order(unit: Unit, draft: OrderDraft, *, earn: bool = True) -> Row:
    """Make the order, or update the one whose id or source id the draft names; the row as stored now.

    Its customer and referrer are made or updated with it, the customer's summary follows, and when it becomes PAID the
    earning rules run, once in the order's life (not for orders of the past: earn False). Raises InvalidInput for what
    cannot be stored, NotFound for an id that is not there, Conflict for a source id that another order has.
    """
    check_order(draft)
    unit.lock()
    before = _meant(unit, draft)
    return _saved(unit, before, draft, earn=earn)


def require_order(unit: Unit, name: str) -> Row:
    """The order with that id or source id. Raises NotFound."""
    found = stored.find_order(unit.sql, unit.project_id, name)
    if found is None:
        raise NotFound("order", name)
    return found


def link_redemptions(unit: Unit, order_id: str, entries: Mapping[str, Mapping[str, Any]]) -> Row:
    """Lay entries (redemption id -> what the order's `redemptions` map shows of it) over those the order has."""
    unit.lock()
    order = require_order(unit, order_id)
    known: dict[str, Any] = order["redemptions"] or {}
    linked = known | {key: {**known.get(key, {}), **entry} for key, entry in entries.items()}
    values = {"redemptions": linked, "updated_at": unit.now_ms}
    stored.update_order(unit.sql, unit.project_id, order["id"], values)
    return order | values


class OrderService:
    """The use-cases of orders."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def save(self, caller: Caller, draft: OrderDraft) -> Row:
        """Make the order, or update the one whose id or source id the draft names (see `save_order`)."""
        return self._core.write(caller, lambda unit: save_order(unit, draft))

    def get(self, caller: Caller, name: str) -> Row:
        """The order with that id or source id. Raises NotFound."""
        with self._core.read() as connection:
            found = stored.find_order(connection, caller.project_id, name)
        if found is None:
            raise NotFound("order", name)
        return found

    def list_orders(self, caller: Caller, query: OrderQuery) -> tuple[list[Row], int]:
        """A page of orders, and how many there are in all. query.filter is as asked, not resolved (InvalidInput)."""
        found = resolve(query.filter, exportable("order"), now_ms=self._core.clock.now_ms())
        with self._core.read() as connection:
            return stored.list_orders(connection, caller.project_id, replace(query, filter=found))

    def update(self, caller: Caller, name: str, draft: OrderDraft) -> Row:
        """Change what the draft says of the order with that id or source id. Raises what `save_order` raises."""

        def work(unit: Unit) -> Row:
            check_order(draft)
            unit.lock()
            return _saved(unit, require_order(unit, name), draft, earn=True)

        return self._core.write(caller, work)


def _meant(unit: Unit, draft: OrderDraft) -> Row | None:
    if draft.id:
        found = stored.order_by_id(unit.sql, unit.project_id, draft.id)
        if found is None:
            raise NotFound("order", draft.id)
        return found
    if draft.source_id:
        return stored.order_by_source_id(unit.sql, unit.project_id, draft.source_id)
    return None


def _saved(unit: Unit, before: Row | None, draft: OrderDraft, *, earn: bool) -> Row:
    _check_source_id(unit, before, draft)
    customer_id = _person(unit, draft.customer, None if before is None else before["customer_id"])
    referrer_id = _person(unit, draft.referrer, None if before is None else before["referrer_id"])
    if referrer_id is None and draft.referrer_id:
        referrer_id = upsert_customer(unit, CustomerDraft(id=draft.referrer_id))["id"]
    columns = order_columns(before, draft, customer_id, referrer_id)
    paid = columns["status"] == "PAID" and (before is None or before["status"] != "PAID")
    due = paid and not (before is not None and before["accrued"]) and (columns["customer_id"] is not None or not earn)
    if due:
        columns["accrued"] = True
    after = _inserted(unit, draft, columns) if before is None else _updated(unit, before, columns)
    summaries.orders_changed(unit, before, after)
    if due and earn:
        accrue_for_order(unit, after)
    return after


def _inserted(unit: Unit, draft: OrderDraft, columns: Mapping[str, Any]) -> Row:
    created_at = unit.now_ms if draft.created_at is None else draft.created_at
    about = {"project_id": unit.project_id, "id": random_id("ord_"), "created_at": created_at}
    return stored.insert_order(unit.sql, {**columns, **about})


def _updated(unit: Unit, before: Row, columns: Mapping[str, Any]) -> Row:
    values = {name: value for name, value in columns.items() if value != before[name]}
    if not values:
        return before
    values["updated_at"] = unit.now_ms
    stored.update_order(unit.sql, unit.project_id, before["id"], values)
    return before | values


def _person(unit: Unit, draft: CustomerDraft | None, known_id: str | None) -> str | None:
    """The id of the customer a draft is about; a draft without any id speaks of the one the order has already."""
    if draft is None or draft.nameless:
        return None
    anonymous = not (draft.id or draft.source_id)
    if anonymous and known_id is not None and customer_by_id(unit.sql, unit.project_id, known_id) is not None:
        draft = replace(draft, id=known_id)
    return upsert_customer(unit, draft)["id"]


def _check_source_id(unit: Unit, before: Row | None, draft: OrderDraft) -> None:
    if before is None or not draft.source_id or draft.source_id == before["source_id"]:
        return
    if stored.order_by_source_id(unit.sql, unit.project_id, draft.source_id) is not None:
        raise Conflict("duplicate_found", f"Duplicated order exists with source_id {draft.source_id}",
                       field="source_id", value=draft.source_id, resource_type="order",
                       resource_id=draft.source_id)  # fmt: skip
