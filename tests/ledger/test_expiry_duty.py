"""The duty that expires points: once per card and bucket, however often and by however many it runs, after any outage."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil import settings as settings_table
from counterfoil.clock import MS_PER_DAY, iso_date
from counterfoil.compose import System, build
from counterfoil.db.engine import Database
from counterfoil.db.schema import buckets, movements, vouchers
from counterfoil.db.unit import Unit
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.cards import Origin, add, remove
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.services.core import Caller, Core
from counterfoil.services.expiry import ExpiryService
from counterfoil.services.issuing import insert_vouchers
from tests.fakes import FakeClock
from tests.ledger.truth import ledger_faults

CARDS = 60


@pytest.fixture
def system(tmp_path: Path, clock: FakeClock) -> Iterator[System]:
    built = build(settings_table.load({"home": str(tmp_path)}, {}), clock)
    yield built
    built.close()


@pytest.fixture(params=["shop"])
def caller(system: System, request: pytest.FixtureRequest) -> Caller:
    return Caller(system.access.ensure_project(request.param))


def fill(system: System, caller: Caller) -> None:
    """CARDS loyalty cards, card n with n points that end today + n % 5 days, and 1 point that never ends."""

    def work(unit: Unit) -> None:
        drafts = [VoucherDraft(VoucherType.LOYALTY, f"L{no}", opening=1, holder_id="cust_1") for no in range(CARDS)]
        for no, row in enumerate(insert_vouchers(unit, drafts)):
            if no:
                day = iso_date(unit.now_ms + no % 5 * MS_PER_DAY)
                unit.post(*add(unit.card(row["id"]), no, Origin("API"), day, unit.now_ms))

    system.core.write(caller, work)


def expirations(system: System) -> list[tuple[str, int]]:
    """(card's code, amount) of every expiration, in order of the cards."""
    statement = (
        sa.select(vouchers.c.code, movements.c.amount)
        .join(vouchers, vouchers.c.id == movements.c.voucher_id)
        .where(movements.c.type == "POINTS_EXPIRATION")
    )
    with system.core.read() as connection:
        found = [(row.code, row.amount) for row in connection.execute(statement)]
        assert ledger_faults(connection, 1) == []
    return sorted(found, key=lambda pair: int(pair[0][1:]))


def expected(days_passed: int) -> list[tuple[str, int]]:
    return [(f"L{no}", -no) for no in range(1, CARDS) if no % 5 < days_passed]


def test_each_day_takes_what_ended_the_day_before(system: System, caller: Caller, clock: FakeClock) -> None:
    fill(system, caller)
    for day in range(7):
        found = system.services.expiry.run_due()
        assert found == sum(1 for no in range(1, CARDS) if no % 5 == day - 1)
        assert system.services.expiry.run_due() == 0
        assert expirations(system) == expected(day)
        clock.advance_ms(MS_PER_DAY)


def test_the_last_day_of_use_lasts_until_midnight(system: System, caller: Caller, clock: FakeClock) -> None:
    fill(system, caller)
    midnight = (clock.now_ms() // MS_PER_DAY + 1) * MS_PER_DAY
    clock.set_ms(midnight - 1)
    assert system.services.expiry.run_due() == 0
    clock.set_ms(midnight)
    assert system.services.expiry.run_due() == 11


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_after_a_long_outage_all_of_it_is_made_up(system: System, caller: Caller, clock: FakeClock, batch: int) -> None:
    fill(system, caller)
    other = Caller(system.access.ensure_project("other"))
    fill(system, other)
    clock.advance_ms(900 * MS_PER_DAY)
    assert ExpiryService(system.core, batch).run_due() == 2 * (CARDS - 1)
    with system.core.read() as connection:
        assert ledger_faults(connection, 2) == []
        left = connection.execute(sa.select(sa.func.sum(vouchers.c.balance))).scalar_one()
        due = connection.execute(sa.select(sa.func.count()).where(buckets.c.status == "ACTIVE")).scalar_one()
    assert (left, due) == (2 * CARDS, 2 * CARDS)


def test_many_duties_and_spenders_at_once_expire_each_bucket_once(
    system: System, caller: Caller, clock: FakeClock
) -> None:
    fill(system, caller)
    clock.advance_ms(3 * MS_PER_DAY)
    other_database = Database(str(system.database.url))
    other = Core(other_database, GroupWriter(other_database, clock), clock)

    def spend(no: int) -> None:
        def work(unit: Unit) -> None:
            card = unit.card(f"L{no}")
            unit.post(*remove(card, card.balance, Origin("API")))

        system.core.write(caller, work)

    with ThreadPoolExecutor(8) as threads:
        # The work itself, not kept apart by the duty's lease.
        duties = [
            threads.submit(lambda core=core: sum(ExpiryService(core, 3).batches())) for core in (system.core, other) * 2
        ]
        list(threads.map(spend, range(CARDS)))
        counts = [duty.result() for duty in duties]
    other.writer.close()
    other_database.dispose()
    assert expirations(system) == expected(3)
    assert max(counts) > 0


def test_one_process_at_a_time_has_the_duty(system: System, caller: Caller, clock: FakeClock) -> None:
    fill(system, caller)
    clock.advance_ms(100 * MS_PER_DAY)
    counts: list[int] = []

    class Slow(ExpiryService):
        def batches(self) -> Iterator[int]:
            for count in ExpiryService.batches(self):
                counts.append(ExpiryService(self.core).run_due())
                yield count

    assert Slow(system.core, 20).run_due() == CARDS - 1
    assert counts == [0, 0, 0]


def test_a_duty_cut_off_goes_on_where_it_was(system: System, caller: Caller, clock: FakeClock) -> None:
    fill(system, caller)
    clock.advance_ms(100 * MS_PER_DAY)
    commits: list[int] = []

    def cut(_: object) -> None:
        commits.append(1)
        if len(commits) == 10:  # the third batch
            raise KeyboardInterrupt

    engine = system.database.engine
    sa.event.listen(engine, "commit", cut)
    with pytest.raises(KeyboardInterrupt):
        ExpiryService(system.core, 5).run_due()
    sa.event.remove(engine, "commit", cut)
    done = len(expirations(system))
    assert 0 < done < CARDS - 1
    assert sum(ExpiryService(system.core, 5).batches()) == CARDS - 1 - done
    assert expirations(system) == expected(5)
