"""Every command of the services, in random sequences on a real database, against a naive shop in plain Python.

After each step balances, buckets, counts, summaries, numbers of rows and refusals must agree; after each sequence the
ledger must hold together and summaries must be what a recount gives.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from counterfoil import settings as settings_table
from counterfoil.clock import MS_PER_DAY, iso_date
from counterfoil.compose import System, build
from counterfoil.db import summaries
from counterfoil.db.schema import buckets, customers, movements, orders, pending_points, redemptions, vouchers
from counterfoil.db.unit import Idempotency
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.earning import RuleDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.domain.publications import PublicationDraft
from counterfoil.domain.redemptions import Redeemable
from counterfoil.domain.vouchers import VoucherType
from counterfoil.errors import CounterfoilError
from counterfoil.services.core import Caller
from counterfoil.services.loyalty import PointsChange, PointsExpiry, PointsSource
from counterfoil.services.redemptions import RedemptionAsked
from counterfoil.services.rewards import RewardDraft
from counterfoil.services.rollbacks import RollbackAsked
from tests.fakes import FakeClock
from tests.gate import IN_CI
from tests.ledger.naive_card import NEVER, NaiveCard
from tests.ledger.naive_shop import (
    MUG_PRICE,
    MUG_STOCK,
    PENDING_DAYS,
    POINT_WORTH,
    RULE_POINTS,
    NaiveRefusal,
    NaiveShop,
    NaiveVoucher,
    Wanted,
    days_later,
)
from tests.ledger.truth import ledger_faults

pytestmark = pytest.mark.slow

PEOPLE = ("ann", "bob", "eve")
GIFTS = ("gift-1", "gift-2", "gift-3")
OFFS = ("off-1", "off-2")
MEMBERS = tuple(f"{who}-{programme}" for who in PEOPLE for programme in "AB")
ANY = st.sampled_from((*GIFTS, *OFFS, *MEMBERS))
AMOUNT = st.one_of(st.integers(1, 30), st.sampled_from([0, 100, 250]))
MAYBE = st.one_of(st.none(), st.integers(0, 40))
WANTED = st.builds(Wanted, ANY, MAYBE, st.sampled_from([None, "mug", "coin", "coin"]), MAYBE)
MONTH = {"period_type": "MONTH", "period_value": 1}

steps = Counter[str]()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home: Path = tmp_path_factory.mktemp("model")
    built = build(settings_table.load({"home": str(home)}, {}), FakeClock())
    # What survives a crash is not asked here, so nobody waits for the disk.
    built.database.engine.dispose()
    sa.event.listen(
        built.database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF")
    )
    yield built
    built.close()


class ShopMachine(RuleBasedStateMachine):
    """One project of the system, and the naive shop beside it."""

    system: System
    projects = 0

    def __init__(self) -> None:
        super().__init__()
        ShopMachine.projects += 1
        self.clock: Any = self.system.clock
        self.services = self.system.services
        self.caller = Caller(self.system.access.ensure_project(f"shop {self.projects}"))
        self.shop = NaiveShop(iso_date(self.clock.now_ms()))
        self.ids: dict[int, tuple[str, str | None]] = {}  # redemption's number -> its id, its parent's id
        self.numbers = 0

    @initialize()
    def open(self) -> None:
        for name in "AB":
            card = {"points": 5, "expiration_rules": MONTH if name == "B" else None}
            given = {"name": name, "campaign_type": "LOYALTY_PROGRAM", "type": "AUTO_UPDATE"}
            given["voucher"] = {"type": "LOYALTY_CARD", "loyalty_card": card}
            self.services.campaigns.create(self.caller, given)
        fixed = RuleDraft("order.paid", {"type": "FIXED", "points": RULE_POINTS}, "three")
        ratio = {"order": {"amount": {"every": 100, "points": 1}}}
        paid = {"type": "PROPORTIONAL", "calculation_type": "ORDER_AMOUNT", **ratio}
        waiting = {"period_type": "DAY", "period_value": PENDING_DAYS}
        self.services.earning_rules.create(self.caller, "A", [fixed])
        self.services.earning_rules.create(self.caller, "B", [RuleDraft("order.paid", paid, pending_points=waiting)])
        coin = {"coin": {"exchange_ratio": POINT_WORTH / 100, "points_ratio": 1}}
        coin_id = self.services.rewards.create(self.caller, RewardDraft("coin", coin))["id"]
        thing = {"product": {"id": "prod_mug"}}
        mug_id = self.services.rewards.create(self.caller, RewardDraft("mug", thing, MUG_STOCK))["id"]
        self.rewards = {"coin": coin_id, "mug": mug_id}
        for name in "AB":
            self.services.rewards.assign(self.caller, name, [(coin_id, None), (mug_id, MUG_PRICE)])
        self.make_gift("gift-1", 120)
        self.make_gift("gift-2", 15)
        self.make_discount("off-1", 25, 3)
        for code in MEMBERS[:5]:
            self.join(code)

    # -- both sides of a command -----------------------------------------------------------------------------------------

    def both(
        self, name: str, real: Callable[[Caller], Any], naive: Callable[[NaiveShop], None], *, twice: bool = False
    ) -> Any:
        """Do a command on both sides; they must agree on whether it is refused. twice: again under the same key."""
        steps[name] += 1
        trial = copy.deepcopy(self.shop)
        expected: str | None = None
        try:
            naive(trial)
            self.shop = trial
        except NaiveRefusal as refusal:
            expected = refusal.code
            self.shop = refusal.kept or self.shop
        caller = self.caller
        if twice:
            self.numbers += 1
            caller = replace(caller, idempotency=Idempotency(f"key {self.numbers}", "hash"))
        answers = [self.told(real, caller) for _ in range(2 if twice and (not expected or self.shop is trial) else 1)]
        assert answers[0][0] == expected, (name, answers[0], expected)
        assert len(answers) == 1 or json.dumps(answers[0]) == json.dumps(answers[1])
        return answers[0][1]

    @staticmethod
    def told(real: Callable[[Caller], Any], caller: Caller) -> tuple[str | None, Any]:
        try:
            return None, real(caller)
        except CounterfoilError as error:
            return error.code, None

    # -- commands --------------------------------------------------------------------------------------------------------

    @rule(code=st.sampled_from(GIFTS), amount=AMOUNT)
    def make_gift(self, code: str, amount: int) -> None:
        given = {"type": VoucherType.GIFT, "code": code, "opening": amount}
        self.both(
            "make", lambda c: self.services.vouchers.create(c, given),
            lambda s: s.make(NaiveVoucher(code, NaiveCard(loyalty=False)), amount),
        )  # fmt: skip

    @rule(code=st.sampled_from(OFFS), percent=st.integers(1, 100), quantity=st.integers(1, 3))
    def make_discount(self, code: str, percent: int, quantity: int) -> None:
        discount = {"type": "PERCENT", "percent_off": percent}
        given = {"type": VoucherType.DISCOUNT, "code": code, "discount": discount, "quantity": quantity}
        self.both(
            "make", lambda c: self.services.vouchers.create(c, given),
            lambda s: s.make(NaiveVoucher(code, percent=percent, quantity=quantity), 0),
        )  # fmt: skip

    @rule(code=st.sampled_from(MEMBERS))
    def join(self, code: str) -> None:
        who, programme = code.split("-")

        def real(caller: Caller) -> Any:
            if code in self.shop_codes():
                return self.services.loyalty.add_member(
                    caller, programme, PublicationDraft(CustomerDraft(source_id=who))
                )
            self.services.campaigns.add_voucher(self.caller, programme, {"code": code})
            draft = PublicationDraft(CustomerDraft(source_id=who), voucher=code)
            return self.services.loyalty.add_member(caller, programme, draft)

        self.both("join", real, lambda s: s.join(code, who, programme, 5))

    def shop_codes(self) -> set[str]:
        with self.system.core.read() as connection:
            found = sa.select(vouchers.c.code).where(vouchers.c.project_id == self.caller.project_id)
            return set(connection.execute(found).scalars())

    @rule(code=st.sampled_from(GIFTS), amount=st.integers(-40, 40), twice=st.booleans())
    def change_credits(self, code: str, amount: int, twice: bool) -> None:
        self.both(
            "change", lambda c: self.services.vouchers.change_balance(c, code, amount),
            lambda s: s.change(code, amount, None), twice=twice,
        )  # fmt: skip

    @rule(
        code=st.sampled_from(MEMBERS), points=st.integers(-20, 20), ahead=st.one_of(st.none(), st.integers(-1, 9)),
        never=st.booleans(), twice=st.booleans(),
    )  # fmt: skip
    def change_points(self, code: str, points: int, ahead: int | None, never: bool, twice: bool) -> None:
        day = None if ahead is None else days_later(self.shop.today, ahead)
        change = PointsChange(points, PointsExpiry.NON_EXPIRING if never and day is None else None, day)

        def naive(shop: NaiveShop) -> None:
            shop.usable(code)
            if points >= 0 and day is not None and day < shop.today:
                raise NaiveRefusal("invalid_expiration_date")
            shop.change(code, points, day or (None if never else shop.grant_day(code)))

        self.both("change", lambda c: self.services.loyalty.change_points(c, code, change), naive, twice=twice)

    @rule(
        code=st.sampled_from(MEMBERS), twice=st.booleans(),
        sources=st.lists(st.tuples(st.sampled_from(MEMBERS), st.integers(0, 12)), min_size=1, max_size=3),
    )  # fmt: skip
    def transfer(self, code: str, sources: list[tuple[str, int]], twice: bool) -> None:
        asked = [PointsSource(source, points) for source, points in sources]
        programme = code[-1]
        self.both(
            "transfer", lambda c: self.services.loyalty.transfer(c, programme, code, asked),
            lambda s: s.transfer(code, sources), twice=twice,
        )  # fmt: skip

    @rule(each=WANTED, amount=st.sampled_from([None, 40, 90, 250]), known=st.integers(0, 9), twice=st.booleans())
    def redeem_one(self, each: Wanted, amount: int | None, known: int, twice: bool) -> None:
        self.redeem([each], amount, known, None, twice)

    @rule(code=st.sampled_from(MEMBERS), reward=st.sampled_from(["mug", "coin"]), amount=st.sampled_from([40, 250]))
    def spend_points(self, code: str, reward: str, amount: int) -> None:
        self.redeem([Wanted(code, reward=reward)], amount if reward == "coin" else None, 9, None, twice=False)

    @rule(
        wanted=st.lists(WANTED, min_size=2, max_size=4), amount=st.sampled_from([None, 0, 90, 250]),
        known=st.integers(0, 3), who=st.one_of(st.none(), st.sampled_from(PEOPLE)), twice=st.booleans(),
    )  # fmt: skip
    def redeem_stack(self, wanted: list[Wanted], amount: int | None, known: int, who: str | None, twice: bool) -> None:
        self.redeem(wanted, amount, known, who, twice)

    def redeem(self, wanted: list[Wanted], amount: int | None, known: int, who: str | None, twice: bool) -> None:
        self.numbers += 1
        no, order = self.numbers, None
        draft = None
        if amount is not None:
            names = sorted(self.shop.orders)
            order = names[known] if known < len(names) else f"order {no}"
            draft = OrderDraft(source_id=order, amount=None if order in self.shop.orders else amount)
        reward = {None: None, **self.rewards}
        asked = RedemptionAsked(
            tuple(Redeemable(each.code, each.credits, reward[each.reward], each.points) for each in wanted),
            draft,
            None if who is None else CustomerDraft(source_id=who),
        )
        found = self.both(
            "redeem", lambda c: self.services.redemptions.redeem(c, asked),
            lambda s: s.redeem(no, wanted, order, amount or 0, who), twice=twice,
        )  # fmt: skip
        if found is not None:
            parent = found["parent"]
            self.ids[no] = found["redemptions"][0]["id"], None if parent is None else parent["id"]

    @precondition(lambda self: self.ids)
    @rule(pick=st.integers(0, 1000), twice=st.booleans())
    def roll_back(self, pick: int, twice: bool) -> None:
        no = sorted(self.ids)[pick % len(self.ids)]
        one, parent = self.ids[no]
        undo = self.services.rollbacks.roll_back if parent is None else self.services.rollbacks.roll_back_stack
        self.both(
            "roll back", lambda c: undo(c, parent or one, RollbackAsked()), lambda s: s.roll_back(no), twice=twice
        )

    @rule(amount=st.sampled_from([0, 99, 300]), who=st.one_of(st.none(), st.sampled_from(PEOPLE)), paid=st.booleans())
    def order(self, amount: int, who: str | None, paid: bool) -> None:
        self.numbers += 1
        name, status = f"order {self.numbers}", "PAID" if paid else None
        person = None if who is None else CustomerDraft(source_id=who)

        def naive(shop: NaiveShop) -> None:
            if who is not None:
                shop.customers.setdefault(who, Counter())
            shop.save_order(name, amount=amount, status=status, customer=who)

        draft = OrderDraft(source_id=name, amount=amount, status=status, customer=person)
        self.both("order", lambda c: self.services.orders.save(c, draft), naive)

    @precondition(lambda self: self.shop.orders)
    @rule(pick=st.integers(0, 1000), status=st.sampled_from(["PAID", "FULFILLED", "CANCELED"]))
    def move_order(self, pick: int, status: str) -> None:
        name = sorted(self.shop.orders)[pick % len(self.shop.orders)]
        draft = OrderDraft(source_id=name, status=status)
        self.both("order", lambda c: self.services.orders.save(c, draft), lambda s: s.save_order(name, status=status))

    @precondition(lambda self: self.shop.pending)
    @rule(pick=st.integers(0, 1000), how=st.sampled_from(["activate", "cancel", "adjust"]), by=st.integers(-3, 3))
    def promise(self, pick: int, how: str, by: int) -> None:
        code, order = sorted(self.shop.pending)[pick % len(self.shop.pending)]
        pending_id = self.pending_id(code, order)
        service = self.services.pending_points

        def naive(shop: NaiveShop) -> None:
            if how == "adjust" and by == 0:
                raise NaiveRefusal("invalid_amount")
            if how == "activate":
                shop.usable(code)
                shop.keep_promise(code, order)
                return
            shop.card(code)
            points, day = shop.pending.pop((code, order))
            if how == "adjust":
                if points + by < 0:
                    raise NaiveRefusal("insufficient_points")
                shop.pending[code, order] = points + by, day

        calls: dict[str, Callable[[Caller], Any]] = {
            "activate": lambda c: service.activate(c, code, pending_id),
            "cancel": lambda c: service.cancel(c, code, pending_id),
            "adjust": lambda c: service.adjust(c, code, pending_id, by),
        }
        self.both("promise", calls[how], naive)

    def pending_id(self, code: str, order: str) -> str:
        with self.system.core.read() as connection:
            found = connection.execute(
                sa.select(pending_points.c.id, pending_points.c.details)
                .join(vouchers, vouchers.c.id == pending_points.c.voucher_id)
                .where(pending_points.c.project_id == self.caller.project_id, vouchers.c.code == code)
            )
            return next(row.id for row in found if row.details["order"]["source_id"] == order)

    @rule(code=ANY, active=st.booleans())
    def switch(self, code: str, active: bool) -> None:
        def naive(shop: NaiveShop) -> None:
            if code not in shop.vouchers:
                raise NaiveRefusal("not_found")
            shop.vouchers[code].active = active

        # Some are never switched off, so that the other commands get somewhere.
        active = active or not code.endswith(("1", "A"))
        self.both("switch", lambda c: self.services.vouchers.set_active(c, code, active=active), naive)

    @rule(days=st.sampled_from([1, 1, 2, 5, 20, 60]), duties=st.sampled_from(["none", "expiry", "promises", "both"]))
    def time_passes(self, days: int, duties: str) -> None:
        self.clock.advance_ms(days * MS_PER_DAY)
        self.shop.today = iso_date(self.clock.now_ms())
        if duties in {"promises", "both"}:
            steps["duty"] += 1
            self.services.pending_points.run_due()
            for (code, order), (_, day) in sorted(self.shop.pending.items()):
                if day <= self.shop.today:
                    self.shop.keep_promise(code, order)
        if duties in {"expiry", "both"}:
            steps["duty"] += 1
            self.services.expiry.run_due()
            for code, voucher in self.shop.vouchers.items():
                if voucher.card is not None:
                    self.shop.card(code)

    # -- what must agree after each ----------------------------------------------------------------------------------------

    @invariant()
    def vouchers_agree(self) -> None:
        project, shop = self.caller.project_id, self.shop
        with self.system.core.read() as connection:
            found = connection.execute(sa.select(vouchers).where(vouchers.c.project_id == project)).mappings().all()
            held = connection.execute(
                sa.select(buckets.c.voucher_id, buckets.c.expires_on, buckets.c.points)
                .where(buckets.c.project_id == project, buckets.c.status == "ACTIVE")
            ).all()  # fmt: skip
        assert {row["code"] for row in found} == set(shop.vouchers)
        for row in found:
            naive = shop.vouchers[row["code"]]
            assert (row["active"], row["redeemed_quantity"]) == (naive.active, naive.times)
            if naive.card is None:
                continue
            stored = tuple(row[name] for name in ("balance", "total", "subtracted", "redeemed", "expired"))
            card = naive.card
            assert stored == (card.balance, card.total, card.subtracted, card.redeemed, card.expired), row["code"]
            lots = {b.expires_on or NEVER: b.points for b in held if b.voucher_id == row["id"]}
            assert not card.loyalty or lots == dict(card.lots), row["code"]

    @invariant()
    def counts_and_summaries_agree(self) -> None:
        project, shop = self.caller.project_id, self.shop
        with self.system.core.read() as connection:

            def count(table: sa.Table, *tests: Any) -> int:
                counted = sa.select(sa.func.count()).select_from(table).where(table.c.project_id == project, *tests)
                return connection.execute(counted).scalar_one()

            assert count(movements) == shop.movements
            assert count(redemptions, redemptions.c.result == "SUCCESS") == shop.rows
            assert count(redemptions, redemptions.c.result == "FAILURE") == shop.failed_rows
            assert count(orders) == len(shop.orders)
            assert count(pending_points, pending_points.c.status == "PENDING") == len(shop.pending)
            names = dict(
                connection.execute(
                    sa.select(customers.c.id, customers.c.source_id).where(customers.c.project_id == project)
                ).all()
            )
            found = summaries.summaries(connection, project)
        assert set(names.values()) == set(shop.customers)
        for customer_id, summary in found.items():
            who = names[customer_id]
            told = shop.customers[who]
            spent = [o for o in shop.orders.values() if o.customer == who and o.status in {"PAID", "FULFILLED"}]
            assert {name: value for name, value in summary.items() if "last_order" not in name} == {
                "redemptions_total_redeemed": told["redeemed"],
                "redemptions_total_failed": told["failed"],
                "redemptions_total_succeeded": told["succeeded"],
                "redemptions_total_rolled_back": told["rolled_back"],
                "redemptions_total_rollback_failed": told["rollback_failed"],
                "redemptions_total_rollback_succeeded": told["rollback_succeeded"],
                "gift_redeemed_amount": told["credits"],
                "loyalty_redeemed_points": told["points"],
                "orders_total_amount": sum(max(0, o.amount - o.discount) for o in spent),
                "orders_total_count": len(spent),
            }

    def teardown(self) -> None:
        with self.system.core.read() as connection:
            assert ledger_faults(connection, self.caller.project_id) == []
            project = self.caller.project_id
            assert summaries.summaries(connection, project) == summaries.counted(connection, project)


def test_the_services_are_the_naive_shop(system: System, told: Callable[[str], None]) -> None:
    ShopMachine.system = system
    steps.clear()
    # A dozen shops while one works on the code, more in the gate.
    examples = 60 if IN_CI else 12
    run_state_machine_as_test(
        ShopMachine,
        settings=hypothesis.settings(max_examples=examples, stateful_step_count=40, deadline=None,
                                     suppress_health_check=list(hypothesis.HealthCheck)),
    )  # fmt: skip
    each = ", ".join(f"{count} {name}" for name, count in steps.most_common())
    told(f"{steps.total()} steps in {ShopMachine.projects} shops agreed with the naive shop: {each}")
    assert steps.total() >= 20 * examples
