"""Filters: checked against the catalogue, and resolved so that nothing in them depends on the present time.

A resolved filter has only the operators of `catalog.operators.RESOLVED`:

* `in` / `not_in`: any number of values (none: no row / every row); `is` and `is_not` become these.
* `contains`, `not_contain`, `starts_with`, `ends_with`: one or more texts, any of which counts (for `not_contain`: none).
* `more_than`, `less_than`, `more_than_equal`, `less_than_equal`: one number.
* `after`, `before`, `at_or_after`, `at_or_before`: one instant in ms; on DATE fields an ISO date.
* `within`: pairs from, to (from included, to not) in the same terms; any pair counts.
* `day_of_month_in`, `weekday_in` (0 Sunday), `month_in`, `month_day_in` (100 × month + day): integers.
* `count`: integers, any of which counts; `count_less`, `count_more`: one integer.
* `has_value`, `is_unknown`: nothing.
* `state_in`, `state_not_in`: the present time in ms, then state words.

One rule for unknown values holds on every engine: nothing that is unknown matches, except `is_unknown` and the
complements `not_in` and `not_contain`, which hold for exactly the rows for which `in` and `contains` do not. On fields
of several values a condition asks for any of them, a complement for none.

Operators and their meaning: Voucherify, Create Export, and facts 2.1; where the vendor is silent, decision 0006.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.operators import BY_NAME, OPERATORS, STATES, Operator, Takes, operators_of
from counterfoil.clock import MS_PER_DAY, iso_date
from counterfoil.errors import InvalidInput
from counterfoil.plan import calendar, operands
from counterfoil.plan.request import Condition, FieldFilter, Filter, Scalar

VALUES_MAX = 10_000
"""How many values all lists of a filter may hold together; databases bound the variables of a statement."""

TESTS_MAX = 200
"""How many other comparisons a filter may make; databases bound the depth of an expression."""

_T = TypeVar("_T")
_SETS = frozenset({"in", "not_in", "is", "is_not"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One condition under examination. in_ms: integers are instants in milliseconds already."""

    field: Field
    operator: Operator
    operands: tuple[Scalar, ...]
    now_ms: int
    where: str
    in_ms: bool

    def wrong(self, wanted: str, value: object = None) -> InvalidInput:
        return InvalidInput(
            "invalid_filter_value",
            f"The condition {self.operator.name} on {self.field.name} needs {wanted}",
            field=self.where,
            value=list(self.operands) if value is None else value,
        )

    def value(self, operand: Scalar) -> Scalar:
        """An operand to compare for equality."""
        if self.field.kind is Kind.INSTANT:
            return self.instant_ms(operand)
        return operands.value_of(self.field.kind, operand)

    def instant_ms(self, operand: Scalar, *, round_up: bool = False) -> int:
        """An operand that is an instant."""
        if self.in_ms and isinstance(operand, int) and not isinstance(operand, bool):
            return operands.integer(operand)
        return operands.instant_ms(operand, round_up=round_up)

    def all(self, read: Callable[[Scalar], _T]) -> tuple[_T, ...]:
        """Every operand as `read` understands it."""
        found: list[_T] = []
        for operand in self.operands:
            try:
                found.append(read(operand))
            except ValueError as error:
                raise self.wrong(str(error), operand) from None
        return tuple(found)

    def some(self, read: Callable[[Scalar], _T]) -> tuple[_T, ...]:
        """Every operand, at least one."""
        if not self.operands:
            raise self.wrong("a value")
        return self.all(read)

    def one(self, read: Callable[[Scalar], _T]) -> _T:
        """The only operand."""
        if len(self.operands) != 1:
            raise self.wrong("exactly one value")
        return self.all(read)[0]


def resolve(asked: Filter, about: Exportable, *, now_ms: int, path: str = "filters", in_ms: bool = False) -> Filter:
    """Check a filter against the object's fields and make it free of the present time.

    now_ms: the moment that day distances and date words are counted from (when the export was asked for, so that a
    retry finds the same rows). path: how errors name the filter; they add `.FIELD` and `.FIELD.OPERATOR`. in_ms: take
    integers as instants in ms, for filters that we make ourselves; a caller's number is refused, since nobody can tell
    its seconds from milliseconds.

    Raises InvalidInput: `invalid_filter_field` (allowed: filterable fields), `invalid_filter_operator` (allowed: the
    operators known, or those of the field's kind), `invalid_filter_value`.
    """
    if asked.junction not in {"and", "or"}:
        raise InvalidInput("invalid_filter_value", "The junction is either and or or", field=f"{path}.junction",
                           value=asked.junction, allowed=("and", "or"))  # fmt: skip
    resolved = tuple(_resolve_field(each, about, now_ms, path, in_ms) for each in asked.fields if each.conditions)
    _check_size(resolved, path)
    return Filter(asked.junction, resolved)


def allowed_operators() -> tuple[str, ...]:
    """Every operator there is, in the order in which errors list them."""
    return tuple(operator.name for operator in OPERATORS)


def _resolve_field(asked: FieldFilter, about: Exportable, now_ms: int, path: str, in_ms: bool) -> FieldFilter:
    where = f"{path}.{asked.field}"
    field = about.field(asked.field)
    if field is None or not field.filterable or not _storable(asked.field):
        raise InvalidInput(
            "invalid_filter_field",
            f"{about.title} cannot be filtered by {asked.field!r}; there are {', '.join(about.filterable_names)}",
            field=where,
            value=asked.field,
            allowed=about.filterable_names,
        )
    conditions: list[Condition] = []
    for condition in asked.conditions:
        operator = _operator(condition.operator, field, f"{where}.{condition.operator}")
        at = f"{where}.{operator.name}"
        conditions.append(_resolve(_Asked(field, operator, condition.operands, now_ms, at, in_ms)))
    return FieldFilter(asked.field, tuple(conditions))


def _operator(name: str, field: Field, where: str) -> Operator:
    operator = BY_NAME.get(name)
    allowed = operators_of(field.kind, many=field.many)
    if operator is None:
        raise InvalidInput("invalid_filter_operator", f"There is no operator {name!r}", field=where, value=name,
                           allowed=allowed_operators())  # fmt: skip
    if name not in allowed:
        raise InvalidInput(
            "invalid_filter_operator",
            f"The operator {name} does not apply to {field.name}, which holds {field.kind} values; "
            f"there are {', '.join(allowed)}",
            field=where,
            value=name,
            allowed=allowed,
        )
    return operator


def _resolve(asked: _Asked) -> Condition:
    kind, name = asked.field.kind, asked.operator.name
    if kind is Kind.STATE:
        return _resolve_state(asked)
    match asked.operator.takes:
        case Takes.VALUES:
            read = asked.all if name in {"in", "not_in"} else asked.some
            values = read(asked.value)
            return Condition("in" if name in {"in", "is"} else "not_in", tuple(dict.fromkeys(values)))
        case Takes.TEXTS:
            return Condition(name, asked.some(operands.text))
        case Takes.COUNTS:
            return Condition(name, asked.some(operands.count))
        case Takes.COUNT:
            return Condition(name, (asked.one(operands.count),))
        case Takes.VALUE:
            return _resolve_comparison(asked)
        case Takes.NOTHING if name in {"has_value", "is_unknown"}:
            return Condition(name)
        case Takes.NOTHING if kind is Kind.BOOLEAN:
            return Condition("in", (name == "enabled",))
        case _:
            return _resolve_time(asked)


def _resolve_comparison(asked: _Asked) -> Condition:
    kind, name = asked.field.kind, asked.operator.name
    if name in {"after", "before", "at_or_after", "at_or_before"}:
        up = name in {"before", "at_or_after"}  # a fraction of a millisecond lies behind the whole one
        instant = asked.one(lambda operand: asked.instant_ms(operand, round_up=up))
        return _bound(kind, name, calendar.clamp_ms(instant))
    if kind in {Kind.INSTANT, Kind.DATE}:
        return _resolve_time(asked)  # more_than and less_than are days ago there
    found = asked.one(operands.number)
    if kind is not Kind.ANY and isinstance(found, float):
        down = name in {"more_than", "less_than_equal"}  # between two integers: x > 10.5 is x > 10
        found = asked.one(lambda _: operands.integer(float(found // 1 if down else -(-found // 1))))
    return Condition(name, (found,))


def _resolve_time(asked: _Asked) -> Condition:
    name, now_ms = asked.operator.name, asked.now_ms
    if name.endswith("_md"):
        return Condition("month_day_in", _anniversaries(asked))
    match asked.operator.takes:
        case Takes.NOTHING:
            return _within(asked.field.kind, (calendar.word_range(name, now_ms),))
        case Takes.DAYS:
            sign = 1 if name == "is_days_in_future" else -1
            found = asked.some(operands.days)
            return _within(asked.field.kind, (calendar.day_range(now_ms, sign * days) for days in found))
        case Takes.YEARS:
            found = asked.some(operands.years)
            return _within(asked.field.kind, (calendar.years_ago_range(now_ms, years) for years in found))
        case Takes.PARTS:
            parts = asked.some(lambda operand: operands.part(name, operand))
            if name == "is_year":
                return _within(asked.field.kind, (calendar.year_range(year) for year in parts))
            by = {"is_day_of_month": "day_of_month_in", "is_day": "weekday_in", "is_month": "month_in"}
            return Condition(by[name], parts)
        case _:
            return _day_bound(asked, asked.one(operands.days))


def _anniversaries(asked: _Asked) -> tuple[int, ...]:
    name, now_ms = asked.operator.name, asked.now_ms
    if asked.operator.takes is Takes.NOTHING:
        return calendar.days_of_range(calendar.word_range(name.removesuffix("_md"), now_ms))
    found = {day for days in asked.some(operands.days) for day in calendar.anniversary_days(name, days, now_ms)}
    return tuple(sorted(found))


def _day_bound(asked: _Asked, days: int) -> Condition:
    """More or less than so many days away: to the millisecond for instants, by whole days for dates."""
    kind, now_ms = asked.field.kind, asked.now_ms
    distance = days * MS_PER_DAY
    today = calendar.midnight_ms(now_ms)
    dates = kind is Kind.DATE
    match asked.operator.name:
        case "more_than" | "more_than_ago":
            return _bound(kind, "before", today - distance if dates else now_ms - distance)
        case "less_than" | "less_than_ago":
            start = today - distance + MS_PER_DAY if dates else now_ms - distance + 1
            return _within(kind, ((start, today + MS_PER_DAY if dates else now_ms + 1),))
        case "more_than_future":
            return _bound(kind, "after", today + distance if dates else now_ms + distance)
        case _:
            start = today if dates else now_ms
            return _within(kind, ((start, start + distance),))


def _bound(kind: Kind, operator: str, instant_ms: int) -> Condition:
    """A one-sided comparison with an instant, for dates put in terms of dates (a date is its first instant)."""
    if kind is not Kind.DATE:
        return Condition(operator, (instant_ms,))
    date = iso_date(calendar.clamp_ms(instant_ms))
    if instant_ms % MS_PER_DAY and operator == "before":
        operator = "at_or_before"
    elif instant_ms % MS_PER_DAY and operator == "at_or_after":
        operator = "after"
    return Condition(operator, (date,))


def _within(kind: Kind, ranges: Iterable[calendar.Range]) -> Condition:
    instants = [calendar.clamp_ms(instant) for bounds in ranges for instant in bounds]
    return Condition("within", tuple(iso_date(each) if kind is Kind.DATE else each for each in instants))


def _resolve_state(asked: _Asked) -> Condition:
    name = asked.operator.name
    if name in STATES:
        return Condition("state_in", (asked.now_ms, name))
    words = asked.all(operands.text) if name in {"in", "not_in"} else asked.some(operands.text)
    for word in words:
        if word not in STATES:
            raise asked.wrong(f"one of {', '.join(STATES)}", word)
    return Condition("state_in" if name in {"in", "is"} else "state_not_in", (asked.now_ms, *words))


def _check_size(fields: tuple[FieldFilter, ...], path: str) -> None:
    conditions = [condition for field in fields for condition in field.conditions]
    values = sum(len(condition.operands) for condition in conditions if condition.operator in _SETS)
    tests = sum(max(1, len(each.operands)) for each in conditions if each.operator not in _SETS | {"month_day_in"})
    tests += sum(1 for each in conditions if each.operator in _SETS | {"month_day_in"})
    if values > VALUES_MAX or tests > TESTS_MAX:
        raise InvalidInput(
            "invalid_filter_value",
            f"A filter may hold at most {VALUES_MAX} values in its lists and {TESTS_MAX} other comparisons",
            field=path,
            value=values if values > VALUES_MAX else tests,
        )


def _storable(name: str) -> bool:
    try:
        operands.storable(name)
    except ValueError:
        return False
    return True
