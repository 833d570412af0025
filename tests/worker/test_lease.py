"""The lease: renewed in time, and the work stopped when it is lost, canceled, or cannot be renewed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.dataplane.stop import StopFlag
from counterfoil.db import exports as rows
from counterfoil.db.engine import Database
from counterfoil.db.schema import exports
from counterfoil.errors import Canceled, LeaseLost, Unavailable
from counterfoil.worker.lease import Lease
from counterfoil.worker.settings import WorkerSettings
from tests.databases import sqlite_ledger
from tests.fakes import FakeClock
from tests.worker.exporting import World, open_world, request

SETTINGS = WorkerSettings(lease_ttl_s=30, watch_s=0.01)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with sqlite_ledger(tmp_path) as database:
        world = open_world(database, tmp_path, settings=SETTINGS)
        world.ask("exp_1", request())
        yield world


def lease_of(world: World, clock: FakeClock) -> Lease:
    return Lease(world.database, world.claim(), SETTINGS, clock, StopFlag())


def lease_until(world: World) -> int:
    with world.database.read() as connection:
        return connection.execute(sa.select(exports.c.lease_until)).scalar_one()


def test_it_is_renewed_at_a_third_of_its_life(world: World, clock: FakeClock) -> None:
    lease = lease_of(world, clock)
    before = lease_until(world)
    clock.advance_ms(9_999)
    lease.beat()
    assert lease_until(world) == before
    clock.advance_ms(1)
    lease.beat()
    assert lease_until(world) >= before
    with world.database.write() as connection:
        connection.execute(exports.update().values(lease_until=exports.c.lease_until - 5_000))
    clock.advance_ms(10_000)
    lease.beat()
    assert lease_until(world) >= before


def test_progress_is_told_about_once_a_second(world: World, clock: FakeClock) -> None:
    lease = lease_of(world, clock)
    lease.add_rows(7)
    lease.beat()
    assert world.row("exp_1").rows_done == 0
    clock.advance_ms(1_000)
    lease.beat()
    assert world.row("exp_1").rows_done == 7


def test_its_thread_stops_the_work_when_it_is_lost_or_canceled(world: World, clock: FakeClock) -> None:
    with lease_of(world, clock) as lease:
        with world.database.write() as connection:
            rows.request_cancel(connection, 1, "exp_1")
        assert lease.stop.wait(10)
    assert isinstance(lease.stop.error, Canceled)
    world.ask("exp_2", request())
    with lease_of(world, clock) as lease:
        with world.database.write() as connection:
            connection.execute(exports.update().values(lease_owner="another"))
        assert lease.stop.wait(10)
    assert isinstance(lease.stop.error, LeaseLost)


def test_work_stops_once_the_lease_must_have_run_out_though_nobody_said_so(world: World, clock: FakeClock) -> None:
    lease = lease_of(world, clock)
    clock.advance_ms(29_999)
    lease.add_rows(1)
    assert lease.stop.error is None
    clock.advance_ms(1)
    lease.add_rows(1)
    assert isinstance(lease.stop.error, LeaseLost)


def test_a_database_that_stays_away_for_a_moment_is_borne(
    world: World, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()
    read = Database.read

    def away(_self: Database) -> object:
        tried.set()
        raise Unavailable("database_unavailable", "away")

    monkeypatch.setattr(Database, "read", away)
    with lease_of(world, clock) as lease:
        assert tried.wait(10)
        monkeypatch.setattr(Database, "read", read)
        with world.database.write() as connection:
            rows.request_cancel(connection, 1, "exp_1")
        assert lease.stop.wait(10), "its thread did not come back"
