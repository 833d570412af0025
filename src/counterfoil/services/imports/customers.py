"""Customers that come in with their own ids. What the ledger sums up of them (redemptions, orders, points) it sums itself."""

from __future__ import annotations

from typing import Any

import msgspec

from counterfoil.dataplane.intake import Block
from counterfoil.db import bulk, summaries
from counterfoil.db.schema import customers
from counterfoil.db.unit import Unit
from counterfoil.domain import cells
from counterfoil.domain.customers import DATES, PROFILE
from counterfoil.errors import InvalidInput
from counterfoil.ids import random_id
from counterfoil.services.imports.report import Cells, ImportOptions, Item, Outcome, read_items
from counterfoil.services.imports.rows import Once, difference

_encode = msgspec.json.Encoder().encode
# What an empty cell says nothing of, and what changes without anything else having changed.
_IF_SAID = ("id", "created_at")
_UNCOMPARED = (*_IF_SAID, "updated_at")
_COLUMNS = ("id", "source_id", *PROFILE, "metadata", "created_at", "updated_at")
_SUMS = (*summaries.REDEMPTION_COLUMNS, *summaries.ORDER_COLUMNS[:3], "loyalty_referred_customers")
"""What a customer starts with at 0."""


def read_customer(row: Cells, *, native: bool) -> dict[str, Any]:
    """A customer's columns out of its cells; those the file has not are left out. Raises InvalidInput."""
    values: dict[str, Any] = {name: cells.read_id(name, row[name]) for name in ("id", "source_id") if name in row}
    if not values.get("id") and not values.get("source_id"):
        raise InvalidInput("invalid_cell", "a customer needs an id or a source_id", field="id")
    for name in PROFILE:
        if name in row:
            values[name] = cells.read_day(name, row[name]) if name in DATES else cells.read_text(name, row[name])
    if any(name == "metadata" or name.startswith("metadata.") for name in row):
        values["metadata"] = cells.read_metadata(row, "metadata", "metadata.")
    for name in ("created_at", "updated_at"):
        if name in row:
            values[name] = cells.read_instant(name, row[name], native=native)
    return values


class CustomerImporter:
    """The importer of customers."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options

    def read(self, block: Block) -> list[Item]:
        return read_items(block, lambda row: read_customer(row, native=block.native))

    def apply(self, unit: Unit, given: list[Item]) -> Outcome:
        connection = unit.sql
        unit.lock()
        once = Once()
        items = list(once.pass_on(given, ("id", "source_id")))
        columns = ("deleted_at", *_COLUMNS)
        ids = [item.value["id"] for item in items if item.value.get("id")]
        by_id = bulk.rows_by(connection, customers, unit.project_id, "id", ids, columns)
        sources = [item.value["source_id"] for item in items if item.value.get("source_id")]
        by_source = bulk.rows_by(connection, customers, unit.project_id, "source_id", sources, columns, live=True)
        rows: list[tuple[Any, ...]] = []
        known = 0
        for item in items:
            named = by_source.get(item.value.get("source_id"))
            stored = by_id.get(item.value["id"]) if item.value.get("id") else named
            reason = _reason(stored, named, item.value)
            if reason is not None:
                once.refuse(item, reason)
            elif stored is not None:
                known += 1
            else:
                rows.append(_row(unit, item.value))
        bulk.insert_rows(connection, customers, ("project_id", *_COLUMNS, *_SUMS), rows)
        return Outcome(len(rows), once.known + known, once.sorted)

    def committed(self, outcome: Outcome) -> None:
        pass  # nothing is remembered from one batch to the next


def _reason(stored: Any, named: Any, said: dict[str, Any]) -> str | None:
    if stored is None:
        return None if named is None else f"customer {named.id} has this source_id already"
    if stored.deleted_at is not None:
        return "a customer with this id was here and was removed"
    content = {name: value for name, value in said.items() if name not in _UNCOMPARED or (name in _IF_SAID and value)}
    return difference(stored._mapping, content, "the customer")


def _row(unit: Unit, said: dict[str, Any]) -> tuple[Any, ...]:
    values = said | {"id": said.get("id") or random_id("cust_")}
    if values.get("created_at") is None:
        values["created_at"] = unit.now_ms
    if values.get("metadata") is not None:
        values["metadata"] = _encode(values["metadata"]).decode()
    return (unit.project_id, *(values.get(name) for name in _COLUMNS), *(0 for _ in _SUMS))
