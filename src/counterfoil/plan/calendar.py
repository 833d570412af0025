"""Date words and day distances as ranges of instants, in UTC.

A range is [from, to) in milliseconds. Weeks begin on Monday (ISO 8601). A calendar day of any year is a number
100 × month + day: 229 is 29 February, which in other years is kept with 28 February.
"""

from __future__ import annotations

import datetime

from counterfoil.clock import MS_MAX, MS_MIN, MS_PER_DAY

DAYS_MAX = 100_000
"""The longest day distance that a filter may name, some 270 years."""

Range = tuple[int, int]
_EPOCH = datetime.date(1970, 1, 1)


def clamp_ms(instant_ms: int) -> int:
    """The instant, moved into the years that can be written with four digits."""
    return min(max(instant_ms, MS_MIN), MS_MAX)


def midnight_ms(instant_ms: int) -> int:
    """The first instant of the UTC day."""
    return instant_ms - instant_ms % MS_PER_DAY


def day_range(now_ms: int, days: int) -> Range:
    """The UTC day that lies `days` after today (before it when negative)."""
    start = midnight_ms(now_ms) + days * MS_PER_DAY
    return start, start + MS_PER_DAY


def year_range(year: int) -> Range:
    """The whole year, 1 to 9998."""
    return _start_ms(datetime.date(year, 1, 1)), _start_ms(datetime.date(year + 1, 1, 1))


def years_ago_range(now_ms: int, years: int) -> Range:
    """Today's day of the year, `years` years earlier; 29 February becomes the 28th where the year has none."""
    today = _date(now_ms)
    year = today.year - years
    if year < 1:
        return 0, 0
    leapless = (today.month, today.day) == (2, 29) and not _leap(year)
    return day_range(_start_ms(datetime.date(year, today.month, 28 if leapless else today.day)), 0)


def word_range(word: str, now_ms: int) -> Range:
    """The range of a date word: today, yesterday, last_week, next_month, this_year and their like."""
    today = _date(now_ms)
    if word in _DAY_SHIFT:
        return day_range(now_ms, _DAY_SHIFT[word])
    step, _, unit = word.partition("_")
    shift = _STEP[step]
    if unit == "week":
        start = midnight_ms(now_ms) + (7 * shift - today.weekday()) * MS_PER_DAY
        return start, start + 7 * MS_PER_DAY
    if unit == "month":
        return _month_start(today, shift), _month_start(today, shift + 1)
    return year_range(today.year + shift)


_DAY_SHIFT = {"today": 0, "tomorrow": 1, "yesterday": -1}
_STEP = {"this": 0, "next": 1, "last": -1}


def days_of_range(span: Range) -> tuple[int, ...]:
    """The calendar days (100 × month + day) that a range of whole UTC days covers, in ascending order."""
    days: set[int] = set()
    for start in range(midnight_ms(span[0]), span[1], MS_PER_DAY):
        date = _date(start)
        days.add(100 * date.month + date.day)
        if (date.month, date.day) == (2, 28) and not _leap(date.year):
            days.add(229)
    return tuple(sorted(days))


def anniversary_days(operator: str, days: int, now_ms: int) -> tuple[int, ...]:
    """Calendar days whose last (or next) anniversary lies so many days away.

    operator: is_days_ago_md, is_more_days_ago_md, is_less_days_ago_md or one of the same three in_future. Less than N
    days counts today; more than N days reaches back (or forth) one year.
    """
    direction = 1 if operator.endswith("in_future_md") else -1
    if operator.startswith("is_days"):
        return days_of_range(day_range(now_ms, direction * days))
    year = _days_to_anniversary(_date(now_ms), direction)
    near, far = (days + 1, year) if operator.startswith("is_more") else (0, min(days, year))
    found: set[int] = set()
    for distance in range(near, far):
        found.update(days_of_range(day_range(now_ms, direction * distance)))
    return tuple(sorted(found))


def _days_to_anniversary(today: datetime.date, direction: int) -> int:
    day = 28 if (today.month, today.day) == (2, 29) else today.day
    return abs((datetime.date(today.year + direction, today.month, day) - today).days)


def _month_start(today: datetime.date, shift: int) -> int:
    months = today.year * 12 + today.month - 1 + shift
    return _start_ms(datetime.date(months // 12, months % 12 + 1, 1))


def _date(instant_ms: int) -> datetime.date:
    return _EPOCH + datetime.timedelta(days=instant_ms // MS_PER_DAY)


def _start_ms(date: datetime.date) -> int:
    return (date - _EPOCH).days * MS_PER_DAY


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
