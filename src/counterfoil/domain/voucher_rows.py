"""A voucher out of the row of a file, as exports show one: the discount put together again out of its columns.

Source of the columns: seed 002 (Vouchers) and catalog.vouchers, which takes them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterfoil.domain import cells
from counterfoil.domain.vouchers import VoucherDraft, VoucherType, check_opening, draft_of
from counterfoil.errors import InvalidInput

Cells = Mapping[str, Any]

_SIZES = {"AMOUNT": "amount_off", "PERCENT": "percent_off", "UNIT": "unit_off", "FIXED": "fixed_amount"}
_IN_MONEY = frozenset({"AMOUNT", "FIXED"})
_TEXTS = (("category", "category"), ("additional_info", "additional_info"), ("id", "id"))
_INSTANTS = ("start_date", "expiration_date", "created_at")
_COUNT_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class VoucherRow:
    """A voucher as a file has it. balance: what it holds, None when the file does not say. campaign, holder: by id and
    by name or source id, None where not said; whether they are there is the ledger's question."""

    draft: VoucherDraft
    balance: int | None
    redeemed_quantity: int
    updated_at: int | None
    campaign_id: str | None
    campaign: str | None
    holder_id: str | None
    holder_source_id: str | None


def read_voucher(row: Cells, *, decimals: int, native: bool) -> VoucherRow:
    """A voucher out of its cells. decimals, native: see domain.cells. Raises InvalidInput."""
    kind = read_type(row)
    balance = None if kind is VoucherType.DISCOUNT else _balance(row, kind, decimals)
    given: dict[str, Any] = {"type": kind, "code": cells.required("code", cells.read_text("code", row.get("code")))}
    given |= {field: cells.read_id(column, row.get(column)) for column, field in _TEXTS}
    given |= {name: cells.read_instant(name, row.get(name), native=native) for name in _INSTANTS}
    given["validity_timeframe"] = _timeframe(row)
    given["validity_day_of_week"] = cells.read_days("validity_day_of_week", row.get("validity_day_of_week"))
    given["active"] = cells.read_flag("active", row.get("active"))
    given["is_referral_code"] = cells.read_flag("is_referral_code", row.get("is_referral_code"))
    given["metadata"] = cells.read_metadata(row, "metadata", "metadata.")
    given["quantity"] = read_count("redemption_quantity", row)
    if kind is VoucherType.DISCOUNT:
        given["discount"] = read_discount(row, decimals)
    else:
        given["opening"] = balance or 0
    return VoucherRow(
        draft=draft_of({name: value for name, value in given.items() if value is not None}),
        balance=balance,
        redeemed_quantity=read_count("redemption_count", row) or 0,
        updated_at=cells.read_instant("updated_at", row.get("updated_at"), native=native),
        campaign_id=cells.read_id("campaign_id", row.get("campaign_id")),
        campaign=cells.read_id("campaign", row.get("campaign")),
        holder_id=cells.read_id("customer_id", row.get("customer_id")),
        holder_source_id=cells.read_id("customer_source_id", row.get("customer_source_id")),
    )


def read_type(row: Cells) -> VoucherType:
    """The voucher's type. Raises InvalidInput for none and for one there is not."""
    name = cells.required("voucher_type", row.get("voucher_type"))
    try:
        return VoucherType(name)
    except ValueError:
        raise cells.invalid_cell("voucher_type", f"must be one of {', '.join(VoucherType)}", name) from None


def read_discount(row: Cells, decimals: int) -> dict[str, Any]:
    """The discount that a row's columns stand for; `draft_of` checks it. Raises InvalidInput."""
    kind = cells.required("discount_type", row.get("discount_type"))
    size_name = _SIZES.get(kind)
    if size_name is None:
        raise cells.invalid_cell("discount_type", f"must be one of {', '.join(_SIZES)}", kind)
    said: dict[str, Any] = {
        "type": kind,
        size_name: _size("value", row, decimals if kind in _IN_MONEY else 0),
        f"{size_name}_formula": cells.read_text("formula", row.get("formula")),
        "amount_limit": _size("discount_amount_limit", row, decimals),
        "effect": cells.read_text("discount_effect", row.get("discount_effect")),
    }
    if kind == "UNIT":
        said |= _units(row, said["effect"])
    return {name: value for name, value in said.items() if value is not None}


def _size(name: str, row: Cells, decimals: int) -> int | float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    return cells.money(name, value, decimals) if decimals else cells.read_number(name, value)


def _units(row: Cells, effect: str | None) -> dict[str, Any]:
    """One unit stands in the discount itself, several stand in a list of their own (catalog.vouchers)."""
    types = cells.read_text("discount_unit_type", row.get("discount_unit_type"))
    effects = cells.read_text("discount_unit_effect", row.get("discount_unit_effect"))
    if types is not None and "," in types:
        several = types.split(",")
        each = effects.split(",") if effects else [None] * len(several)
        if len(each) != len(several):
            raise InvalidInput(
                "invalid_cell", "discount_unit_type and discount_unit_effect name different numbers of units"
            )
        pairs = zip(several, each, strict=True)
        return {"units": [{"unit_type": a} if b is None else {"unit_type": a, "effect": b} for a, b in pairs]}
    if effects is not None and effects != effect:
        return {
            "units": [{"unit_type": types, "effect": effects} if types else {"effect": effects}],
            "unit_type": types,
        }
    return {"unit_type": types}


def _balance(row: Cells, kind: VoucherType, decimals: int) -> int | None:
    """What a card holds, by its own column or by `value`; the two must agree where both are there."""
    column = "gift_balance" if kind is VoucherType.GIFT else "loyalty_balance"
    digits = decimals if kind is VoucherType.GIFT else 0
    said = {name: cells.money(name, row[name], digits) for name in (column, "value") if row.get(name) not in (None, "")}
    if len(set(said.values())) > 1:
        raise InvalidInput("invalid_cell", f"{column} is {row[column]}, and value is {row['value']}", field=column)
    for name, amount in said.items():
        if amount < 0:
            raise cells.invalid_cell(name, "must not be below 0", row[name])
        return check_opening(amount, name)
    return None


def _timeframe(row: Cells) -> dict[str, str] | None:
    said = {name: cells.read_text(f"validity_timeframe_{name}", row.get(f"validity_timeframe_{name}"))
            for name in ("interval", "duration")}  # fmt: skip
    return {name: value for name, value in said.items() if value is not None} or None


def read_count(name: str, row: Cells) -> int | None:
    """How often something may be or was done, or None for an empty cell. Raises InvalidInput."""
    number = cells.read_whole(name, row.get(name))
    if number is not None and not 0 <= number <= _COUNT_MAX:
        raise cells.invalid_cell(name, f"must lie between 0 and {_COUNT_MAX}", number)
    return number
