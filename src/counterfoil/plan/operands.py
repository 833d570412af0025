"""Operands of filters: each checked and brought into the one form that its field's kind has inside.

Text stays text, amounts become integers, instants milliseconds, dates ISO text, booleans booleans. A number may come
as text, because query strings know nothing else. What does not fit raises ValueError with the reason.
"""

from __future__ import annotations

import math

from counterfoil.catalog.kinds import Kind
from counterfoil.clock import iso_date, parse_instant_ms
from counterfoil.plan.calendar import DAYS_MAX
from counterfoil.plan.request import Scalar

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_PARTS = {"is_day_of_month": (1, 31), "is_day": (0, 6), "is_month": (1, 12), "is_year": (1, 9998)}


def value_of(kind: Kind, operand: Scalar) -> str | int | float | bool:
    """An operand to compare for equality with values of the kind."""
    if kind is Kind.BOOLEAN:
        return _boolean(operand)
    if kind in {Kind.INTEGER, Kind.MONEY}:
        return integer(operand)
    if kind is Kind.INSTANT:
        return instant_ms(operand)
    if kind is Kind.DATE:
        return iso_date(instant_ms(operand))
    if kind is Kind.ANY:
        return _any(operand)
    return text(operand)


def text(operand: Scalar) -> str:
    """Text that every database can take. A whole number counts as its digits."""
    if isinstance(operand, int) and not isinstance(operand, bool):
        operand = str(integer(operand))
    if not isinstance(operand, str):
        raise ValueError("a string")
    return storable(operand)


def storable(operand: str) -> str:
    """The text itself. Raises ValueError when it holds what no text column can: NUL or half of a surrogate pair."""
    if "\0" in operand or any("\ud800" <= letter <= "\udfff" for letter in operand):
        raise ValueError("text without NUL or broken characters")
    return operand


def number(operand: Scalar) -> int | float:
    """A number, or text that is one. Finite; integers within 64 bits."""
    if isinstance(operand, bool) or operand is None:
        raise ValueError("a number")
    if isinstance(operand, str):
        operand = _number_in(operand)
    if isinstance(operand, float):
        if not math.isfinite(operand):
            raise ValueError("a finite number")
        return operand
    if not _INT_MIN <= operand <= _INT_MAX:
        raise ValueError("a number within 64 bits")
    return operand


def integer(operand: Scalar) -> int:
    """A whole number within 64 bits."""
    found = number(operand)
    if isinstance(found, float):
        if not found.is_integer() or not _INT_MIN <= found <= _INT_MAX:
            raise ValueError("a whole number within 64 bits")
        return integer(int(found))
    return found


def count(operand: Scalar) -> int:
    """A whole number, 0 or more."""
    found = integer(operand)
    if found < 0:
        raise ValueError("a whole number, 0 or more")
    return found


def days(operand: Scalar) -> int:
    """A day distance: a whole number from 0 to DAYS_MAX."""
    found = integer(operand)
    if not 0 <= found <= DAYS_MAX:
        raise ValueError(f"a whole number of days from 0 to {DAYS_MAX}")
    return found


def years(operand: Scalar) -> int:
    """A distance in years, 0 to 9999."""
    found = integer(operand)
    if not 0 <= found <= 9999:
        raise ValueError("a whole number of years from 0 to 9999")
    return found


def part(operator: str, operand: Scalar) -> int:
    """A part of a date: a day of the month, a day of the week (0 Sunday to 6, or its name), a month, a year."""
    low, high = _PARTS[operator]
    names = {"is_day": _WEEKDAYS, "is_month": _MONTHS}.get(operator, ())
    word = operand.strip().lower() if isinstance(operand, str) else ""
    if word in names:
        return names.index(word) + low
    found = integer(operand)
    if not low <= found <= high:
        raise ValueError(f"a number from {low} to {high}")
    return found


def instant_ms(operand: Scalar, *, round_up: bool = False) -> int:
    """An ISO-8601 date or time as milliseconds. A number is refused: nobody can tell its seconds from milliseconds."""
    if not isinstance(operand, str):
        raise ValueError("an ISO-8601 date or time such as 2024-10-01T00:00:00.000Z")
    try:
        return parse_instant_ms(operand, round_up=round_up)
    except (ValueError, OverflowError):
        raise ValueError("an ISO-8601 date or time such as 2024-10-01T00:00:00.000Z") from None


def number_like(operand: str) -> int | float | None:
    """The number that a text spells, or None."""
    try:
        return number(operand)
    except ValueError:
        return None


def _number_in(operand: str) -> int | float:
    # float() and int() also read "1_000", " 5 " and "infinity", which no client means as a number.
    bare = operand.removeprefix("-")
    if not bare[:1].isdigit() or not bare.isascii() or "_" in bare or len(bare) > 40:
        raise ValueError("a number")
    try:
        return int(operand) if bare.isdigit() else float(operand)
    except ValueError:
        raise ValueError("a number") from None


def _boolean(operand: Scalar) -> bool:
    if isinstance(operand, str) and operand.lower() in {"true", "false"}:
        return operand.lower() == "true"
    if not isinstance(operand, bool):
        raise ValueError("true or false")
    return operand


def _any(operand: Scalar) -> str | int | float:
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, str):
        return storable(operand)
    return number(operand)
