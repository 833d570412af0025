"""Small pieces that many of Voucherify's answers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterfoil.clock import iso_ms


def instant(value_ms: int | None) -> str | None:
    """An instant as ISO-8601 with milliseconds and Z, or None."""
    return None if value_ms is None else iso_ms(value_ms)


def page_of(name: str, items: Sequence[Any], total: int | None = None) -> dict[str, Any]:
    """The list envelope: {object: "list", data_ref: <key>, <key>: [...], total} (facts 3.6)."""
    body: dict[str, Any] = {"object": "list", "data_ref": name, name: items}
    if total is not None:
        body["total"] = total
    return body


def without_none(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """The same body without those of the named keys that are None (keys the vendor leaves out rather than nulls)."""
    return {key: value for key, value in body.items() if value is not None or key not in names}
