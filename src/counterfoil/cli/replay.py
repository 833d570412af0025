"""The demo's points programme: a panel of purchases turned into ledger commands, a day at a time.

The rules, stated once:
* a basket earns 10 points for each whole dollar paid, at least 1;
* points expire at the end of the third month after they were earned;
* a redeemed coupon costs 300 points if the card has them; every twentieth redemption is taken back the same day;
* in each month's first week, every 40th household gives 100 points to its neighbour;
* every household gets a gift card of $40, topped up by $15 a month; every fourth discounted basket pays its discount
  from it, as far as it reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from counterfoil.cli.panel import Basket, Coupon, Panel
from counterfoil.clock import MS_PER_DAY, iso_date
from counterfoil.db.unit import Unit
from counterfoil.domain import cards, expiry
from counterfoil.domain.cards import Origin
from counterfoil.errors import Refused
from counterfoil.ids import hex_id

POINTS_PER_DOLLAR = 10
COUPON_POINTS = 300
TRANSFER_POINTS = 100
TRANSFER_EVERY = 40
REFUND_EVERY = 20
GIFT_EVERY = 4
GIFT_OPENING_CENTS = 4000
GIFT_TOP_UP_CENTS = 1500
EXPIRATION_RULES = {"period_type": "MONTH", "period_value": 3, "rounding_type": "END_OF_MONTH"}


def loyalty_code(household: int) -> str:
    """The code of a household's points card."""
    return f"POINTS-{household:05d}"


def gift_code(household: int) -> str:
    """The code of a household's gift card."""
    return f"GIFT-{household:05d}"


@dataclass(slots=True)
class Replay:
    """Plays the panel into a ledger: `days()` yields one piece of work a day, in order."""

    panel: Panel
    _coupons_redeemed: int = 0
    _discounts_seen: int = 0

    def days(self) -> Iterator[tuple[int, tuple[str, ...], Callable[[Unit], int]]]:
        """(day, codes of the cards it touches, work): the work posts the day's movements and returns their number."""
        baskets = {day: list(found) for day, found in groupby(self.panel.baskets, lambda b: b.at_ms // MS_PER_DAY)}
        coupons = {day: list(found) for day, found in groupby(self.panel.coupons, lambda c: c.at_ms // MS_PER_DAY)}
        for day in range(min(baskets), max(baskets) + 1):
            yield (
                day,
                self._cards(day, baskets.get(day, [])),
                self._work(day, baskets.get(day, []), coupons.get(day, [])),
            )

    def _cards(self, day: int, baskets: list[Basket]) -> tuple[str, ...]:
        # The first of a month touches everybody: expiry and top-ups.
        some = tuple({b.household for b in baskets})
        everyone = self.panel.households if _day_of_month(day) == 1 else some
        return tuple(code for h in everyone for code in (loyalty_code(h), gift_code(h)))

    def _work(self, day: int, baskets: list[Basket], coupons: list[Coupon]) -> Callable[[Unit], int]:
        def work(unit: Unit) -> int:
            moment, before = unit.now_ms, unit.last_seq
            unit.now_ms = day * MS_PER_DAY
            if _day_of_month(day) == 1:
                self._first_of_month(unit)
            if _day_of_month(day) == 5:
                self._transfers(unit)
            for basket in baskets:
                unit.now_ms = basket.at_ms
                self._earn(unit, basket)
            for coupon in coupons:
                unit.now_ms = max(coupon.at_ms + 20 * 3_600_000, unit.now_ms)
                self._redeem(unit, coupon)
            unit.now_ms = moment
            return unit.last_seq - before

        return work

    def _earn(self, unit: Unit, basket: Basket) -> None:
        if basket.paid_cents > 0:
            card = unit.card(loyalty_code(basket.household))
            points = max(1, basket.paid_cents // 100 * POINTS_PER_DOLLAR)
            about = {
                "order": {"id": f"ord_{basket.basket}", "source_id": str(basket.basket)},
                "event": {"id": f"evt_{basket.basket}", "type": "order.paid"},
                "earning_rule": {"id": "ern_demo", "source": {"banner": f"Store {basket.store}"}},
            }
            last = expiry.last_day(EXPIRATION_RULES, unit.today)
            unit.post(*cards.accrue(card, points, about, last, unit.now_ms))
        if basket.discount_cents > 0:
            self._discounts_seen += 1
            if self._discounts_seen % GIFT_EVERY == 0:
                self._pay_by_gift(unit, basket)

    def _pay_by_gift(self, unit: Unit, basket: Basket) -> None:
        card = unit.card(gift_code(basket.household))
        credits_ = min(card.balance, basket.discount_cents)
        if credits_ > 0:
            about = {
                "order": {"id": f"ord_{basket.basket}", "source_id": str(basket.basket)},
                "redemption": {"id": hex_id("r_", unit.now_ms)},
            }
            unit.post(*cards.redeem(card, credits_, about, Origin()))

    def _redeem(self, unit: Unit, coupon: Coupon) -> None:
        card = unit.card(loyalty_code(coupon.household))
        about = {
            "redemption": {"id": hex_id("r_", unit.now_ms)},
            "reward": {"id": f"rew_{coupon.upc}", "name": f"Coupon {coupon.upc}, campaign {coupon.campaign}"},
        }
        try:
            spent, movements = cards.redeem(card, COUPON_POINTS, about, Origin())
        except Refused:
            return  # the card has too few points for this coupon
        unit.post(spent, movements)
        self._coupons_redeemed += 1
        if self._coupons_redeemed % REFUND_EVERY == 0:
            back = {**about, "rollback": {"id": hex_id("rr_", unit.now_ms)}}
            last = expiry.last_day(EXPIRATION_RULES, unit.today)
            refunded = cards.refund(spent, movements[0].lots, COUPON_POINTS, back, Origin(), last, unit.now_ms)
            unit.post(*refunded)

    def _first_of_month(self, unit: Unit) -> None:
        for household in self.panel.households:
            unit.card(loyalty_code(household))  # looking at a card expires what is due on it
            gift = unit.card(gift_code(household))
            top_up = Origin("Automation", source_id=f"top-up-{unit.today}", reason="Monthly top-up")
            unit.post(*cards.add(gift, GIFT_TOP_UP_CENTS, top_up, None, unit.now_ms))

    def _transfers(self, unit: Unit) -> None:
        givers = self.panel.households[::TRANSFER_EVERY]
        takers = self.panel.households[1::TRANSFER_EVERY]
        last = expiry.last_day(EXPIRATION_RULES, unit.today)
        for giving, taking in zip(givers, takers, strict=False):
            giver, taker = unit.card(loyalty_code(giving)), unit.card(loyalty_code(taking))
            if giver.balance < TRANSFER_POINTS:
                continue
            origin = Origin("API", source_id=f"gift-{giving}-{unit.today}", reason='For a neighbour, "with thanks"')
            giver, taker, movements = cards.transfer(giver, taker, TRANSFER_POINTS, origin, last, unit.now_ms)
            unit.post((giver, taker), movements)


def _day_of_month(day: int) -> int:
    return int(iso_date(day * MS_PER_DAY)[8:])
