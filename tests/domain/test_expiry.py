"""A programme's expiration rules as a last day of use, against a plain day-by-day reading of the rules."""

from __future__ import annotations

import calendar
import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.expiry import check_rules, last_day
from counterfoil.errors import InvalidInput

DAYS = st.dates(datetime.date(1990, 1, 1), datetime.date(2150, 12, 31))
CLOSING_MONTHS = {
    "END_OF_MONTH": set(range(1, 13)),
    "END_OF_QUARTER": {3, 6, 9, 12},
    "END_OF_HALF_YEAR": {6, 12},
    "END_OF_YEAR": {12},
}


def _is_month_end(day: datetime.date) -> bool:
    return (day + datetime.timedelta(days=1)).day == 1


def _months_later(day: datetime.date, months: int) -> datetime.date:
    """The same day of the month `months` later, or that month's last day: found by walking, month by month."""
    year, month = day.year, day.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return datetime.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


@pytest.mark.parametrize("rules", [None, {}, {"period_type": None}])
def test_points_without_rules_never_expire(rules: dict[str, Any] | None) -> None:
    check_rules(rules, "expiration_rules")
    assert last_day(rules, "2024-10-09") is None


@pytest.mark.parametrize(
    ("granted_on", "rules", "expected"),
    [
        ("2024-01-31", {"period_type": "MONTH", "period_value": 1}, "2024-02-29"),
        ("2023-01-31", {"period_type": "MONTH", "period_value": 1}, "2023-02-28"),
        ("2024-10-09", {"period_type": "MONTH", "period_value": 12}, "2025-10-09"),
        ("2024-10-09", {"period_type": "MONTH", "period_value": 3, "rounding_type": "END_OF_QUARTER"}, "2025-03-31"),
        ("2024-12-31", {"period_type": "MONTH", "period_value": 12, "rounding_type": "END_OF_YEAR"}, "2025-12-31"),
        (
            "2024-10-09",
            {"period_type": "MONTH", "period_value": 1, "rounding_type": "PARTICULAR_MONTH", "rounding_value": 2},
            "2025-02-28",
        ),
        (
            "2024-01-09",
            {"period_type": "MONTH", "period_value": 1, "rounding_type": "PARTICULAR_MONTH", "rounding_value": 2},
            "2024-02-29",
        ),
        ("2024-10-09", {"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": 10, "fixed_day": 10}, "2024-10-10"),
        ("2024-10-10", {"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": 10, "fixed_day": 10}, "2025-10-10"),
        ("2022-10-10", {"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": 2, "fixed_day": 29}, "2023-02-28"),
    ],
)
def test_known_last_days(granted_on: str, rules: dict[str, Any], expected: str) -> None:
    check_rules(rules, "expiration_rules")
    assert last_day(rules, granted_on) == expected


@given(DAYS, st.integers(1, 240), st.sampled_from([None, *CLOSING_MONTHS]))
def test_months_are_counted_then_rounded_up_to_a_closing_month(
    day: datetime.date, months: int, rounding: str | None
) -> None:
    rules = {"period_type": "MONTH", "period_value": months, "rounding_type": rounding}
    check_rules(rules, "expiration_rules")
    found = datetime.date.fromisoformat(last_day(rules, day.isoformat()) or "")
    reached = _months_later(day, months)
    if rounding is None:
        assert found == reached
        return
    expected = reached
    while not (_is_month_end(expected) and expected.month in CLOSING_MONTHS[rounding]):
        expected += datetime.timedelta(days=1)
    assert found == expected


@given(DAYS, st.integers(1, 24), st.integers(1, 12))
def test_a_particular_month_is_the_next_end_of_it(day: datetime.date, months: int, month: int) -> None:
    rules = {
        "period_type": "MONTH",
        "period_value": months,
        "rounding_type": "PARTICULAR_MONTH",
        "rounding_value": month,
    }
    expected = _months_later(day, months)
    while not (_is_month_end(expected) and expected.month == month):
        expected += datetime.timedelta(days=1)
    assert last_day(rules, day.isoformat()) == expected.isoformat()


@given(DAYS, st.integers(1, 12), st.integers(1, 31))
def test_a_fixed_day_is_the_first_after_the_grant(day: datetime.date, month: int, fixed_day: int) -> None:
    rules = {"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": month, "fixed_day": fixed_day}
    check_rules(rules, "expiration_rules")
    expected = day + datetime.timedelta(days=1)
    while not (
        expected.month == month
        and (expected.day == fixed_day or (_is_month_end(expected) and expected.day < fixed_day))
    ):
        expected += datetime.timedelta(days=1)
    assert last_day(rules, day.isoformat()) == expected.isoformat()


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"period_type": "WEEK"}, "r.period_type"),
        ({"period_type": "MONTH"}, "r.period_value"),
        ({"period_type": "MONTH", "period_value": 0}, "r.period_value"),
        ({"period_type": "MONTH", "period_value": 1201}, "r.period_value"),
        ({"period_type": "MONTH", "period_value": True}, "r.period_value"),
        ({"period_type": "MONTH", "period_value": "3"}, "r.period_value"),
        ({"period_type": "MONTH", "period_value": 3, "rounding_type": "UP"}, "r.rounding_type"),
        ({"period_type": "MONTH", "period_value": 3, "rounding_type": "PARTICULAR_MONTH"}, "r.rounding_value"),
        ({"period_type": "FIXED_DAY_OF_YEAR", "fixed_day": 1}, "r.fixed_month"),
        ({"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": 13, "fixed_day": 1}, "r.fixed_month"),
        ({"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": 1, "fixed_day": 32}, "r.fixed_day"),
    ],
)
def test_rules_that_cannot_be_followed_are_named(rules: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_rules(rules, "r")
    assert caught.value.field == field
