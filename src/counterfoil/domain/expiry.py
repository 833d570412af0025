"""When points expire: a loyalty programme's expiration rules turned into a last day of use.

Voucherify: loyalty_card.expiration_rules (facts: expires_at is the last usable day; points expire at the midnight
after it, UTC).
"""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Mapping
from typing import Any

from counterfoil.errors import InvalidInput

PERIOD_TYPES = ("MONTH", "FIXED_DAY_OF_YEAR")
ROUNDINGS = ("END_OF_MONTH", "END_OF_QUARTER", "END_OF_HALF_YEAR", "END_OF_YEAR", "PARTICULAR_MONTH")
MONTHS_MAX = 1200
_SPAN_MONTHS = {"END_OF_MONTH": 1, "END_OF_QUARTER": 3, "END_OF_HALF_YEAR": 6, "END_OF_YEAR": 12}


def last_day(rules: Mapping[str, Any] | None, granted_on: str) -> str | None:
    """The last day of use of points granted on an ISO date, or None when the programme's points never expire."""
    if not rules or not rules.get("period_type"):
        return None
    day = datetime.date.fromisoformat(granted_on)
    if rules["period_type"] == "FIXED_DAY_OF_YEAR":
        return _next_fixed_day(day, int(rules["fixed_month"]), int(rules["fixed_day"])).isoformat()
    reached = _add_months(day, int(rules.get("period_value") or 0))
    return _rounded(reached, rules.get("rounding_type"), rules.get("rounding_value")).isoformat()


def check_rules(rules: Mapping[str, Any] | None, field: str) -> None:
    """Raise InvalidInput, naming the field, unless `last_day` can use these rules."""
    if not rules or not rules.get("period_type"):
        return
    kind = rules["period_type"]
    if kind not in PERIOD_TYPES:
        raise InvalidInput(
            "invalid_payload", "Unknown period type", field=f"{field}.period_type", value=kind, allowed=PERIOD_TYPES
        )
    if kind == "MONTH":
        _whole(rules, "period_value", 1, MONTHS_MAX, field)
        rounding = rules.get("rounding_type")
        if rounding is not None and rounding not in ROUNDINGS:
            raise InvalidInput(
                "invalid_payload",
                "Unknown rounding type",
                field=f"{field}.rounding_type",
                value=rounding,
                allowed=ROUNDINGS,
            )
        if rounding == "PARTICULAR_MONTH":
            _whole(rules, "rounding_value", 1, 12, field)
    else:
        _whole(rules, "fixed_month", 1, 12, field)
        _whole(rules, "fixed_day", 1, 31, field)


def _whole(rules: Mapping[str, Any], name: str, low: int, high: int, field: str) -> None:
    value = rules.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidInput(
            "invalid_payload", f"Must be a whole number from {low} to {high}", field=f"{field}.{name}", value=value
        )


def _add_months(day: datetime.date, months: int) -> datetime.date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return datetime.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _month_end(year: int, month: int) -> datetime.date:
    return datetime.date(year, month, calendar.monthrange(year, month)[1])


def _rounded(day: datetime.date, rounding: str | None, value: int | None) -> datetime.date:
    if rounding is None:
        return day
    if rounding == "PARTICULAR_MONTH":
        month = value or 12
        return _month_end(day.year + (1 if day.month > month else 0), month)
    span = _SPAN_MONTHS[rounding]
    return _month_end(day.year, (day.month + span - 1) // span * span)


def _next_fixed_day(day: datetime.date, month: int, fixed_day: int) -> datetime.date:
    """The fixed day this year, or next year's when it is today or past (29 February becomes the month's last day)."""
    for year in (day.year, day.year + 1):
        found = datetime.date(year, month, min(fixed_day, calendar.monthrange(year, month)[1]))
        if found > day:
            return found
    raise AssertionError("one of two following years has the day")
