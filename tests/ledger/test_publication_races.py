"""Publications that arrive together, in one process and in two: no voucher goes twice, none that is free stays behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.db import publications as rows
from counterfoil.db import vouchers as voucher_rows
from counterfoil.db.engine import Database
from counterfoil.db.projects import get_project
from counterfoil.db.schema import customers, movements, publications, vouchers
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.earning import RuleDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.domain.publications import PublicationDraft
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.errors import Refused
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.core import Caller, Core
from counterfoil.services.earning_rules import EarningRuleService
from counterfoil.services.issuing import insert_vouchers
from counterfoil.services.orders import OrderService
from counterfoil.services.publications import PublicationService, publish
from tests.databases import POOL, postgres_ledger, sqlite_ledger
from tests.fakes import FakeClock
from tests.services import PostgresServer

CALLERS = 12


@dataclass
class Processes:
    """Two cores over one database, as two processes would have them, and a campaign."""

    cores: Sequence[Core]
    caller: Caller

    def campaign(self, count: int, **said: Any) -> dict[str, Any]:
        voucher = {"discount": {"type": "AMOUNT", "amount_off": 5}}
        said = {"name": "C", "campaign_type": "DISCOUNT_COUPONS", "voucher": voucher, "join_once": False, **said}
        return CampaignService(self.cores[0], lambda: None).create(self.caller, said, vouchers_count=count)

    def together(self, drafts: Sequence[PublicationDraft]) -> list[Any]:
        """Ask for all of them at once, through both cores by turns; what came of each."""

        def ask(no: int) -> Any:
            try:
                return PublicationService(self.cores[no % len(self.cores)]).publish(self.caller, drafts[no])
            except Refused as refusal:
                return refusal.code

        with ThreadPoolExecutor(len(drafts)) as pool:
            return list(pool.map(ask, range(len(drafts))))

    def all(self, table: sa.Table) -> list[Any]:
        with self.cores[0].read() as connection:
            return list(connection.execute(sa.select(table).where(table.c.project_id == 1)))


@contextmanager
def processes_on(*databases: Database) -> Iterator[Processes]:
    clock = FakeClock()
    cores = [Core(database, GroupWriter(database, clock), clock) for database in databases]
    with databases[0].read() as connection:
        caller = Caller(get_project(connection, 1))
    yield Processes(cores, caller)
    for core in cores:
        core.writer.close()


def somebody(no: int, **said: Any) -> PublicationDraft:
    return PublicationDraft(CustomerDraft(source_id=f"c{no}"), "C", **said)


class Contract:
    def test_the_last_vouchers_go_to_one_customer_each(self, processes: Processes) -> None:
        processes.campaign(5, type="STATIC")
        found = processes.together([somebody(no) for no in range(CALLERS)])
        given = [each["vouchers_id"][0] for each in found if isinstance(each, dict)]
        assert len(given) == len(set(given)) == 5
        assert [each for each in found if isinstance(each, str)] == ["no_voucher_suitable_for_publication"] * 7
        holders = {row.id: row.holder_id for row in processes.all(vouchers)}
        kept = {row.vouchers_id[0]: row.customer_id for row in processes.all(publications) if row.result == "SUCCESS"}
        assert holders == kept and len(set(holders.values())) == 5
        assert sum(row.result == "FAILURE" for row in processes.all(publications)) == 7

    def test_a_named_voucher_goes_to_one_customer(self, processes: Processes) -> None:
        processes.campaign(1)
        [code] = [row.code for row in processes.all(vouchers)]
        found = processes.together([replace(somebody(no), voucher=code) for no in range(CALLERS)])
        assert sum(isinstance(each, dict) for each in found) == 1
        assert found.count("voucher_already_published") == CALLERS - 1

    def test_a_growing_campaign_gives_everybody_one(self, processes: Processes) -> None:
        processes.campaign(2)
        found = processes.together([somebody(no) for no in range(CALLERS)])
        assert len({each["vouchers_id"][0] for each in found}) == CALLERS
        assert len(processes.all(vouchers)) == CALLERS

    def test_one_customer_asking_often_is_one_customer_with_one_voucher(self, processes: Processes) -> None:
        processes.campaign(9)
        found = processes.together([somebody(1, join_once=True) for _ in range(CALLERS)])
        assert len({each["id"] for each in found}) == 1
        assert len(processes.all(customers)) == len(processes.all(publications)) == 1

    def test_one_source_id_is_one_publication(self, processes: Processes) -> None:
        processes.campaign(9)
        found = processes.together([somebody(1, source_id="p") for _ in range(CALLERS)])
        assert len({each["id"] for each in found}) == 1 and len(processes.all(publications)) == 1

    def test_an_order_paid_by_many_at_once_earns_once(self, processes: Processes) -> None:
        said = {"name": "C", "campaign_type": "LOYALTY_PROGRAM", "voucher": {"loyalty_card": {"points": 0}}}
        campaign = CampaignService(processes.cores[0], lambda: None).create(processes.caller, said)
        processes.together([somebody(1)])
        earning_rule(processes.cores[0], processes.caller, campaign["id"])
        draft = OrderDraft(source_id="o", status="PAID", amount=10, customer=CustomerDraft(source_id="c1"))

        def pay(no: int) -> None:
            OrderService(processes.cores[no % len(processes.cores)]).save(processes.caller, draft)

        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(pay, range(CALLERS)))
        assert [row.type for row in processes.all(movements)] == ["POINTS_ACCRUAL"]

    def test_who_holds_a_voucher_nobody_published_is_told_of_that_one(self, processes: Processes) -> None:
        campaign = processes.campaign(3)
        core = processes.cores[0]
        imported = VoucherDraft(VoucherType.DISCOUNT, "MINE", campaign_id=campaign["id"], discount={"type": "AMOUNT"})

        def work(unit: Any) -> Any:
            first = publish(unit, somebody(1))
            insert_vouchers(unit, [replace(imported, holder_id=first["customer_id"])])
            voucher_rows.delete_vouchers(unit.sql, 1, first["vouchers_id"], unit.now_ms)
            unit.sql.execute(publications.delete())
            return publish(unit, somebody(1, join_once=True))

        assert core.write(processes.caller, work)["voucher_code"] == "MINE"


def earning_rule(core: Core, caller: Caller, campaign_id: str) -> None:
    draft = RuleDraft(event="order.paid", loyalty={"type": "FIXED", "points": 3})
    EarningRuleService(core).create(caller, campaign_id, [draft])


class TestOnSqlite(Contract):
    @pytest.fixture
    def processes(self, tmp_path: Path) -> Iterator[Processes]:
        with sqlite_ledger(tmp_path) as database:
            second = Database(str(database.url), POOL)
            with processes_on(database, second) as processes:
                yield processes
            second.dispose()

    def test_the_next_free_voucher_is_found_by_its_index(self, processes: Processes) -> None:
        with processes.cores[0].read() as connection:
            statement = rows._free.compile(dialect=connection.dialect)
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (1, "c", 0, 1, 0)).all()
        assert any("ix_vouchers_free" in row.detail for row in plan), plan


class TestOnPostgres(Contract):
    @pytest.fixture
    def processes(self, postgres_server: PostgresServer) -> Iterator[Processes]:
        with postgres_ledger(postgres_server) as database:
            second = Database(database.url.render_as_string(hide_password=False), POOL)
            with processes_on(database, second) as processes:
                yield processes
            second.dispose()
