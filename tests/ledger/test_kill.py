"""A writing process is killed (SIGKILL) hundreds of times: every write it was told of is there, once, and the books hold.

The next process does again, under the same Idempotency-Keys, what the last one had begun and not been told of.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.clock import SystemClock
from counterfoil.db import summaries
from counterfoil.db.engine import Database
from counterfoil.db.projects import get_project
from counterfoil.db.schema import movements, orders, redemptions
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.publications import PublicationDraft
from counterfoil.domain.vouchers import VoucherType
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.core import Caller, Core
from counterfoil.services.loyalty import LoyaltyService
from counterfoil.services.vouchers import VoucherService
from tests.databases import sqlite_ledger
from tests.ledger.killed_writer import GIFTS, MEMBERS
from tests.ledger.truth import ledger_faults

ROOT = Path(__file__).parents[2]
KILLS = 250

pytestmark = pytest.mark.crash


@dataclass
class Told:
    """What the writers said: numbers begun, done and refused; the redemptions by number."""

    begun: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    redeemed: dict[int, str] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        """Note one line."""
        word, no, *rest = line.split()
        number = int(no)
        if word == "begin":
            self.begun.add(number)
        elif word == "refused":
            self.refused.add(number)
        else:
            self.done.add(number)
            if word == "redeemed":
                known = self.redeemed.setdefault(number, rest[0])
                assert known == rest[0], f"two answers to number {number}"

    @property
    def open(self) -> list[int]:
        """Begun, and nobody knows whether done."""
        return sorted(self.begun - self.done - self.refused)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_ledger(tmp_path) as made:
        clock = SystemClock()
        core = Core(made, GroupWriter(made, clock), clock)
        with core.read() as connection:
            caller = Caller(get_project(connection, 1))
        club = {"name": "Club", "campaign_type": "LOYALTY_PROGRAM", "voucher": {"loyalty_card": {"points": 50}}}
        CampaignService(core, lambda: None).create(caller, club)
        for code in MEMBERS:
            CampaignService(core, lambda: None).add_voucher(caller, "Club", {"code": code})
            draft = PublicationDraft(CustomerDraft(source_id=f"holder of {code}"), voucher=code)
            LoyaltyService(core).add_member(caller, "Club", draft)
        for code in GIFTS:
            VoucherService(core).create(caller, {"type": VoucherType.GIFT, "code": code, "opening": 100})
        core.writer.close()
        made.dispose()
        yield made


def check(database: Database, told: Told) -> tuple[int, int]:
    """Everything told is there, exactly once; the books hold. Returns how many movements there are, and writes told."""
    with database.read() as connection:
        assert ledger_faults(connection, 1) == []
        assert summaries.summaries(connection, 1) == summaries.counted(connection, 1)
        named = connection.execute(sa.select(movements.c.source_id).where(movements.c.source_id.is_not(None)))
        times = Counter(int(each) for each in named.scalars())
        stored = dict(
            connection.execute(
                sa.select(redemptions.c.id, orders.c.source_id)
                .join(orders, orders.c.id == redemptions.c.order_id)
                .where(redemptions.c.object == "redemption", redemptions.c.result == "SUCCESS")
            ).all()
        )
        count = connection.execute(sa.select(sa.func.count()).select_from(movements)).scalar_one()
    # source_id stays with the giving side of a transfer, so that it counts once as well.
    assert [no for no in sorted(told.done - told.redeemed.keys()) if times[no] != 1] == []
    assert [no for no, again in times.items() if again > 1 or no in told.refused or no not in told.begun] == []
    for no, redemption_id in told.redeemed.items():
        assert stored[redemption_id] == f"order {no}"
    assert max(Counter(stored.values()).values(), default=1) == 1
    return count, len(told.done)


def test_every_acknowledged_write_survives_being_killed(database: Database, told: Callable[[str], None]) -> None:
    draw, heard = random.Random(20), Told()
    url = str(database.url)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.killed_writer", url],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as forge:  # fmt: skip
        assert forge.stdin is not None
        assert forge.stdout is not None
        for kill in range(KILLS):
            forge.stdin.write(f"go {max(heard.begun, default=0) + 1} {' '.join(map(str, heard.open))}\n")
            word, pid = forge.stdout.readline().split()
            assert word == "up"
            lines = (line.strip() for line in forge.stdout)
            lines_max = draw.choice((0, 0, 1, 3, 8, 20, 50, 90))
            for _ in range(lines_max):
                heard.hear(next(lines))
            os.kill(int(pid), signal.SIGKILL)
            for line in iter(lambda lines=lines: next(lines), "dead"):
                heard.hear(line)
            if kill % 50 == 49:
                check(database, heard)
                database.dispose()
        forge.stdin.close()
    assert forge.returncode == 0
    count, done = check(database, heard)
    assert done > KILLS
    told(f"{KILLS} kills at random moments: {done} acknowledged writes there once each, {count} movements recounted")
