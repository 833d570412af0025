"""Filters checked against the catalogue, and their day distances and date words made instants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.catalog.objects import exportable
from counterfoil.catalog.operators import OPERATORS, RESOLVED
from counterfoil.clock import iso_ms, parse_instant_ms
from counterfoil.errors import InvalidInput
from counterfoil.plan import calendar
from counterfoil.plan.filters import TESTS_MAX, VALUES_MAX, allowed_operators, resolve
from counterfoil.plan.request import Condition, FieldFilter, Filter

NOW = "2024-02-29T13:45:10.123Z"  # a Thursday
NOW_MS = parse_instant_ms(NOW)


def asked(field: str, operator: str, *operands: Any) -> Filter:
    return Filter("and", (FieldFilter(field, (Condition(operator, operands),)),))


def resolved(
    field: str, operator: str, *operands: Any, object_name: str = "voucher", now_ms: int = NOW_MS
) -> Condition:
    found = resolve(asked(field, operator, *operands), exportable(object_name), now_ms=now_ms)
    return found.fields[0].conditions[0]


def shown(condition: Condition) -> str:
    """The condition with its instants written out."""
    times = ("within", "after", "before", "at_or_after", "at_or_before")
    words = [
        iso_ms(each) if isinstance(each, int) and condition.operator in times else str(each)
        for each in condition.operands
    ]
    return " ".join([condition.operator, *(word.replace("T00:00:00.000Z", "") for word in words)])


INSTANTS = [
    ("today", (), "within 2024-02-29 2024-03-01"),
    ("tomorrow", (), "within 2024-03-01 2024-03-02"),
    ("yesterday", ("",), "within 2024-02-28 2024-02-29"),
    ("this_week", (), "within 2024-02-26 2024-03-04"),
    ("last_week", (), "within 2024-02-19 2024-02-26"),
    ("next_week", (), "within 2024-03-04 2024-03-11"),
    ("this_month", (), "within 2024-02-01 2024-03-01"),
    ("last_month", (), "within 2024-01-01 2024-02-01"),
    ("next_month", (), "within 2024-03-01 2024-04-01"),
    ("this_year", (True,), "within 2024-01-01 2025-01-01"),
    ("last_year", (), "within 2023-01-01 2024-01-01"),
    ("next_year", (), "within 2025-01-01 2026-01-01"),
    ("is_days_ago", (3,), "within 2024-02-26 2024-02-27"),
    ("is_days_ago", (1, "2"), "within 2024-02-28 2024-02-29 2024-02-27 2024-02-28"),
    ("is_days_in_future", (1,), "within 2024-03-01 2024-03-02"),
    ("more_than", (10,), "before 2024-02-19T13:45:10.123Z"),
    ("more_than_ago", (10,), "before 2024-02-19T13:45:10.123Z"),
    ("less_than", (10,), "within 2024-02-19T13:45:10.124Z 2024-02-29T13:45:10.124Z"),
    ("less_than_ago", ("10",), "within 2024-02-19T13:45:10.124Z 2024-02-29T13:45:10.124Z"),
    ("more_than_future", (1,), "after 2024-03-01T13:45:10.123Z"),
    ("less_than_future", (1,), "within 2024-02-29T13:45:10.123Z 2024-03-01T13:45:10.123Z"),
    ("is_year", (2020, "2021"), "within 2020-01-01 2021-01-01 2021-01-01 2022-01-01"),
    ("is_years_ago", (1,), "within 2023-02-28 2023-03-01"),
    ("is_years_ago", (4,), "within 2020-02-29 2020-03-01"),
    ("is_day_of_month", (29, "1"), "day_of_month_in 29 1"),
    ("is_day", ("Sunday", 6), "weekday_in 0 6"),
    ("is_month", ("february", 3), "month_in 2 3"),
    ("today_md", (), "month_day_in 229"),
    ("yesterday_md", (), "month_day_in 228"),
    ("this_week_md", (), "month_day_in 226 227 228 229 301 302 303"),
    ("is_days_ago_md", (1, 365), "month_day_in 228 301"),
    ("is_less_days_ago_md", (2,), "month_day_in 228 229"),
    ("is_less_days_in_future_md", (2,), "month_day_in 229 301"),
    ("after", ("2024-10-01T00:00:00.0001Z",), "after 2024-10-01"),
    ("before", ("2024-10-01T00:00:00.0001Z",), "before 2024-10-01T00:00:00.001Z"),
    ("at_or_after", ("2024-10-01T00:00:00.0001Z",), "at_or_after 2024-10-01T00:00:00.001Z"),
    ("at_or_before", ("2024-10-01T02:00:00+02:00",), "at_or_before 2024-10-01"),
    ("has_value", ("",), "has_value"),
]


@pytest.mark.parametrize(("operator", "operands", "wanted"), INSTANTS)
def test_time_operators_on_instants(operator: str, operands: tuple[Any, ...], wanted: str) -> None:
    assert shown(resolved("created_at", operator, *operands)) == wanted


DATES = [
    ("today", (), "within 2024-02-29 2024-03-01"),
    ("more_than", (10,), "before 2024-02-19"),
    ("less_than", (10,), "within 2024-02-20 2024-03-01"),
    ("more_than_future", (10,), "after 2024-03-10"),
    ("less_than_future", (2,), "within 2024-02-29 2024-03-02"),
    ("after", ("2024-10-01T12:00:00Z",), "after 2024-10-01"),
    ("before", ("2024-10-01T12:00:00Z",), "at_or_before 2024-10-01"),
    ("before", ("2024-10-01",), "before 2024-10-01"),
    ("at_or_after", ("2024-10-01T12:00:00Z",), "after 2024-10-01"),
    ("at_or_after", ("2024-10-01",), "at_or_after 2024-10-01"),
    ("at_or_before", ("2024-10-01T12:00:00Z",), "at_or_before 2024-10-01"),
    ("is", ("2024-10-01T12:00:00Z",), "in 2024-10-01"),
]


@pytest.mark.parametrize(("operator", "operands", "wanted"), DATES)
def test_time_operators_on_dates_go_by_whole_days(operator: str, operands: tuple[Any, ...], wanted: str) -> None:
    assert shown(resolved("birthdate", operator, *operands, object_name="customer")) == wanted


def test_the_last_of_february_keeps_leap_days_in_other_years() -> None:
    now_ms = parse_instant_ms("2023-02-28T10:00:00Z")
    assert resolved("created_at", "today_md", now_ms=now_ms).operands == (228, 229)
    assert resolved("created_at", "is_days_in_future_md", 1, now_ms=now_ms).operands == (301,)


@given(st.integers(0, 400), st.integers(parse_instant_ms("1990-01-01"), parse_instant_ms("2040-01-01")))
def test_anniversaries_nearer_and_farther_than_n_days_split_the_year(days: int, now_ms: int) -> None:
    for side in ("ago", "in_future"):
        nearer = set(calendar.anniversary_days(f"is_less_days_{side}_md", days, now_ms))
        there = set(calendar.anniversary_days(f"is_days_{side}_md", days, now_ms)) if days < 365 else set()
        farther = set(calendar.anniversary_days(f"is_more_days_{side}_md", days, now_ms))
        assert len(nearer | there | farther) in {365, 366}
        assert not (nearer & farther) - {228, 229, 301}


VALUES = [
    ("code", "is", ("a", "b", "a"), Condition("in", ("a", "b"))),
    ("code", "is_not", ("a",), Condition("not_in", ("a",))),
    ("code", "in", (), Condition("in", ())),
    ("code", "is", (8638,), Condition("in", ("8638",))),
    ("active", "is", ("TRUE",), Condition("in", (True,))),
    ("active", "disabled", (None,), Condition("in", (False,))),
    ("redemption_quantity", "more_than", ("10",), Condition("more_than", (10,))),
    ("redemption_quantity", "more_than", (10.5,), Condition("more_than", (10,))),
    ("redemption_quantity", "less_than", (-10.5,), Condition("less_than", (-10,))),
    ("redemption_quantity", "more_than_equal", (10.5,), Condition("more_than_equal", (11,))),
    ("redemption_quantity", "less_than_equal", (10.0,), Condition("less_than_equal", (10,))),
    ("metadata.x", "is", (True, "1", 2), Condition("in", ("true", "1", 2))),
    ("metadata.x", "more_than", ("2.5",), Condition("more_than", (2.5,))),
    ("validity_day_of_week", "count_more", ("2",), Condition("count_more", (2,))),
    ("redemption_status", "expired", ("",), Condition("state_in", (NOW_MS, "expired"))),
    ("redemption_status", "is_not", ("redeemed",), Condition("state_not_in", (NOW_MS, "redeemed"))),
]


@pytest.mark.parametrize(("field", "operator", "operands", "wanted"), VALUES)
def test_values_take_the_form_of_their_field(field: str, operator: str, operands: Any, wanted: Condition) -> None:
    assert resolved(field, operator, *operands) == wanted


WRONG = [
    ("colour", "is", ("red",), "invalid_filter_field", "filters.colour"),
    ("value", "is", ("10",), "invalid_filter_field", "filters.value"),
    ("metadata.", "is", ("red",), "invalid_filter_field", "filters.metadata."),
    ("metadata.a\0b", "is", ("red",), "invalid_filter_field", None),
    ("code", "gt", (1,), "invalid_filter_operator", "filters.code.gt"),
    ("code", "after", ("2024-01-01",), "invalid_filter_operator", "filters.code.after"),
    ("code", "count", (1,), "invalid_filter_operator", None),
    ("active", "contains", ("t",), "invalid_filter_operator", None),
    ("code", "is", (), "invalid_filter_value", "filters.code.is"),
    ("code", "is", (None,), "invalid_filter_value", None),
    ("code", "is", ("a\0",), "invalid_filter_value", None),
    ("code", "contains", ("\ud800",), "invalid_filter_value", None),
    ("code", "is", (True,), "invalid_filter_value", None),
    ("created_at", "after", ("soon",), "invalid_filter_value", "filters.created_at.after"),
    ("created_at", "after", ("0001-01-01T00:00:00+14:00",), "invalid_filter_value", None),
    ("created_at", "after", (1704067200,), "invalid_filter_value", None),
    ("created_at", "after", ("2024-01-01", "2024-02-01"), "invalid_filter_value", None),
    ("created_at", "more_than", (-1,), "invalid_filter_value", None),
    ("created_at", "more_than", (10**9,), "invalid_filter_value", None),
    ("created_at", "more_than", (1.5,), "invalid_filter_value", None),
    ("created_at", "is_month", (13,), "invalid_filter_value", None),
    ("created_at", "is_year", (0,), "invalid_filter_value", None),
    ("redemption_quantity", "is", (2**63,), "invalid_filter_value", None),
    ("redemption_quantity", "is", (1.5,), "invalid_filter_value", None),
    ("redemption_quantity", "is", ("1_0",), "invalid_filter_value", None),
    ("redemption_quantity", "more_than", (float("nan"),), "invalid_filter_value", None),
    ("redemption_quantity", "more_than", (1e300,), "invalid_filter_value", None),
    ("active", "is", ("yes",), "invalid_filter_value", None),
    ("metadata.x", "more_than", ("red",), "invalid_filter_value", None),
    ("redemption_status", "is", ("gone",), "invalid_filter_value", None),
    ("validity_day_of_week", "count", (-1,), "invalid_filter_value", None),
]


@pytest.mark.parametrize(("field", "operator", "operands", "code", "where"), WRONG)
def test_what_is_wrong_is_refused_with_its_place(
    field: str, operator: str, operands: Any, code: str, where: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve(asked(field, operator, *operands), exportable("voucher"), now_ms=NOW_MS)
    error = caught.value
    assert error.code == code
    assert error.message
    assert where is None or error.field == where
    if code != "invalid_filter_value":
        assert error.allowed


def test_errors_list_what_would_be_right() -> None:
    with pytest.raises(InvalidInput) as unknown:
        resolved("created_at", "gt", 1)
    assert unknown.value.allowed == allowed_operators()
    with pytest.raises(InvalidInput) as misplaced:
        resolved("active", "after", "2024-01-01")
    assert misplaced.value.allowed == ("in", "not_in", "is", "is_not", "has_value", "is_unknown", "enabled", "disabled")
    with pytest.raises(InvalidInput) as field:
        resolved("colour", "is", "red", object_name="voucher_transactions")
    assert field.value.allowed is not None
    assert {"created_at", "voucher_id", "campaign_id"} <= set(field.value.allowed)


def test_a_fraction_at_the_edge_of_64_bits_cannot_overflow() -> None:
    for operator in ("more_than", "less_than", "more_than_equal", "less_than_equal"):
        with pytest.raises(InvalidInput):
            resolved("redemption_quantity", operator, 9.3e18)


def test_a_filter_has_bounds() -> None:
    ids = tuple(f"v_{n}" for n in range(VALUES_MAX))
    assert len(resolved("voucher_id", "in", *ids, object_name="voucher_transactions").operands) == VALUES_MAX
    with pytest.raises(InvalidInput, match="at most"):
        resolved("voucher_id", "in", *ids, "one more", object_name="voucher_transactions")
    with pytest.raises(InvalidInput, match="at most"):
        resolved("code", "contains", *(f"{n}" for n in range(TESTS_MAX + 1)))


def test_conditions_that_say_nothing_are_dropped() -> None:
    found = resolve(Filter("or", (FieldFilter("code", ()),)), exportable("voucher"), now_ms=NOW_MS)
    assert found == Filter("or", ())


def test_our_own_scopes_may_use_milliseconds() -> None:
    scope = asked("created_at", "at_or_after", NOW_MS)
    assert resolve(scope, exportable("movement"), now_ms=NOW_MS, in_ms=True) == scope


@given(
    st.sampled_from([operator.name for operator in OPERATORS]),
    st.sampled_from(
        ["code", "created_at", "active", "redemption_quantity", "metadata.x", "vouchers", "redemption_status"]
    ),
    st.lists(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["10", NOW]), max_size=3
    ),
)
def test_any_condition_is_either_resolved_or_refused(operator: str, field: str, operands: list[Any]) -> None:
    try:
        found = resolved(field, operator, *operands)
    except InvalidInput:
        return
    assert found.operator in RESOLVED
