"""The cells of an export recomputed, in plain Python, from what the API's own list endpoints say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Item = Mapping[str, Any]
Cell = Callable[[Item], object]


def at(*path: str) -> Cell:
    """The value at a path, None where it ends early."""

    def read(item: Item) -> object:
        value: Any = item
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    return read


def nothing(_: Item) -> object:
    return None


def _value(voucher: Item) -> object:
    if voucher["type"] == "DISCOUNT_VOUCHER":
        discount = voucher["discount"]
        return discount.get("amount_off") or discount.get("percent_off") or discount.get("unit_off")
    return (voucher["gift"] or voucher["loyalty_card"])["balance"]


def _days(voucher: Item) -> object:
    days = voucher.get("validity_day_of_week")
    return ",".join(str(day) for day in days) if days else None


def _average(customer: Item) -> object:
    orders = customer["summary"]["orders"]
    return (
        (2 * orders["total_amount"] + orders["total_count"]) // (2 * orders["total_count"])
        if orders["total_count"]
        else 0
    )


_REDEMPTION_SUMS = ("redeemed", "failed", "succeeded", "rolled_back", "rollback_failed", "rollback_succeeded")
_PLAIN = ("id", "created_at", "updated_at", "campaign", "campaign_id", "category", "start_date", "expiration_date")

CELLS: dict[str, dict[str, Cell]] = {
    "voucher": {
        **{name: at(name) for name in (*_PLAIN, "code", "active", "is_referral_code", "additional_info")},
        "voucher_type": at("type"),
        "value": _value,
        "formula": nothing,
        "discount_type": at("discount", "type"),
        "discount_amount_limit": at("discount", "amount_limit"),
        "discount_effect": at("discount", "effect"),
        "discount_unit_type": at("discount", "unit_type"),
        "discount_unit_effect": nothing,
        "gift_balance": at("gift", "balance"),
        "loyalty_balance": at("loyalty_card", "balance"),
        "redemption_quantity": at("redemption", "quantity"),
        "redemption_count": at("redemption", "redeemed_quantity"),
        "qr_code": nothing,
        "bar_code": nothing,
        "validity_timeframe_interval": at("validity_timeframe", "interval"),
        "validity_timeframe_duration": at("validity_timeframe", "duration"),
        "validity_day_of_week": _days,
        "customer_id": at("holder_id"),
        "validation_rules_id": nothing,
        "metadata.colour": at("metadata", "colour"),
    },
    "redemption": {
        **{name: at(name) for name in ("id", "object", "date", "customer_id", "tracking_id", "result")},
        "failure_code": at("failure_code"),
        "failure_message": at("failure_message"),
        "voucher_code": at("voucher", "code"),
        "campaign": at("voucher", "campaign"),
        "promotion_tier_id": nothing,
        "customer_source_id": at("customer", "source_id"),
        "customer_name": at("customer", "name"),
        "order_id": at("order", "id"),
    },
    "customer": {
        **{name: at(name) for name in ("id", "name", "description", "email", "source_id", "phone", "created_at")},
        "updated_at": at("updated_at"),
        "birthday": at("birthday"),
        "birthdate": at("birthdate"),
        **{f"address_{part}": at("address", part) for part in ("city", "state", "line_1", "line_2", "country")},
        "address_postal_code": at("address", "postal_code"),
        **{f"redemptions_total_{n}": at("summary", "redemptions", f"total_{n}") for n in _REDEMPTION_SUMS},
        **{f"orders_{name}": at("summary", "orders", name) for name in ("total_amount", "total_count")},
        "orders_average_amount": _average,
        "orders_last_order_amount": at("summary", "orders", "last_order_amount"),
        "orders_last_order_date": at("summary", "orders", "last_order_date"),
        "loyalty_points": at("loyalty", "points"),
        "loyalty_referred_customers": at("loyalty", "referred_customers"),
        "metadata.tier": at("metadata", "tier"),
    },
    "publication": {
        "voucher_code": at("voucher", "code"),
        "customer_id": at("customer_id"),
        "customer_source_id": at("customer", "source_id"),
        "date": at("created_at"),
        "channel": at("channel"),
        "campaign": at("voucher", "campaign"),
        "is_winner": nothing,
        "code": at("voucher", "code"),
    },
    "order": {
        **{name: at(name) for name in ("id", "source_id", "created_at", "updated_at", "status", "amount")},
        **{name: at(name) for name in ("discount_amount", "items_discount_amount", "total_discount_amount")},
        **{name: at(name) for name in ("total_amount", "customer_id", "referrer_id")},
        "metadata.payment_mean": at("metadata", "payment_mean"),
    },
    "voucher_transactions": {
        **{name: at(name) for name in ("id", "campaign_id", "voucher_id", "type", "source_id", "reason", "source")},
        "balance": at("details", "balance", "balance"),
        "amount": lambda item: item["details"]["balance"].get("amount", item["details"]["balance"].get("points")),
        "related_transaction_id": at("related_transaction_id"),
        "created_at": at("created_at"),
    },
    "points_expiration": {
        "id": at("id"),
        "campaign_id": at("campaign_id"),
        "voucher_id": at("voucher_id"),
        "points": at("bucket", "total_points"),
        "status": at("status"),
        "expires_at": at("expires_at"),
    },
}
"""By object and exported field. Fields that no list endpoint shows are not in it."""


def text(value: object) -> str:
    """A JSON value as the file shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def row(name: str, fields: list[str], item: Item) -> dict[str, str]:
    """The row of a listed item."""
    return {field: text(CELLS[name][field](item)) for field in fields}
