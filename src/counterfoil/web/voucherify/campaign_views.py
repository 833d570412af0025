"""The campaign object (facts 3.5)."""

from __future__ import annotations

from typing import Any

from counterfoil.db.campaigns import Row
from counterfoil.web.voucherify.views import instant, without_none
from counterfoil.web.voucherify.voucher_views import NO_ASSIGNMENTS

_LEFT_OUT = (
    "description", "category", "start_date", "expiration_date", "validity_timeframe", "validity_day_of_week",
    "activity_duration_after_publishing", "updated_at", "voucher",
)  # fmt: skip
"""Keys that the vendor leaves out where others would be null."""


def campaign(row: Row) -> dict[str, Any]:
    """A campaign's row as the vendor's object.

    For loyalty and gift campaigns with two keys of our own: loyalty_program_id, the campaign's number, and
    points_currency {iid, eid, scale}, what its balances are counted in. Other HTTP dialects call them by these.
    """
    view: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "campaign_type": row["campaign_type"],
        "type": row["type"],
        "voucher": _template(row),
        "auto_join": row["auto_join"],
        "join_once": row["join_once"],
        "use_voucher_metadata_schema": row["use_voucher_metadata_schema"],
        "start_date": instant(row["start_date"]),
        "expiration_date": instant(row["expiration_date"]),
        "validity_timeframe": row["validity_timeframe"],
        "validity_day_of_week": row["validity_day_of_week"],
        "activity_duration_after_publishing": row["activity_duration_after_publishing"],
        "vouchers_count": row["vouchers_count"],
        "active": row["active"],
        "metadata": row["metadata"] or {},
        "created_at": instant(row["created_at"]),
        "updated_at": instant(row["updated_at"]),
        "category": row["category"],
        "category_id": None,
        "categories": [],
        "creation_status": row["creation_status"],
        "vouchers_generation_status": row["vouchers_generation_status"],
        "protected": False,
        "validation_rules_assignments": NO_ASSIGNMENTS,
        "object": "campaign",
    }
    if row["currency_eid"] is not None:
        view["loyalty_program_id"] = row["iid"]
        view["points_currency"] = {
            "iid": row["currency_iid"],
            "eid": row["currency_eid"],
            "scale": row["currency_scale"],
        }
    if row["campaign_type"] == "PROMOTION":
        view["promotion"] = {"object": "list", "data_ref": "tiers", "tiers": [], "total": 0, "has_more": False}
    return without_none(view, *_LEFT_OUT)


def _template(row: Row) -> dict[str, Any] | None:
    if row["voucher"] is None:
        return None
    view = {**row["voucher"], "is_referral_code": row["campaign_type"] == "REFERRAL_PROGRAM"}
    dates = {name: instant(view.get(name)) for name in ("start_date", "expiration_date") if view.get(name) is not None}
    return view | dates
