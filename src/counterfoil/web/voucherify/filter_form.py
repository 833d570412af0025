"""The wire form of Voucherify's filters, understood leniently (facts 1.9, 2): JSON bodies and query strings.

A field's conditions may be nested under `conditions` or stand flat beside it, operands may be scalars or arrays, null is
absent, `junction` may be of any case. What cannot be understood is refused; nothing is ever ignored but nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from counterfoil.errors import InvalidInput
from counterfoil.plan.request import Condition, FieldFilter, Filter, Junction, Scalar

JUNCTION = "junction"


def read_filters(filters: Any, path: str) -> Filter:
    """A neutral filter from a JSON body's `filters`. Raises InvalidInput that names the place."""
    if filters is None:
        return Filter()
    if not isinstance(filters, Mapping):
        raise InvalidInput("invalid_type", f"Property {path} must be object")
    fields: list[FieldFilter] = []
    for name, value in filters.items():
        if name == JUNCTION or value is None:
            continue
        conditions = tuple(
            Condition(_operator(key, f"{path}.{name}"), _operands(operand, f"{path}.{name}"))
            for key, operand in _conditions(value, f"{path}.{name}").items()
        )
        if conditions:
            fields.append(FieldFilter(str(name), conditions))
    return Filter(_junction(filters.get(JUNCTION), path), tuple(fields))


def echo_filters(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The same filters in the one shape that is echoed: nested conditions, lower-case junction, no nulls."""
    shown: dict[str, Any] = {}
    for name, value in filters.items():
        if value is None:
            continue
        if name == JUNCTION:
            shown[name] = str(value).lower()
        elif conditions := _conditions(value, name):
            shown[name] = {"conditions": conditions}
    return shown


def _conditions(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput("invalid_type", f"Property {path} must be object")
    nested = value.get("conditions")
    if nested is not None and not isinstance(nested, Mapping):
        raise InvalidInput("invalid_type", f"Property {path}.conditions must be object")
    flat = {key: operand for key, operand in value.items() if key != "conditions" and operand is not None}
    inner = {key: operand for key, operand in (nested or {}).items() if operand is not None}
    for key in flat.keys() & inner.keys():
        if flat[key] != inner[key]:
            raise InvalidInput("invalid_filter_value", f"Property {path} says {key} twice, and differently")
    return {**flat, **inner}


def _operator(key: Any, path: str) -> str:
    if not isinstance(key, str) or not key.startswith("$"):
        raise InvalidInput("invalid_filter_operator", f"Unknown condition {key}", field=path, value=key)
    return key[1:]


def _operands(operand: Any, path: str) -> tuple[Scalar, ...]:
    values = operand if isinstance(operand, list) else [operand]
    if any(isinstance(value, list | Mapping) for value in values):
        raise InvalidInput("invalid_filter_value", f"The conditions of {path} must be values or arrays of values")
    return tuple(values)


def _junction(value: Any, path: str) -> Junction:
    if value is None:
        return "and"
    word = str(value).lower()
    if word == "and":
        return "and"
    if word == "or":
        return "or"
    raise InvalidInput(
        "invalid_choice", "Unknown junction", field=f"{path}.junction", value=value, allowed=("and", "or")
    )
