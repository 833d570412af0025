"""What each operator means, in plain Python over what the lists say: nothing of the product is asked.

Values are as JSON has them: instants and dates as text, which is read by its first ten or all of its characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

NEGATIONS = {"is_not": "is", "not_in": "in", "not_contain": "contains", "is_unknown": "has_value"}
DAY = timedelta(days=1)


def holds(operator: str, operands: Sequence[Any], values: Sequence[Any], now: datetime) -> bool:
    """Whether a row with these values of a field is one that the condition keeps; unknown values are None."""
    known = [value for value in values if value is not None]
    if operator in NEGATIONS:
        return not holds(NEGATIONS[operator], operands, values, now)
    if operator.startswith("count"):
        sizes = {"count": len(known) in operands, "count_less": len(known) < operands[0]}
        return sizes.get(operator, len(known) > operands[0])
    return any(_one(operator, operands, value, now) for value in known)


def _one(operator: str, operands: Sequence[Any], value: Any, now: datetime) -> bool:
    if operator in _PLAIN:
        return _PLAIN[operator](value, operands)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return operator in _NUMBERS and _NUMBERS[operator](value, operands[0])
    at = _moment(value)
    return at is not None and _time(operator, operands, at, now, whole_days=len(value) == 10)


_PLAIN: Mapping[str, Callable[[Any, Sequence[Any]], bool]] = {
    "has_value": lambda value, _: True,
    "in": lambda value, operands: any(type(value) is type(each) and value == each for each in operands),
    "is": lambda value, operands: any(type(value) is type(each) and value == each for each in operands),
    "contains": lambda value, operands: isinstance(value, str) and any(each in value for each in operands),
    "starts_with": lambda value, operands: isinstance(value, str) and any(value.startswith(each) for each in operands),
    "ends_with": lambda value, operands: isinstance(value, str) and any(value.endswith(each) for each in operands),
    "enabled": lambda value, _: value is True,
    "disabled": lambda value, _: value is False,
}
_NUMBERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "more_than": lambda value, bound: value > bound,
    "less_than": lambda value, bound: value < bound,
    "more_than_equal": lambda value, bound: value >= bound,
    "less_than_equal": lambda value, bound: value <= bound,
}


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _time(operator: str, operands: Sequence[Any], at: datetime, now: datetime, *, whole_days: bool) -> bool:
    today, day = now.date(), at.date()
    if operator.endswith("_md"):
        return _anniversary(operator.removesuffix("_md"), operands, day, today)
    if operator in _WORDS:
        return _WORDS[operator](today, day)
    if operator in {"after", "before"}:
        bound = _moment(operands[0])
        assert bound is not None
        return at > bound if operator == "after" else at < bound
    operator = operator.removesuffix("_ago") if "_than_" in operator else operator
    if operator in {"more_than", "less_than", "more_than_future", "less_than_future"}:
        distance = operands[0] * DAY
        here, there = (datetime.combine(today, at.timetz()), at) if whole_days else (now, at)
        ago, ahead = here - there, there - here
        found = {"more_than": ago > distance, "less_than": timedelta(0) <= ago < distance}
        return found.get(
            operator, ahead > distance if operator.startswith("more") else timedelta(0) <= ahead < distance
        )
    if operator == "is_years_ago":
        return any((day.year, _md(day)) == (today.year - years, _md(today)) for years in operands)
    if operator in {"is_days_ago", "is_days_in_future"}:
        return any(day == today + (days if "future" in operator else -days) * DAY for days in operands)
    part = {"is_day": day.isoweekday() % 7, "is_day_of_month": day.day, "is_month": day.month, "is_year": day.year}
    return part[operator] in operands


def _monday(day: date) -> date:
    return day - day.weekday() * DAY


def _months(day: date) -> int:
    return 12 * day.year + day.month


_WORDS: Mapping[str, Callable[[date, date], bool]] = {
    "today": lambda today, day: day == today,
    "tomorrow": lambda today, day: day == today + DAY,
    "yesterday": lambda today, day: day == today - DAY,
    "this_week": lambda today, day: _monday(day) == _monday(today),
    "last_week": lambda today, day: _monday(day) == _monday(today) - 7 * DAY,
    "next_week": lambda today, day: _monday(day) == _monday(today) + 7 * DAY,
    "this_month": lambda today, day: _months(day) == _months(today),
    "last_month": lambda today, day: _months(day) == _months(today) - 1,
    "next_month": lambda today, day: _months(day) == _months(today) + 1,
    "this_year": lambda today, day: day.year == today.year,
    "last_year": lambda today, day: day.year == today.year - 1,
    "next_year": lambda today, day: day.year == today.year + 1,
}


def _md(day: date) -> tuple[int, int]:
    return day.month, day.day


def _anniversary(operator: str, operands: Sequence[Any], day: date, today: date) -> bool:
    """Whether the day's month and day of the month are those of some day that the operator means."""
    near = [today + distance * DAY for distance in range(-400, 401)]
    if operator in _WORDS:
        return _md(day) in {_md(each) for each in near if _WORDS[operator](today, each)}
    sign = 1 if operator.endswith("in_future") else -1
    year = abs((today.replace(year=today.year + sign) - today).days)
    for days in operands:
        spans = {"is_days": range(days, days + 1), "is_more": range(days + 1, year), "is_less": range(min(days, year))}
        if _md(day) in {_md(today + sign * distance * DAY) for distance in spans[operator[:7]]}:
            return True
    return False


def state_holds(word: str, voucher: Mapping[str, Any], now: datetime) -> bool:
    """Whether a listed voucher is in the state that a word names."""
    start, end = _moment(voucher["start_date"]), _moment(voucher["expiration_date"])
    begun, ended = start is None or start <= now, end is not None and end < now
    active = voucher["active"] and begun and not ended
    count, limit = voucher["redemption"]["redeemed_quantity"], voucher["redemption"]["quantity"]
    card = voucher["gift"] or voucher["loyalty_card"]
    return {
        "enabled": voucher["active"],
        "disabled": not voucher["active"],
        "before_start": not begun,
        "expired": ended,
        "active": active,
        "redeemed": count > 0,
        "redeemable": active and (limit is None or count < limit) and (card is None or card["balance"] > 0),
    }[word]
