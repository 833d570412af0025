"""A shop as anyone would write it down: vouchers, customers, orders, redemptions and promises in plain dicts.

What the services do is said here a second time, as simply as can be; the stateful test holds the two together.
"""

from __future__ import annotations

import calendar
import copy
import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.ledger.naive_card import Came, NaiveCard

POINT_WORTH = 10
"""What a point pays of an order, minor units."""
MUG_PRICE, MUG_STOCK = 7, 4
RULE_POINTS = 3
PENDING_DAYS = 2
ROLLBACK_DAYS = 92


class NaiveRefusal(Exception):
    """What a command answers instead of being done; kept: the shop with the failure written down, or None."""

    def __init__(self, code: str, kept: NaiveShop | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.kept = kept


@dataclass
class NaiveVoucher:
    """A voucher; card is None for discounts. programme A's points live for ever, B's for a month."""

    code: str
    card: NaiveCard | None = None
    holder: str | None = None
    programme: str | None = None
    percent: int = 0
    active: bool = True
    quantity: int | None = None
    times: int = 0


@dataclass
class NaiveOrder:
    """An order; accrued: the rules ran for it."""

    amount: int
    discount: int = 0
    status: str = "CREATED"
    customer: str | None = None
    accrued: bool = False


@dataclass
class Part:
    """One redeemed voucher: what was spent, from which lots."""

    code: str
    credits: int = 0
    points: int = 0
    came: Came = field(default_factory=list)
    mug: bool = False


@dataclass
class NaiveRedemption:
    """What was redeemed at once."""

    parts: list[Part]
    customer: str | None
    order: str | None
    on: str
    undone: bool = False


@dataclass(frozen=True)
class Wanted:
    """One redeemable as asked."""

    code: str
    credits: int | None = None
    reward: str | None = None
    points: int | None = None


def month_later(day: str) -> str:
    """The same day of the next month, or its last day."""
    at = datetime.date.fromisoformat(day)
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1])).isoformat()


def days_later(day: str, days: int) -> str:
    """The ISO date so many days on."""
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=days)).isoformat()


@dataclass
class NaiveShop:
    """Everything there is. movements counts every balance change, hidden ones too; today is an ISO date."""

    today: str
    vouchers: dict[str, NaiveVoucher] = field(default_factory=dict)
    customers: dict[str, Counter[str]] = field(default_factory=dict)
    orders: dict[str, NaiveOrder] = field(default_factory=dict)
    redemptions: dict[int, NaiveRedemption] = field(default_factory=dict)
    pending: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    mugs: int = 0
    movements: int = 0
    failed_rows: int = 0
    rows: int = 0

    # -- small things --------------------------------------------------------------------------------------------------

    def card(self, code: str) -> NaiveCard:
        """The card, its due points expired."""
        card = self.vouchers[code].card
        assert card is not None
        self.movements += len(card.expire(self.today))
        return card

    def grant_day(self, code: str) -> str | None:
        """The last day of points granted today by the programme's rules."""
        return month_later(self.today) if self.vouchers[code].programme == "B" else None

    def count(self, customer: str | None, **counts: int) -> None:
        """Add to a customer's summary."""
        if customer is not None:
            self.customers[customer].update(counts)

    def usable(self, code: str) -> NaiveVoucher:
        """A voucher that is switched on."""
        if code not in self.vouchers:
            raise NaiveRefusal("not_found")
        if not self.vouchers[code].active:
            raise NaiveRefusal("voucher_disabled")
        return self.vouchers[code]

    # -- making things -------------------------------------------------------------------------------------------------

    def make(self, voucher: NaiveVoucher, opening: int) -> None:
        """A voucher with an opening balance."""
        if voucher.code in self.vouchers:
            raise NaiveRefusal("duplicate_found")
        self.vouchers[voucher.code] = voucher
        if voucher.card is not None and opening:
            voucher.card.add(opening, self.grant_day(voucher.code))
            self.movements += 1

    def join(self, code: str, customer: str, programme: str, opening: int) -> None:
        """A customer's card of a programme, which they have once."""
        if any(v.holder == customer and v.programme == programme for v in self.vouchers.values()):
            raise NaiveRefusal("voucher_cannot_be_published")
        self.customers.setdefault(customer, Counter())
        self.make(NaiveVoucher(code, NaiveCard(loyalty=True), customer, programme), opening)

    # -- points and credits by hand ------------------------------------------------------------------------------------

    def change(self, code: str, amount: int, day: str | None) -> None:
        """Add or take away by hand."""
        voucher = self.usable(code)
        if voucher.card is None:
            raise NaiveRefusal("not_found" if day else "invalid_voucher")
        card = self.card(code)
        if amount == 0:
            raise NaiveRefusal("invalid_amount")
        if amount > 0:
            card.add(amount, day)
        elif card.balance < -amount:
            raise NaiveRefusal("insufficient_points" if card.loyalty else "insufficient_credits")
        else:
            card.remove(-amount)
        self.movements += 1

    def transfer(self, code: str, sources: Sequence[tuple[str, int]]) -> None:
        """Move points to a card."""
        self.usable(code)
        taker = self.card(code)
        for source, points in sources:
            self.usable(source)
            giver = self.card(source)
            if points <= 0:
                raise NaiveRefusal("invalid_amount")
            if source == code:
                raise NaiveRefusal("invalid_transfer")
            if giver.balance < points:
                raise NaiveRefusal("insufficient_points")
            giver.take(points)
            giver.total -= points
            taker.add(points, self.grant_day(code))
            self.movements += 2

    # -- orders and what they earn -------------------------------------------------------------------------------------

    def save_order(self, name: str, *, amount: int | None = None, status: str | None = None,
                   customer: str | None = None, off: int = 0) -> None:  # fmt: skip
        """Make or change an order; paid for the first time with a customer, it earns points."""
        order = self.orders.setdefault(name, NaiveOrder(amount or 0))
        before = order.status
        order.customer = customer or order.customer
        order.status = status or order.status
        order.discount += off
        if order.status == "PAID" and before != "PAID" and order.customer is not None and not order.accrued:
            order.accrued = True
            for voucher in self.vouchers.values():
                if voucher.holder == order.customer and voucher.programme and voucher.active:
                    self.earn(voucher, name, order)

    def earn(self, voucher: NaiveVoucher, name: str, order: NaiveOrder) -> None:
        """A pays 3 points at once, B promises one for every 100."""
        if voucher.programme == "A":
            self.card(voucher.code).add(RULE_POINTS, None)
            self.movements += 1
        elif order.amount >= 100:
            self.pending[voucher.code, name] = order.amount // 100, days_later(self.today, PENDING_DAYS)

    def keep_promise(self, code: str, order: str) -> None:
        """Pending points become spendable."""
        points, _ = self.pending.pop((code, order))
        card = self.card(code)
        if points:
            card.add(points, self.grant_day(code))
            self.movements += 1

    # -- redemptions ---------------------------------------------------------------------------------------------------

    def redeem(self, no: int, wanted: Sequence[Wanted], order: str | None, amount: int, customer: str | None) -> None:
        """Redeem all or none, numbered `no`, for an order (made with that amount when it is new)."""
        if any(each.code not in self.vouchers for each in wanted):
            raise NaiveRefusal("not_found")
        cards = {each.code: self.card(each.code) for each in wanted if self.vouchers[each.code].card is not None}
        if len({each.code for each in wanted}) < len(wanted):
            raise NaiveRefusal("duplicated_redeemables")
        known = self.orders.get(order) if order else None
        left = None if order is None else amount if known is None else max(0, known.amount - known.discount)
        customer = customer or (known.customer if known else None) or self.first_holder(wanted)
        parts: list[Part] = []
        off = 0
        for each in wanted:
            try:
                part, discount = self.effect(each, cards.get(each.code), left)
            except NaiveRefusal as refusal:
                if refusal.code in {"missing_order", "missing_reward", "invalid_amount"}:
                    raise
                raise NaiveRefusal(refusal.code, self.with_failure(customer)) from None
            parts.append(part)
            off += discount
            left = None if left is None else left - discount
        if customer is not None:
            self.customers.setdefault(customer, Counter())
        if order is not None:
            settled = known is not None and known.status in {"PAID", "FULFILLED"}
            self.save_order(order, amount=amount, status=None if settled else "PAID", customer=customer, off=off)
        for part in parts:
            self.take(part, customer)
        self.rows += len(parts) + (len(parts) > 1)
        self.redemptions[no] = NaiveRedemption(parts, customer, order, self.today)

    def first_holder(self, wanted: Sequence[Wanted]) -> str | None:
        """Who holds the first card that somebody holds."""
        return next((h for each in wanted if (h := self.vouchers[each.code].holder) is not None), None)

    def with_failure(self, customer: str | None) -> NaiveShop:
        """The shop with one failed redemption more and nothing else, but for points that were due."""
        self.failed_rows += 1
        self.count(customer if customer in self.customers else None, redeemed=1, failed=1)
        return self

    def effect(self, each: Wanted, card: NaiveCard | None, left: int | None) -> tuple[Part, int]:
        """What one voucher would do, and what it takes off the order."""
        voucher = self.vouchers[each.code]
        self.check_asked(each, card, left)
        if not voucher.active:
            raise NaiveRefusal("voucher_disabled")
        if voucher.quantity is not None and voucher.times >= voucher.quantity:
            raise NaiveRefusal("quantity_exceeded")
        if card is None:
            return Part(each.code), 0 if left is None else (left * voucher.percent + 50) // 100
        if not card.loyalty:
            return self.gift_effect(each, card, left)
        if each.reward == "mug":
            return self.mug_effect(each, card)
        assert left is not None
        needed = -(-left // POINT_WORTH)
        wanted = each.points if each.points is not None else min(needed, card.balance)
        spent = min(wanted, needed)
        if wanted > card.balance or spent == 0:
            raise NaiveRefusal("insufficient_points")
        return Part(each.code, points=spent), min(spent * POINT_WORTH, left)

    def check_asked(self, each: Wanted, card: NaiveCard | None, left: int | None) -> None:
        """Refuse what makes no sense for any card."""
        if any(amount is not None and amount <= 0 for amount in (each.credits, each.points)):
            raise NaiveRefusal("invalid_amount")
        if card is None:
            return
        if card.loyalty and each.reward is None:
            raise NaiveRefusal("missing_reward")
        needs_order = each.reward == "coin" if card.loyalty else each.credits is None
        if needs_order and left is None:
            raise NaiveRefusal("missing_order")

    def gift_effect(self, each: Wanted, card: NaiveCard, left: int | None) -> tuple[Part, int]:
        """A gift card pays what is asked, or what is left to pay, or all it has."""
        wanted = each.credits if each.credits is not None else min(left or 0, card.balance)
        spent = wanted if left is None else min(wanted, left)
        if wanted > card.balance or spent == 0:
            raise NaiveRefusal("insufficient_credits")
        return Part(each.code, credits=spent), 0 if left is None else spent

    def mug_effect(self, each: Wanted, card: NaiveCard) -> tuple[Part, int]:
        """A mug costs its price while there are any."""
        if self.mugs >= MUG_STOCK:
            raise NaiveRefusal("quantity_exceeded")
        if card.balance < MUG_PRICE:
            raise NaiveRefusal("insufficient_points")
        return Part(each.code, points=MUG_PRICE, mug=True), 0

    def take(self, part: Part, customer: str | None) -> None:
        """Do what an effect says."""
        voucher = self.vouchers[part.code]
        voucher.times += 1
        self.mugs += part.mug
        if voucher.card is not None:
            part.came = self.card(part.code).spend(part.credits + part.points)
            self.movements += 1
        self.count(customer, redeemed=1, succeeded=1, credits=part.credits, points=part.points)

    def roll_back(self, no: int) -> None:
        """Undo a redemption, all of it."""
        done = self.redemptions[no]
        refusal = "already_rolled_back" if done.undone else None
        if days_later(done.on, ROLLBACK_DAYS) <= self.today:
            refusal = refusal or "invalid_redemption"
        if refusal is not None:
            kept = copy.deepcopy(self)
            kept.failed_rows += 1
            if len(done.parts) == 1:
                kept.count(done.customer, rolled_back=1, rollback_failed=1)
            raise NaiveRefusal(refusal, kept)
        done.undone = True
        for part in done.parts:
            voucher = self.vouchers[part.code]
            voucher.times -= 1
            self.mugs -= part.mug
            if voucher.card is not None:
                self.card(part.code).give_back(part.came, self.grant_day(part.code))
                self.movements += 1
            self.count(done.customer, rolled_back=1, rollback_succeeded=1, credits=-part.credits, points=-part.points)
        self.rows += len(done.parts) + (len(done.parts) > 1)
        if done.order is not None:
            self.orders[done.order].status = "CANCELED"
