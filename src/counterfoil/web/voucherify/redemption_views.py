"""The redemption and rollback objects (facts 3.5), as the vendor shows them in answers and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil.db.redemptions import STACK, Row
from counterfoil.services.redemptions import Shown
from counterfoil.web.voucherify.customer_views import simple_customer
from counterfoil.web.voucherify.order_views import order
from counterfoil.web.voucherify.views import instant, without_none
from counterfoil.web.voucherify.voucher_views import voucher

_LEFT_OUT = (
    "redemption",
    "reason",
    "failure_code",
    "failure_message",
    "order",
    "voucher",
    "gift",
    "loyalty_card",
    "reward",
)


def redemption(row: Row, about: Shown) -> dict[str, Any]:
    """One redemption or rollback, with what it names."""
    undone = row["object"] == "redemption_rollback"
    body = {
        "id": row["id"],
        "object": row["object"],
        "date": instant(row["date"]),
        "customer_id": row["customer_id"],
        "tracking_id": row["tracking_id"],
        "metadata": row["metadata"],
        "amount": row["amount"],
        "redemption": row["redemption_id"] if undone else row["parent_id"],
        "reason": row["reason"],
        "result": row["result"],
        "status": row["status"],
        "failure_code": row["failure_code"],
        "failure_message": row["failure_message"],
        "order": _order(row, about),
        "channel": row["channel"],
        "customer": simple_customer(about["customers"].get(row["customer_id"]), row["customer_id"]),
        "related_object_type": row["related_object_type"],
        "related_object_id": row["related_object_id"],
        "voucher": _voucher(row, about),
        "gift": None if row["gift_amount"] is None else {"amount": _signed(row["gift_amount"], undone)},
        "loyalty_card": None if row["loyalty_points"] is None else {"points": _signed(row["loyalty_points"], undone)},
        "reward": _reward(row["reward"], about),
    }
    return without_none(body, *_LEFT_OUT)


def redeemed(found: Shown) -> dict[str, Any]:
    """The answer to redeeming one or several: parent_redemption stands there for several only."""
    body: dict[str, Any] = {
        "redemptions": [redemption(row, found) for row in found["redemptions"]],
        "parent_redemption": None if found["parent"] is None else redemption(found["parent"], found),
        "order": None if found["order"] is None else order(found["order"]),
        "inapplicable_redeemables": [],
        "skipped_redeemables": [],
    }
    return without_none(body, "parent_redemption", "order")


def rolled_back(found: Shown) -> dict[str, Any]:
    """The answer to undoing a stack."""
    body: dict[str, Any] = {
        "rollbacks": [redemption(row, found) for row in found["redemptions"]],
        "parent_rollback": None if found["parent"] is None else redemption(found["parent"], found),
        "order": None if found["order"] is None else order(found["order"]),
    }
    return without_none(body, "order")


def single(found: Shown) -> dict[str, Any]:
    """The answer about one redemption or rollback: the object itself."""
    return redemption(found["redemptions"][0], found)


def _order(row: Row, about: Shown) -> dict[str, Any] | None:
    known = about["orders"].get(row["order_id"])
    # The order as this piece of work leaves it, where it was changed after it was read.
    latest = about["order"] if about["order"] is not None and about["order"]["id"] == row["order_id"] else known
    return None if latest is None else order(latest)


def _voucher(row: Row, about: Shown) -> dict[str, Any] | None:
    if row["related_object_type"] == STACK:
        return None
    known = about["vouchers"].get(row["voucher_id"])
    if known is not None:
        return voucher(known)
    # A voucher removed since: what the redemption kept of it.
    return {
        "id": row["voucher_id"],
        "code": row["voucher_code"],
        "campaign_id": row["campaign_id"],
        "object": "voucher",
    }


def _reward(stored: Mapping[str, Any] | None, about: Shown) -> dict[str, Any] | None:
    if stored is None:
        return None
    given = about["vouchers"].get(stored.get("voucher_id"))
    body = {
        "id": stored["id"],
        "assignment_id": stored["assignment_id"],
        "name": stored["name"],
        "type": stored["type"],
        "parameters": stored["parameters"],
        "metadata": stored["metadata"] or {},
        "created_at": instant(stored["created_at"]),
        "updated_at": instant(stored["updated_at"]),
        "voucher": None if given is None else voucher(given),
        "object": "reward",
    }
    return without_none(body, "voucher")


def _signed(amount: int, undone: bool) -> int:
    return -amount if undone else amount
