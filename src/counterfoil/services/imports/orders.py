"""Orders of the past, with their own ids and amounts; nothing is earned with them, and their customers' sums follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from counterfoil.dataplane.intake import Block
from counterfoil.db import bulk
from counterfoil.db.schema import customers, orders
from counterfoil.db.summaries import OrdersBrought, orders_brought
from counterfoil.db.unit import Unit
from counterfoil.domain import cells
from counterfoil.domain.money import SUM_MAX
from counterfoil.domain.orders import COUNTED, STATUSES, spent
from counterfoil.errors import InvalidInput
from counterfoil.ids import random_id
from counterfoil.services.imports.report import Cells, ImportOptions, Item, Outcome, read_items
from counterfoil.services.imports.rows import Once, difference

_encode = msgspec.json.Encoder().encode
# What an empty cell says nothing of, and what changes without anything else having changed.
_IF_SAID = ("id", "created_at")
_UNCOMPARED = (*_IF_SAID, "updated_at")
_AMOUNTS = ("amount", "discount_amount", "items_discount_amount", "total_discount_amount", "total_amount")
_IDS = ("id", "source_id", "customer_id", "referrer_id")
_COLUMNS = (
    "id",
    "source_id",
    "status",
    *_AMOUNTS,
    "customer_id",
    "referrer_id",
    "metadata",
    "created_at",
    "updated_at",
)


def read_order(row: Cells, *, decimals: int, native: bool) -> dict[str, Any]:
    """An order's columns out of its cells; those the file has not are left out. Raises InvalidInput."""
    values: dict[str, Any] = {name: cells.read_id(name, row[name]) for name in _IDS if name in row}
    if not values.get("id") and not values.get("source_id"):
        raise InvalidInput("invalid_cell", "an order needs an id or a source_id", field="id")
    status = cells.required("status", row.get("status"))
    if status not in STATUSES:
        raise cells.invalid_cell("status", f"must be one of {', '.join(STATUSES)}", status)
    values["status"] = status
    for name in _AMOUNTS:
        if row.get(name) not in (None, ""):
            values[name] = cells.money(name, row[name], decimals)
            if values[name] < 0:
                raise cells.invalid_cell(name, "must not be below 0", row[name])
        elif name in row:
            values[name] = None
    if any(name == "metadata" or name.startswith("metadata.") for name in row):
        values["metadata"] = cells.read_metadata(row, "metadata", "metadata.")
    for name in ("created_at", "updated_at"):
        if name in row:
            values[name] = cells.read_instant(name, row[name], native=native)
    return values


class OrderImporter:
    """The importer of orders."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options

    def read(self, block: Block) -> list[Item]:
        return read_items(block, lambda row: read_order(row, decimals=self._options.decimals, native=block.native))

    def apply(self, unit: Unit, given: list[Item]) -> Outcome:
        connection = unit.sql
        unit.lock()
        once = Once()
        items = list(once.pass_on(given, ("id", "source_id")))
        ids = [item.value["id"] for item in items if item.value.get("id")]
        by_id = bulk.rows_by(connection, orders, unit.project_id, "id", ids, _COLUMNS)
        sources = [item.value["source_id"] for item in items if item.value.get("source_id")]
        by_source = bulk.rows_by(connection, orders, unit.project_id, "source_id", sources, _COLUMNS)
        people = _people(connection, unit.project_id, items)
        sums: dict[str, OrdersBrought] = {}
        rows: list[tuple[Any, ...]] = []
        known = 0
        for item in items:
            named = by_source.get(item.value.get("source_id"))
            stored = by_id.get(item.value["id"]) if item.value.get("id") else named
            reason = _reason(stored, named, item.value) or _missing(people, stored, item.value)
            reason = reason or _add(sums, people, stored, item.value, unit.now_ms)
            if reason is not None:
                once.refuse(item, reason)
            elif stored is not None:
                known += 1
            else:
                rows.append(_row(unit, item.value))
        bulk.insert_rows(connection, orders, ("project_id", *_COLUMNS, "accrued"), rows)
        orders_brought(connection, unit.project_id, sums)
        return Outcome(len(rows), once.known + known, once.sorted)

    def committed(self, outcome: Outcome) -> None:
        pass  # nothing is remembered from one batch to the next


def _people(connection: Connection, project_id: int, items: list[Item]) -> Mapping[str, Any]:
    """The customers and referrers that are there, by id. Removed ones count: their orders keep the bare id."""
    wanted = {item.value[name] for item in items for name in ("customer_id", "referrer_id") if item.value.get(name)}
    return bulk.rows_by(connection, customers, project_id, "id", wanted, ("orders_total_amount",)) if wanted else {}


def _reason(stored: Any, named: Any, said: Mapping[str, Any]) -> str | None:
    if stored is None:
        return None if named is None else f"order {named.id} has this source_id already"
    content = {name: value for name, value in said.items() if name not in _UNCOMPARED or (name in _IF_SAID and value)}
    return difference(stored._mapping, content, "the order")


def _missing(people: Mapping[str, Any], stored: Any, said: Mapping[str, Any]) -> str | None:
    for name in ("customer_id", "referrer_id"):
        if stored is None and said.get(name) and said[name] not in people:
            return f"there is no customer {said[name]} ({name}): import it first"
    return None


def _add(
    sums: dict[str, OrdersBrought], people: Mapping[str, Any], stored: Any, said: Mapping[str, Any], now_ms: int
) -> str | None:
    """Count a new order for its customer, or say why the customer's sum cannot hold it."""
    customer_id = said.get("customer_id")
    if stored is not None or customer_id is None:
        return None
    order = {"customer_id": customer_id, "status": said["status"], "total_amount": said.get("total_amount")}
    amount, count = spent(order, customer_id)
    if not count:
        return None
    at = said.get("created_at") or now_ms
    before = sums.get(customer_id)
    brought = OrdersBrought(1, amount, at, amount) if before is None else before.with_order(amount, at)
    if people[customer_id].orders_total_amount + brought.amount > SUM_MAX:
        return f"the orders of customer {customer_id} add up to more than {SUM_MAX}"
    sums[customer_id] = brought
    return None


def _row(unit: Unit, said: Mapping[str, Any]) -> tuple[Any, ...]:
    values = {**said, "id": said.get("id") or random_id("ord_")}
    if values.get("created_at") is None:
        values["created_at"] = unit.now_ms
    if values.get("metadata") is not None:
        values["metadata"] = _encode(values["metadata"]).decode()
    # The earning rules have had their turn where the order comes from.
    accrued = values["status"] in COUNTED
    return (unit.project_id, *(values.get(name) for name in _COLUMNS), accrued)
