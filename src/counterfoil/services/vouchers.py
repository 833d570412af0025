"""Vouchers: make, look up, list, change, switch, remove, and the balance of cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from counterfoil.catalog.objects import exportable
from counterfoil.db import campaigns, vouchers
from counterfoil.db.unit import Unit
from counterfoil.db.vouchers import Row, VoucherQuery
from counterfoil.domain import cards, expiry
from counterfoil.domain.campaigns import template_of
from counterfoil.domain.cards import Card, CardKind, Origin
from counterfoil.domain.vouchers import VoucherDraft, VoucherType, check_discount, check_period, draft_of
from counterfoil.errors import InvalidInput, Refused
from counterfoil.plan.filters import resolve
from counterfoil.services.core import Caller, Core
from counterfoil.services.issuing import insert_voucher

API_CHANNEL = "API"
"""The source of a movement whose caller names no channel (facts 3.2)."""


class VoucherService:
    """The use-cases of vouchers. Rows are `db.vouchers.Row`, loyalty cards with what `db.vouchers.with_points` adds."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def create(self, caller: Caller, given: Mapping[str, Any], *, campaign: str | None = None) -> Row:
        """Make a voucher, standalone or in a campaign (id or name), with the given code or a drawn one.

        given: values for fields of VoucherDraft, only those that were said. Raises InvalidInput, NotFound for the
        campaign, Conflict for a code that is taken.
        """

        def work(unit: Unit) -> Row:
            template = None if campaign is None else _template(unit, campaign, drawn="code" not in given)
            row = insert_voucher(unit, draft_of(given, template))
            return stored_row(unit, row["id"])

        return self._core.write(caller, work)

    def get(self, caller: Caller, name: str) -> Row:
        """The voucher with that code or id. Raises NotFound."""
        with self._core.read() as connection:
            row = vouchers.voucher_row(connection, caller.project_id, name)
            return vouchers.with_points(connection, caller.project_id, [row])[0]

    def list_vouchers(self, caller: Caller, query: VoucherQuery) -> tuple[list[Row], int]:
        """A page of vouchers, and how many there are in all. Raises InvalidInput for a filter that cannot be."""
        resolved = resolve(query.filter, exportable("voucher"), now_ms=self._core.clock.now_ms())
        query = replace(query, filter=resolved)
        with self._core.read() as connection:
            rows, total = vouchers.list_vouchers(connection, caller.project_id, query)
            return vouchers.with_points(connection, caller.project_id, rows), total

    def update(self, caller: Caller, name: str, changes: Mapping[str, Any]) -> Row:
        """Set columns of a voucher; metadata is laid over what is there. Never a balance.

        changes: column -> value, only those that were said; a discount only matters to discount vouchers and keeps its
        type. Raises NotFound, InvalidInput.
        """

        def work(unit: Unit) -> Row:
            row = vouchers.voucher_row(unit, unit.project_id, name)
            values = _checked_changes(row, changes)
            vouchers.update_voucher(unit.sql, unit.project_id, row["id"], {**values, "updated_at": unit.now_ms})
            return stored_row(unit, row["id"])

        return self._core.write(caller, work)

    def set_active(self, caller: Caller, name: str, *, active: bool) -> Row:
        """Enable or disable a voucher. Raises NotFound."""
        return self.update(caller, name, {"active": active})

    def delete(self, caller: Caller, name: str) -> None:
        """Remove a voucher; its movements stay in the ledger and its code becomes free. Raises NotFound."""

        def work(unit: Unit) -> None:
            row = vouchers.voucher_row(unit, unit.project_id, name)
            vouchers.delete_vouchers(unit.sql, unit.project_id, [row["id"]], unit.now_ms)
            if row["campaign_id"] is not None:
                campaigns.add_to_count(unit.sql, unit.project_id, row["campaign_id"], -1)

        self._core.write(caller, work)

    def change_balance(
        self, caller: Caller, name: str, amount: int, *, source_id: str | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        """Add credits or points to a card, or take them away when amount is negative (facts 3.3).

        Added points expire by the programme's rules. Returns the vendor's balance object with `amount`. Raises NotFound,
        InvalidInput for an amount of 0 or beyond what the ledger can hold, Refused for a card that cannot be used, has
        too little, or is a loyalty card that nobody holds.
        """
        origin = Origin(caller.channel or API_CHANNEL, source_id, reason)

        def work(unit: Unit) -> dict[str, Any]:
            card = _usable_card(unit, name)
            if amount < 0:
                card, movements = cards.remove(card, -amount, origin)
            else:
                card, movements = cards.add(card, amount, origin, points_expire_on(unit, card), unit.now_ms)
            unit.post(card, movements)
            view = cards.balance_view(card, amount, "MANUAL")
            view.pop("points", None)
            return {"amount": amount, **view}

        return self._core.write(caller, work, cards=(name,))


def stored_row(unit: Unit, name: str) -> Row:
    """The voucher as it stands in the unit's transaction, ready to be shown. Raises NotFound."""
    row = vouchers.voucher_row(unit, unit.project_id, name)
    return vouchers.with_points(unit.sql, unit.project_id, [row])[0]


def points_expire_on(unit: Unit, card: Card) -> str | None:
    """The last day of use (ISO date) of points that the card gets today by its programme's rules; None for never."""
    if card.kind is CardKind.GIFT or card.campaign_id is None:
        return None
    campaign_id = card.campaign_id
    # One look for the programmes of a whole group's cards.
    rules = unit.recall(
        "expiration_rules",
        lambda peek: campaigns.expiration_rules(peek, unit.project_id, {*unit.campaign_ids, campaign_id}),
    )
    if campaign_id not in rules:
        rules |= campaigns.expiration_rules(unit.peek, unit.project_id, (campaign_id,))
    return expiry.last_day(rules[campaign_id], unit.today)


def _template(unit: Unit, campaign: str, *, drawn: bool) -> VoucherDraft:
    row = campaigns.campaign_row(unit, unit.project_id, campaign)
    return template_of(row, unit.now_ms, drawn=drawn)


def _usable_card(unit: Unit, name: str) -> Card:
    card = unit.find_card(name)
    if card is None:
        row = vouchers.voucher_row(unit.peek, unit.project_id, name)
        raise Refused("invalid_voucher", f"A {row['type']} has no balance", resource_type="voucher",
                      resource_id=row["code"])  # fmt: skip
    cards.check_usable(card, unit.now_ms)
    if card.kind is CardKind.LOYALTY and card.holder_id is None:
        raise Refused("invalid_add_balance_params", "The loyalty card must be assigned to a holder",
                      resource_type="voucher", resource_id=card.code)  # fmt: skip
    return card


def _checked_changes(row: Row, changes: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    start = values.get("start_date", row["start_date"])
    check_period(start, values.get("expiration_date", row["expiration_date"]), "invalid_voucher")
    if "metadata" in values:
        values["metadata"] = {**(row["metadata"] or {}), **values["metadata"]}
    discount = values.pop("discount", None)
    if discount is not None and row["type"] == VoucherType.DISCOUNT:
        before = (row["discount"] or {}).get("type")
        if discount.get("type", before) != before:
            raise InvalidInput("invalid_voucher", "It is not possible to change Voucher discount type",
                               field="discount.type", value=discount.get("type"))  # fmt: skip
        values["discount"] = check_discount({"type": before, **discount})
    return values
