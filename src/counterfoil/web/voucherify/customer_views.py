"""The customer object (facts 3.5): what the vendor shows as null, and what it leaves out."""

from __future__ import annotations

from typing import Any

from counterfoil.db.customers import Row
from counterfoil.domain.customers import ADDRESS, average
from counterfoil.web.voucherify.views import instant, without_none

_REDEMPTIONS = (
    "total_redeemed",
    "total_failed",
    "total_succeeded",
    "total_rolled_back",
    "total_rollback_failed",
    "total_rollback_succeeded",
)
# The vendor leaves these out of a customer who has none; address and source_id are null instead.
_LEFT_OUT = ("name", "description", "email", "phone", "birthday", "birthdate", "metadata", "updated_at")


def customer(row: Row) -> dict[str, Any]:
    """A customer's row with its balances (db.customers.with_balances) as the vendor's object."""
    body = {
        "id": row["id"],
        "source_id": row["source_id"],
        "name": row["name"],
        "description": row["description"],
        "email": row["email"],
        "phone": row["phone"],
        "birthday": row["birthday"],
        "birthdate": row["birthdate"],
        "address": _address(row),
        "summary": {"redemptions": _redemptions(row), "orders": _orders(row)},
        "loyalty": _loyalty(row),
        # Referral programmes are not part of Counterfoil, so nobody was ever referred.
        "referrals": {"total": 0, "campaigns": []},
        "metadata": row["metadata"],
        "system_metadata": {},
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "object": "customer",
    }
    return without_none(body, *_LEFT_OUT)


def simple_customer(row: Row | None, customer_id: str | None) -> dict[str, Any] | None:
    """The short form that stands in publications and redemptions. row: None when nothing is known but the id."""
    if customer_id is None:
        return None
    about = row or {}
    body = {
        "id": customer_id,
        "name": about.get("name"),
        "email": about.get("email"),
        "source_id": about.get("source_id"),
        "metadata": about.get("metadata") or {},
        "object": "customer",
    }
    return without_none(body, "name", "email")


def permanent_deletion(deleted: Row) -> dict[str, Any]:
    """What a permanent deletion answers; the misspelt object name is the vendor's own."""
    return {
        "id": deleted["deletion_id"],
        "created_at": instant(deleted["created_at"]),
        "related_object_id": deleted["id"],
        "related_object": "customer",
        "status": "DONE",
        "data_json": {
            "events": 0,
            "customer_events": 0,
            "daily_events": 0,
            "segments": 0,
            "orders": 0,
            "order_events": 0,
            "customer": 1,
        },
        "object": "pernament_deletion",
    }


def _address(row: Row) -> dict[str, str] | None:
    parts = {part: row[f"address_{part}"] for part in ADDRESS if row[f"address_{part}"] is not None}
    return parts or None


def _redemptions(row: Row) -> dict[str, Any]:
    return {
        **{name: row[f"redemptions_{name}"] for name in _REDEMPTIONS},
        "gift": {"redeemed_amount": row["gift_redeemed_amount"], "amount_to_go": row["gift_amount_to_go"]},
        "loyalty_card": {"redeemed_points": row["loyalty_redeemed_points"], "points_to_go": row["loyalty_points"]},
    }


def _orders(row: Row) -> dict[str, Any]:
    total, count = row["orders_total_amount"], row["orders_total_count"]
    body = {
        "total_amount": total,
        "total_count": count,
        "average_amount": average(total, count),
        "last_order_amount": row["orders_last_order_amount"],
        "last_order_date": instant(row["orders_last_order_date"]),
    }
    return without_none(body, "last_order_date")


def _loyalty(row: Row) -> dict[str, Any]:
    campaigns = {
        name: {"points": points, "referred_customers": 0} for name, points in row["points_by_campaign"].items()
    }
    referred = row["loyalty_referred_customers"]
    return {"points": row["loyalty_points"], "referred_customers": referred, "campaigns": campaigns}
