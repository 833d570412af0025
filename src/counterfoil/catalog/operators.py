"""Every operator of a filter: its name, what it takes, and the kinds of field it may stand on.

Names are the vendor's without the dollar, in the order in which the vendor's errors list them (Voucherify: Create
Export, filters; facts 2.1), plus `at_or_after` and `at_or_before` for dialects with inclusive bounds. A *resolved*
filter has only RESOLVED operators: nothing in it depends on the present time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from counterfoil.catalog.kinds import Kind


class Takes(StrEnum):
    """What stands on the right of an operator."""

    NOTHING = "nothing"  # whatever is given is ignored
    VALUES = "values"  # any number of values of the field's kind
    VALUE = "value"  # exactly one value of the field's kind
    TEXTS = "texts"
    COUNTS = "counts"
    COUNT = "count"
    DAYS = "days"  # whole days from today, one or several
    DAY_BOUND = "day_bound"  # one whole number of days
    PARTS = "parts"  # parts of a calendar date: a day, a month, a year
    YEARS = "years"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. many_only: it asks how many values there are, so it needs a field that can hold several."""

    name: str
    takes: Takes
    kinds: frozenset[Kind]
    many_only: bool = False


_TIMES = frozenset({Kind.INSTANT, Kind.DATE, Kind.ANY})
_NUMBERS = frozenset({Kind.INTEGER, Kind.MONEY, Kind.ANY})
_TEXTS = frozenset({Kind.STRING, Kind.ANY})
_SCALARS = frozenset({Kind.STRING, Kind.BOOLEAN}) | _TIMES | _NUMBERS
_KNOWN = _SCALARS | {Kind.JSON}
_STATES = frozenset({Kind.STATE})

STATES = ("active", "expired", "before_start", "enabled", "disabled", "redeemed", "redeemable")
"""State words of a voucher, by its own flag, dates and use (decision 0006)."""

_SWITCHES = {"enabled": frozenset({Kind.BOOLEAN}), "disabled": frozenset({Kind.BOOLEAN})}
_NEAR = (
    "today",
    "tomorrow",
    "yesterday",
    "this_week",
    "last_week",
    "next_week",
    "this_month",
    "last_month",
    "next_month",
)
_WORDS = (*_NEAR, "this_year", "next_year", "last_year")
_ANNIVERSARY_DAYS = (
    "is_days_ago_md",
    "is_more_days_ago_md",
    "is_less_days_ago_md",
    "is_days_in_future_md",
    "is_more_days_in_future_md",
    "is_less_days_in_future_md",
)

OPERATORS: tuple[Operator, ...] = (
    Operator("in", Takes.VALUES, _SCALARS | _STATES),
    Operator("not_in", Takes.VALUES, _SCALARS | _STATES),
    Operator("is", Takes.VALUES, _SCALARS | _STATES),
    Operator("is_days_ago", Takes.DAYS, _TIMES),
    Operator("is_days_in_future", Takes.DAYS, _TIMES),
    Operator("is_not", Takes.VALUES, _SCALARS | _STATES),
    Operator("has_value", Takes.NOTHING, _KNOWN),
    Operator("is_unknown", Takes.NOTHING, _KNOWN),
    Operator("contains", Takes.TEXTS, _TEXTS),
    Operator("not_contain", Takes.TEXTS, _TEXTS),
    Operator("starts_with", Takes.TEXTS, _TEXTS),
    Operator("ends_with", Takes.TEXTS, _TEXTS),
    Operator("more_than", Takes.VALUE, _NUMBERS | _TIMES),
    Operator("less_than", Takes.VALUE, _NUMBERS | _TIMES),
    Operator("more_than_ago", Takes.DAY_BOUND, _TIMES),
    Operator("less_than_ago", Takes.DAY_BOUND, _TIMES),
    Operator("more_than_future", Takes.DAY_BOUND, _TIMES),
    Operator("less_than_future", Takes.DAY_BOUND, _TIMES),
    Operator("more_than_equal", Takes.VALUE, _NUMBERS),
    Operator("less_than_equal", Takes.VALUE, _NUMBERS),
    Operator("after", Takes.VALUE, _TIMES),
    Operator("before", Takes.VALUE, _TIMES),
    Operator("count", Takes.COUNTS, _KNOWN, many_only=True),
    Operator("count_less", Takes.COUNT, _KNOWN, many_only=True),
    Operator("count_more", Takes.COUNT, _KNOWN, many_only=True),
    *(Operator(word, Takes.NOTHING, _TIMES) for word in _WORDS),
    Operator("is_day_of_month", Takes.PARTS, _TIMES),
    Operator("is_day", Takes.PARTS, frozenset({Kind.INSTANT})),
    Operator("is_month", Takes.PARTS, _TIMES),
    Operator("is_year", Takes.PARTS, _TIMES),
    *(Operator(f"{word}_md", Takes.NOTHING, _TIMES) for word in _NEAR),
    *(Operator(name, Takes.DAYS, _TIMES) for name in _ANNIVERSARY_DAYS),
    Operator("is_years_ago", Takes.YEARS, _TIMES),
    *(Operator(word, Takes.NOTHING, _STATES | _SWITCHES.get(word, frozenset())) for word in STATES),
    Operator("at_or_after", Takes.VALUE, _TIMES),
    Operator("at_or_before", Takes.VALUE, _TIMES),
)

BY_NAME = {operator.name: operator for operator in OPERATORS}


def operators_of(kind: Kind, *, many: bool) -> tuple[str, ...]:
    """Names of the operators allowed on a field of this kind. Counts need a field of several values."""
    return tuple(
        operator.name
        for operator in OPERATORS
        if kind in operator.kinds and (many or kind is Kind.ANY or not operator.many_only)
    )


RESOLVED = frozenset(
    {
        "in", "not_in", "has_value", "is_unknown", "contains", "not_contain", "starts_with", "ends_with", "more_than",
        "less_than", "more_than_equal", "less_than_equal", "after", "before", "at_or_after", "at_or_before", "within",
        "day_of_month_in", "weekday_in", "month_in", "month_day_in", "count", "count_less", "count_more", "state_in",
        "state_not_in",
    }
)  # fmt: skip
"""Operators of a resolved filter; `plan.filters` says what each takes."""
