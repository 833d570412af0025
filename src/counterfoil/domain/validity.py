"""Whether something is in force at a moment: between its dates, in its recurring periods, on its days and hours.

Source of the shapes: Voucherify, validity_timeframe, validity_day_of_week and validity_hours of campaigns, vouchers and
earning rules. Days of the week count from Sunday 0; days and hours are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil.clock import MS_PER_DAY
from counterfoil.errors import InvalidInput

_DURATION = re.compile(r"P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?\Z")
_UNITS_MS = (7 * MS_PER_DAY, MS_PER_DAY, 3_600_000, 60_000, 1_000)
_HOUR = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
# 1 January 1970 was a Thursday.
_FIRST_WEEKDAY = 4


def duration_ms(text: str) -> int:
    """An ISO 8601 duration of weeks, days, hours, minutes and seconds, such as `PT1H`. Raises ValueError for others.

    Months and years have no fixed length and are refused.
    """
    found = _DURATION.match(text)
    if found is None or not any(found.groups()):
        raise ValueError(f"not a duration of weeks, days, hours, minutes or seconds: {text!r}")
    return sum(int(count) * unit for count, unit in zip(found.groups("0"), _UNITS_MS, strict=True))


def check_timeframe(timeframe: Mapping[str, Any] | None, place: str) -> None:
    """Raise InvalidInput, naming the place, unless `in_timeframe` can use it: {duration, interval}, both over 0."""
    if timeframe is None:
        return
    for name in ("duration", "interval"):
        text: object = timeframe.get(name)
        try:
            usable = isinstance(text, str) and duration_ms(text) > 0
        except ValueError:
            usable = False
        if not usable:
            raise InvalidInput(
                "invalid_payload",
                f"Property {place}.{name} must be an ISO-8601 duration of weeks, days, hours, minutes or seconds",
                field=f"{place}.{name}", value=text,
            )  # fmt: skip


def check_days(days: Any, place: str) -> None:
    """Raise InvalidInput, naming the place, unless it is None or an array of days, each 0 (Sunday) to 6."""
    if days is None:
        return
    if not isinstance(days, Sequence) or isinstance(days, str):
        raise InvalidInput("invalid_payload", f"Property {place} must be array", field=place, value=days)
    for at, day in enumerate(days):
        if not isinstance(day, int) or isinstance(day, bool) or not 0 <= day <= 6:
            raise InvalidInput("invalid_payload", f"Property {place}[{at}] must be a day from 0 (Sunday) to 6",
                               field=f"{place}[{at}]", value=day)  # fmt: skip


def check_hours(hours: Mapping[str, Any] | None, place: str) -> None:
    """Raise InvalidInput, naming the place, unless `in_hours` can use it: {daily: [{start_time, expiration_time, …}]}."""
    daily: Any = (hours or {}).get("daily") or []
    if not isinstance(daily, list) or not all(isinstance(period, Mapping) for period in daily):
        raise InvalidInput("invalid_payload", f"Property {place}.daily must be array of objects", field=f"{place}.daily",
                           value=daily)  # fmt: skip
    for at, period in enumerate(daily):
        where = f"{place}.daily[{at}]"
        for name in ("start_time", "expiration_time"):
            text = period.get(name)
            if text is not None and not _is_hour(text):
                raise InvalidInput("invalid_payload", f"Property {where}.{name} must be a time such as 09:30",
                                   field=f"{where}.{name}", value=text)  # fmt: skip
        check_days(period.get("days_of_week"), f"{where}.days_of_week")


def in_period(start_ms: int | None, expiration_ms: int | None, now_ms: int) -> bool:
    """Whether now lies between the dates, both included; None is open."""
    return (start_ms is None or now_ms >= start_ms) and (expiration_ms is None or now_ms <= expiration_ms)


def in_timeframe(timeframe: Mapping[str, Any] | None, start_ms: int, now_ms: int) -> bool:
    """Whether now lies in a period of `duration` that begins every `interval` from start_ms on."""
    if not timeframe:
        return True
    since = now_ms - start_ms
    return since >= 0 and since % duration_ms(timeframe["interval"]) < duration_ms(timeframe["duration"])


def on_days(days: Sequence[int] | None, now_ms: int) -> bool:
    """Whether today's weekday is among the days; None or none named is every day."""
    return not days or weekday(now_ms) in days


def in_hours(hours: Mapping[str, Any] | None, now_ms: int) -> bool:
    """Whether one of the daily periods holds now: from start_time on, before expiration_time, on its days."""
    periods = (hours or {}).get("daily") or ()
    minute = now_ms % MS_PER_DAY // 60_000
    return not periods or any(
        _minute(p.get("start_time"), 0) <= minute < _minute(p.get("expiration_time"), 1440)
        and on_days(p.get("days_of_week"), now_ms)
        for p in periods
    )


def weekday(now_ms: int) -> int:
    """The UTC day of the week, Sunday 0 to Saturday 6."""
    return (now_ms // MS_PER_DAY + _FIRST_WEEKDAY) % 7


def _is_hour(text: object) -> bool:
    return isinstance(text, str) and _HOUR.match(text) is not None


def _minute(text: str | None, otherwise: int) -> int:
    return otherwise if text is None else int(text[:2]) * 60 + int(text[3:])
