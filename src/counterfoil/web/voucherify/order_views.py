"""The order object (facts 3.5): amounts that are unknown are left out, as the vendor does."""

from __future__ import annotations

from typing import Any

from counterfoil.db.orders import Row
from counterfoil.web.voucherify.views import instant, without_none

_AMOUNTS = (
    "amount",
    "initial_amount",
    "discount_amount",
    "items_discount_amount",
    "total_discount_amount",
    "applied_discount_amount",
    "total_applied_discount_amount",
    "total_amount",
)


def order(row: Row) -> dict[str, Any]:
    """An order's row as the vendor's object."""
    body = {
        "id": row["id"],
        "source_id": row["source_id"],
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "status": row["status"],
        **{name: row[name] for name in _AMOUNTS},
        "items": row["items"] or None,
        "metadata": row["metadata"] or {},
        "customer": _person(row["customer_id"]),
        "referrer": _person(row["referrer_id"]),
        "customer_id": row["customer_id"],
        "referrer_id": row["referrer_id"],
        "object": "order",
        "redemptions": row["redemptions"] or None,
    }
    return without_none(body, *_AMOUNTS, "items", "customer", "referrer", "redemptions")


def _person(customer_id: str | None) -> dict[str, str] | None:
    return None if customer_id is None else {"id": customer_id, "object": "customer"}
