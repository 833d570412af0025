"""Time: the one place that reads a clock, and the one way times are written and read.

Inside Counterfoil an instant is an integer of milliseconds since the epoch, UTC, and a date is its ISO text
(`2024-11-30`). Nothing else in the package may call `time` or `datetime.now`.
"""

from __future__ import annotations

import datetime
import re
import time
from functools import lru_cache
from typing import Protocol

MS_PER_DAY = 86_400_000
# Years 0001 to 9999: what ISO-8601 with four digits can say.
MS_MIN = -62_135_596_800_000
MS_MAX = 253_402_300_799_999
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_DAY = datetime.date(1970, 1, 1)
_INSTANT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(Z|z|[+-]\d{2}:?\d{2})?)?\Z"
)


class Clock(Protocol):
    """What the rest of the house knows of time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start that never go back."""
        ...

    def sleep_s(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep_s(self, seconds: float) -> None:
        time.sleep(seconds)


def iso_ms(instant_ms: int) -> str:
    """Write an instant as ISO-8601 with milliseconds and Z: `2024-10-09T09:16:32.521Z`."""
    at = _EPOCH + datetime.timedelta(milliseconds=instant_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{instant_ms % 1000:03d}Z".rjust(24, "0")


def iso_date(instant_ms: int) -> str:
    """The UTC date of an instant: `2024-10-09`."""
    return _iso_day(instant_ms // MS_PER_DAY)


@lru_cache(maxsize=64)
def _iso_day(day: int) -> str:
    return (_EPOCH_DAY + datetime.timedelta(days=day)).isoformat()


def date_start_ms(date: str) -> int:
    """The first instant of an ISO date. Raises ValueError when `date` is not one."""
    return (datetime.date.fromisoformat(date) - _EPOCH_DAY).days * MS_PER_DAY


def parse_instant_ms(text: str, *, round_up: bool = False) -> int:
    """Read an ISO-8601 / RFC 3339 instant or date, normalised to UTC; a missing offset means UTC.

    Digits past the millisecond are cut, or rounded up when `round_up` says so (for exclusive upper bounds).
    Raises ValueError when the text is no such instant.
    """
    found = _INSTANT.match(text.strip())
    if found is None:
        raise ValueError(f"not an ISO-8601 instant: {text!r}")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    seconds = int(second or 0)
    leap = seconds == 60  # RFC 3339 permits the leap second; POSIX time has none
    at = datetime.datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), 59 if leap else seconds, tzinfo=datetime.UTC
    )
    nanos = int((fraction or "0").ljust(9, "0"))
    millis = nanos // 1_000_000 + (1 if round_up and nanos % 1_000_000 else 0)
    days = at - _EPOCH
    instant_ms = days.days * MS_PER_DAY + days.seconds * 1000 + millis + (1000 if leap else 0)
    if offset and offset not in "Zz":
        sign = -1 if offset[0] == "-" else 1
        hours, minutes = int(offset[1:3]), int(offset[-2:])
        if hours > 23 or minutes > 59:
            raise ValueError(f"not an offset: {offset!r}")
        instant_ms -= sign * (hours * 60 + minutes) * 60_000
    if not MS_MIN <= instant_ms <= MS_MAX:
        raise ValueError(f"outside years 1 to 9999: {text!r}")
    return instant_ms
