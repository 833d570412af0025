"""Async actions: steps and checkpoints share a transaction, so that whatever stops a runner, nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from counterfoil.db import campaigns as campaign_rows
from counterfoil.db.engine import Database
from counterfoil.db.projects import get_project
from counterfoil.db.schema import async_actions, counters, movements, vouchers
from counterfoil.db.unit import Unit
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.errors import InvalidInput, NotFound, Unavailable
from counterfoil.services import generation
from counterfoil.services.async_actions import Action, AsyncActions, RunnerSettings, Step, Work, enqueue
from counterfoil.services.campaigns import CampaignService, register
from counterfoil.services.core import Caller, Core
from counterfoil.services.issuing import insert_vouchers
from tests.databases import postgres_ledger, sqlite_ledger
from tests.fakes import FakeClock
from tests.services import PostgresServer

MARKS = "TEST.MARKS"
GIFTS = {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 5}}}
SETTINGS = RunnerSettings(portion_s=60, backoff_ms=0)


class Pulled(BaseException):
    """What a power cut is to a running step: nothing catches it."""


@dataclass
class Marks:
    """A handler that makes one voucher per step, and can be told to fail at a step."""

    count: int
    stops: dict[int, BaseException] = field(default_factory=dict)
    steps: int = 0

    def __call__(self, action: Action) -> Work:
        at: int = action.checkpoint or 0
        self.steps += 1

        def work(unit: Unit) -> Step:
            insert_vouchers(unit, [VoucherDraft(VoucherType.GIFT, f"{action.id}-{at}", opening=10)])
            if at in self.stops:
                raise self.stops.pop(at)
            if at + 1 < self.count:
                return Step(at + 1, (at + 1) * 100 // self.count)
            return Step(result={"message": f"Marked {self.count}.", "done_count": self.count})

        return work


@dataclass
class House:
    """A core over a database, and runners on it as if each were another process."""

    core: Core
    caller: Caller

    def runner(self, handler: Any = None, settings: RunnerSettings = SETTINGS) -> AsyncActions:
        actions = AsyncActions(self.core, settings)
        register(actions)
        if handler is not None:
            actions.register(MARKS, handler)
        return actions

    def ask(self, payload: Any = None) -> str:
        return self.core.write(self.caller, lambda unit: enqueue(unit, MARKS, payload))

    def row(self, action_id: str) -> dict[str, Any]:
        return self.runner().get(self.caller, action_id)

    def expire_leases(self) -> None:
        with self.core.database.write() as connection:
            connection.execute(
                async_actions.update().where(async_actions.c.lease_until.is_not(None)).values(lease_until=1)
            )

    def codes(self) -> list[str]:
        with self.core.read() as connection:
            alive = sa.select(vouchers.c.code).where(vouchers.c.deleted_at.is_(None))
            return sorted(connection.execute(alive).scalars())

    def check_ledger(self) -> None:
        """Each voucher has its opening movement, and seq has no gap."""
        with self.core.read() as connection:
            seqs = list(connection.execute(sa.select(movements.c.seq).order_by(movements.c.seq)).scalars())
            last = connection.execute(sa.select(counters.c.movement_seq).where(counters.c.project_id == 1)).scalar_one()
            opened = connection.execute(sa.select(movements.c.voucher_id)).scalars()
            made = connection.execute(sa.select(vouchers.c.id)).scalars()
            assert sorted(opened) == sorted(made)
        assert seqs == list(range(1, last + 1))


@contextmanager
def house_on(database: Database) -> Iterator[House]:
    clock = FakeClock()
    writer = GroupWriter(database, clock)
    with database.read() as connection:
        project = get_project(connection, 1)
    yield House(Core(database, writer, clock), Caller(project))
    writer.close()


class Contract:
    def test_an_action_runs_to_its_end(self, house: House) -> None:
        action_id = house.ask({"a": [1, "ü"]})
        row = house.row(action_id)
        assert (row["status"], row["progress"], row["payload"]) == ("ENQUEUED", 0, {"a": [1, "ü"]})
        runner = house.runner(Marks(3))
        assert runner.run_due() == 1
        row = house.row(action_id)
        assert (row["status"], row["operation_status"], row["progress"]) == ("DONE", "SUCCESS", 100)
        assert row["result"] == {"message": "Marked 3.", "done_count": 3}
        assert (row["payload"], row["checkpoint"], row["lease_owner"]) == (None, None, None)
        assert len(house.codes()) == 3
        assert runner.run_due() == 0
        house.check_ledger()

    def test_what_nobody_here_knows_how_to_do_waits(self, house: House) -> None:
        action_id = house.ask()
        assert house.runner().run_due() == 0
        assert house.row(action_id)["status"] == "ENQUEUED"

    @pytest.mark.parametrize("stopped_at", [0, 1, 2])
    def test_a_crash_within_a_step_loses_that_step_only(self, house: House, stopped_at: int) -> None:
        action_id = house.ask()
        with pytest.raises(Pulled):
            house.runner(Marks(3, stops={stopped_at: Pulled()})).run_one()
        assert len(house.codes()) == stopped_at
        other = house.runner(again := Marks(3))
        assert other.run_due() == 0, "the lease of the dead runner still lives"
        house.expire_leases()
        assert other.run_due() == 1
        assert again.steps == 3 - stopped_at
        assert house.row(action_id)["status"] == "DONE"
        assert len(house.codes()) == 3
        house.check_ledger()

    def test_a_transient_failure_is_tried_again(self, house: House) -> None:
        action_id = house.ask()
        runner = house.runner(Marks(3, stops={1: Unavailable("away", "away")}))
        assert runner.run_due() == 1
        assert house.row(action_id)["status"] == "DONE"
        assert len(house.codes()) == 3

    def test_a_bug_is_tried_again_and_then_given_up(self, house: House) -> None:
        action_id = house.ask()

        def broken(action: Action) -> Work:
            raise ZeroDivisionError

        with capture_logs() as logs:
            assert house.runner(broken).run_due() == SETTINGS.tries_max + 1
        assert [log["event"] for log in logs].count("async_action_broke") == SETTINGS.tries_max
        row = house.row(action_id)
        assert (row["status"], row["operation_status"]) == ("FAILED", "FAILED")
        assert "given up" in row["result"]["message"]

    def test_getting_further_earns_new_tries(self, house: House) -> None:
        action_id = house.ask()
        count = SETTINGS.tries_max + 2
        handler = Marks(count, {at: ZeroDivisionError() for at in range(count)})
        with capture_logs():
            assert house.runner(handler).run_due() == count + 1
        assert house.row(action_id)["status"] == "DONE"
        assert len(house.codes()) == count
        house.check_ledger()

    def test_a_refusal_ends_the_action_with_its_reason(self, house: House) -> None:
        action_id = house.ask()
        house.runner(Marks(3, stops={1: InvalidInput("invalid_voucher", "No such colour")})).run_due()
        row = house.row(action_id)
        assert (row["status"], row["result"]) == ("FAILED", {"message": "No such colour"})
        assert len(house.codes()) == 1

    def test_a_runner_that_lost_its_action_writes_nothing_more(self, house: House) -> None:
        action_id = house.ask()
        other = house.runner(Marks(2))
        slow = Marks(2)

        def overtaken(action: Action) -> Work:
            if slow.steps == 1:
                house.expire_leases()
                assert other.run_one()
            return slow(action)

        assert house.runner(overtaken).run_one()
        row = house.row(action_id)
        assert (row["status"], row["result"]["done_count"]) == ("DONE", 2)
        assert len(house.codes()) == 2
        house.check_ledger()

    def test_long_actions_take_turns(self, house: House) -> None:
        first, second = house.ask(), house.ask()
        order: list[str] = []
        marks = Marks(3)

        def noted(action: Action) -> Work:
            order.append(action.id)
            assert isinstance(house.core.clock, FakeClock)
            house.core.clock.advance_ms(1)
            return marks(action)

        runner = house.runner(noted, RunnerSettings(portion_s=0))
        assert runner.run_due() == 6
        assert sorted(order[:2]) == sorted([first, second])
        assert order[:2] == order[2:4] == order[4:]

    def test_many_runners_do_each_step_once(self, house: House) -> None:
        asked = [house.ask() for _ in range(6)]
        settings = RunnerSettings(portion_s=0)
        threads = [threading.Thread(target=house.runner(Marks(4), settings).run_due) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        house.runner(Marks(4)).run_due()
        assert house.codes() == sorted(f"{action_id}-{at}" for action_id in asked for at in range(4))
        assert {house.row(action_id)["status"] for action_id in asked} == {"DONE"}
        house.check_ledger()

    def test_a_project_sees_its_own_actions_only(self, house: House) -> None:
        action_id = house.ask()
        with house.core.read() as connection:
            stranger = Caller(get_project(connection, 2))
        runner = house.runner()
        with pytest.raises(NotFound):
            runner.get(stranger, action_id)
        assert runner.latest(stranger, limit=10, end_date=None) == ([], False)
        rows, more = runner.latest(house.caller, limit=10, end_date=None)
        assert ([row["id"] for row in rows], more) == ([action_id], False)

    @pytest.mark.parametrize("stopped_after", [0, 1, 3])
    def test_a_crash_while_a_campaign_is_filled_never_makes_too_many(self, house: House, stopped_after: int) -> None:
        service = CampaignService(house.core, lambda: None)
        campaign = service.create(house.caller, GIFTS, vouchers_count=1700)
        assert campaign["vouchers_generation_status"] == campaign["creation_status"] == "IN_PROGRESS"
        left = [stopped_after]

        def pulled(action: Action) -> Work:
            if not left[0]:
                raise Pulled
            left[0] -= 1
            return generation.generate(action)

        first = AsyncActions(house.core, SETTINGS)
        first.register(generation.GENERATE, pulled)
        with pytest.raises(Pulled):
            first.run_one()
        assert len(house.codes()) == stopped_after * generation.BATCH
        house.expire_leases()
        house.runner().run_due()
        assert len(house.codes()) == 1700
        campaign = service.get(house.caller, "Gifts")
        assert (campaign["vouchers_count"], campaign["vouchers_generation_status"]) == (1700, "DONE")
        house.check_ledger()

    def test_a_campaign_removed_while_it_is_filled_stays_empty(self, house: House) -> None:
        service = CampaignService(house.core, lambda: None)
        service.create(house.caller, GIFTS, vouchers_count=700)
        runner = house.runner(settings=RunnerSettings(portion_s=0))
        assert runner.run_one()
        assert len(house.codes()) == 500
        deletion = service.delete(house.caller, "Gifts")
        runner.run_due()
        assert house.codes() == []
        assert house.row(deletion)["result"] == {"message": "Deleted 500 vouchers.", "done_count": 500}
        rows, _ = runner.latest(house.caller, limit=10, end_date=None)
        assert sorted(row["status"] for row in rows) == ["DONE", "FAILED"]
        house.check_ledger()
        with house.core.read() as connection:
            assert campaign_rows.find_campaign(connection, 1, "Gifts") is None


class TestOnSqlite(Contract):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[House]:
        with sqlite_ledger(tmp_path) as database, house_on(database) as house:
            yield house


class TestOnPostgres(Contract):
    @pytest.fixture
    def house(self, postgres_server: PostgresServer) -> Iterator[House]:
        with postgres_ledger(postgres_server) as database, house_on(database) as house:
            yield house
