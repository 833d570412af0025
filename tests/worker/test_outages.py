"""PostgreSQL dies and recovers, the store fails, clocks jump, in the middle of an export: it ends with the same bytes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from counterfoil.clock import SystemClock
from counterfoil.db import exports as rows
from counterfoil.db.engine import Database
from counterfoil.executors.local import LocalExecutor
from counterfoil.files.open import open_store
from counterfoil.worker.job import run_attempt
from counterfoil.worker.runner import Runner
from tests.databases import postgres_ledger
from tests.files.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from tests.services import PostgresServer, S3Server
from tests.stores import bucket
from tests.waiting import until
from tests.worker.exporting import World, fill, fill_cards, open_world, request

BUSY = Fault(503, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
# One server is enough here: what differs between versions is not how they die.
one_server = pytest.mark.parametrize(
    "postgres_server", [pytest.param("embedded", marks=pytest.mark.postgres)], indirect=True
)
pytestmark = one_server


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_ledger(postgres_server) as database:
        fill(database, 1000, reason_bytes=8_000)
        fill_cards(database)
        yield database


@pytest.fixture
def proxy(seaweed: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(seaweed.endpoint) as running:
        yield running


@pytest.fixture
def world(database: Database, seaweed: S3Server, proxy: FaultyProxy, tmp_path: Path) -> World:
    """A ledger on a server, files in a bucket that is reached through a proxy."""
    url, options = bucket(seaweed, proxy.endpoint)
    return open_world(database, tmp_path, store=open_store(url, replace(options, retry_timeout_s=0.5)))


class Between:
    """A row source that does something before its fifth batch, once."""

    def __init__(self, source: Any, act: Callable[[], None]) -> None:
        self._source = source
        self._act: Callable[[], None] | None = act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def batches(self, *arguments: Any) -> Iterator[Any]:
        for no, batch in enumerate(self._source.batches(*arguments)):
            if no == 4 and self._act is not None:
                act, self._act = self._act, None
                act()
            yield batch


def disturbed(world: World, act: Callable[[], None]) -> World:
    maker = replace(world.shop.maker, source=Between(world.shop.maker.source, act))  # type: ignore[arg-type]
    return world.with_shop(maker=maker, executors={"local": LocalExecutor(maker, threads=1)})


def run_to_the_end(world: World) -> rows.Export:
    runner = Runner(world.shop, threading.Event())
    runner.start()
    row = until(lambda: (row := _row(world)) is not None and row.final and row, "exp_1 to end", 120)
    runner.stop()
    return row


def _row(world: World) -> rows.Export | None:
    try:
        return world.row("exp_1")
    except Exception:  # noqa: BLE001 - the database may just be away
        return None


def crash(database: Database) -> None:
    """Kill one of PostgreSQL's own processes: it drops everybody, and recovers from its log."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)


def test_a_database_that_crashes_in_the_middle_costs_one_try(world: World) -> None:
    name = psycopg.sql.Identifier(world.database.url.database or "")
    with world.database.read() as connection:
        assert connection.exec_driver_sql("show restart_after_crash").scalar_one() == "on"
    url = world.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:  # the test server answers before a commit is safe
        connection.execute(psycopg.sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(name))
    world.database.dispose()
    expected = world.text(world.run("exp_0", request()))
    world.ask("exp_1", request())
    row = run_to_the_end(disturbed(world, lambda: crash(world.database)))
    assert (row.status, row.attempt, row.tries) == ("DONE", 2, 2)
    assert world.text(row) == expected
    assert len(world.files("exports/1/exp_1")) == 2


def test_a_store_that_is_busy_for_a_moment_costs_nothing(world: World, proxy: FaultyProxy) -> None:
    expected = world.text(world.run("exp_0", request()))
    world.ask("exp_1", request())
    row = run_to_the_end(disturbed(world, lambda: proxy.times(2, "PUT", "partNumber=1", BUSY)))
    assert (row.status, row.attempt, world.text(row)) == ("DONE", 1, expected)


def test_a_store_that_stays_away_costs_a_try_and_leaves_nothing(world: World, proxy: FaultyProxy) -> None:
    expected = world.text(world.run("exp_0", request()))
    world.ask("exp_1", request())

    def away() -> None:
        proxy.choose = lambda method, path: BUSY if "exp_1" in path else None

    assert run_attempt(disturbed(world, away).shop, world.claim()) == "retried"
    row = world.row("exp_1")
    assert (row.status, row.error_code, row.result) == ("SCHEDULED", "store_unavailable", None)
    proxy.choose = lambda method, path: None
    row = run_to_the_end(world)
    assert (row.status, row.attempt, world.text(row)) == ("DONE", 2, expected)
    assert list(world.store.remnants("exports", 1 << 46)) == []


class Jumping(SystemClock):
    """A machine whose wall clock is a day off, now ahead and now behind."""

    def __init__(self) -> None:
        self._sign = 1

    def now_ms(self) -> int:
        self._sign = -self._sign
        return super().now_ms() + self._sign * 86_400_000


def test_a_wall_clock_that_jumps_costs_nothing(world: World) -> None:
    """Leases are judged by the database's clock, pauses by one that only goes forward."""
    expected = world.text(world.run("exp_0", request()))
    world.ask("exp_1", request())
    row = run_to_the_end(world.with_shop(clock=Jumping()))
    assert (row.status, row.attempt, world.text(row)) == ("DONE", 1, expected)


def test_a_cancel_stops_the_work_within_a_second(world: World) -> None:
    clock, asked_s = SystemClock(), [0.0]

    def cancel() -> None:
        with world.database.write() as connection:
            rows.request_cancel(connection, 1, "exp_1")
        asked_s[0] = clock.monotonic_s()
        assert threading.Event().wait(0.2) is False  # as a batch that takes its time

    world.ask("exp_1", request())
    row = run_to_the_end(disturbed(world, cancel))
    took_s = clock.monotonic_s() - asked_s[0]
    assert (row.status, row.tries, row.result) == ("CANCELED", 0, None)
    assert took_s < 1 + 1, f"the cancel took {took_s:.2f} s"  # one second, and one for a busy machine
    assert world.files() == []
    assert list(world.store.remnants("exports", 1 << 46)) == []
