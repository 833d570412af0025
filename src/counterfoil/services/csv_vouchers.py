"""Rows of uploaded voucher files: new vouchers, alone or in a campaign, and small changes to those that are there.

Voucherify: Import Vouchers using CSV, Import Vouchers to Campaign by CSV. A code that exists is updated: only whether it
is active and its category change, as the vendor says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from counterfoil.db import bulk, campaigns, vouchers
from counterfoil.db.schema import vouchers as table
from counterfoil.db.unit import Unit
from counterfoil.domain import cells
from counterfoil.domain.campaigns import template_of
from counterfoil.domain.voucher_rows import read_count, read_discount, read_type
from counterfoil.domain.vouchers import VoucherDraft, VoucherType, draft_of
from counterfoil.errors import CounterfoilError, InvalidInput
from counterfoil.services.issuing import duplicate_voucher, insert_vouchers

_BALANCES = {VoucherType.GIFT: ("gift_amount", "value"), VoucherType.LOYALTY: ("loyalty_points", "value")}
_CHANGEABLE = ("active", "category")


@dataclass(frozen=True, slots=True)
class UploadedVoucher:
    """A voucher of an upload. given: values for fields of VoucherDraft that were said. opening: credits or points it was
    given, None where not said; redeemed: how much of them is spent, redeemed_quantity: how often it was redeemed."""

    code: str
    given: Mapping[str, Any]
    opening: int | None = None
    redeemed: int = 0
    redeemed_quantity: int = 0


def read_voucher_upload(row: Mapping[str, Any], *, in_campaign: bool) -> UploadedVoucher:
    """A voucher out of the cells of an uploaded row (catalog.importables.VOUCHER_UPLOAD). Raises InvalidInput.

    in_campaign: type, discount and dates are the campaign's, so only the rest counts. Amounts are whole minor units.
    """
    code = cells.required("code", cells.read_id("code", row.get("code")))
    given: dict[str, Any] = {
        "code": code,
        "category": cells.read_text("category", row.get("category")),
        "active": cells.read_flag("active", row.get("active")),
        "additional_info": cells.read_text("additional_info", row.get("additional_info")),
        "metadata": cells.read_metadata(row, "metadata", "metadata."),
    }
    if not in_campaign:
        given |= _standalone(row)
    kind: VoucherType | None = given.get("type")
    columns = _BALANCES.get(kind, ()) if kind is not None else ("gift_amount", "loyalty_points")
    opening = next((_amount(name, row) for name in columns if row.get(name)), None)
    if kind is VoucherType.GIFT and opening is None:
        raise InvalidInput("invalid_cell", "value is empty", field="value")
    return UploadedVoucher(
        code,
        {name: value for name, value in given.items() if value is not None},
        opening,
        _amount("redeemed_amount", row) if row.get("redeemed_amount") else 0,
        read_count("redeemed_quantity", row) or 0,
    )


def _standalone(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = read_type(row)
    return {
        "type": kind,
        "discount": read_discount(row, 0) if kind is VoucherType.DISCOUNT else None,
        "start_date": cells.read_instant("start_date", row.get("start_date"), native=False),
        "expiration_date": cells.read_instant("expiration_date", row.get("expiration_date"), native=False),
        "quantity": read_count("redemption_quantity", row),
    }


def _amount(name: str, row: Mapping[str, Any]) -> int:
    amount = cells.whole(name, row[name])
    if amount < 0:
        raise cells.invalid_cell(name, "must not be below 0", row[name])
    return amount


def store_vouchers(unit: Unit, uploaded: Sequence[UploadedVoucher], campaign_id: str | None) -> dict[int, str]:
    """Make or change vouchers; the reasons of those refused, by place in the list. Raises NotFound for the campaign."""
    unit.lock()  # so that a code found free stays free until it is inserted
    template = None
    if campaign_id is not None:
        row = campaigns.campaign_row(unit, unit.project_id, campaign_id)
        template = template_of(row, unit.now_ms, drawn=False)
    codes = [each.code for each in uploaded]
    stored = bulk.rows_by(unit.sql, table, unit.project_id, "code", codes, ("id", "campaign_id"), live=True)
    refused: dict[int, str] = {}
    fresh: dict[str, tuple[UploadedVoucher, VoucherDraft]] = {}
    for at, each in enumerate(uploaded):
        try:
            if each.code in fresh:
                raise InvalidInput("duplicate_key", f"Duplicate codes: {each.code}", field="code", value=each.code)
            known = stored.get(each.code)
            if known is not None:
                _change(unit, known, each, campaign_id)
            else:
                fresh[each.code] = each, _draft(each, template)
        except CounterfoilError as error:
            refused[at] = error.message
    rows = insert_vouchers(unit, [draft for _, draft in fresh.values()])
    for (each, _), row in zip(fresh.values(), rows, strict=True):
        _spend(unit, row["id"], each)
    return refused


def _draft(each: UploadedVoucher, template: VoucherDraft | None) -> VoucherDraft:
    given = dict(each.given)
    kind: VoucherType = given["type"] if template is None else template.type
    if kind is not VoucherType.DISCOUNT:
        granted = each.opening if each.opening is not None or template is None else template.opening
        if each.redeemed > (granted or 0):
            raise InvalidInput(
                "invalid_cell", f"redeemed_amount {each.redeemed} is more than was granted, {granted or 0}"
            )
        given["opening"] = (granted or 0) - each.redeemed
    elif each.redeemed:
        raise InvalidInput("invalid_cell", "redeemed_amount is for gift cards", field="redeemed_amount")
    return draft_of(given, template)


def _change(unit: Unit, known: Any, each: UploadedVoucher, campaign_id: str | None) -> None:
    if known.campaign_id != campaign_id:
        raise duplicate_voucher(each.code)
    values = {name: each.given[name] for name in _CHANGEABLE if name in each.given}
    if values:
        vouchers.update_voucher(unit.sql, unit.project_id, known.id, {**values, "updated_at": unit.now_ms})
        unit.forget()


def _spend(unit: Unit, voucher_id: str, each: UploadedVoucher) -> None:
    """What was spent of a card before it came here counts in its sums, and is no movement."""
    if each.redeemed:
        card = unit.card(voucher_id)
        spent = replace(card, total=card.total + each.redeemed, redeemed=card.redeemed + each.redeemed)
        unit.post(spent, ())
    if each.redeemed_quantity:
        values = {"redeemed_quantity": each.redeemed_quantity}
        vouchers.update_voucher(unit.sql, unit.project_id, voucher_id, values)
