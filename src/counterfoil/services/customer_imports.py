"""Customers in bulk: made or updated in the background, each one wholly or not at all, with a reason for each refused.

Voucherify: Update Customers in Bulk, Update Customers' Metadata in Bulk, Import and Update Customers using CSV; async
action types CUSTOMERS.BULK_UPDATE, CUSTOMERS.METADATA_UPDATE and CUSTOMERS.IMPORT_CSV.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from counterfoil.db.unit import Unit
from counterfoil.domain import cells
from counterfoil.domain.customers import DATES, PROFILE, CustomerDraft
from counterfoil.errors import CounterfoilError, InvalidInput
from counterfoil.services.async_actions import Action, Step, Work, enqueue
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import upsert_customer

BULK_UPDATE = "CUSTOMERS.BULK_UPDATE"
METADATA_UPDATE = "CUSTOMERS.METADATA_UPDATE"
BATCH = 100
"""Customers stored in one transaction: some tens of milliseconds, so that other writers hardly wait."""


class CustomerImports:
    """Takes bulk updates in, and is the handler that does them. wake: called when an async action has been asked for."""

    def __init__(self, core: Core, wake: Callable[[], object]) -> None:
        self._core = core
        self._wake = wake

    def update_many(self, caller: Caller, drafts: Sequence[CustomerDraft]) -> str:
        """Ask for customers to be updated, or made where their source id is new; returns the async action's id.

        Raises InvalidInput when there are none, and for one that names nobody.
        """
        if not drafts:
            raise InvalidInput("invalid_payload", "Payload must NOT have fewer than 1 items")
        for at, draft in enumerate(drafts):
            if not draft.id and not draft.source_id:
                raise InvalidInput(
                    "invalid_payload", f"Property [{at}].source_id is required", field=f"[{at}].source_id"
                )
        return self._ask(caller, BULK_UPDATE, msgspec.to_builtins(drafts))

    def update_metadata(self, caller: Caller, source_ids: Sequence[str], metadata: Mapping[str, Any]) -> str:
        """Ask for the same metadata to be laid over that of many customers; returns the async action's id."""
        if not source_ids:
            raise InvalidInput("invalid_payload", "Property .source_ids must NOT have fewer than 1 items",
                               field="source_ids")  # fmt: skip
        drafts = [CustomerDraft(source_id=source_id, metadata=metadata) for source_id in dict.fromkeys(source_ids)]
        return self._ask(caller, METADATA_UPDATE, msgspec.to_builtins(drafts))

    def _ask(self, caller: Caller, action_type: str, items: Any) -> str:
        def work(unit: Unit) -> str:
            return enqueue(unit, action_type, {"items": items}, request_id=caller.request_id)

        action_id = self._core.write(caller, work)
        self._wake()
        return action_id

    def __call__(self, action: Action) -> Work:
        """The next batch."""
        items: list[Any] = action.payload["items"]
        done: dict[str, Any] = action.checkpoint or {"at": 0, "done": 0, "failed": []}
        batch = msgspec.convert(items[done["at"] : done["at"] + BATCH], list[CustomerDraft])

        def work(unit: Unit) -> Step:
            reasons = store_customers(unit, batch)
            failed = [{"source_id": batch[at].source_id, "reason": reason} for at, reason in reasons.items()]
            at = done["at"] + len(batch)
            now = {"at": at, "done": done["done"] + len(batch) - len(failed), "failed": [*done["failed"], *failed]}
            return Step(now, at * 100 // len(items)) if at < len(items) else Step(result=_result(now))

        return work


def store_customers(unit: Unit, drafts: Sequence[CustomerDraft]) -> dict[int, str]:
    """Make or update customers, each one wholly or not at all; the reasons of those refused, by place in the list."""
    refused: dict[int, str] = {}
    for at, draft in enumerate(drafts):
        try:
            with unit.sql.begin_nested():
                upsert_customer(unit, draft)
        except CounterfoilError as error:
            if error.transient:
                raise
            refused[at] = error.message
    return refused


def read_customer_upload(row: Mapping[str, Any]) -> CustomerDraft:
    """A draft out of the cells of an uploaded row (catalog.importables.CUSTOMER_UPLOAD). An empty cell says nothing.

    Raises InvalidInput.
    """
    profile: dict[str, str] = {}
    for name in PROFILE:
        text = cells.read_day(name, row.get(name)) if name in DATES else cells.read_text(name, row.get(name))
        if text is not None:
            profile[name] = text
    draft = CustomerDraft(
        cells.read_id("id", row.get("id")),
        cells.read_id("source_id", row.get("source_id")),
        profile,
        cells.read_metadata(row, "metadata", "metadata."),
    )
    if draft.nameless:
        raise InvalidInput("invalid_cell", "the row says nothing of any customer")
    return draft


def _result(done: Mapping[str, Any]) -> dict[str, Any]:
    failed = done["failed"]
    return {
        "message": f"{done['done']} customer(s) updated successfully, {len(failed)} failed.",
        "failed": failed,
        "done_count": done["done"],
        "failed_count": len(failed),
    }
