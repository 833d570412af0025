"""The background work of campaigns: making their vouchers, changing them, removing them, a batch at a time.

Async action types CAMPAIGN.VOUCHERS_GENERATE, CAMPAIGN.VOUCHERS_UPDATE and CAMPAIGN.VOUCHERS_DELETE (facts 3.5).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from counterfoil.db import campaigns, vouchers
from counterfoil.db.unit import Unit
from counterfoil.db.vouchers import Place, Row
from counterfoil.domain.campaigns import voucher_draft
from counterfoil.domain.codes import code_shape
from counterfoil.domain.vouchers import VoucherDraft, draft_of
from counterfoil.services.async_actions import Action, Step, Work
from counterfoil.services.issuing import insert_vouchers

GENERATE = "CAMPAIGN.VOUCHERS_GENERATE"
UPDATE = "CAMPAIGN.VOUCHERS_UPDATE"
DELETE = "CAMPAIGN.VOUCHERS_DELETE"
BATCH = 500
"""Vouchers made in one transaction: some tens of milliseconds, so that other writers hardly wait."""
WALK = 2000
"""Vouchers changed or removed in one transaction."""


def more_draft(
    campaign: Mapping[str, Any], granted_at: int, given: Mapping[str, Any], code_config: Mapping[str, Any] | None
) -> VoucherDraft:
    """One more voucher of a campaign: its template, changed by what was said for this one. Raises InvalidInput.

    given: values for fields of VoucherDraft. code_config: for drawn codes, instead of the template's.
    """
    draft = draft_of(given, voucher_draft(campaign, granted_at))
    return draft if code_config is None else replace(draft, shape=code_shape(code_config))


def generate_some(
    unit: Unit, campaign: Mapping[str, Any], granted_at: int, asked: Mapping[str, Any], count: int
) -> list[Row]:
    """Make `count` vouchers with drawn codes. asked: {given, code_config} as in `more_draft`."""
    draft = more_draft(campaign, granted_at, asked["given"], asked["code_config"])
    return insert_vouchers(unit, [draft] * count)


def generate(action: Action) -> Work:
    """Handler of GENERATE. payload: {campaign_id, count, given, code_config}; the checkpoint is how many are made.

    A campaign that was removed meanwhile ends the action as FAILED.
    """
    made: int = action.checkpoint or 0
    count: int = action.payload["count"]

    def work(unit: Unit) -> Step:
        batch = min(BATCH, count - made)
        campaign = campaigns.campaign_row(unit, unit.project_id, action.payload["campaign_id"])
        generate_some(unit, campaign, action.created_at, action.payload, batch)
        if made + batch < count:
            return Step(made + batch, (made + batch) * 100 // count)
        return Step(result={"message": f"Generated {count} vouchers.", "done_count": count})

    return work


def update(action: Action) -> Work:
    """Handler of UPDATE. payload: {campaign_id, total, values}, values by column of the vouchers table."""
    return _walk(action, "Updated", lambda unit, ids: change_some(unit, ids, action.payload["values"]))


def change_some(unit: Unit, ids: list[str], values: Mapping[str, Any]) -> int:
    """Set columns of those vouchers that are not published or redeemed yet; returns how many."""
    return vouchers.update_unused(unit.sql, unit.project_id, ids, {**values, "updated_at": unit.now_ms})


def delete(action: Action) -> Work:
    """Handler of DELETE. payload: {campaign_id, total}. The vouchers' movements stay."""

    def remove(unit: Unit, ids: list[str]) -> int:
        removed = vouchers.delete_vouchers(unit.sql, unit.project_id, ids, unit.now_ms)
        campaigns.add_to_count(unit.sql, unit.project_id, action.payload["campaign_id"], -removed)
        return removed

    return _walk(action, "Deleted", remove)


def _walk(action: Action, verb: str, change: Callable[[Unit, list[str]], int]) -> Work:
    so_far: dict[str, Any] = action.checkpoint or {"after": None, "seen": 0, "done": 0}
    campaign_id: str = action.payload["campaign_id"]
    total: int = action.payload["total"]

    def work(unit: Unit) -> Step:
        unit.lock()
        after: Place | None = None if so_far["after"] is None else (so_far["after"][0], so_far["after"][1])
        places = vouchers.walk_campaign(unit.sql, unit.project_id, campaign_id, after, WALK)
        done = so_far["done"] + change(unit, [voucher_id for _, voucher_id in places])
        if len(places) < WALK:
            return Step(result={"message": f"{verb} {done} vouchers.", "done_count": done})
        seen = so_far["seen"] + len(places)
        return Step({"after": list(places[-1]), "seen": seen, "done": done}, min(99, seen * 100 // max(total, seen)))

    return work
