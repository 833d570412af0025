"""When something is in force: dates, recurring periods, days and hours, and what cannot say so is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.clock import MS_MAX, MS_MIN, parse_instant_ms
from counterfoil.domain import validity
from counterfoil.errors import InvalidInput

HOUR = 3_600_000
# A Wednesday.
NOON = parse_instant_ms("2024-10-09T12:00:00Z")


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("PT1H", HOUR),
        ("P1D", 24 * HOUR),
        ("P2W", 14 * 24 * HOUR),
        ("P1DT2H3M4S", 26 * HOUR + 3 * 60_000 + 4000),
        ("PT0S", 0),
    ],
)
def test_durations(text: str, ms: int) -> None:
    assert validity.duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "P1M", "P1Y", "PT1.5H", "P-1D", "PT1H ", "p1d", "P1D\n"])
def test_what_is_no_fixed_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        validity.duration_ms(text)


def test_a_period_includes_both_ends_and_none_is_open() -> None:
    assert validity.in_period(NOON, NOON, NOON) and validity.in_period(None, None, NOON)
    assert not validity.in_period(NOON + 1, None, NOON) and not validity.in_period(None, NOON - 1, NOON)


def test_a_timeframe_comes_again_every_interval() -> None:
    daily = {"duration": "PT1H", "interval": "P1D"}
    for days in (0, 1, 400):
        start = NOON - days * 24 * HOUR
        assert validity.in_timeframe(daily, start, NOON)
        assert validity.in_timeframe(daily, start, NOON + HOUR - 1)
        assert not validity.in_timeframe(daily, start, NOON + HOUR)
        assert not validity.in_timeframe(daily, start, NOON - 1)
    assert not validity.in_timeframe(daily, NOON + 1, NOON)
    assert validity.in_timeframe(None, NOON + 1, NOON)


@given(st.integers(MS_MIN, MS_MAX))
def test_a_week_has_seven_days_in_their_order(now_ms: int) -> None:
    day = validity.weekday(now_ms)
    assert 0 <= day <= 6
    assert validity.weekday(now_ms + 24 * HOUR) == (day + 1) % 7
    assert validity.on_days([day], now_ms) and not validity.on_days([(day + 1) % 7], now_ms)


def test_wednesday_is_three_and_no_day_is_every_day() -> None:
    assert validity.weekday(NOON) == 3 and validity.weekday(parse_instant_ms("1969-12-28")) == 0
    assert validity.on_days(None, NOON) and validity.on_days([], NOON)


def test_hours_begin_at_their_minute_and_end_before_it() -> None:
    def at(text: str, *periods: dict[str, Any]) -> bool:
        return validity.in_hours({"daily": list(periods)}, parse_instant_ms(f"2024-10-09T{text}Z"))

    office = {"start_time": "09:30", "expiration_time": "17:00"}
    assert [at(text, office) for text in ("09:29:59", "09:30:00", "16:59:59", "17:00:00")] == [False, True, True, False]
    assert at("23:59:59", {"start_time": "22:00"}) and not at("21:59:00", {"start_time": "22:00"})
    assert not at("12:00:00", office | {"days_of_week": [4]})
    assert at("12:00:00", office | {"days_of_week": [4]}, {"days_of_week": [3]})
    assert at("12:00:00") and validity.in_hours(None, NOON)


@pytest.mark.parametrize(
    ("check", "said", "place"),
    [
        (validity.check_timeframe, {"duration": "PT1H"}, "x.interval"),
        (validity.check_timeframe, {"duration": "PT0S", "interval": "P1D"}, "x.duration"),
        (validity.check_timeframe, {"duration": 5, "interval": "P1D"}, "x.duration"),
        (validity.check_days, "123", "x"),
        (validity.check_days, [1, True], "x[1]"),
        (validity.check_days, [1, 7], "x[1]"),
        (validity.check_hours, {"daily": {}}, None),
        (validity.check_hours, {"daily": {"a": 1}}, "x.daily"),
        (validity.check_hours, {"daily": [{"start_time": "9:00"}]}, "x.daily[0].start_time"),
        (validity.check_hours, {"daily": [{}, {"expiration_time": "24:00"}]}, "x.daily[1].expiration_time"),
        (validity.check_hours, {"daily": [{"days_of_week": [9]}]}, "x.daily[0].days_of_week[0]"),
    ],
)
def test_checks_name_the_place(check: Any, said: Any, place: str | None) -> None:
    if place is None:
        check(said, "x")
        return
    with pytest.raises(InvalidInput) as error:
        check(said, "x")
    assert error.value.field == place
