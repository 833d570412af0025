"""Customers: make or update, look up, list, delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from counterfoil.catalog.objects import exportable
from counterfoil.db import customers as stored
from counterfoil.db.customers import CustomerQuery, Row
from counterfoil.db.unit import Unit
from counterfoil.domain.customers import PROFILE, CustomerDraft, changes, new_columns
from counterfoil.errors import NotFound
from counterfoil.ids import random_id
from counterfoil.plan.filters import resolve
from counterfoil.services.core import Caller, Core


def upsert_customer(unit: Unit, draft: CustomerDraft) -> Row:
    """The customer a draft is about, updated by it, or a new one; the row as stored now, without balances.

    An id must exist (NotFound); else a source_id finds or makes one; without both a new customer is made.
    """
    unit.lock()
    found = _meant(unit, draft)
    return _added(unit, draft) if found is None else _updated(unit, found, draft)


def require_customer(unit: Unit, name: str) -> Row:
    """The live customer with that id or source id. Raises NotFound."""
    found = stored.find_customer(unit.sql, unit.project_id, name)
    if found is None:
        raise NotFound("customer", name)
    return found


def _meant(unit: Unit, draft: CustomerDraft) -> Row | None:
    if draft.id:
        found = stored.customer_by_id(unit.sql, unit.project_id, draft.id)
        if found is None:
            raise NotFound("customer", draft.id)
        return found
    if draft.source_id:
        return stored.customer_by_source_id(unit.sql, unit.project_id, draft.source_id)
    return None


def _added(unit: Unit, draft: CustomerDraft) -> Row:
    created_at = unit.now_ms if draft.created_at is None else draft.created_at
    about = {"project_id": unit.project_id, "id": random_id("cust_"), "created_at": created_at}
    return stored.insert_customer(unit.sql, {**new_columns(draft), **about})


def _updated(unit: Unit, found: Row, draft: CustomerDraft) -> Row:
    values = changes(found, draft)
    if not values:
        return found
    values["updated_at"] = unit.now_ms
    stored.update_customer(unit.sql, unit.project_id, found["id"], values)
    return found | values


class CustomerService:
    """The use-cases of customers. Rows come back with balances (db.customers.with_balances)."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def upsert(self, caller: Caller, draft: CustomerDraft) -> Row:
        """Make the customer, or update the one whose id or source id the draft names. Raises NotFound for an id."""
        return self._core.write(caller, lambda unit: _whole(unit, upsert_customer(unit, draft)))

    def get(self, caller: Caller, name: str) -> Row:
        """The customer with that id or source id. Raises NotFound."""
        with self._core.read() as connection:
            found = stored.find_customer(connection, caller.project_id, name)
            if found is None:
                raise NotFound("customer", name)
            return stored.with_balances(connection, caller.project_id, [found])[0]

    def list_customers(self, caller: Caller, query: CustomerQuery) -> tuple[list[Row], int, bool]:
        """A page of customers, how many there are in all, and whether more follow.

        query.filter is as asked, not resolved. Raises InvalidInput for one that does not fit customers.
        """
        found = resolve(query.filter, exportable("customer"), now_ms=self._core.clock.now_ms())
        query = replace(query, filter=found)
        with self._core.read() as connection:
            rows, total, more = stored.list_customers(connection, caller.project_id, query)
            return stored.with_balances(connection, caller.project_id, rows), total, more

    def update(self, caller: Caller, name: str, draft: CustomerDraft) -> Row:
        """Change what the draft says of the customer with that id or source id. Raises NotFound."""

        def work(unit: Unit) -> Row:
            unit.lock()
            return _whole(unit, _updated(unit, require_customer(unit, name), draft))

        return self._core.write(caller, work)

    def delete(self, caller: Caller, name: str) -> Row:
        """Remove the customer and all they said of themselves, and leave their vouchers without a holder.

        Movements, orders, publications and redemptions keep the bare id. Returns {"id", "created_at" (ms of the deletion),
        "deletion_id"}. Raises NotFound.
        """
        return self._core.write(caller, lambda unit: _delete(unit, name))


def _delete(unit: Unit, name: str) -> dict[str, Any]:
    unit.lock()
    found = require_customer(unit, name)
    emptied = dict.fromkeys((*PROFILE, "source_id", "metadata"))
    values = {**emptied, "deleted_at": unit.now_ms, "updated_at": unit.now_ms}
    stored.update_customer(unit.sql, unit.project_id, found["id"], values)
    stored.release_vouchers(unit.sql, unit.project_id, found["id"], unit.now_ms)
    unit.forget()
    return {"id": found["id"], "created_at": unit.now_ms, "deletion_id": random_id("del_")}


def _whole(unit: Unit, row: Row) -> Row:
    return stored.with_balances(unit.sql, unit.project_id, [row])[0]
