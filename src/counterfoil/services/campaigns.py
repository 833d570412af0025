"""Campaigns: make, look up, list, change, switch, remove, and give them more vouchers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from counterfoil.catalog.campaigns import CAMPAIGN
from counterfoil.db import campaigns, vouchers
from counterfoil.db.campaigns import CampaignQuery, Row
from counterfoil.db.unit import Unit
from counterfoil.domain.campaigns import (
    CampaignType,
    changed_campaign,
    check_capacity,
    check_count,
    new_campaign,
    template_of,
)
from counterfoil.errors import Conflict, NotFound
from counterfoil.ids import random_id
from counterfoil.plan.filters import resolve
from counterfoil.services import generation
from counterfoil.services.async_actions import AsyncActions, enqueue
from counterfoil.services.core import Caller, Core
from counterfoil.services.issuing import insert_voucher
from counterfoil.services.vouchers import stored_row

T = TypeVar("T")

AT_ONCE_MAX = 100
"""So many vouchers are made in the transaction of the request that asks for them; more are made in the background."""
COUNT_MAX = 1_000_000
"""How many vouchers one request may ask for."""


def register(actions: AsyncActions) -> None:
    """Tell the runner how the background work of campaigns is done."""
    actions.register(generation.GENERATE, generation.generate)
    actions.register(generation.UPDATE, generation.update)
    actions.register(generation.DELETE, generation.delete)


class CampaignService:
    """The use-cases of campaigns. Rows are `db.campaigns.Row`; a name in the arguments may also be an id.

    wake: called when an async action may have been asked for, so that this process's runner need not wait to see it.
    """

    def __init__(self, core: Core, wake: Callable[[], object]) -> None:
        self._core = core
        self._wake = wake

    def create(self, caller: Caller, given: Mapping[str, Any], *, vouchers_count: int = 0) -> Row:
        """Make a campaign and ask for its first vouchers.

        given: as `domain.campaigns.new_campaign` takes it. A small number of vouchers is there when this returns, for
        more the row says IN_PROGRESS. Raises InvalidInput, and Conflict (duplicate_found) for a name that is taken.
        """
        columns = new_campaign(given)
        check_count(columns, vouchers_count)

        def work(unit: Unit) -> Row:
            row = _insert(unit, columns)
            if vouchers_count:
                asked = {"campaign_id": row["id"], "count": vouchers_count, "given": {}, "code_config": None}
                _make_vouchers(unit, row, asked, caller.request_id)
            return campaigns.campaign_row(unit, unit.project_id, row["id"])

        return self._write_and_wake(caller, work)

    def _write_and_wake(self, caller: Caller, work: Callable[[Unit], T]) -> T:
        answer = self._core.write(caller, work)
        self._wake()
        return answer

    def get(self, caller: Caller, name: str) -> Row:
        """The campaign with that id or name. Raises NotFound."""
        with self._core.read() as connection:
            return campaigns.campaign_row(connection, caller.project_id, name)

    def list_campaigns(self, caller: Caller, query: CampaignQuery) -> tuple[list[Row], int]:
        """A page of campaigns, and how many there are in all. Raises InvalidInput for a filter that cannot be."""
        query = replace(query, filter=resolve(query.filter, CAMPAIGN, now_ms=self._core.clock.now_ms()))
        with self._core.read() as connection:
            return campaigns.list_campaigns(connection, caller.project_id, query)

    def update(
        self, caller: Caller, name: str, given: Mapping[str, Any], *, campaign_type: CampaignType | None = None
    ) -> Row:
        """Change a campaign, and its vouchers that are not published or redeemed yet, many of them in the background.

        given: as `domain.campaigns.changed_campaign` takes it. campaign_type: campaigns of others are not found. Raises
        NotFound, InvalidInput.
        """

        def work(unit: Unit) -> Row:
            unit.lock()
            row = _of_type(unit, name, campaign_type)
            columns, affected = changed_campaign(row, given)
            if affected and row["vouchers_count"]:
                columns |= _change_vouchers(unit, row, affected, caller.request_id)
            columns["updated_at"] = unit.now_ms
            campaigns.update_campaign(unit.sql, unit.project_id, row["id"], columns)
            return campaigns.campaign_row(unit, unit.project_id, row["id"])

        return self._write_and_wake(caller, work)

    def set_active(self, caller: Caller, name: str, *, active: bool) -> None:
        """Enable or disable a campaign. Raises NotFound."""

        def work(unit: Unit) -> None:
            row = campaigns.campaign_row(unit, unit.project_id, name)
            values = {"active": active, "updated_at": unit.now_ms}
            campaigns.update_campaign(unit.sql, unit.project_id, row["id"], values)

        self._core.write(caller, work)

    def delete(self, caller: Caller, name: str, *, campaign_type: CampaignType | None = None) -> str:
        """Remove a campaign at once and its vouchers in the background; returns the async action's id.

        The movements of its cards stay in the ledger, and its name becomes free. Raises NotFound, for campaigns of other
        types than the one named, too.
        """

        def work(unit: Unit) -> str:
            unit.lock()
            row = _of_type(unit, name, campaign_type)
            values = {"deleted_at": unit.now_ms, "updated_at": unit.now_ms}
            campaigns.update_campaign(unit.sql, unit.project_id, row["id"], values)
            payload = {"campaign_id": row["id"], "total": row["vouchers_count"]}
            return enqueue(unit, generation.DELETE, payload, request_id=caller.request_id)

        return self._write_and_wake(caller, work)

    def add_voucher(
        self, caller: Caller, name: str, given: Mapping[str, Any], *, code_config: Mapping[str, Any] | None = None
    ) -> vouchers.Row:
        """Give the campaign one more voucher, with the code in `given` or a drawn one; its row, ready to be shown.

        given: values for fields of VoucherDraft that differ from the template. Raises NotFound, InvalidInput, Conflict.
        """

        def work(unit: Unit) -> vouchers.Row:
            row = campaigns.campaign_row(unit, unit.project_id, name)
            template_of(row, unit.now_ms, drawn="code" not in given)
            draft = generation.more_draft(row, unit.now_ms, given, code_config)
            return stored_row(unit, insert_voucher(unit, draft)["id"])

        return self._core.write(caller, work)

    def add_vouchers(
        self,
        caller: Caller,
        name: str,
        count: int,
        given: Mapping[str, Any],
        *,
        code_config: Mapping[str, Any] | None = None,
    ) -> str:
        """Ask for `count` more vouchers with drawn codes, made in the background; returns the async action's id.

        given and code_config as in `add_voucher`. Raises NotFound, InvalidInput.
        """

        def work(unit: Unit) -> str:
            row = campaigns.campaign_row(unit, unit.project_id, name)
            template_of(row, unit.now_ms, drawn=True)
            check_capacity(generation.more_draft(row, unit.now_ms, given, code_config).shape, count)
            asked = {"campaign_id": row["id"], "count": count, "given": given, "code_config": code_config}
            return _enqueue_generation(unit, asked, caller.request_id)

        return self._write_and_wake(caller, work)


def _of_type(unit: Unit, name: str, campaign_type: CampaignType | None) -> Row:
    row = campaigns.campaign_row(unit, unit.project_id, name)
    if campaign_type is not None and row["campaign_type"] != campaign_type:
        raise NotFound("campaign", name)
    return row


def _insert(unit: Unit, columns: Mapping[str, Any]) -> Row:
    unit.lock()
    if campaigns.name_is_taken(unit.sql, unit.project_id, columns["name"]):
        raise Conflict("duplicate_found", f"Duplicated campaign exists with name {columns['name']}", field="name",
                       value=columns["name"], resource_type="campaign", resource_id=columns["name"])  # fmt: skip
    iid = campaigns.next_iid(unit.sql, unit.project_id)
    row = {
        **columns,
        "project_id": unit.project_id,
        "id": random_id("camp_"),
        "iid": iid,
        "currency_iid": None if columns["currency_eid"] is None else iid,
        "vouchers_count": 0,
        "created_at": unit.now_ms,
    }
    campaigns.insert_campaign(unit.sql, row)
    return row


def _make_vouchers(unit: Unit, row: Row, asked: Mapping[str, Any], request_id: str) -> None:
    if asked["count"] <= AT_ONCE_MAX:
        generation.generate_some(unit, row, unit.now_ms, asked, asked["count"])
    else:
        _enqueue_generation(unit, asked, request_id)


def _change_vouchers(unit: Unit, row: Row, values: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """Change the vouchers now when they are few, else ask for it; returns columns of the campaign to set."""
    if row["vouchers_count"] <= AT_ONCE_MAX:
        places = vouchers.walk_campaign(unit.sql, unit.project_id, row["id"], None, AT_ONCE_MAX)
        generation.change_some(unit, [voucher_id for _, voucher_id in places], values)
        return {}
    payload = {"campaign_id": row["id"], "total": row["vouchers_count"], "values": values}
    return {"generation_id": enqueue(unit, generation.UPDATE, payload, request_id=request_id)}


def _enqueue_generation(unit: Unit, asked: Mapping[str, Any], request_id: str) -> str:
    action_id = enqueue(unit, generation.GENERATE, asked, request_id=request_id)
    campaigns.update_campaign(unit.sql, unit.project_id, asked["campaign_id"], {"generation_id": action_id})
    return action_id
