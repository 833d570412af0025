"""What an order's amounts are, from its items and discounts: always whole, never negative, always adding up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.customers import CustomerDraft, average, birth_date, changes, new_columns
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.domain.orders import OrderDraft, check_order, order_columns, priced_items, spent, totals
from counterfoil.errors import InvalidInput

amounts = st.integers(0, 10**9)
items = st.fixed_dictionaries(
    {},
    optional={
        "quantity": st.integers(1, 1000),
        "price": amounts,
        "amount": amounts,
        "discount_amount": amounts,
        "sku": st.fixed_dictionaries({}, optional={"price": amounts}),
        "product": st.fixed_dictionaries({}, optional={"price": amounts}),
    },
)


@given(st.lists(items, max_size=8), st.none() | amounts, st.none() | amounts)
def test_amounts_add_up_whatever_is_said(said: list[dict[str, Any]], amount: int | None, discount: int | None) -> None:
    draft = OrderDraft(items=said, amount=amount, discount_amount=discount)
    check_order(draft)
    order = order_columns(None, draft, None, None)
    for item, stored in zip(said, order["items"], strict=True):
        named = (item, item.get("sku", {}), item.get("product", {}))
        known = next((part["price"] for part in named if "price" in part), None)
        expected = item.get("amount") if known is None else known * item.get("quantity", 1)
        assert stored.get("amount") == expected
        if expected is not None:
            assert stored["subtotal_amount"] == max(0, expected - item.get("discount_amount", 0))
    sums = [stored["amount"] for stored in order["items"] if "amount" in stored]
    assert order["amount"] == (sum(sums) if sums else amount)
    off = (order["discount_amount"] or 0) + (order["items_discount_amount"] or 0)
    assert (order["total_discount_amount"] or 0) == off
    if order["amount"] is None:
        assert order["total_amount"] is None
    else:
        assert order["total_amount"] == max(0, order["amount"] - off) >= 0


@given(st.lists(items, max_size=5), amounts, amounts)
def test_storing_again_what_was_stored_changes_nothing(said: list[dict[str, Any]], amount: int, discount: int) -> None:
    first = order_columns(None, OrderDraft(items=said, amount=amount, discount_amount=discount), "c", "r")
    assert order_columns(first, OrderDraft(), None, None) == first
    assert order_columns(first, OrderDraft(items=first["items"]), None, None) == first
    assert priced_items(first["items"]) == first["items"]


def test_the_nearest_price_counts() -> None:
    item = {"quantity": 3, "price": 5, "sku": {"price": 7}, "product": {"price": 11}}
    assert [each["amount"] for each in priced_items([item, item | {"price": None}, {"product": {"price": 11}}])] == [
        15, 21, 11,
    ]  # fmt: skip


def test_override_is_an_instruction_and_is_not_kept() -> None:
    assert priced_items([{"product": {"name": "N", "override": True}}]) == [
        {"object": "order_item", "product": {"name": "N"}}
    ]


def test_totals_stop_at_what_every_client_can_read() -> None:
    assert totals({"amount": AMOUNT_MAX})["amount"] == AMOUNT_MAX
    with pytest.raises(InvalidInput, match="cannot be higher than"):
        totals({"items": [{"amount": AMOUNT_MAX}, {"amount": 1}]})
    with pytest.raises(InvalidInput, match="discount_amount cannot be higher than"):
        totals({"discount_amount": AMOUNT_MAX, "items": [{"discount_amount": 1}]})


@pytest.mark.parametrize(
    ("status", "counts"), [("CREATED", 0), ("PAID", 1), ("FULFILLED", 1), ("CANCELED", 0)]
)  # fmt: skip
def test_what_counts_as_spent(status: str, counts: int) -> None:
    order = {"customer_id": "c", "status": status, "total_amount": 7}
    assert spent(order, "c") == (7 * counts, counts)
    assert spent(order, "other") == spent(None, "c") == (0, 0)


def test_a_discount_never_makes_what_was_spent_unknown() -> None:
    assert spent({"customer_id": "c", "status": "PAID", "total_amount": None}, "c") == (0, 1)


@given(st.integers(0, 2**62), st.integers(1, 10**6))
def test_an_average_is_the_nearest_whole_number(total: int, count: int) -> None:
    found = average(total, count)
    assert abs(found * count - total) * 2 <= count
    assert average(total, 0) == 0


def test_an_average_of_a_half_goes_up() -> None:
    assert (average(1, 2), average(3, 2), average(5, 4), average(7, 4)) == (1, 2, 1, 2)


@pytest.mark.parametrize(
    ("text", "date"),
    [("2022-01-02", "2022-01-02"), ("1990-05-17T23:30:00-02:00", "1990-05-18"), ("", ""), ("0001-01-01", "0001-01-01")],
)
def test_birth_dates_are_dates(text: str, date: str) -> None:
    assert birth_date(text) == date


@pytest.mark.parametrize("text", ["2022-13-01", "2022-02-30", "01.02.2022", "yesterday", "2022-1-2", "20220101"])
def test_what_is_no_birth_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO-8601"):
        birth_date(text)


profiles = st.dictionaries(st.sampled_from(["name", "email", "phone", "address_city"]), st.sampled_from(["", "a", "b"]))
properties = st.none() | st.dictionaries(st.sampled_from("xyz"), st.none() | st.integers(0, 2), max_size=3)


@given(profiles, properties, profiles, properties)
def test_changes_are_exactly_what_differs(
    old: dict[str, str], had: dict[str, Any] | None, new: dict[str, str], said: dict[str, Any] | None
) -> None:
    row = new_columns(CustomerDraft(profile=old, metadata=had))
    draft = CustomerDraft(profile=new, metadata=said)
    changed = changes(row, draft)
    after = row | changed
    for column, text in new.items():
        assert after[column] == (text or None)
    assert (after["metadata"] or {}) == {**(had or {}), **(said or {})}
    assert all(row[column] != value for column, value in changed.items())
    assert changes(after, draft) == {}
