"""A resolved filter as one SQL expression: the only translation there is, for exports, lists and previews alike.

The caller says which SQL expression each field is (`FieldValues`); what the operators mean is said in `plan.filters`,
and `plan.matching` is the same in plain Python, which the tests hold this to. The expression is never NULL where it
matters: conditions on unknown values are false, complements are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.kinds import Kind
from counterfoil.clock import iso_ms
from counterfoil.db.expressions import bytewise, calendar_part, position_in
from counterfoil.plan.operands import number_like
from counterfoil.plan.request import Condition, Filter

Test = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value of a row, or one of several. For values whose kind only the row knows, kind and number say more."""

    value: ColumnElement[Any]
    kind: ColumnElement[str] | None = None
    number: ColumnElement[float] | None = None


@dataclass(frozen=True, slots=True)
class Many:
    """Several values of a row: `any` makes the test that one of them passes a test, `size` counts them."""

    any: Callable[[Callable[[Scalar], Test]], Test]
    size: ColumnElement[int]


@dataclass(frozen=True, slots=True)
class StateParts:
    """What decides a voucher's state. Instants in ms."""

    active: ColumnElement[bool]
    start_date: ColumnElement[int]
    expiration_date: ColumnElement[int]
    quantity: ColumnElement[int]
    redeemed: ColumnElement[int]
    balance: ColumnElement[int]
    type: ColumnElement[str]


FieldValues = Mapping[str, ColumnElement[Any] | Many | StateParts]


def compile_filter(asked: Filter, about: Exportable, values: FieldValues) -> Test:
    """The expression that is true for the rows the resolved filter wants. values: one entry per field it names.

    Instants must be BIGINT ms, dates ISO text, booleans booleans. No field filters: true.
    """
    fields: list[Test] = []
    for each in asked.fields:
        field = about.field(each.field)
        assert field is not None, each.field
        value = values[each.field]
        fields.append(sa.and_(sa.true(), *(_holds(condition, field.kind, value) for condition in each.conditions)))
    if not fields:
        return sa.true()
    return sa.and_(*fields) if asked.junction == "and" else sa.or_(*fields)


_COMPLEMENTS = {"not_in": "in", "not_contain": "contains", "is_unknown": "has_value"}


def _holds(condition: Condition, kind: Kind, value: ColumnElement[Any] | Many | StateParts) -> Test:
    operator, operands = condition.operator, condition.operands
    if isinstance(value, StateParts):
        held = sa.or_(sa.false(), *(_state(str(word), value, operands[0]) for word in operands[1:]))
        return held if operator == "state_in" else sa.not_(held)
    if operator.startswith("count"):
        assert isinstance(value, Many), operator
        return _counted(operator, operands, value.size)
    positive = _COMPLEMENTS.get(operator)
    held = _some(positive or operator, operands, kind, value)
    if positive is None:
        return held
    if isinstance(value, Many):
        return sa.not_(held)
    return value.is_(None) if operator == "is_unknown" else sa.or_(value.is_(None), sa.not_(held))


def _some(operator: str, operands: Sequence[Any], kind: Kind, value: ColumnElement[Any] | Many) -> Test:
    if isinstance(value, Many):
        return value.any(lambda each: _passes(operator, operands, kind, each))
    return _passes(operator, operands, kind, Scalar(value))


def _passes(operator: str, operands: Sequence[Any], kind: Kind, value: Scalar) -> Test:
    """Whether one value passes; NULL, which counts as no, when it is unknown."""
    if operator == "has_value":
        return value.value.is_not(None)
    if operator in _TEXT_TESTS:
        found = sa.or_(*(_TEXT_TESTS[operator](value.value, operand) for operand in operands))
        return found if value.kind is None else sa.and_(value.kind == "text", found)
    if kind is Kind.ANY:
        return _any_passes(operator, operands, value)
    if operator == "in":
        return _among(value.value, operands)
    if operator in _PARTS:
        return _part_test(operator, operands, kind, value.value)
    column = bytewise(value.value) if kind is Kind.DATE else value.value
    return _compares(operator, operands, column)


def _among(column: ColumnElement[Any], operands: Sequence[Any]) -> Test:
    if not operands:
        return sa.false()
    return column == operands[0] if len(operands) == 1 else column.in_(list(operands))


def _compares(operator: str, operands: Sequence[Any], column: ColumnElement[Any]) -> Test:
    match operator:
        case "within":
            pairs = zip(operands[::2], operands[1::2], strict=True)
            return sa.or_(*(sa.and_(column >= low, column < high) for low, high in pairs))
        case "more_than" | "after":
            return column > operands[0]
        case "less_than" | "before":
            return column < operands[0]
        case "more_than_equal" | "at_or_after":
            return column >= operands[0]
        case "less_than_equal" | "at_or_before":
            return column <= operands[0]
        case _:
            raise AssertionError(operator)


def _contains(column: ColumnElement[Any], text: str) -> Test:
    return position_in(column, sa.literal(text)) > 0 if text else column.is_not(None)


def _starts(column: ColumnElement[Any], text: str) -> Test:
    return sa.func.substr(column, 1, len(text)) == text if text else column.is_not(None)


def _ends(column: ColumnElement[Any], text: str) -> Test:
    if not text:
        return column.is_not(None)
    size = sa.func.length(column)
    return sa.and_(size >= len(text), sa.func.substr(column, size - (len(text) - 1), len(text)) == text)


_TEXT_TESTS: dict[str, Callable[[ColumnElement[Any], Any], Test]] = {
    "contains": _contains,
    "starts_with": _starts,
    "ends_with": _ends,
}
_PARTS = frozenset({"month_in", "day_of_month_in", "weekday_in", "month_day_in"})


def _part_test(operator: str, operands: Sequence[Any], kind: Kind, column: ColumnElement[Any]) -> Test:
    if kind is not Kind.INSTANT:
        return _text_part_test(operator, operands, column)
    match operator:
        case "month_in":
            return calendar_part(column, "month").in_(operands)
        case "day_of_month_in":
            return calendar_part(column, "day").in_(operands)
        case "weekday_in":
            return calendar_part(column, "weekday").in_(operands)
        case _:
            month, day = calendar_part(column, "month"), calendar_part(column, "day")
            return _among(month * 100 + day, operands)


def _text_part_test(operator: str, operands: Sequence[Any], column: ColumnElement[Any]) -> Test:
    """The same on ISO dates as text: 2024-02-29, whatever follows."""
    match operator:
        case "month_in":
            return sa.func.substr(column, 6, 2).in_([f"{month:02d}" for month in operands])
        case "day_of_month_in":
            return sa.func.substr(column, 9, 2).in_([f"{day:02d}" for day in operands])
        case _:
            return _among(sa.func.substr(column, 6, 5), [f"{each // 100:02d}-{each % 100:02d}" for each in operands])


def _any_passes(operator: str, operands: Sequence[Any], value: Scalar) -> Test:
    """One metadata value against a condition: numbers with numbers, ISO dates with instants, text with text."""
    assert value.kind is not None
    assert value.number is not None
    if operator == "in":
        texts, numbers = split_any(operands)
        same = sa.and_(value.kind.in_(("text", "boolean")), _among(value.value, texts))
        return sa.or_(same, _among(value.number, numbers)) if numbers else same
    if operator in {"more_than", "less_than", "more_than_equal", "less_than_equal"}:
        return _compares(operator, operands, value.number)
    instant = sa.case((value.kind == "text", _iso_instant(value.value)))
    if operator in _PARTS:
        return _text_part_test(operator, operands, instant)
    return _compares(operator, [iso_ms(each) for each in operands], bytewise(instant))


def split_any(operands: Sequence[Any]) -> tuple[list[str], list[int | float]]:
    """Operands for a value of any kind: as the texts, and as the numbers, that they may stand for."""
    texts: list[str] = []
    numbers: list[int | float] = []
    for operand in operands:
        texts.append(operand if isinstance(operand, str) else str(operand))
        number = number_like(operand) if isinstance(operand, str) else operand
        if number is not None:
            numbers.append(number)
    return texts, numbers


def _iso_instant(text: ColumnElement[Any]) -> ColumnElement[str]:
    """An ISO date or UTC time as text, brought to the 24 characters of 2024-10-01T00:00:00.000Z; NULL otherwise."""
    size = sa.func.length(text)
    dashes = sa.and_(sa.func.substr(text, 5, 1) == "-", sa.func.substr(text, 8, 1) == "-")
    timed = sa.and_(dashes, sa.func.substr(text, 11, 1) == "T", sa.func.substr(text, size, 1) == "Z")
    return sa.case(
        (sa.and_(dashes, size == 10), text.concat("T00:00:00.000Z")),
        (sa.and_(timed, size == 20), sa.func.substr(text, 1, 19).concat(".000Z")),
        (sa.and_(timed, size == 24), text),
    )


def _counted(operator: str, operands: Sequence[Any], size: ColumnElement[int]) -> Test:
    if operator == "count":
        return size.in_(operands)
    return size < operands[0] if operator == "count_less" else size > operands[0]


def _state(word: str, parts: StateParts, now_ms: Any) -> Test:
    """One state word (decision 0006). Two-valued, so that its complement is exact."""
    enabled = parts.active == sa.true()
    begun = sa.or_(parts.start_date.is_(None), parts.start_date <= now_ms)
    ended = sa.and_(parts.expiration_date.is_not(None), parts.expiration_date < now_ms)
    active = sa.and_(enabled, begun, sa.not_(ended))
    match word:
        case "enabled":
            return enabled
        case "disabled":
            return sa.not_(enabled)
        case "before_start":
            return sa.not_(begun)
        case "expired":
            return ended
        case "active":
            return active
        case "redeemed":
            return parts.redeemed > 0
        case _:
            spare = sa.or_(parts.quantity.is_(None), parts.redeemed < parts.quantity)
            worth = sa.or_(parts.type == "DISCOUNT_VOUCHER", parts.balance > 0)
            return sa.and_(active, spare, worth)
