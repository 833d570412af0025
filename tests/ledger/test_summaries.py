"""What a customer's summary says is what a recount of everything says, after every step of a random shop's day."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.db import customers, summaries
from counterfoil.db.engine import Database
from counterfoil.db.exportables import Rows, select_object
from counterfoil.db.projects import get_project
from counterfoil.db.schema import customers as customer_table
from counterfoil.db.schema import vouchers as voucher_table
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import STATUSES, OrderDraft
from counterfoil.domain.publications import PublicationDraft
from counterfoil.domain.redemptions import Redeemable
from counterfoil.errors import CounterfoilError
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import CustomerService
from counterfoil.services.orders import OrderService
from counterfoil.services.publications import PublicationService
from counterfoil.services.redemptions import RedemptionAsked, RedemptionService
from counterfoil.services.rollbacks import RollbackAsked, RollbackService
from counterfoil.services.vouchers import VoucherService
from tests.databases import postgres_ledger, sqlite_ledger
from tests.fakes import FakeClock
from tests.services import PostgresServer

PEOPLE = ("ann", "bob", "eve")
STEPS = 100


@dataclass
class Shop:
    """A shop in which anything may happen; `happened` counts what did, by the name of the step."""

    core: Core
    caller: Caller
    clock: FakeClock
    draw: random.Random = field(default_factory=random.Random)
    cards: list[str] = field(default_factory=list[str])
    redemptions: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    happened: Counter[str] = field(default_factory=Counter[str])

    def open(self) -> None:
        campaigns = CampaignService(self.core, lambda: None)
        for name, kind, voucher in (
            ("Gifts", "GIFT_VOUCHERS", {"gift": {"amount": 5000}}),
            ("Club", "LOYALTY_PROGRAM", {"loyalty_card": {"points": 300}}),
        ):
            said = {"name": name, "campaign_type": kind, "voucher": voucher, "join_once": False}
            campaigns.create(self.caller, said)

    def person(self) -> CustomerDraft:
        return CustomerDraft(source_id=self.draw.choice(PEOPLE))

    def joins(self) -> None:
        campaign = self.draw.choice(("Gifts", "Club"))
        made = PublicationService(self.core).publish(self.caller, PublicationDraft(self.person(), campaign))
        self.cards.append(made["voucher_code"])

    def orders(self) -> None:
        draw = self.draw
        draft = OrderDraft(
            source_id=draw.choice(("o1", "o2", "o3", "o4", None)),
            status=draw.choice((*STATUSES, None)),
            amount=draw.choice((None, 0, draw.randrange(9000))),
            discount_amount=draw.choice((None, 0, draw.randrange(5000))),
            customer=draw.choice((None, self.person())),
            created_at=draw.choice((None, self.clock.now_ms() - draw.randrange(10**9))),
        )
        OrderService(self.core).save(self.caller, draft)

    def redeems(self) -> None:
        draw = self.draw
        names = draw.sample(self.cards, min(len(self.cards), draw.choice((1, 1, 2))))
        asked = RedemptionAsked(
            tuple(Redeemable(name, credits=draw.randrange(1, 4000)) for name in names),
            order=draw.choice((None, OrderDraft(amount=draw.randrange(6000)))),
            customer=draw.choice((None, self.person())),
        )
        found = RedemptionService(self.core).redeem(self.caller, asked)
        parent = found["parent"]
        self.redemptions.append((found["redemptions"][0]["id"], False) if parent is None else (parent["id"], True))

    def takes_back(self) -> None:
        redemption_id, stacked = self.draw.choice(self.redemptions)
        service = RollbackService(self.core)
        (service.roll_back_stack if stacked else service.roll_back)(self.caller, redemption_id, RollbackAsked())

    def tops_up(self) -> None:
        amount = self.draw.randrange(-500, 900)
        VoucherService(self.core).change_balance(self.caller, self.draw.choice(self.cards), amount)

    def removes(self) -> None:
        if self.draw.random() < 0.5:
            CustomerService(self.core).delete(self.caller, self.draw.choice(PEOPLE))
        else:
            VoucherService(self.core).delete(self.caller, self.draw.choice(self.cards))

    def step(self) -> None:
        steps: tuple[tuple[Callable[[], None], int], ...] = (
            (self.joins, 4), (self.orders, 8), (self.redeems, 8), (self.takes_back, 4), (self.tops_up, 3),
            (self.removes, 1),
        )  # fmt: skip
        [chosen] = self.draw.choices([each for each, _ in steps], [weight for _, weight in steps])
        self.clock.advance_ms(self.draw.randrange(2000))
        try:
            chosen()
        except (CounterfoilError, IndexError) as error:
            self.happened[f"{chosen.__name__} refused: {getattr(error, 'code', 'nothing there')}"] += 1
        else:
            self.happened[chosen.__name__] += 1

    def check(self) -> None:
        """Stored counts are the true ones; balances and what an export says of them are the sums of the cards."""
        with self.core.read() as connection:
            stored = summaries.summaries(connection, 1)
            assert stored == summaries.counted(connection, 1)
            live = connection.execute(sa.select(customer_table).where(customer_table.c.deleted_at.is_(None)))
            rows = customers.with_balances(connection, 1, [dict(row) for row in live.mappings()])
            held = connection.execute(
                sa.select(voucher_table.c.holder_id, voucher_table.c.type, voucher_table.c.balance)
                .where(voucher_table.c.project_id == 1, voucher_table.c.deleted_at.is_(None))
            ).all()  # fmt: skip
            names = ("id", "loyalty_points")
            exported = {row[0]: row[1] for row in connection.execute(select_object("customer", names, Rows(1)))}
        for row in rows:
            points = sum(balance for holder, kind, balance in held if holder == row["id"] and kind == "LOYALTY_CARD")
            credits = sum(balance for holder, kind, balance in held if holder == row["id"] and kind == "GIFT_VOUCHER")
            assert (row["loyalty_points"], row["gift_amount_to_go"]) == (points, credits)
            assert row["points_by_campaign"] in ({}, {"Club": points})
        assert exported == {row["id"]: row["loyalty_points"] for row in rows}


@contextmanager
def shop_on(database: Database) -> Iterator[Shop]:
    clock = FakeClock()
    writer = GroupWriter(database, clock)
    with database.read() as connection:
        caller = Caller(get_project(connection, 1))
    yield Shop(Core(database, writer, clock), caller, clock)
    writer.close()


class Contract:
    @pytest.mark.parametrize("seed", [1, 2])
    def test_summaries_equal_a_recount_after_every_step(self, shop: Shop, seed: int) -> None:
        shop.draw.seed(seed)
        shop.open()
        for _ in range(STEPS):
            shop.step()
            shop.check()
        for name in ("joins", "orders", "redeems", "takes_back", "tops_up", "removes"):
            assert shop.happened[name], shop.happened
        assert any("refused" in name for name in shop.happened)
        with shop.core.read() as connection:
            found = summaries.summaries(connection, 1)
        for name in (*summaries.REDEMPTION_COLUMNS[:6], "gift_redeemed_amount", "orders_total_amount"):
            assert any(each[name] for each in found.values()), name

    def test_a_recount_mends_what_is_wrong_and_nothing_else(self, shop: Shop) -> None:
        shop.draw.seed(4)
        shop.open()
        for _ in range(60):
            shop.step()
        with shop.core.database.write() as connection:
            true = summaries.summaries(connection, 1)
            assert summaries.recount(connection, 1) == 0
            one = sorted(true)[0]
            for name in (*summaries.REDEMPTION_COLUMNS, *summaries.ORDER_COLUMNS):
                wrong = {name: (true[one][name] or 0) + 1}
                connection.execute(customer_table.update().where(customer_table.c.id == one).values(wrong))
                assert summaries.counted(connection, 1) == true
                assert summaries.recount(connection, 1) == 1
                assert summaries.summaries(connection, 1) == true

    def test_another_projects_rows_do_not_count(self, shop: Shop) -> None:
        with shop.core.database.read() as connection:
            other = Caller(get_project(connection, 2))
        draft = OrderDraft(amount=5, status="PAID", customer=CustomerDraft(source_id="ann"))
        OrderService(shop.core).save(other, draft)
        CustomerService(shop.core).upsert(shop.caller, CustomerDraft(source_id="ann"))
        with shop.core.read() as connection:
            [mine], [theirs] = summaries.counted(connection, 1).values(), summaries.counted(connection, 2).values()
        assert (mine["orders_total_count"], theirs["orders_total_count"]) == (0, 1)

    def test_a_sum_of_many_orders_is_exact(self, shop: Shop) -> None:
        # Beyond 2**53, where a sum made in floating point would lose the ones.
        amounts: list[Any] = [2**53 - 1, 2**53 - 1, 3]
        for amount in amounts:
            draft = OrderDraft(amount=amount, status="PAID", customer=CustomerDraft(source_id="ann"))
            OrderService(shop.core).save(shop.caller, draft)
        with shop.core.read() as connection:
            [found] = summaries.counted(connection, 1).values()
        assert found["orders_total_amount"] == sum(amounts)
        shop.check()


class TestOnSqlite(Contract):
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[Shop]:
        with sqlite_ledger(tmp_path) as database, shop_on(database) as shop:
            yield shop


class TestOnPostgres(Contract):
    @pytest.fixture
    def shop(self, postgres_server: PostgresServer) -> Iterator[Shop]:
        with postgres_ledger(postgres_server) as database, shop_on(database) as shop:
            yield shop
