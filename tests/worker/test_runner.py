"""The runner: exports start at once, small ones pass huge ones, and stopping gives back what is under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from counterfoil.dataplane.stop import StopFlag
from counterfoil.db import exports as rows
from counterfoil.db.engine import Database
from counterfoil.db.schema import exports
from counterfoil.errors import Misconfigured, Unavailable
from counterfoil.plan.request import Condition, FieldFilter, Filter
from counterfoil.worker.runner import Chore, Runner
from counterfoil.worker.settings import WorkerSettings
from tests.databases import sqlite_ledger
from tests.waiting import until
from tests.worker.exporting import QUICK, World, fill, open_world, request


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_ledger(tmp_path) as database:
        fill(database, 200)
        fill(database, 100, project=2)
        yield database


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return open_world(database, tmp_path)


@pytest.fixture
def wake() -> threading.Event:
    return threading.Event()


class Gate:
    """A row source that waits, for exports of more than 100 movements, until the test opens it or they are stopped."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.open = threading.Event()
        self.entered = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def batches(self, selection: Any, task: Any, stop: StopFlag) -> Iterator[Any]:
        if selection.seq_max > 100:
            self.entered.set()
            while not self.open.wait(0.01):
                stop.check()
        yield from self._source.batches(selection, task, stop)


def gated(world: World, **settings: Any) -> tuple[World, Gate]:
    gate = Gate(world.shop.maker.source)
    changed = replace(world.shop.settings, **settings)
    return world.with_shop(maker=replace(world.shop.maker, source=gate), settings=changed), gate


def final(world: World, export_id: str, project: int = 1) -> rows.Export:
    return until(
        lambda: (row := world.row(export_id, project)).final and row, f"{export_id} to end"
    )  # fmt: skip


def test_what_this_process_queues_starts_at_once(world: World, wake: threading.Event) -> None:
    slow = world.with_shop(settings=replace(world.shop.settings, poll_s=3600))
    runner = Runner(slow.shop, wake)
    runner.start()
    world.ask("exp_1", request())
    wake.set()
    assert final(world, "exp_1").status == "DONE"
    runner.stop()


def test_what_another_process_queues_is_found_by_polling(world: World, wake: threading.Event) -> None:
    runner = Runner(world.shop, wake)
    runner.start()
    for no in range(3):
        world.ask(f"exp_{no}", request())
    assert [final(world, f"exp_{no}").status for no in range(3)] == ["DONE"] * 3
    runner.stop()


def test_stopping_gives_back_what_is_under_way(world: World, wake: threading.Event) -> None:
    held, gate = gated(world)
    runner = Runner(held.shop, wake)
    runner.start()
    world.ask("exp_1", request())
    assert gate.entered.wait(30)
    runner.stop()
    row = world.row("exp_1")
    assert (row.status, row.tries, row.attempt) == ("SCHEDULED", 0, 1)
    gate.open.set()
    again = Runner(held.shop, wake)
    again.start()
    assert final(world, "exp_1").attempt == 2
    again.stop()


def test_a_cancel_stops_a_running_export_within_a_moment(world: World, wake: threading.Event) -> None:
    held, gate = gated(world)
    runner = Runner(held.shop, wake)
    runner.start()
    world.ask("exp_1", request())
    assert gate.entered.wait(30)
    with world.database.write() as connection:
        rows.request_cancel(connection, 1, "exp_1")
    assert final(world, "exp_1").status == "CANCELED"
    runner.stop()
    assert world.files() == []


def test_an_export_deleted_while_it_runs_is_stopped_and_leaves_no_file(world: World, wake: threading.Event) -> None:
    held, gate = gated(world)
    runner = Runner(held.shop, wake)
    runner.start()
    world.ask("exp_1", request())
    assert gate.entered.wait(30)
    world.store.put("exports/1/exp_1/1/part-00000.csv", b"half")
    with world.database.write() as connection:
        assert rows.delete_export(connection, 1, "exp_1")
    until(lambda: world.files() == [], "the worker to notice and to remove what it wrote")
    runner.stop()


def test_a_long_exports_rows_are_counted_beside_it(world: World, wake: threading.Event) -> None:
    held, gate = gated(world, count_after_s=0.0)
    runner = Runner(held.shop, wake)
    runner.start()
    gained = Filter("and", (FieldFilter("amount", (Condition("more_than", (0,)),)),))
    world.ask("exp_1", request(filter=gained))
    assert gate.entered.wait(30)
    every = world.row("exp_1").seq_max

    def counted() -> int | None:
        total = world.row("exp_1").rows_total
        return None if total in (None, every) else total

    total = until(counted, "the rows to be counted")
    gate.open.set()
    done = final(world, "exp_1")
    assert done.result is not None and done.result["rows"] == total < every
    runner.stop()


def test_a_small_export_is_not_held_up_by_huge_ones(world: World, wake: threading.Event) -> None:
    held, gate = gated(world, threads=2, quick_rows_max=100)
    runner = Runner(held.shop, wake)
    runner.start()
    for no in range(3):
        world.ask(f"exp_huge_{no}", request(), seq_max=200)
    assert gate.entered.wait(30)
    world.ask("exp_small", request(), seq_max=50, project=2)
    assert final(world, "exp_small", 2).status == "DONE"
    gate.open.set()
    assert [final(world, f"exp_huge_{no}").status for no in range(3)] == ["DONE"] * 3
    runner.stop()


def test_a_lost_workers_export_is_done_by_another(world: World, wake: threading.Event) -> None:
    world.ask("exp_1", request())
    world.claim("elsewhere:1:x:0")
    with world.database.write() as connection:
        connection.execute(exports.update().values(lease_until=1))
    runner = Runner(world.shop, wake)
    runner.start()
    assert final(world, "exp_1").attempt == 2
    runner.stop()


def test_chores_are_done_again_and_again_whatever_they_raise(world: World, wake: threading.Event) -> None:
    done: list[int] = []
    enough = threading.Event()

    def chore() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise Unavailable("database_unavailable", "away")
        enough.set()

    runner = Runner(world.shop, wake, [Chore("test", 0.01, chore)])
    runner.start()
    assert enough.wait(30)
    runner.stop()


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(Misconfigured, match="third of lease_ttl_s"):
        WorkerSettings(lease_ttl_s=1, watch_s=0.5)
    assert [QUICK.backoff_ms(tries) for tries in (0, 1, 2, 3)] == [10, 10, 20, 40]
    assert WorkerSettings().backoff_ms(50) == 300_000
