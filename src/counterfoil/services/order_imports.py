"""Importing orders of the past: asked for at once, stored in the background, with a reason for each one refused.

Voucherify: Import Orders; async action type ORDERS.IMPORT. Nothing is earned with them, as the vendor says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from counterfoil.db.unit import Unit
from counterfoil.domain.orders import OrderDraft, check_order
from counterfoil.errors import CounterfoilError, InvalidInput
from counterfoil.services.async_actions import Action, Step, Work, enqueue
from counterfoil.services.core import Caller, Core
from counterfoil.services.orders import save_order

ORDERS_IMPORT = "ORDERS.IMPORT"
ORDERS_MAX = 2000
BATCH = 100
"""Orders stored in one transaction: some tens of milliseconds, so that other writers hardly wait."""


class OrderImports:
    """Takes imports in, and is the handler that does them. wake: called when an async action has been asked for."""

    def __init__(self, core: Core, wake: Callable[[], object]) -> None:
        self._core = core
        self._wake = wake

    def import_orders(self, caller: Caller, drafts: Sequence[OrderDraft]) -> str:
        """Ask for an import of up to ORDERS_MAX orders; returns the async action's id. Raises InvalidInput."""
        if not 1 <= len(drafts) <= ORDERS_MAX:
            words = "fewer than 1" if not drafts else f"more than {ORDERS_MAX}"
            raise InvalidInput("invalid_payload", f"Payload must NOT have {words} items", value=len(drafts))
        for at, draft in enumerate(drafts):
            check_order(draft, f"[{at}]")
        items: list[Any] = msgspec.to_builtins(drafts)

        def work(unit: Unit) -> str:
            return enqueue(unit, ORDERS_IMPORT, {"items": items}, request_id=caller.request_id)

        action_id = self._core.write(caller, work)
        self._wake()
        return action_id

    def __call__(self, action: Action) -> Work:
        """The next batch of the import."""
        items: list[Any] = action.payload["items"]
        done: dict[str, Any] = action.checkpoint or {"at": 0, "done": 0, "failed": []}
        batch = msgspec.convert(items[done["at"] : done["at"] + BATCH], list[OrderDraft])

        def work(unit: Unit) -> Step:
            failed = _store(unit, batch, done["at"])
            at = done["at"] + len(batch)
            now = {"at": at, "done": done["done"] + len(batch) - len(failed), "failed": [*done["failed"], *failed]}
            return Step(now, at * 100 // len(items)) if at < len(items) else Step(result=_result(now))

        return work


def _store(unit: Unit, batch: Sequence[OrderDraft], first: int) -> list[dict[str, Any]]:
    """Store those orders of a batch that can be stored, each one wholly or not at all; what was wrong with the rest."""
    failed: list[dict[str, Any]] = []
    for at, draft in enumerate(batch, first):
        try:
            with unit.sql.begin_nested():
                save_order(unit, draft, earn=False)
        except CounterfoilError as error:
            if error.transient:
                raise
            failed.append({"row": at + 1, "source_id": draft.source_id, "reason": error.message})
    return failed


def _result(done: Mapping[str, Any]) -> dict[str, Any]:
    failed = done["failed"]
    return {
        "message": f"{done['done']} order(s) imported successfully, {len(failed)} failed.",
        "failed": failed,
        "done_count": done["done"],
        "failed_count": len(failed),
    }
