"""Earning rules: what a loyalty programme gives for a paid order.

Source of the shapes: Voucherify, Create Earning Rules (facts 3.5) and Earning rules. A rule of any event is stored, and
one of `order.paid` runs: FIXED gives `points`, PROPORTIONAL gives `points` for every whole `every` of a measure. No part
of a rule that would change what is paid is ever left out of account: what cannot be worked out is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.domain import expiry, validity
from counterfoil.errors import InvalidInput, NotFound

ORDER_PAID = "order.paid"
EVENT_PAID = "customer.order.paid"
"""The type of the event in the details of an accrual (seed 000's shape, facts 3.2)."""

PERIOD_DAYS_MAX = 90
RULES_PER_CALL_MAX = 100
EVENT_LENGTH_MAX = 255
# A rule cannot give more than this at once; it keeps every product of two numbers within what the ledger adds up.
POINTS_MAX = 10**9
_TYPES = ("FIXED", "PROPORTIONAL")
# Where the ratio of each calculation stands in `loyalty`.
_RATIOS: Mapping[str, tuple[str, str]] = {
    "ORDER_AMOUNT": ("order", "amount"),
    "ORDER_TOTAL_AMOUNT": ("order", "total_amount"),
    "ORDER_METADATA": ("order", "metadata"),
    "ORDER_ITEMS_QUANTITY": ("order_items", "quantity"),
    "ORDER_ITEMS_AMOUNT": ("order_items", "amount"),
    "ORDER_ITEMS_SUBTOTAL_AMOUNT": ("order_items", "subtotal_amount"),
    "CUSTOMER_METADATA": ("customer", "metadata"),
    "CUSTOM_EVENT_METADATA": ("custom_event", "metadata"),
}
_CHOOSABLE = ("product", "sku")


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """What a caller says of a rule; None leaves what is there (a new rule: nothing). Instants in ms.

    banner: the rule's name. target: what the event is about, {"segment" | "custom_event" | "loyalty_tier": {…}}.
    pending_points: {"period_type": "DAY", "period_value": 1 to 90}. expiration_rules: as `expiry.last_day` wants them,
    in place of the programme's.
    """

    event: str | None = None
    loyalty: Mapping[str, Any] | None = None
    banner: str | None = None
    target: Mapping[str, Any] | None = None
    pending_points: Mapping[str, Any] | None = None
    expiration_rules: Mapping[str, Any] | None = None
    validation_rule_id: str | None = None
    active: bool | None = None
    start_date: int | None = None
    expiration_date: int | None = None
    validity_timeframe: Mapping[str, Any] | None = None
    validity_day_of_week: Sequence[int] | None = None
    validity_hours: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None


def check_rule(draft: RuleDraft, event: str, place: str) -> None:
    """Raise InvalidInput, naming the place (such as `[0]`), unless the rule can be stored for that event.

    Raises NotFound for a validation rule: there are none here, and points must not be paid without asking it.
    """
    if draft.validation_rule_id:
        raise NotFound("validation_rule", draft.validation_rule_id)
    if draft.event is not None and not 0 < len(draft.event) <= EVENT_LENGTH_MAX:
        raise _bad(f"{place}.event", f"must have 1 to {EVENT_LENGTH_MAX} characters", draft.event)
    if draft.loyalty is not None:
        _check_loyalty(draft.loyalty, f"{place}.loyalty")
    if draft.pending_points is not None:
        _check_pending(draft.pending_points, event, f"{place}.pending_points")
    expiry.check_rules(draft.expiration_rules, f"{place}.expiration_rules")
    validity.check_timeframe(draft.validity_timeframe, f"{place}.validity_timeframe")
    validity.check_days(draft.validity_day_of_week, f"{place}.validity_day_of_week")
    validity.check_hours(draft.validity_hours, f"{place}.validity_hours")
    if draft.start_date is not None and draft.expiration_date is not None and draft.expiration_date < draft.start_date:
        raise _bad(f"{place}.expiration_date", "must not be earlier than .start_date", draft.expiration_date)


def runs_at(rule: Mapping[str, Any], campaign_start_ms: int | None, now_ms: int) -> bool:
    """Whether a stored rule is in force now. Recurring periods count from the rule's start, else the campaign's."""
    since = next(at for at in (rule["start_date"], campaign_start_ms, rule["created_at"]) if at is not None)
    return (
        rule["active"]
        and validity.in_period(rule["start_date"], rule["expiration_date"], now_ms)
        and validity.in_timeframe(rule["validity_timeframe"], since, now_ms)
        and validity.on_days(rule["validity_day_of_week"], now_ms)
        and validity.in_hours(rule["validity_hours"], now_ms)
    )


def points_for(loyalty: Mapping[str, Any], order: Mapping[str, Any], customer: Mapping[str, Any]) -> int:
    """The points (>= 0) that a rule's `loyalty` gives for an order row of a customer row."""
    if loyalty["type"] == "FIXED":
        return loyalty["points"]
    group, name = _RATIOS[loyalty["calculation_type"]]
    ratio = loyalty[group][name]
    measure = _measure(loyalty["calculation_type"], ratio, order, customer)
    return max(0, measure // ratio["every"]) * ratio["points"]


def asks_for_customer(loyalty: Mapping[str, Any]) -> bool:
    """Whether `points_for` looks at the customer's row."""
    return loyalty.get("calculation_type") == "CUSTOMER_METADATA"


def details(rule: Mapping[str, Any], order: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """What an accrual says of where it came from (facts 3.2)."""
    return {
        "order": {"id": order["id"], "source_id": order["source_id"]},
        "event": {"id": event_id, "type": EVENT_PAID},
        "earning_rule": {"id": rule["id"], "source": {"banner": (rule["source"] or {}).get("banner")}},
    }


def _measure(kind: str, ratio: Mapping[str, Any], order: Mapping[str, Any], customer: Mapping[str, Any]) -> int:
    if kind == "ORDER_AMOUNT":
        return order["amount"] or 0
    if kind == "ORDER_TOTAL_AMOUNT":
        return order["total_amount"] or 0
    if kind == "ORDER_METADATA":
        return _whole((order["metadata"] or {}).get(ratio["property"]))
    if kind == "CUSTOMER_METADATA":
        return _whole((customer["metadata"] or {}).get(ratio["property"]))
    chosen = _chosen(ratio, order["items"] or ())
    if kind == "ORDER_ITEMS_QUANTITY":
        return sum(max(0, item.get("quantity", 1) - item.get("discount_quantity", 0)) for item in chosen)
    column = "amount" if kind == "ORDER_ITEMS_AMOUNT" else "subtotal_amount"
    return sum(item.get(column, 0) for item in chosen)


def _whole(value: Any) -> int:
    """A metadata number without its fraction; anything else is 0."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= POINTS_MAX**2
    return int(value) if usable else 0


def _chosen(ratio: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The items that are one of the rule's products or SKUs, each once."""
    wanted = {(each["object"], each["id"]) for each in _selectors(ratio)}
    return [item for item in items if wanted & _names(item)]


def _names(item: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Every (object, id) an item answers to: the ids it carries, its parts' ids, and the caller's own ids."""
    names = {(part, item[f"{part}_id"]) for part in _CHOOSABLE if item.get(f"{part}_id")}
    for part in _CHOOSABLE:
        about = item.get(part) or {}
        names |= {(part, about[key]) for key in ("id", "source_id") if about.get(key)}
    if item.get("source_id"):
        names.add((item.get("related_object") or "product", item["source_id"]))
    return names


def _selectors(ratio: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return ratio.get("applicable_to") or [{"object": ratio.get("object"), "id": ratio.get("id")}]


def _check_loyalty(loyalty: Mapping[str, Any], place: str) -> None:
    kind = loyalty.get("type")
    if kind not in _TYPES:
        raise InvalidInput("invalid_payload", "Unknown type", field=f"{place}.type", value=kind, allowed=_TYPES)
    if kind == "FIXED":
        _check_formula(loyalty, place)
        _check_number(loyalty, "points", place)
        return
    calculation = loyalty.get("calculation_type")
    if not isinstance(calculation, str) or calculation not in _RATIOS:
        raise InvalidInput("invalid_payload", "Unknown calculation", field=f"{place}.calculation_type",
                           value=calculation, allowed=tuple(_RATIOS))  # fmt: skip
    group, name = _RATIOS[calculation]
    part: Any = loyalty.get(group)
    ratio: Any = part.get(name) if isinstance(part, Mapping) else None
    if not isinstance(ratio, Mapping):
        raise InvalidInput("invalid_payload", f"Loyalty {group.removesuffix('_items')} rules must contain one of the "
                           f"following properties - '{name}'", field=f"{place}.{group}.{name}")  # fmt: skip
    _check_ratio(ratio, group, name, f"{place}.{group}.{name}")


def _check_ratio(ratio: Mapping[str, Any], group: str, name: str, place: str) -> None:
    _check_formula(ratio, place)
    _check_number(ratio, "every", place)
    _check_number(ratio, "points", place)
    if name == "metadata" and not (isinstance(ratio.get("property"), str) and ratio["property"]):
        raise _bad(f"{place}.property", "must be string", ratio.get("property"))
    if group == "order_items":
        _check_selectors(ratio, place)


def _check_selectors(ratio: Mapping[str, Any], place: str) -> None:
    selectors: Any = _selectors(ratio)
    if not isinstance(selectors, list) or not all(isinstance(each, Mapping) for each in selectors):
        raise _bad(f"{place}.applicable_to", "must be array of objects", selectors)
    for selector in selectors:
        if selector.get("object") == "products_collection":
            raise NotFound("products_collection", str(selector.get("id")))
        if selector.get("object") not in _CHOOSABLE:
            raise InvalidInput("invalid_payload", "Unknown object", field=f"{place}.object",
                               value=selector.get("object"), allowed=_CHOOSABLE)  # fmt: skip
        if not (isinstance(selector.get("id"), str) and selector["id"]):
            raise _bad(f"{place}.id", "must be string", selector.get("id"))


def _check_formula(values: Mapping[str, Any], place: str) -> None:
    if values.get("points_formula"):
        raise _bad(f"{place}.points_formula", "is not supported: give .points", values["points_formula"])


def _check_number(values: Mapping[str, Any], name: str, place: str) -> None:
    value = values.get(name)
    if value is None:
        raise InvalidInput("invalid_payload", f"Property {place} must have required property '{name}'",
                           field=f"{place}.{name}")  # fmt: skip
    if not isinstance(value, int) or isinstance(value, bool):
        raise _bad(f"{place}.{name}", "must be integer", value)
    if not 1 <= value <= POINTS_MAX:
        raise _bad(f"{place}.{name}", f"must be from 1 to {POINTS_MAX}", value)


def _check_pending(pending: Mapping[str, Any], event: str, place: str) -> None:
    if event != ORDER_PAID:
        raise _bad(place, f"can be used only with the {ORDER_PAID} event", event)
    if (pending.get("period_type") or "DAY") != "DAY":
        raise InvalidInput("invalid_payload", "Unknown period", field=f"{place}.period_type",
                           value=pending["period_type"], allowed=("DAY",))  # fmt: skip
    days = pending.get("period_value")
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= PERIOD_DAYS_MAX:
        raise _bad(f"{place}.period_value", f"must be a whole number from 1 to {PERIOD_DAYS_MAX}", days)


def _bad(place: str, what: str, value: Any) -> InvalidInput:
    return InvalidInput("invalid_payload", f"Property {place} {what}", field=place, value=value)
