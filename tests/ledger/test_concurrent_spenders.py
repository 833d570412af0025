"""Many callers at once, through two processes' worth of services: nothing is spent twice, nothing appears or vanishes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.clock import SystemClock
from counterfoil.db import summaries
from counterfoil.db.engine import Database
from counterfoil.db.projects import get_project
from counterfoil.db.schema import movements, redemptions, vouchers
from counterfoil.db.unit import Idempotency
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.earning import RuleDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.domain.publications import PublicationDraft
from counterfoil.domain.redemptions import Redeemable
from counterfoil.domain.vouchers import VoucherType
from counterfoil.errors import CounterfoilError
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.core import Caller, Core
from counterfoil.services.earning_rules import EarningRuleService
from counterfoil.services.loyalty import LoyaltyService, PointsSource
from counterfoil.services.orders import OrderService
from counterfoil.services.redemptions import RedemptionAsked, RedemptionService
from counterfoil.services.rewards import RewardDraft, RewardService
from counterfoil.services.rollbacks import RollbackAsked, RollbackService
from counterfoil.services.vouchers import VoucherService
from tests.databases import postgres_ledger, sqlite_ledger
from tests.ledger.truth import ledger_faults
from tests.services import PostgresServer

CALLERS = 16
MEMBERS = ("ann", "bob", "eve")


@dataclass
class Shop:
    """Two cores on one database, as two processes have; callers take them in turn."""

    cores: tuple[Core, Core]
    caller: Caller

    def at_once(self, call: Callable[[Core, int], Any], times: int = CALLERS) -> list[Any]:
        """Call `times` times from many threads; a refusal's code stands in the answer's place."""

        def one(no: int) -> Any:
            try:
                return call(self.cores[no % 2], no)
            except CounterfoilError as error:
                return error.code

        with ThreadPoolExecutor(CALLERS) as threads:
            return list(threads.map(one, range(times)))

    def balance(self, code: str) -> int:
        with self.cores[0].read() as connection:
            return connection.execute(sa.select(vouchers.c.balance).where(vouchers.c.code == code)).scalar_one()

    def check(self) -> None:
        with self.cores[0].read() as connection:
            assert ledger_faults(connection, 1) == []
            assert summaries.summaries(connection, 1) == summaries.counted(connection, 1)

    def gift(self, code: str, amount: int, **more: Any) -> None:
        given = {"type": VoucherType.GIFT, "code": code, "opening": amount, **more}
        VoucherService(self.cores[0]).create(self.caller, given)

    def club(self, points: int) -> None:
        card = {"loyalty_card": {"points": points}}
        given = {"name": "Club", "campaign_type": "LOYALTY_PROGRAM", "voucher": card}
        campaigns = CampaignService(self.cores[0], lambda: None)
        campaigns.create(self.caller, given)
        for name in MEMBERS:
            campaigns.add_voucher(self.caller, "Club", {"code": name})
            draft = PublicationDraft(CustomerDraft(source_id=name), voucher=name)
            LoyaltyService(self.cores[0]).add_member(self.caller, "Club", draft)


@contextmanager
def shop_on(database: Database) -> Iterator[Shop]:
    other = Database(database.url.render_as_string(hide_password=False), database.settings)
    clock = SystemClock()
    cores = Core(database, GroupWriter(database, clock), clock), Core(other, GroupWriter(other, clock), clock)
    with database.read() as connection:
        caller = Caller(get_project(connection, 1))
    shop = Shop(cores, caller)
    yield shop
    shop.check()
    for core in cores:
        core.writer.close()
    other.dispose()


class Contract:
    """What must hold on every database."""

    def test_a_card_is_spent_to_its_end_and_no_further(self, shop: Shop) -> None:
        shop.gift("GIFT", 1000)

        def spend(core: Core, no: int) -> int:
            asked = RedemptionAsked((Redeemable("GIFT", 7 + no % 3),), customer=CustomerDraft(source_id=f"c{no % 4}"))
            return RedemptionService(core).redeem(shop.caller, asked)["redemptions"][0]["amount"]

        answers = shop.at_once(spend, 300)
        spent = sum(answer for answer in answers if isinstance(answer, int))
        assert shop.balance("GIFT") == 1000 - spent < 7
        refused = [answer for answer in answers if not isinstance(answer, int)]
        assert set(refused) == {"insufficient_credits"}
        with shop.cores[0].read() as connection:
            results = Counter(connection.execute(sa.select(redemptions.c.result)).scalars())
        assert results == {"SUCCESS": 300 - len(refused), "FAILURE": len(refused)}

    def test_a_voucher_for_three_is_redeemed_three_times(self, shop: Shop) -> None:
        shop.gift("GIFT", 1000, quantity=3)
        asked = RedemptionAsked((Redeemable("GIFT", 1),))
        answers = shop.at_once(lambda core, _: RedemptionService(core).redeem(shop.caller, asked))
        assert sum(isinstance(answer, dict) for answer in answers) == 3
        assert shop.balance("GIFT") == 997

    def test_points_in_a_circle_stay_as_many(self, shop: Shop) -> None:
        shop.club(40)
        ways = list(itertools.permutations(MEMBERS, 2))

        def move(core: Core, no: int) -> Any:
            giver, taker = ways[no % len(ways)]
            return LoyaltyService(core).transfer(shop.caller, "Club", taker, [PointsSource(giver, 1 + no % 30)])

        answers = shop.at_once(move, 200)
        assert any(isinstance(answer, dict) for answer in answers)
        assert sum(shop.balance(name) for name in MEMBERS) == 120

    def test_the_last_mugs_go_to_somebody_once(self, shop: Shop) -> None:
        shop.club(100)
        service = RewardService(shop.cores[0])
        mug = service.create(shop.caller, RewardDraft("Mug", {"product": {"id": "p"}}, stock=5))["id"]
        service.assign(shop.caller, "Club", [(mug, 3)])

        def take(core: Core, no: int) -> Any:
            asked = RedemptionAsked((Redeemable(MEMBERS[no % 3], reward_id=mug),))
            return RedemptionService(core).redeem_reward(shop.caller, MEMBERS[no % 3], asked)

        answers = shop.at_once(take, 40)
        assert sum(isinstance(answer, dict) for answer in answers) == 5
        assert service.get(shop.caller, mug)["redeemed"] == 5
        assert sum(shop.balance(name) for name in MEMBERS) == 300 - 15

    def test_a_redemption_is_undone_once(self, shop: Shop) -> None:
        shop.gift("GIFT", 1000)
        asked = RedemptionAsked((Redeemable("GIFT", 100),), customer=CustomerDraft(source_id="ann"))
        redemption_id = RedemptionService(shop.cores[0]).redeem(shop.caller, asked)["redemptions"][0]["id"]
        answers = shop.at_once(
            lambda core, _: RollbackService(core).roll_back(shop.caller, redemption_id, RollbackAsked())
        )
        assert sum(isinstance(answer, dict) for answer in answers) == 1
        assert Counter(each for each in answers if isinstance(each, str)) == {"already_rolled_back": CALLERS - 1}
        assert shop.balance("GIFT") == 1000

    def test_an_order_paid_by_everybody_earns_once(self, shop: Shop) -> None:
        shop.club(0)
        rule = RuleDraft("order.paid", {"type": "FIXED", "points": 7}, "seven")
        EarningRuleService(shop.cores[0]).create(shop.caller, "Club", [rule])
        draft = OrderDraft(source_id="o", amount=5, status="PAID", customer=CustomerDraft(source_id="ann"))
        answers = shop.at_once(lambda core, _: OrderService(core).save(shop.caller, draft))
        assert all(isinstance(answer, dict) for answer in answers)
        assert shop.balance("ann") == 7

    def test_one_key_redeems_once_from_whichever_process(self, shop: Shop) -> None:
        shop.gift("GIFT", 1000)
        key = Caller(shop.caller.project, idempotency=Idempotency("once", "hash"))
        asked = RedemptionAsked((Redeemable("GIFT", 10),), OrderDraft(source_id="o", amount=100))
        answers = shop.at_once(lambda core, _: RedemptionService(core).redeem(key, asked)["redemptions"][0]["id"])
        assert len(set(answers)) == 1
        assert shop.balance("GIFT") == 990
        with shop.cores[0].read() as connection:
            kinds = Counter(connection.execute(sa.select(movements.c.type)).scalars())
        assert kinds == {"OPENING_BALANCE": 1, "CREDITS_REDEMPTION": 1}


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
