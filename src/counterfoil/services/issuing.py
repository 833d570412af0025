"""Making vouchers inside somebody's transaction: what creation, campaigns, publications, members and imports share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.db import campaigns, vouchers
from counterfoil.db.unit import Unit
from counterfoil.db.vouchers import Row
from counterfoil.domain.cards import open_with
from counterfoil.domain.codes import CodeShape
from counterfoil.domain.vouchers import VoucherDraft
from counterfoil.errors import Conflict, InvalidInput
from counterfoil.ids import random_id, random_number

# Up to this many possible codes, the free ones are counted out, so that the last code can still be drawn.
_LISTED_MAX = 65_536
_ROUNDS_MAX = 50


def insert_voucher(unit: Unit, draft: VoucherDraft) -> Row:
    """Make one voucher and give it its opening balance; returns its row (see `insert_vouchers`)."""
    return insert_vouchers(unit, (draft,))[0]


def insert_vouchers(unit: Unit, drafts: Sequence[VoucherDraft]) -> list[Row]:
    """Make vouchers, in the order of the drafts, with few statements for all; returns rows as `db.vouchers.Row`.

    Codes that are not given are drawn and never repeat a live one. Opening balances become movements that the dialects
    hide, and the campaigns' vouchers_count grows. Raises InvalidInput (duplicate_key) when a code stands twice in the
    drafts, Conflict (duplicate_found) when a live voucher has it, InvalidInput (invalid_code_config) when
    a code_config has too few codes left.
    """
    if not drafts:
        return []
    unit.lock()  # between looking for free codes and inserting nobody else takes one
    connection = unit.sql
    codes = _codes(connection, unit.project_id, drafts)
    rows = [_row(unit, draft, code) for draft, code in zip(drafts, codes, strict=True)]
    vouchers.insert_rows(connection, [{k: v for k, v in row.items() if k != "campaign"} for row in rows])
    for campaign_id, count in Counter(d.campaign_id for d in drafts if d.campaign_id is not None).items():
        campaigns.add_to_count(connection, unit.project_id, campaign_id, count)
    for draft, row in zip(drafts, rows, strict=True):
        card = draft.card(row["id"], row["code"])
        if card is None:
            continue
        unit.add_card(card)
        if draft.opening:
            card, movements = open_with(card, draft.opening, draft.opening_expires_on, unit.now_ms, draft.created_at)
            unit.post(card, movements)
            row["balance"], row["total"] = card.balance, card.total
    return rows


def _codes(connection: Connection, project_id: int, drafts: Sequence[VoucherDraft]) -> list[str]:
    given = [draft.code for draft in drafts if draft.code is not None]
    twice = next((code for code, times in Counter(given).items() if times > 1), None)
    if twice is not None:
        raise InvalidInput("duplicate_key", f"Duplicate codes: {twice}", field="code", value=twice)
    for code in sorted(vouchers.taken_codes(connection, project_id, given)):
        raise duplicate_voucher(code)
    wanted = Counter(draft.shape for draft in drafts if draft.code is None)
    fresh: dict[CodeShape, list[str]] = {}
    used = set(given)
    for shape, count in wanted.items():
        fresh[shape] = draw_codes(connection, project_id, shape, count, used)
        used.update(fresh[shape])
    return [draft.code if draft.code is not None else fresh[draft.shape].pop() for draft in drafts]


def duplicate_voucher(code: str) -> Conflict:
    """The refusal of a code that a live voucher has, in the vendor's words."""
    return Conflict("duplicate_found", f"Duplicated voucher exists with id {code}", field="code", value=code,
                    resource_type="voucher", resource_id=code)  # fmt: skip


def draw_codes(connection: Connection, project_id: int, shape: CodeShape, count: int, used: set[str]) -> list[str]:
    """`count` different random codes of a shape that no live voucher has and that are not in `used`.

    Raises InvalidInput (invalid_code_config) when the shape has no more of them.
    """
    if shape.capacity <= _LISTED_MAX:
        return _draw_from_free(connection, project_id, shape, count, used)
    found: set[str] = set()
    for _ in range(_ROUNDS_MAX):
        fresh: set[str] = set()
        for _ in range(count - len(found)):
            fresh.add(shape.code(random_number(shape.capacity)))
        fresh -= used
        fresh -= found
        found |= fresh - vouchers.taken_codes(connection, project_id, fresh)
        if len(found) == count:
            return list(found)
    raise _too_few(shape, count)


def _draw_from_free(connection: Connection, project_id: int, shape: CodeShape, count: int, used: set[str]) -> list[str]:
    if count > shape.capacity:
        raise _too_few(shape, count)
    every = [shape.code(number) for number in range(shape.capacity)]
    free = sorted(set(every) - used - vouchers.taken_codes(connection, project_id, every))
    if count > len(free):
        raise _too_few(shape, count)
    for at in range(count):
        chosen = at + random_number(len(free) - at)
        free[at], free[chosen] = free[chosen], free[at]
    return free[:count]


def _too_few(shape: CodeShape, count: int) -> InvalidInput:
    return InvalidInput(
        "invalid_code_config",
        f"The code configuration allows {shape.capacity} codes and too few of them are free for {count} more; "
        "use a longer pattern or a larger charset",
        field="code_config", value=shape.pattern,
    )  # fmt: skip


def _row(unit: Unit, draft: VoucherDraft, code: str) -> dict[str, Any]:
    return {
        "project_id": unit.project_id,
        "id": draft.id or random_id("v_", 32),
        "code": code,
        "campaign_id": draft.campaign_id,
        "campaign": draft.campaign,
        "type": draft.type.value,
        "category": draft.category,
        "discount": draft.discount,
        "gift_effect": draft.gift_effect,
        "balance": 0,
        "total": 0,
        "subtracted": 0,
        "redeemed": 0,
        "expired": 0,
        "start_date": draft.start_date,
        "expiration_date": draft.expiration_date,
        "validity_timeframe": draft.validity_timeframe,
        "validity_day_of_week": draft.validity_day_of_week,
        "active": draft.active,
        "additional_info": draft.additional_info,
        "metadata": draft.metadata,
        "holder_id": draft.holder_id,
        "is_referral_code": draft.is_referral_code,
        "redemption_quantity": draft.quantity,
        "redeemed_quantity": 0,
        "publications_count": 0,
        "created_at": unit.now_ms if draft.created_at is None else draft.created_at,
        "updated_at": None,
        "deleted_at": None,
    }
