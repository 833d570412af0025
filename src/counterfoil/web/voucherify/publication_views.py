"""The publication object (facts 3.5): whole when it is made, with a short voucher in lists."""

from __future__ import annotations

from typing import Any

from counterfoil.db.publications import Row
from counterfoil.web.voucherify.customer_views import simple_customer
from counterfoil.web.voucherify.views import instant, without_none
from counterfoil.web.voucherify.voucher_views import gift, loyalty_card, voucher


def publication(row: Row) -> dict[str, Any]:
    """A publication just made, from the service's row: one voucher whole, several by their codes."""
    body = _base(row)
    if len(row["vouchers_id"]) == 1 and row["its_vouchers"]:
        return body | {"voucher": voucher(row["its_vouchers"][0]), "vouchers_id": row["vouchers_id"]}
    return body | {"vouchers": _codes(row), "vouchers_id": row["vouchers_id"]}


def listed_publication(row: Row) -> dict[str, Any]:
    """A publication in a list: one voucher in short, several by their codes, none when it failed."""
    body = _base(row)
    ids: list[str] = row["vouchers_id"] or []
    if row["result"] == "FAILURE":
        failure = {"failure_code": row["failure_code"], "failure_message": row["failure_message"]}
        return body | failure | {"vouchers": _codes(row), "vouchers_id": ids}
    if len(ids) == 1:
        return body | {"voucher": _short(row), "vouchers_id": ids}
    return body | {"vouchers": _codes(row), "vouchers_id": ids}


def _base(row: Row) -> dict[str, Any]:
    body = {
        "id": row["id"],
        "object": "publication",
        "created_at": instant(row["created_at"]),
        "customer_id": row["customer_id"],
        "tracking_id": row["tracking_id"],
        "metadata": row["metadata"] or {},
        "channel": row["channel"],
        "source_id": row["source_id"],
        "result": row["result"],
        "customer": simple_customer(row["its_customer"], row["customer_id"]),
    }
    return without_none(body, "tracking_id")


def _short(row: Row) -> dict[str, Any]:
    """The voucher as lists show it; of a voucher that is gone, what the publication remembers."""
    short: dict[str, Any] = {"code": row["voucher_code"], "object": "voucher", "campaign": row["campaign"]}
    if row["its_vouchers"]:
        found = row["its_vouchers"][0]
        parts = {"discount": found["discount"], "gift": gift(found), "loyalty_card": loyalty_card(found)}
        short |= {name: part for name, part in parts.items() if part is not None}
    return short | {"is_referral_code": row["is_referral_code"]}


def _codes(row: Row) -> list[str]:
    return [found["code"] for found in row["its_vouchers"]]
