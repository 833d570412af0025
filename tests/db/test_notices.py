"""Notices: a worker on PostgreSQL hears at once of what another process queues, also after its connection broke."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from counterfoil.db.engine import Database
from counterfoil.db.notices import Listener, announce
from counterfoil.errors import Unavailable
from counterfoil.worker.runner import Runner
from tests.databases import POOL, postgres_ledger
from tests.services import PostgresServer
from tests.waiting import until
from tests.worker.exporting import World, fill, open_world, request


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_ledger(postgres_server) as database:
        yield database


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    fill(database, 100)
    world = open_world(database, tmp_path)
    return world.with_shop(settings=replace(world.shop.settings, poll_s=3600, duties_every_s=3600))


def url_of(database: Database) -> str:
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


def end_listeners(database: Database) -> int:
    """Break the connections of all listeners, as the server would at its restart; returns how many there were."""
    name = "counterfoil listener"
    with psycopg.connect(url_of(database), autocommit=True) as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s and datname = %s",
            (name, database.url.database),
        ).fetchall()
    return len(ended)


def test_what_another_process_queues_starts_at_once_without_polling(world: World) -> None:
    runner = Runner(world.shop, threading.Event())
    runner.start()
    other = Database(url_of(world.database), POOL)
    for no in range(3):
        replace(world, database=other).ask(f"exp_{no}", request())
        until(lambda no=no: world.row(f"exp_{no}").status == "DONE", "an export that nobody polls for")
    runner.stop()
    other.dispose()


def test_a_listener_whose_connection_broke_listens_again_and_missed_nothing(world: World) -> None:
    runner = Runner(world.shop, threading.Event())
    runner.start()
    world.ask("exp_1", request())
    until(lambda: world.row("exp_1").status == "DONE", "the first export")
    until(lambda: end_listeners(world.database) == 1, "the listener to be there")
    world.ask("exp_2", request())  # most likely while nobody listens
    until(lambda: world.row("exp_2").status == "DONE", "the second export")
    runner.stop()


def test_a_notice_comes_with_the_commit_and_not_before(database: Database) -> None:
    wake = threading.Event()
    listener = Listener(database, wake)
    listener.run()
    assert wake.is_set() and listener.connected.is_set()  # it looks once for what came before
    wake.clear()
    with database.write() as connection:
        announce(connection)
        connection.rollback()
    listener.run()
    assert not wake.is_set()
    with database.write() as connection:
        announce(connection)
        listener.run()
        assert not wake.is_set()
    listener.run()
    assert wake.is_set()
    listener.close()


def test_a_database_that_is_away_is_told_and_tried_again(database: Database) -> None:
    wake = threading.Event()
    listener = Listener(database, wake)
    listener.run()
    wake.clear()
    assert end_listeners(database) == 1
    with pytest.raises(Unavailable, match="No notices of queued work"):
        listener.run()
    assert not listener.connected.is_set()
    listener.run()
    assert listener.connected.is_set() and wake.is_set()
    listener.close()
