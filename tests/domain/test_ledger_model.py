"""The rules of cards against a naive model: for each card a plain dict of lots, by last day of use.

Hypothesis draws commands; after each one, balances, lots, movements and refusals must be those of the model.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from counterfoil.clock import MS_PER_DAY, iso_date
from counterfoil.domain import buckets as lots_of
from counterfoil.domain.cards import (
    Card,
    CardKind,
    Origin,
    accrue,
    activate,
    add,
    balance_view,
    check_card,
    expire_due,
    open_with,
    redeem,
    refund,
    remove,
    transfer,
)
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.domain.movements import Movement, MovementType
from counterfoil.errors import InvalidInput, Refused
from tests.ledger.naive_card import NEVER, Came, NaiveCard

START_MS = 20_000 * MS_PER_DAY
LOYALTY = ("loyal-1", "loyal-2", "loyal-3")
NAMES = ("gift-1", *LOYALTY)


DAYS_AHEAD = st.one_of(st.none(), st.integers(0, 6))
AMOUNTS = st.integers(1, 40)
CARD = st.sampled_from(NAMES)
MEMBER = st.sampled_from(LOYALTY)


class LedgerMachine(RuleBasedStateMachine):
    """Commands on four cards, with a clock that mostly goes forward."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = START_MS
        self.cards = {n: Card(f"v_{n}", n, CardKind.LOYALTY if n in LOYALTY else CardKind.GIFT) for n in NAMES}
        self.naive = {n: NaiveCard(n in LOYALTY) for n in NAMES}
        self.movements: dict[str, list[Movement]] = {n: [] for n in NAMES}
        self.spent: list[tuple[str, Movement, Came]] = []

    # -- what every command does ---------------------------------------------------------------------------------------

    @property
    def today(self) -> str:
        return iso_date(self.now_ms)

    def day(self, ahead: int | None) -> str | None:
        return None if ahead is None else iso_date(self.now_ms + ahead * MS_PER_DAY)

    def touch(self, name: str) -> Card:
        """The card as the unit of writing hands it out: due points expired."""
        card, movements = expire_due(self.cards[name], self.today)
        assert [m.amount for m in movements] == self.naive[name].expire(self.today)
        assert all(m.type is MovementType.POINTS_EXPIRATION for m in movements)
        self.keep(name, card, movements)
        return card

    def keep(self, name: str, card: Card, movements: tuple[Movement, ...]) -> None:
        check_card(card)
        self.cards[name] = card
        self.movements[name] += movements

    # -- commands ------------------------------------------------------------------------------------------------------

    @rule(days=st.integers(-2, 5), ms=st.integers(0, MS_PER_DAY - 1))
    def time_passes(self, days: int, ms: int) -> None:
        self.now_ms += days * MS_PER_DAY + ms

    @rule(name=CARD, amount=AMOUNTS, ahead=DAYS_AHEAD, how=st.sampled_from(["open", "add", "accrue", "activate"]))
    def gains(self, name: str, amount: int, ahead: int | None, how: str) -> None:
        card, day = self.touch(name), self.day(ahead)
        about: dict[str, Any] = {"order": {"id": "ord_1"}}
        if how in {"accrue", "activate"} and name not in LOYALTY:
            with pytest.raises(Refused):
                accrue(card, amount, about, day, self.now_ms)
            return
        if how == "open":
            posted = open_with(card, amount, day, self.now_ms)
        elif how == "add":
            posted = add(card, amount, Origin("API"), day, self.now_ms)
        elif how == "accrue":
            posted = accrue(card, amount, about, day, self.now_ms)
        else:
            posted = activate(card, amount, about, Origin(), day, self.now_ms)
        self.keep(name, *posted)
        self.naive[name].add(amount, day)

    @rule(name=CARD, amount=AMOUNTS, buying=st.booleans())
    def takes(self, name: str, amount: int, buying: bool) -> None:
        card, naive = self.touch(name), self.naive[name]
        if amount > naive.balance:
            with pytest.raises(Refused) as caught:
                redeem(card, amount, {}, Origin()) if buying else remove(card, amount, Origin())
            assert caught.value.code == ("insufficient_points" if name in LOYALTY else "insufficient_credits")
            return
        if buying:
            card, movements = redeem(card, amount, {"redemption": {"id": "r_1"}}, Origin())
            self.spent.append((name, movements[0], naive.spend(amount)))
        else:
            card, movements = remove(card, amount, Origin("API", "mine", "why"))
            naive.remove(amount)
        self.keep(name, card, movements)

    @precondition(lambda self: self.spent)
    @rule(data=st.data(), ahead=DAYS_AHEAD)
    def refunds(self, data: st.DataObject, ahead: int | None) -> None:
        name, movement, came = self.spent.pop(data.draw(st.integers(0, len(self.spent) - 1)))
        card, naive, expired_to = self.touch(name), self.naive[name], self.day(ahead)
        self.keep(name, *refund(card, movement.lots, -movement.amount, {}, Origin(), expired_to, self.now_ms))
        naive.give_back(came, expired_to)

    @rule(giver=CARD, taker=CARD, amount=AMOUNTS, ahead=DAYS_AHEAD)
    def moves(self, giver: str, taker: str, amount: int, ahead: int | None) -> None:
        one, other = self.touch(giver), self.touch(taker)
        one, day = self.cards[giver], self.day(ahead)
        if giver == taker or {giver, taker} - set(LOYALTY) or amount > self.naive[giver].balance:
            with pytest.raises((Refused, InvalidInput)):
                transfer(one, other, amount, Origin(), day, self.now_ms)
            return
        one, other, (out, into) = transfer(one, other, amount, Origin("API", "mine", "gift"), day, self.now_ms)
        assert (out.amount + into.amount, out.related, into.related) == (0, 1, -1)
        assert (out.source_id, into.source_id, out.reason, into.reason) == ("mine", None, "gift", "gift")
        assert out.details["destination_voucher"]["loyalty_card"]["balance"] == other.balance
        assert into.details["source_voucher"]["loyalty_card"]["balance"] == one.balance
        self.keep(giver, one, (out,))
        self.keep(taker, other, (into,))
        self.naive[giver].take(amount)
        self.naive[taker].gain(amount, day)
        self.naive[giver].total -= amount
        self.naive[taker].total += amount

    @rule(name=CARD, amount=st.sampled_from([0, -1, -AMOUNT_MAX, AMOUNT_MAX + 1, AMOUNT_MAX]))
    def amounts_that_cannot_be(self, name: str, amount: int) -> None:
        card = self.touch(name)
        if amount == AMOUNT_MAX and card.total == 0:
            return
        for attempt in (
            lambda: add(card, amount, Origin(), None, self.now_ms),
            lambda: (
                redeem(card, amount, {}, Origin()) if amount != AMOUNT_MAX else add(card, amount, Origin(), None, 0)
            ),
        ):
            with pytest.raises(InvalidInput) as caught:
                attempt()
            assert caught.value.code == "invalid_amount"

    # -- what must hold after each -------------------------------------------------------------------------------------

    @invariant()
    def cards_are_as_written_down(self) -> None:
        for name, naive in self.naive.items():
            card = self.cards[name]
            found = (card.balance, card.total, card.subtracted, card.redeemed, card.expired)
            assert found == (naive.balance, naive.total, naive.subtracted, naive.redeemed, naive.expired)
            if name in LOYALTY:
                active = [(b.expires_on or NEVER, b.points) for b in card.buckets if b.status == lots_of.ACTIVE]
                assert sorted(active) == sorted(naive.lots.items())
                gone = [(b.expires_on, b.points) for b in card.buckets if b.status == lots_of.EXPIRED]
                assert sorted(gone) == sorted(naive.expired_lots)
                assert len({b.id for b in card.buckets}) == len(card.buckets)

    @invariant()
    def movements_are_a_chain_that_adds_up(self) -> None:
        for name, movements in self.movements.items():
            balance, lots = 0, Counter[str]()
            for movement in movements:
                assert movement.amount != 0
                balance += movement.amount
                assert movement.balance == balance == movement.details["balance"]["balance"]
                assert sum(points for _, points in movement.lots) == (movement.amount if name in LOYALTY else 0)
                for bucket, points in movement.lots:
                    lots[bucket] += points
            assert balance == self.cards[name].balance
            held = {b.id: b.points for b in self.cards[name].buckets if b.status == lots_of.ACTIVE and b.points}
            assert held == {bucket: points for bucket, points in lots.items() if points}


LedgerMachine.TestCase.settings = settings(stateful_step_count=40, max_examples=100, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase


@given(st.lists(st.tuples(AMOUNTS, DAYS_AHEAD), min_size=1, max_size=6), st.data())
def test_a_refund_undoes_a_redemption_exactly(grants: list[tuple[int, int | None]], data: st.DataObject) -> None:
    card = Card("v_1", "A", CardKind.LOYALTY)
    for points, ahead in grants:
        day = None if ahead is None else iso_date(START_MS + ahead * MS_PER_DAY)
        card, _ = add(card, points, Origin(), day, START_MS)
    amount = data.draw(st.integers(1, card.balance))
    spent, (movement,) = redeem(card, amount, {}, Origin())
    assert spent.balance == card.balance - amount
    again, _ = refund(spent, movement.lots, amount, {}, Origin(), None, START_MS)
    assert again == card


def test_the_sum_of_removals_stays_within_what_a_column_holds() -> None:
    card = Card("v_1", "A", CardKind.GIFT)
    for _ in range(2):
        card, _ = add(card, AMOUNT_MAX, Origin(), None, START_MS)
        refused = card.subtracted + AMOUNT_MAX > AMOUNT_MAX
        if refused:
            with pytest.raises(InvalidInput):
                remove(card, AMOUNT_MAX, Origin())
        else:
            card, _ = remove(card, AMOUNT_MAX, Origin())
    assert refused


def test_the_balance_view_names_the_amount_as_the_vendor_does() -> None:
    gift, _ = add(Card("v_g", "G", CardKind.GIFT), 20, Origin(), None, START_MS)
    points, _ = add(Card("v_p", "P", CardKind.LOYALTY), 5, Origin(), None, START_MS)
    assert balance_view(gift, 20, "MANUAL") == {
        "type": "gift_voucher",
        "total": 20,
        "amount": 20,
        "object": "balance",
        "balance": 20,
        "operation_type": "MANUAL",
        "related_object": {"id": "v_g", "type": "voucher"},
    }
    assert balance_view(points, 5, None) == {
        "type": "loyalty_card",
        "total": 5,
        "points": 5,
        "object": "balance",
        "balance": 5,
        "related_object": {"id": "v_p", "type": "voucher"},
    }


def test_a_clock_set_back_over_midnight_does_not_write_over_an_expired_bucket() -> None:
    today, tomorrow = iso_date(START_MS), iso_date(START_MS + MS_PER_DAY)
    card, _ = add(Card("v_1", "A", CardKind.LOYALTY), 7, Origin(), today, START_MS)
    card, _ = expire_due(card, tomorrow)
    card, _ = add(card, 5, Origin(), today, START_MS)
    (gone, fresh) = card.buckets
    assert gone.id != fresh.id
    assert (gone.status, gone.points, fresh.status, fresh.points) == (lots_of.EXPIRED, 7, lots_of.ACTIVE, 5)
    card, _ = remove(card, 2, Origin())
    card, (movement,) = expire_due(card, tomorrow)
    assert (movement.amount, card.balance, card.expired) == (-3, 0, 10)
