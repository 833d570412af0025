"""Campaigns that come in with their own ids, and those that are made because vouchers name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterfoil.dataplane.intake import Block
from counterfoil.db import bulk
from counterfoil.db.campaigns import insert_campaign, next_iid
from counterfoil.db.schema import campaigns
from counterfoil.db.unit import Unit
from counterfoil.domain import cells
from counterfoil.domain.campaigns import GROWTH_TYPES, STATIC, CampaignType, new_campaign
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.errors import InvalidInput
from counterfoil.ids import random_id
from counterfoil.services.imports.report import Cells, ImportOptions, Item, Outcome, read_items
from counterfoil.services.imports.rows import Once, difference

_TEXTS = ("name", "description", "category", "activity_duration_after_publishing")
_FLAGS = ("auto_join", "join_once", "use_voucher_metadata_schema")
_TYPE_OF = {
    VoucherType.LOYALTY: CampaignType.LOYALTY,
    VoucherType.GIFT: CampaignType.GIFT,
    VoucherType.DISCOUNT: CampaignType.DISCOUNT,
}
_COMPARED = ("name", "campaign_type", "type", "voucher", "start_date", "expiration_date", "category", "metadata")


@dataclass(frozen=True, slots=True)
class Made:
    """A campaign as vouchers see it."""

    id: str
    name: str
    campaign_type: str
    deleted_at: int | None = None


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign as a file has it: columns as `new_campaign` gives them, and what only a record of the past has."""

    columns: dict[str, Any]
    id: str | None
    active: bool
    created_at: int | None
    updated_at: int | None


def make_campaign(unit: Unit, campaign_id: str | None, name: str, draft: VoucherDraft) -> Made:
    """A campaign for a voucher that names one: its template gives nothing, its codes are those that come in."""
    kind = _TYPE_OF[draft.type]
    template: dict[str, Any] = {"type": draft.type.value}
    if draft.type is VoucherType.GIFT:
        template["gift"] = {"amount": 0}
    elif draft.type is VoucherType.DISCOUNT:
        template["discount"] = draft.discount
    columns = new_campaign({"name": name, "campaign_type": kind.value, "type": STATIC, "voucher": template})
    row = CampaignRow(columns, campaign_id, active=True, created_at=draft.created_at, updated_at=None)
    return Made(_insert(unit, row), name, kind.value)


def read_campaign(row: Cells, *, native: bool) -> CampaignRow:
    """A campaign out of its cells. Raises InvalidInput."""
    kind = cells.required("campaign_type", row.get("campaign_type"))
    growth = row.get("type") or STATIC
    for name, value, allowed in (("campaign_type", kind, tuple(CampaignType)), ("type", growth, GROWTH_TYPES)):
        if value not in allowed:
            raise cells.invalid_cell(name, f"must be one of {', '.join(allowed)}", value)
    given: dict[str, Any] = {"campaign_type": kind, "type": growth}
    given |= {name: cells.read_id(name, row.get(name)) for name in _TEXTS}
    given |= {name: cells.read_flag(name, row.get(name)) for name in _FLAGS}
    given |= {
        name: cells.read_instant(name, row.get(name), native=native) for name in ("start_date", "expiration_date")
    }
    given["validity_timeframe"] = cells.read_object("validity_timeframe", row.get("validity_timeframe"))
    given["validity_day_of_week"] = cells.read_json("validity_day_of_week", row.get("validity_day_of_week"))
    given["voucher"] = _template(cells.read_object("voucher", row.get("voucher")))
    given["metadata"] = cells.read_metadata(row, "metadata", "metadata.")
    cells.required("name", given["name"])
    try:
        columns = new_campaign({name: value for name, value in given.items() if value is not None})
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInput("invalid_cell", f"voucher is not a template: {error}", field="voucher") from None
    active = cells.read_flag("active", row.get("active"))
    return CampaignRow(
        columns,
        cells.read_id("id", row.get("id")),
        active=active is not False,
        created_at=cells.read_instant("created_at", row.get("created_at"), native=native),
        updated_at=cells.read_instant("updated_at", row.get("updated_at"), native=native),
    )


def _template(said: dict[str, Any] | None) -> dict[str, Any] | None:
    """The voucher template with its instants in ms, as `new_campaign` takes it."""
    if said is None:
        return None
    for name in ("start_date", "expiration_date"):
        if isinstance(said.get(name), str):
            said[name] = cells.instant(f"voucher.{name}", said[name], native=False)
    return said


class CampaignImporter:
    """The importer of campaigns."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options

    def read(self, block: Block) -> list[Item]:
        return read_items(block, lambda row: read_campaign(row, native=block.native))

    def apply(self, unit: Unit, given: list[Item]) -> Outcome:
        connection = unit.sql
        unit.lock()
        once = Once()
        items = list(once.pass_on(given, ("id", "name")))
        ids = [item.value.id for item in items if item.value.id is not None]
        columns = ("id", "deleted_at", *_COMPARED)
        by_id = bulk.rows_by(connection, campaigns, unit.project_id, "id", ids, columns)
        names = [item.value.columns["name"] for item in items]
        by_name = bulk.rows_by(connection, campaigns, unit.project_id, "name", names, columns, live=True)
        written = known = 0
        for item in items:
            row: CampaignRow = item.value
            named = by_name.get(row.columns["name"])
            stored = named if row.id is None else by_id.get(row.id)
            reason = _reason(stored, named, row)
            if reason is not None:
                once.refuse(item, reason)
            elif stored is not None:
                known += 1
            else:
                _insert(unit, row)
                written += 1
        return Outcome(written, once.known + known, once.sorted)

    def committed(self, outcome: Outcome) -> None:
        pass  # nothing is remembered from one batch to the next


def _reason(stored: Any, named: Any, row: CampaignRow) -> str | None:
    if stored is None:
        return None if named is None else f"campaign {named.id} has this name already"
    if stored.deleted_at is not None:
        return "a campaign with this id was here and was removed"
    said: Mapping[str, Any] = {name: row.columns[name] for name in _COMPARED}
    return difference(stored._mapping, said, "the campaign")


def _insert(unit: Unit, row: CampaignRow) -> str:
    campaign_id = row.id or random_id("camp_")
    values = {
        **row.columns,
        "project_id": unit.project_id,
        "id": campaign_id,
        "iid": next_iid(unit.sql, unit.project_id),
        "active": row.active,
        "created_at": unit.now_ms if row.created_at is None else row.created_at,
        "updated_at": row.updated_at,
    }
    if values["currency_eid"] is not None:
        values["currency_iid"] = values["iid"]
    insert_campaign(unit.sql, values)
    return campaign_id
