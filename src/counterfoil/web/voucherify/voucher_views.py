"""The voucher object (facts 3.5): what the vendor shows as null, and what it leaves out."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from counterfoil.db.vouchers import Row
from counterfoil.web.voucherify.views import instant

NO_ASSIGNMENTS = {"object": "list", "data_ref": "data", "data": [], "total": 0}
"""Validation rules are not part of Counterfoil, so nothing is ever assigned."""


def voucher(row: Row) -> dict[str, Any]:
    """A voucher's row, loyalty cards with what `db.vouchers.with_points` adds, as the vendor's object."""
    path = f"/v1/vouchers/{quote(row['code'], safe='')}"
    return {
        "id": row["id"],
        "code": row["code"],
        "campaign": row["campaign"],
        "campaign_id": row["campaign_id"],
        "category": row["category"],
        "category_id": None,
        "categories": [],
        "type": row["type"],
        "discount": row["discount"],
        "gift": gift(row),
        "loyalty_card": loyalty_card(row),
        "start_date": instant(row["start_date"]),
        "expiration_date": instant(row["expiration_date"]),
        "validity_timeframe": row["validity_timeframe"],
        "validity_day_of_week": row["validity_day_of_week"],
        "active": row["active"],
        "additional_info": row["additional_info"],
        "metadata": row["metadata"] or {},
        "assets": _assets(row["id"]),
        "is_referral_code": row["is_referral_code"],
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "holder_id": row["holder_id"],
        "validation_rules_assignments": NO_ASSIGNMENTS,
        "redemption": _redemption(row, path),
        "publish": {
            "object": "list",
            "count": row["publications_count"],
            "url": f"{path}/publications?page=1&limit=10",
        },
        "object": "voucher",
    }


def gift(row: Row) -> dict[str, Any] | None:
    """The gift part: amount is all that was ever put on the card (facts 3.3); None for other vouchers."""
    if row["type"] != "GIFT_VOUCHER":
        return None
    return {
        "amount": row["total"] + row["subtracted"],
        "subtracted_amount": row["subtracted"],
        "balance": row["balance"],
        "effect": row["gift_effect"] or "APPLY_TO_ORDER",
    }


def loyalty_card(row: Row) -> dict[str, Any] | None:
    """The loyalty part: balance = points - expired - subtracted - redeemed (facts 3.3); None for other vouchers."""
    if row["type"] != "LOYALTY_CARD":
        return None
    return {
        "points": row["total"] + row["subtracted"],
        "balance": row["balance"],
        "next_expiration_date": row.get("next_expiration_date"),
        "next_expiration_points": row.get("next_expiration_points"),
        "pending_points": row.get("pending_points", 0),
        "expired_points": row["expired"],
        "subtracted_points": row["subtracted"],
    }


def _redemption(row: Row, path: str) -> dict[str, Any]:
    view: dict[str, Any] = {"quantity": row["redemption_quantity"], "redeemed_quantity": row["redeemed_quantity"]}
    if row["type"] == "GIFT_VOUCHER":
        view["redeemed_amount"] = row["redeemed"]
    elif row["type"] == "LOYALTY_CARD":
        view["redeemed_points"] = row["redeemed"]
    return view | {"object": "list", "url": f"{path}/redemptions?page=1&limit=10"}


def _assets(voucher_id: str) -> dict[str, Any]:
    return {kind: {"id": voucher_id, "url": f"/v1/assets/{kind}/{voucher_id}"} for kind in ("qr", "barcode")}
