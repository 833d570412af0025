"""Publications: giving vouchers to customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from counterfoil.catalog.objects import exportable
from counterfoil.db import customers, vouchers
from counterfoil.db import publications as stored
from counterfoil.db.campaigns import campaign_row, find_campaign
from counterfoil.db.customers import customers_by_id
from counterfoil.db.publications import PublicationQuery, Row
from counterfoil.db.unit import Unit
from counterfoil.domain import publications as rules
from counterfoil.domain.campaigns import AUTO_UPDATE, template_of
from counterfoil.domain.publications import PublicationDraft
from counterfoil.errors import InvalidInput, Refused
from counterfoil.ids import random_id
from counterfoil.plan.filters import resolve
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import upsert_customer
from counterfoil.services.issuing import insert_vouchers

PAGE_MAX = 1000


def publish(unit: Unit, draft: PublicationDraft) -> Row:
    """Give the customer the vouchers asked for; the publication as stored.

    Asked for again with its source_id, or with join_once, the first publication comes back and nothing is given. Raises
    InvalidInput, NotFound for the campaign, voucher or customer, and Refused when no voucher may be given; of a refusal
    nothing is written here (see `record_refusal`).
    """
    rules.check_publication(draft)
    unit.lock()
    known = _repeated(unit, draft)
    if known is not None:
        return known
    campaign, voucher = _wanted(unit, draft)
    customer = upsert_customer(unit, draft.customer)
    if draft.join_once:
        given = _given_before(unit, draft, customer, campaign, voucher)
        if given is not None:
            return given
    chosen = _chosen(unit, draft, customer["id"], campaign, voucher)
    return give(unit, draft, customer, campaign, chosen)


def give(
    unit: Unit,
    draft: PublicationDraft,
    customer: Mapping[str, Any],
    campaign: Mapping[str, Any] | None,
    chosen: Sequence[Mapping[str, Any]],
) -> Row:
    """Make the customer the holder of the chosen vouchers (rows) and store the publication that says so.

    A voucher of a standalone campaign goes to any number of customers and gets no holder.
    """
    generic = campaign is not None and campaign["type"] == rules.STANDALONE
    for voucher in chosen:
        values = {
            "publications_count": voucher["publications_count"] + 1,
            "expiration_date": rules.expiration_after(campaign, voucher["expiration_date"], unit.now_ms),
            "updated_at": unit.now_ms,
        }
        if not generic:
            values["holder_id"] = customer["id"]
        vouchers.update_voucher(unit.sql, unit.project_id, voucher["id"], values)
    unit.forget()
    row = _row(unit, draft, customer, campaign, chosen)
    stored.insert_publication(unit.sql, row)
    return row


def record_refusal(unit: Unit, draft: PublicationDraft, refusal: Refused) -> None:
    """Store a publication that came to nothing, with why. The source id stays free for the next attempt."""
    unit.lock()
    customer = upsert_customer(unit, draft.customer)
    campaign, voucher = _wanted(unit, draft)
    row = _row(unit, replace(draft, source_id=None), customer, campaign, [] if voucher is None else [voucher])
    failed = {"result": "FAILURE", "failure_code": refusal.code, "failure_message": refusal.message}
    stored.insert_publication(unit.sql, row | failed)


def _repeated(unit: Unit, draft: PublicationDraft) -> Row | None:
    """The publication that has the draft's source id already, if it is the same one. Raises InvalidInput if not."""
    if not draft.source_id:
        return None
    known = stored.publication_by_source_id(unit.sql, unit.project_id, draft.source_id)
    if known is None:
        return None
    found = None
    if draft.customer.id:
        found = customers.customer_by_id(unit.sql, unit.project_id, draft.customer.id)
    elif draft.customer.source_id:
        found = customers.customer_by_source_id(unit.sql, unit.project_id, draft.customer.source_id)
    same_customer = found is not None and found["id"] == known["customer_id"]
    names = ("voucher_code", "voucher_id") if draft.voucher else ("campaign", "campaign_id")
    same_source = (draft.voucher or draft.campaign) in [known[name] for name in names]
    if same_customer and same_source:
        return known
    raise InvalidInput("duplicate_source_id", f"Publication with source_id: '{draft.source_id}' already exists",
                       field="source_id", value=draft.source_id)  # fmt: skip


def _wanted(unit: Unit, draft: PublicationDraft) -> tuple[Mapping[str, Any] | None, Row | None]:
    """The campaign (None for a voucher without one) and the named voucher, if one is named."""
    if not draft.voucher:
        return campaign_row(unit, unit.project_id, draft.campaign or ""), None
    voucher = vouchers.voucher_row(unit, unit.project_id, draft.voucher)
    if voucher["campaign_id"] is None:
        return None, voucher
    return find_campaign(unit.sql, unit.project_id, voucher["campaign_id"]), voucher


def _given_before(
    unit: Unit,
    draft: PublicationDraft,
    customer: Row,
    campaign: Mapping[str, Any] | None,
    voucher: Mapping[str, Any] | None,
) -> Row | None:
    """What the customer got before, as a publication; None when nothing."""
    project_id, customer_id = unit.project_id, customer["id"]
    if campaign is None:
        return None if voucher is None else stored.first_of_voucher(unit.sql, project_id, customer_id, voucher["id"])
    known = stored.first_in_campaign(unit.sql, project_id, customer_id, campaign["id"])
    if known is not None:
        return known
    held = stored.held_voucher_id(unit.sql, project_id, customer_id, campaign["id"])
    if held is None:
        return None
    # They hold one that no publication tells of, such as an imported one: this publication does.
    return give(unit, draft, customer, campaign, [vouchers.voucher_row(unit, project_id, held)])


def _chosen(
    unit: Unit,
    draft: PublicationDraft,
    customer_id: str,
    campaign: Mapping[str, Any] | None,
    voucher: Row | None,
) -> list[Row]:
    """The rows of the vouchers to give. Raises Refused."""
    generic = campaign is not None and campaign["type"] == rules.STANDALONE
    if voucher is not None:
        rules.check_voucher(voucher, unit.now_ms, generic=generic)
    if campaign is not None:
        rules.check_campaign(campaign, unit.now_ms)
        if campaign["join_once"] and stored.held_voucher_id(unit.sql, unit.project_id, customer_id, campaign["id"]):
            raise Refused("voucher_cannot_be_published",
                          "Voucher cannot be published. Customer already joined program.")  # fmt: skip
    if voucher is not None:
        return [voucher]
    assert campaign is not None
    free = stored.free_voucher_ids(unit.sql, unit.project_id, campaign["id"], draft.count, unit.now_ms)
    missing = draft.count - len(free)
    if missing and (campaign["type"] != AUTO_UPDATE or campaign["voucher"] is None):
        raise Refused("no_voucher_suitable_for_publication",
                      f"Couldn't find any voucher suitable for publication in campaign {campaign['name']}",
                      resource_type="campaign", resource_id=campaign["id"])  # fmt: skip
    rows = vouchers.vouchers_by_id(unit.sql, unit.project_id, free)
    chosen = [rows[voucher_id] for voucher_id in free]
    if missing:
        template = replace(template_of(campaign, unit.now_ms, drawn=True), holder_id=customer_id)
        chosen += insert_vouchers(unit, [template] * missing)
    return chosen


def _row(
    unit: Unit,
    draft: PublicationDraft,
    customer: Mapping[str, Any],
    campaign: Mapping[str, Any] | None,
    chosen: Sequence[Mapping[str, Any]],
) -> Row:
    home: Mapping[str, Any] = campaign or {}
    types = sorted({voucher["type"] for voucher in chosen})
    return {
        "project_id": unit.project_id,
        "id": random_id("pub_", 32),
        "customer_id": customer["id"],
        "campaign_id": home.get("id"),
        "campaign": home.get("name"),
        "voucher_id": chosen[0]["id"] if len(chosen) == 1 else None,
        "voucher_code": ",".join(voucher["code"] for voucher in chosen) or None,
        "voucher_type": types[0] if types else None,
        "is_referral_code": any(voucher["is_referral_code"] for voucher in chosen),
        "vouchers_id": [voucher["id"] for voucher in chosen],
        "channel": draft.channel or rules.API_CHANNEL,
        "source_id": draft.source_id or None,
        "tracking_id": customer["source_id"],
        "result": "SUCCESS",
        "failure_code": None,
        "failure_message": None,
        "is_winner": None,
        "metadata": dict(draft.metadata or {}),
        "created_at": unit.now_ms,
    }


class PublicationService:
    """The use-cases of publications. Rows carry `its_customer` and `its_vouchers`, the rows they name as they are now."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def publish(self, caller: Caller, draft: PublicationDraft) -> Row:
        """Give the customer the vouchers asked for (see `publish`); a refusal is stored too, and raised after that."""

        def work(unit: Unit) -> dict[str, Any]:
            try:
                with unit.sql.begin_nested():
                    row = publish(unit, draft)
            except Refused as refusal:
                record_refusal(unit, draft, refusal)
                told = {"code": refusal.code, "message": refusal.message}
                about = {"resource_type": refusal.resource_type, "resource_id": refusal.resource_id}
                return {"refused": told | about}
            return {"published": _with_parts(unit.sql, unit.project_id, [row])[0]}

        answer = self._core.write(caller, work)
        if "refused" in answer:
            raise Refused(**answer["refused"])
        return answer["published"]

    def list_publications(self, caller: Caller, query: PublicationQuery) -> tuple[list[Row], int]:
        """A page of publications, and how many there are in all. query.filter is as asked, not resolved (InvalidInput)."""
        if query.page > PAGE_MAX:
            raise InvalidInput("page_over_limit", f"Property .page cannot be higher than {PAGE_MAX}", field="page",
                               value=query.page)  # fmt: skip
        found = resolve(query.filter, exportable("publication"), now_ms=self._core.clock.now_ms())
        with self._core.read() as connection:
            rows, total = stored.list_publications(connection, caller.project_id, replace(query, filter=found))
            return _with_parts(connection, caller.project_id, rows), total


def _with_parts(connection: Any, project_id: int, rows: Sequence[Row]) -> list[Row]:
    people = customers_by_id(connection, project_id, (row["customer_id"] for row in rows if row["customer_id"]))
    wanted = {voucher_id for row in rows for voucher_id in row["vouchers_id"] or ()}
    given = vouchers.with_points(
        connection, project_id, list(vouchers.vouchers_by_id(connection, project_id, wanted).values())
    )
    by_id = {voucher["id"]: voucher for voucher in given}
    return [
        row
        | {
            "its_customer": people.get(row["customer_id"]),
            "its_vouchers": [by_id[each] for each in row["vouchers_id"] or () if each in by_id],
        }
        for row in rows
    ]
