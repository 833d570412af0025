"""Importing vouchers: asked for at once, made in the background, with a reason for each one that was refused.

Voucherify: Import Vouchers, Import Vouchers to Campaign; async action types VOUCHERS.IMPORT, CAMPAIGN.VOUCHERS_IMPORT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from counterfoil.db import campaigns, vouchers
from counterfoil.db.unit import Unit
from counterfoil.domain.campaigns import template_of
from counterfoil.domain.vouchers import VoucherDraft, VoucherType, draft_of
from counterfoil.errors import CounterfoilError, InvalidInput
from counterfoil.services.async_actions import Action, Step, Work, enqueue
from counterfoil.services.core import Caller, Core
from counterfoil.services.issuing import duplicate_voucher, insert_vouchers

VOUCHERS_IMPORT = "VOUCHERS.IMPORT"
CAMPAIGN_IMPORT = "CAMPAIGN.VOUCHERS_IMPORT"
BATCH = 500
"""Vouchers made in one transaction: some tens of milliseconds, so that other writers hardly wait."""

Item = Mapping[str, Any]
"""A voucher to import: {code, given} with `given` as VoucherService.create takes it, or {code, reason} if refused."""


class VoucherImports:
    """Takes imports in, and is the handler that does them. wake: called when an async action has been asked for."""

    def __init__(self, core: Core, wake: Callable[[], object]) -> None:
        self._core = core
        self._wake = wake

    def import_vouchers(self, caller: Caller, items: Sequence[Item], *, campaign: str | None = None) -> str:
        """Ask for an import, into a campaign (id or name) when one is given; returns the async action's id.

        Raises NotFound for the campaign, InvalidInput for a campaign that has no vouchers.
        """

        def work(unit: Unit) -> str:
            payload: dict[str, Any] = {"campaign_id": None, "items": list(items)}
            if campaign is None:
                return enqueue(unit, VOUCHERS_IMPORT, payload, request_id=caller.request_id)
            row = campaigns.campaign_row(unit, unit.project_id, campaign)
            template_of(row, unit.now_ms, drawn=False)
            payload["campaign_id"] = row["id"]
            return enqueue(unit, CAMPAIGN_IMPORT, payload, request_id=caller.request_id)

        action_id = self._core.write(caller, work)
        self._wake()
        return action_id

    def __call__(self, action: Action) -> Work:
        """The next batch of the import."""
        items: list[Item] = action.payload["items"]
        done: dict[str, Any] = action.checkpoint or {"at": 0, "done": 0, "failed": []}

        def work(unit: Unit) -> Step:
            batch = items[done["at"] : done["at"] + BATCH]
            failed = _insert(unit, action.payload["campaign_id"], batch)
            at = done["at"] + len(batch)
            now = {
                "at": at,
                "done": done["done"] + len(batch) - len(failed),
                "failed": [*done["failed"], *failed],
            }
            if at < len(items):
                return Step(now, at * 100 // len(items))
            return Step(result=_result(now))

        return work


def _insert(unit: Unit, campaign_id: str | None, batch: Sequence[Item]) -> list[dict[str, Any]]:
    """Make those vouchers of a batch that can be made; returns {code, reason} of the others."""
    unit.lock()  # so that a code found free stays free until it is inserted
    template = None
    if campaign_id is not None:
        row = campaigns.campaign_row(unit, unit.project_id, campaign_id)
        template = template_of(row, unit.now_ms, drawn=False)
    taken = vouchers.taken_codes(unit.sql, unit.project_id, [item["code"] for item in batch])
    drafts: list[VoucherDraft] = []
    failed: list[dict[str, Any]] = []
    for item in batch:
        try:
            drafts.append(_draft(item, template, taken))
        except CounterfoilError as error:
            failed.append({"code": item["code"], "reason": error.message})
    insert_vouchers(unit, drafts)
    return failed


def _draft(item: Item, template: VoucherDraft | None, taken: set[str]) -> VoucherDraft:
    if "reason" in item:
        raise InvalidInput("invalid_voucher", item["reason"])
    if item["code"] in taken:
        raise duplicate_voucher(item["code"])
    given = dict(item["given"])
    if "type" in given:
        given["type"] = VoucherType(given["type"])
    return draft_of(given, template)


def _result(done: Mapping[str, Any]) -> dict[str, Any]:
    failed = done["failed"]
    return {
        "message": f"{done['done']} voucher(s) imported successfully, {len(failed)} failed.",
        "failed": failed,
        "done_count": done["done"],
        "failed_count": len(failed),
    }
