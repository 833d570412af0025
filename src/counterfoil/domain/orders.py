"""Orders before they are stored: what a caller may say of one, and the amounts that follow from it.

Source of the shapes: Voucherify, Create Order, Update Order and Order Calculated Object (facts 3.5). Amounts are whole
minor units. As with customers, a key that is null counts as not said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.errors import InvalidInput

STATUSES = ("CREATED", "PAID", "CANCELED", "FULFILLED")
COUNTED = ("PAID", "FULFILLED")
"""The statuses in which an order counts among what its customer has spent."""

ITEMS_MAX = 500
RELATED_OBJECTS = ("product", "sku")

_ITEM_NAMES = ("source_id", "related_object", "product_id", "sku_id")
_ITEM_LEAST = {
    "quantity": 1,
    "discount_quantity": 0,
    "initial_quantity": 1,
    "amount": 0,
    "discount_amount": 0,
    "initial_amount": 0,
    "price": 0,
}
_DRAFT_AMOUNTS = ("amount", "initial_amount", "discount_amount", "applied_discount_amount")
_TOTALS = (
    "amount",
    "discount_amount",
    "items_discount_amount",
    "total_discount_amount",
    "applied_discount_amount",
    "total_applied_discount_amount",
    "total_amount",
)


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """What a caller says of an order; None leaves what is there.

    id: an existing order's. items: replace the stored ones whole. metadata: joins what there is, key by key.
    customer, referrer: made or updated with the order. created_at: ms, for orders of the past; only a new order takes
    it. Amounts are minor units, 0 takes a discount away.
    """

    id: str | None = None
    source_id: str | None = None
    status: str | None = None
    amount: int | None = None
    initial_amount: int | None = None
    discount_amount: int | None = None
    applied_discount_amount: int | None = None
    items: Sequence[Mapping[str, Any]] | None = None
    metadata: Mapping[str, Any] | None = None
    customer: CustomerDraft | None = None
    referrer: CustomerDraft | None = None
    referrer_id: str | None = None
    created_at: int | None = None


def check_order(draft: OrderDraft, place: str = "") -> None:
    """Raise InvalidInput, in the vendor's words and naming the place, unless the draft can be stored."""
    if draft.status is not None and draft.status not in STATUSES:
        raise InvalidInput("invalid_payload", "Unknown status", field=f"{place}.status", value=draft.status,
                           allowed=STATUSES)  # fmt: skip
    for name in _DRAFT_AMOUNTS:
        _in_range(getattr(draft, name), 0, f"{place}.{name}")
    items = draft.items or ()
    if len(items) > ITEMS_MAX:
        raise InvalidInput("invalid_payload", f"Property {place}.items must NOT have more than {ITEMS_MAX} items",
                           field=f"{place}.items", value=len(items))  # fmt: skip
    for at, item in enumerate(items):
        for name, least in _ITEM_LEAST.items():
            _in_range(item.get(name), least, f"{place}.items[{at}].{name}")
        for part in RELATED_OBJECTS:
            _in_range((item.get(part) or {}).get("price"), 0, f"{place}.items[{at}].{part}.price")


def priced_items(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The items as stored: amount = price × quantity where a price is known, subtotal_amount = amount - discount.

    The price is the item's own, else its SKU's, else its product's; without one the item's amount stands as given.
    """
    return [_priced(item) for item in items]


def totals(values: Mapping[str, Any]) -> dict[str, int | None]:
    """The order's amounts, from its items (stored form), amount, discount_amount and applied_discount_amount.

    amount is the sum of the items' amounts when any item has one. total_amount is what is left to pay after every
    discount, never below 0. Absent and zero discounts are None. Raises InvalidInput when a sum is out of range.
    """
    items = values.get("items") or ()
    itemised = [item["amount"] for item in items if "amount" in item]
    amount = sum(itemised) if itemised else values.get("amount")
    ordered = values.get("discount_amount") or 0
    on_items = sum(item.get("discount_amount", 0) for item in items)
    applied = values.get("applied_discount_amount") or None
    _in_range(amount, 0, ".amount")
    _in_range(ordered + on_items, 0, ".discount_amount")
    found = (
        amount, ordered or None, on_items or None, ordered + on_items or None, applied, applied,
        None if amount is None else max(0, amount - ordered - on_items),
    )  # fmt: skip
    return dict(zip(_TOTALS, found, strict=True))


def order_columns(
    stored: Mapping[str, Any] | None, draft: OrderDraft, customer_id: str | None, referrer_id: str | None
) -> dict[str, Any]:
    """Every column that a draft decides, laid over the stored row; a new order is CREATED unless it says otherwise."""
    before: Mapping[str, Any] = stored or {}
    said = {
        "source_id": draft.source_id or None,
        "status": draft.status,
        "amount": draft.amount,
        "initial_amount": draft.initial_amount,
        "discount_amount": draft.discount_amount,
        "applied_discount_amount": draft.applied_discount_amount,
        "customer_id": customer_id,
        "referrer_id": referrer_id,
        "items": None if draft.items is None else priced_items(draft.items),
    }
    columns = {name: before.get(name) if value is None else value for name, value in said.items()}
    columns["status"] = columns["status"] or STATUSES[0]
    columns["metadata"] = {**(before.get("metadata") or {}), **(draft.metadata or {})}
    return columns | totals(columns)


def spent(order: Mapping[str, Any] | None, customer_id: str) -> tuple[int, int]:
    """(amount spent, orders counted: 0 or 1) that an order row adds to a customer's summary."""
    if order is None or order["customer_id"] != customer_id or order["status"] not in COUNTED:
        return 0, 0
    return order["total_amount"] or 0, 1


def _priced(item: Mapping[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = {"object": "order_item"}
    stored |= {name: item[name] for name in (*_ITEM_NAMES, *_ITEM_LEAST) if item.get(name) is not None}
    price = next((p for p in _prices(item) if p is not None), None)
    if price is not None:
        stored["price"] = price
        stored["amount"] = price * stored.get("quantity", 1)
    if "amount" in stored:
        stored["subtotal_amount"] = max(0, stored["amount"] - stored.get("discount_amount", 0))
    for part in RELATED_OBJECTS:
        about = {k: v for k, v in (item.get(part) or {}).items() if v is not None and k != "override"}
        if about:
            stored[part] = about
    if item.get("metadata"):
        stored["metadata"] = item["metadata"]
    return stored


def _prices(item: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    return item.get("price"), (item.get("sku") or {}).get("price"), (item.get("product") or {}).get("price")


def _in_range(value: int | None, least: int, place: str) -> None:
    if value is not None and value < least:
        raise InvalidInput(
            "invalid_payload", f"Property {place} cannot be lower than {least}", field=place, value=value
        )
    if value is not None and value > AMOUNT_MAX:
        raise InvalidInput("invalid_payload", f"Property {place} cannot be higher than {AMOUNT_MAX}", field=place,
                           value=value)  # fmt: skip
