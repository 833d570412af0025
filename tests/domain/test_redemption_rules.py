"""What redeeming takes from cards and off orders, and why it is refused: the pure rules."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.cards import Card, CardKind, Origin, add
from counterfoil.domain.redemptions import (
    Bill,
    Effect,
    Failure,
    Redeemable,
    RewardTerms,
    Target,
    discount_on,
    paid_by,
    plan,
    points_for,
)
from counterfoil.errors import InvalidInput

NOW_MS = 1_728_465_392_521  # a Wednesday
DAY_MS = 86_400_000
VOUCHER: dict[str, Any] = {
    "id": "v_1",
    "code": "CODE",
    "active": True,
    "start_date": None,
    "expiration_date": None,
    "validity_timeframe": None,
    "validity_day_of_week": None,
    "created_at": NOW_MS - DAY_MS,
    "redemption_quantity": None,
    "redeemed_quantity": 0,
    "discount": None,
}
CAMPAIGN = {"active": True, "start_date": None, "expiration_date": None}
NO_ORDER = Bill()
COIN = {"exchange_ratio": 1, "points_ratio": 10}


def discount(size: dict[str, Any], **columns: Any) -> Target:
    return Target(Redeemable("CODE"), VOUCHER | {"discount": size} | columns)


def gift(balance: int, credits: int | None = None, **columns: Any) -> Target:
    card, _ = add(Card("v_g", "GIFT", CardKind.GIFT), balance, Origin(), None, NOW_MS)
    return Target(Redeemable("GIFT", credits), VOUCHER | {"code": "GIFT"} | columns, card=card)


def loyalty(balance: int, kind: str | None, *, price: int = 0, points: int | None = None, **row: Any) -> Target:
    card = Card("v_p", "POINTS", CardKind.LOYALTY)
    card, _ = add(card, balance, Origin(), None, NOW_MS) if balance else (card, ())
    reward = {
        "id": "rew_1",
        "name": "Mug",
        "type": kind,
        "stock": None,
        "redeemed": 0,
        "parameters": {"coin": COIN},
    } | row
    terms = None if kind is None else RewardTerms(reward, "rewa_1", price)
    return Target(Redeemable("POINTS", None, "rew_1", points), VOUCHER | {"code": "POINTS"}, card=card, reward=terms)


def bill(amount: int, *items: dict[str, Any]) -> Bill:
    return Bill(amount, amount, items)


def effects(*targets: Target, order: Bill = NO_ORDER) -> tuple[Effect, ...]:
    found = plan(targets, order, NOW_MS)
    assert not isinstance(found, Failure), found.error
    return found


def refused(*targets: Target, order: Bill = NO_ORDER) -> str:
    found = plan(targets, order, NOW_MS)
    assert isinstance(found, Failure), found
    return found.error.code


@pytest.mark.parametrize(
    ("size", "off"),
    [
        ({"type": "AMOUNT", "amount_off": 1000}, 1000),
        ({"type": "AMOUNT", "amount_off": 9999}, 5000),
        ({"type": "AMOUNT", "amount_off": 1000, "effect": "APPLY_TO_ITEMS"}, 2000),
        ({"type": "AMOUNT", "amount_off": 1000, "effect": "APPLY_TO_ITEMS_BY_QUANTITY"}, 4000),
        ({"type": "AMOUNT", "amount_off": 9999, "effect": "APPLY_TO_ITEMS"}, 5000),
        ({"type": "PERCENT", "percent_off": 10}, 500),
        ({"type": "PERCENT", "percent_off": 33.333}, 1667),
        ({"type": "PERCENT", "percent_off": 0.01}, 1),
        ({"type": "PERCENT", "percent_off": 100}, 5000),
        ({"type": "PERCENT", "percent_off": 50, "amount_limit": 700}, 700),
        ({"type": "FIXED", "fixed_amount": 1000}, 4000),
        ({"type": "FIXED", "fixed_amount": 9999}, 0),
        ({"type": "FIXED", "fixed_amount": 500, "effect": "APPLY_TO_ITEMS"}, 3000),
        ({"type": "UNIT", "unit_off": 1, "unit_type": "prod_1"}, 1000),
        ({"type": "UNIT", "unit_off": 9, "unit_type": "prod_1"}, 3000),
        ({"type": "UNIT", "unit_off": 1, "unit_type": "sku_9"}, 0),
        (
            {"type": "UNIT", "units": [{"unit_off": 2, "unit_type": "prod_1"}, {"unit_off": 1, "unit_type": "sku_2"}]},
            4000,
        ),
    ],
)
def test_what_a_discount_takes_off(size: dict[str, Any], off: int) -> None:
    items = (
        {"product_id": "prod_1", "quantity": 3, "price": 1000, "amount": 3000},
        {"sku_id": "sku_2", "quantity": 1, "price": 2000, "amount": 2000},
    )
    assert discount_on(size, bill(5000, *items)) == off
    assert discount_on(size, NO_ORDER) == 0


def test_each_voucher_counts_on_what_those_before_it_left() -> None:
    found = effects(
        discount({"type": "PERCENT", "percent_off": 50}),
        discount({"type": "AMOUNT", "amount_off": 1000}),
        gift(700),
        loyalty(1000, "COIN"),
        order=bill(10_000),
    )
    assert [each.discount for each in found] == [5000, 1000, 700, 3300]
    assert [each.spent for each in found] == [0, 0, 700, 330]


@given(
    st.lists(
        st.one_of(
            st.builds(lambda n: discount({"type": "PERCENT", "percent_off": n}), st.floats(0, 100)),
            st.builds(lambda n: discount({"type": "AMOUNT", "amount_off": n}), st.integers(0, 2000)),
            st.builds(lambda n: discount({"type": "FIXED", "fixed_amount": n}), st.integers(0, 2000)),
            st.builds(gift, st.integers(1, 2000), st.none() | st.integers(1, 3000)),
            st.builds(
                lambda n, asked: loyalty(n, "COIN", points=asked), st.integers(1, 500), st.none() | st.integers(1, 600)
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 5000),
)
def test_an_order_is_never_paid_twice_and_a_card_never_overdrawn(targets: list[Target], amount: int) -> None:
    found = plan(targets, bill(amount), NOW_MS)
    if isinstance(found, Failure):
        assert found.error.code in {"insufficient_credits", "insufficient_points"}
        return
    assert sum(each.discount for each in found) <= amount
    for each in found:
        assert each.discount >= 0
        card = each.target.card
        if card is not None:
            assert 0 < each.spent <= card.balance
            asked = each.target.asked.credits or each.target.asked.points
            assert asked is None or each.spent <= asked
            if card.kind is CardKind.GIFT:
                assert each.discount == each.credits


@given(st.integers(0, 10**9), st.fractions(Fraction(1, 100), 100), st.integers(1, 1000))
def test_points_pay_what_they_are_worth_and_no_point_too_many_is_taken(amount: int, ratio: Fraction, per: int) -> None:
    coin = {"exchange_ratio": float(ratio), "points_ratio": per}
    points = points_for(amount, coin)
    assert paid_by(points, coin) >= amount
    assert points == 0 or paid_by(points - 1, coin) < amount


@pytest.mark.parametrize(
    ("target", "order", "spent", "off"),
    [
        (gift(500), bill(300), 300, 300),
        (gift(500), bill(900), 500, 500),
        (gift(500, 200), bill(900), 200, 200),
        (gift(500, 400), bill(100), 100, 100),
        (gift(500, 200), NO_ORDER, 200, 0),
        (loyalty(500, "COIN"), bill(300), 30, 300),
        (loyalty(500, "COIN", points=10), bill(300), 10, 100),
        (loyalty(500, "COIN", points=400), bill(305), 31, 305),
        (loyalty(7, "COIN"), bill(300), 7, 70),
        (loyalty(50, "MATERIAL", price=50), NO_ORDER, 50, 0),
        (loyalty(50, "CAMPAIGN", price=20), bill(300), 20, 0),
    ],
)
def test_what_a_card_spends(target: Target, order: Bill, spent: int, off: int) -> None:
    (effect,) = effects(target, order=order)
    assert (effect.spent, effect.discount) == (spent, off)


@pytest.mark.parametrize(
    ("target", "order", "code"),
    [
        (gift(500, 501), NO_ORDER, "insufficient_credits"),
        (gift(500, 501), bill(100), "insufficient_credits"),
        (gift(500), bill(0), "insufficient_credits"),
        (loyalty(500, "COIN", points=501), bill(100), "insufficient_points"),
        (loyalty(0, "COIN"), bill(100), "insufficient_points"),
        (loyalty(49, "MATERIAL", price=50), NO_ORDER, "insufficient_points"),
        (loyalty(50, "MATERIAL", price=50, stock=3, redeemed=3), NO_ORDER, "quantity_exceeded"),
        (gift(500, 1, active=False), NO_ORDER, "voucher_disabled"),
        (gift(500, 1, start_date=NOW_MS + 1), NO_ORDER, "voucher_not_active"),
        (gift(500, 1, expiration_date=NOW_MS - 1), NO_ORDER, "voucher_expired"),
        (gift(500, 1, redemption_quantity=2, redeemed_quantity=2), NO_ORDER, "quantity_exceeded"),
        (gift(500, 1, redemption_quantity=0), NO_ORDER, "quantity_exceeded"),
        (gift(500, 1, validity_day_of_week=[0, 1, 2, 4, 5, 6]), NO_ORDER, "voucher_not_active_now"),
        (
            gift(500, 1, validity_timeframe={"interval": "P2D", "duration": "PT1H"}, start_date=NOW_MS - DAY_MS),
            NO_ORDER,
            "voucher_not_active_now",
        ),
        (discount({"type": "PERCENT", "percent_off_formula": "1+1"}), bill(100), "invalid_voucher"),
    ],
)
def test_why_a_voucher_is_refused(target: Target, order: Bill, code: str) -> None:
    assert refused(target, order=order) == code


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"active": False}, "campaign_not_active"),
        ({"start_date": NOW_MS + 1}, "campaign_not_active"),
        ({"expiration_date": NOW_MS - 1}, "campaign_not_active"),
    ],
)
def test_a_campaign_at_rest_refuses_its_vouchers(columns: dict[str, Any], code: str) -> None:
    target = gift(500, 1)
    assert refused(Target(target.asked, target.voucher, CAMPAIGN | columns, target.card)) == code


def test_at_the_last_millisecond_a_voucher_is_still_good() -> None:
    effects(gift(500, 1, expiration_date=NOW_MS, start_date=NOW_MS, redemption_quantity=2, redeemed_quantity=1))


@pytest.mark.parametrize(
    ("target", "order", "code"),
    [
        (gift(500, 0), NO_ORDER, "invalid_amount"),
        (gift(500, -5), NO_ORDER, "invalid_amount"),
        (gift(500, 2**63), NO_ORDER, "invalid_amount"),
        (gift(500), NO_ORDER, "missing_order"),
        (loyalty(500, None), bill(100), "missing_reward"),
        (loyalty(500, "COIN"), NO_ORDER, "missing_order"),
        (loyalty(500, "COIN", points=0), bill(100), "invalid_amount"),
    ],
)
def test_what_cannot_even_be_asked(target: Target, order: Bill, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan([target], order, NOW_MS)
    assert caught.value.code == code


def test_a_refusal_names_the_one_that_refuses() -> None:
    first, second = gift(500, 100), gift(500, 100, active=False)
    found = plan([first, second], NO_ORDER, NOW_MS)
    assert isinstance(found, Failure)
    assert found.target is second
