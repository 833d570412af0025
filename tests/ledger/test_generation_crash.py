"""A process that makes a campaign's vouchers is killed again and again; in the end there are as many as were asked for."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.clock import SystemClock
from counterfoil.db.async_actions import any_due
from counterfoil.db.engine import Database
from counterfoil.db.projects import get_project
from counterfoil.db.schema import async_actions, campaigns, counters, movements, vouchers
from counterfoil.db.writer import GroupWriter
from counterfoil.services.async_actions import AsyncActions, RunnerSettings
from counterfoil.services.campaigns import CampaignService, register
from counterfoil.services.core import Caller, Core
from counterfoil.services.generation import GENERATE
from tests.databases import sqlite_ledger
from tests.waiting import until

pytestmark = pytest.mark.crash

COUNT = 12_000
KILLS = 4
GIFTS = {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 5}}}


@contextmanager
def core_on(url: str) -> Iterator[Core]:
    database, clock = Database(url), SystemClock()
    writer = GroupWriter(database, clock)
    yield Core(database, writer, clock)
    writer.close()
    database.dispose()


def run_to_the_end(url: str) -> None:
    """What the killed process does: work until nothing waits, with leases so short that a killed one is soon over."""
    with core_on(url) as core:
        actions = AsyncActions(core, RunnerSettings(lease_ttl_ms=300, tries_max=KILLS + 1))
        register(actions)
        actions.run_due()


def made(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(campaigns.c.vouchers_count)).scalar_one()


def lease_is_over(database: Database) -> bool:
    with database.read() as connection:
        return any_due(connection, [GENERATE])


def test_killed_processes_never_make_too_many(tmp_path: Path) -> None:
    with sqlite_ledger(tmp_path) as database:
        url = str(database.url)
        with core_on(url) as core:
            with database.read() as connection:
                caller = Caller(get_project(connection, 1))
            CampaignService(core, lambda: None).create(caller, GIFTS, vouchers_count=COUNT)
        command = [sys.executable, "-c", f"from {__name__} import run_to_the_end; run_to_the_end({url!r})"]
        for _ in range(KILLS):
            before = made(database)
            with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
                further = before + random.randint(1, COUNT // (2 * KILLS))
                until(lambda further=further: made(database) >= further, "more vouchers")
                process.kill()
            assert made(database) < COUNT
            until(lambda: lease_is_over(database), "the end of the lease")
        run_to_the_end(url)
        with database.read() as connection:
            assert connection.execute(sa.select(async_actions.c.status)).scalar_one() == "DONE"
            codes = connection.execute(sa.select(sa.func.count(vouchers.c.code.distinct()))).scalar_one()
            opened = connection.execute(sa.select(sa.func.count(movements.c.voucher_id.distinct()))).scalar_one()
            last = connection.execute(sa.select(counters.c.movement_seq).where(counters.c.project_id == 1)).scalar_one()
        assert codes == opened == last == made(database) == COUNT
