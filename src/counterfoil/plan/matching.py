"""A resolved filter on rows that are plain dicts: the plain meaning of filters, and the model that SQL is held to.

A row maps field names to values in their inner form (instants in ms, dates as ISO text, amounts as integers); a field
of several values maps to a sequence; a metadata property maps to its decoded JSON; a state field maps to a dict of
active, start_date, expiration_date, quantity, redeemed, balance, type. A missing key is an unknown value.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.kinds import Kind
from counterfoil.clock import iso_ms
from counterfoil.plan.operands import number_like
from counterfoil.plan.request import Condition, Filter

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_COMPLEMENTS = {"not_in": "in", "not_contain": "contains", "is_unknown": "has_value"}


def matches(asked: Filter, about: Exportable, row: Mapping[str, Any]) -> bool:
    """Whether the row is one that the resolved filter wants."""
    found: list[bool] = []
    for each in asked.fields:
        field = about.field(each.field)
        assert field is not None, each.field
        value = row.get(each.field)
        many = field.many or field.kind is Kind.ANY
        found.append(all(_holds(condition, field.kind, value, many=many) for condition in each.conditions))
    if not found:
        return True
    return all(found) if asked.junction == "and" else any(found)


def _holds(condition: Condition, kind: Kind, value: Any, *, many: bool) -> bool:
    operator, operands = condition.operator, condition.operands
    if kind is Kind.STATE:
        held = any(_state(str(word), value, operands[0]) for word in operands[1:])
        return held is (operator == "state_in")
    values = [each for each in _values(value, many=many) if each is not None]
    if operator == "count":
        return len(values) in operands
    if operator in {"count_less", "count_more"}:
        bound: Any = operands[0]
        return len(values) < bound if operator == "count_less" else len(values) > bound
    positive = _COMPLEMENTS.get(operator)
    held = any(_passes(positive or operator, operands, kind, each) for each in values)
    return held is (positive is None)


def _values(value: Any, *, many: bool) -> Sequence[Any]:
    return value if many and isinstance(value, list | tuple) else [value]


def _passes(operator: str, operands: Sequence[Any], kind: Kind, value: Any) -> bool:
    if operator == "has_value":
        return True
    if operator in {"contains", "starts_with", "ends_with"}:
        return isinstance(value, str) and any(_text_test(operator, value, operand) for operand in operands)
    if kind is Kind.ANY:
        return _any_passes(operator, operands, value)
    if operator == "in":
        return value in operands
    if operator.endswith("_in"):
        return _part(operator, _date_of(kind, value)) in operands
    return _compares(operator, operands, value)


def _text_test(operator: str, value: str, operand: str) -> bool:
    if operator == "contains":
        return operand in value
    return value.startswith(operand) if operator == "starts_with" else value.endswith(operand)


def _compares(operator: str, operands: Sequence[Any], value: Any) -> bool:
    match operator:
        case "within":
            return any(low <= value < high for low, high in zip(operands[::2], operands[1::2], strict=True))
        case "more_than" | "after":
            return value > operands[0]
        case "less_than" | "before":
            return value < operands[0]
        case "more_than_equal" | "at_or_after":
            return value >= operands[0]
        case "less_than_equal" | "at_or_before":
            return value <= operands[0]
        case _:
            raise AssertionError(operator)


def _any_passes(operator: str, operands: Sequence[Any], value: Any) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if operator == "in":
        return any(_same(value, operand, numeric=numeric) for operand in operands)
    if operator in {"more_than", "less_than", "more_than_equal", "less_than_equal"}:
        return numeric and _compares(operator, operands, value)
    instant = _iso_instant(value) if isinstance(value, str) else None
    if instant is None:
        return False
    if operator.endswith("_in"):
        return _part(operator, instant) in operands
    return _compares(operator, [iso_ms(each) for each in operands], instant)


def _same(value: Any, operand: Any, *, numeric: bool) -> bool:
    if numeric:
        return value == (number_like(operand) if isinstance(operand, str) else operand)
    text = ("false", "true")[value] if isinstance(value, bool) else value
    return isinstance(text, str) and text == (operand if isinstance(operand, str) else str(operand))


def _iso_instant(text: str) -> str | None:
    if text[4:5] != "-" or text[7:8] != "-":
        return None
    if len(text) == 10:
        return f"{text}T00:00:00.000Z"
    if text[10:11] != "T" or text[-1] != "Z" or len(text) not in {20, 24}:
        return None
    return text if len(text) == 24 else f"{text[:19]}.000Z"


def _date_of(kind: Kind, value: Any) -> Any:
    return _EPOCH + datetime.timedelta(milliseconds=value) if kind is Kind.INSTANT else value


def _part(operator: str, at: Any) -> int | None:
    """The part of a datetime, or of ISO text; None where the text has no such number."""
    if isinstance(at, datetime.datetime):
        weekday = at.isoweekday() % 7
        month, day = at.month, at.day
    else:
        weekday = None
        month, day = _digits(at[5:7]), _digits(at[8:10])
    match operator:
        case "month_in":
            return month
        case "day_of_month_in":
            return day
        case "weekday_in":
            return weekday
        case _:
            return None if month is None or day is None else 100 * month + day


def _digits(text: str) -> int | None:
    return int(text) if len(text) == 2 and text.isascii() and text.isdigit() else None


def _state(word: str, parts: Mapping[str, Any], now_ms: Any) -> bool:
    start, end, quantity = parts["start_date"], parts["expiration_date"], parts["quantity"]
    begun = start is None or start <= now_ms
    ended = end is not None and end < now_ms
    active = bool(parts["active"]) and begun and not ended
    match word:
        case "enabled":
            return bool(parts["active"])
        case "disabled":
            return not parts["active"]
        case "before_start":
            return not begun
        case "expired":
            return ended
        case "active":
            return active
        case "redeemed":
            return parts["redeemed"] > 0
        case _:
            spare = quantity is None or parts["redeemed"] < quantity
            return active and spare and (parts["type"] == "DISCOUNT_VOUCHER" or parts["balance"] > 0)
