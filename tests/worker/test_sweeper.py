"""The sweeper: what it takes back, what it removes, and what it must leave alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.clock import Clock, SystemClock
from counterfoil.db import exports as rows
from counterfoil.db import queue
from counterfoil.db.engine import Database
from counterfoil.db.schema import duties, exports
from counterfoil.worker.job import run_attempt
from counterfoil.worker.owner import is_dead, this_process
from counterfoil.worker.sweeper import ORPHANS, SWEEP, Sweeper
from tests.databases import sqlite_ledger
from tests.fakes import FakeClock
from tests.worker.exporting import World, fill, open_world, request


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_ledger(tmp_path) as database:
        fill(database, 60)
        yield database


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return open_world(database, tmp_path)


def sweeper_of(world: World, owner: str = "sweeper", clock: Clock | None = None) -> Sweeper:
    return Sweeper(world.database, world.store, world.shop.settings, clock or SystemClock(), owner)


def set_row(world: World, **values: object) -> None:
    with world.database.write() as connection:
        connection.execute(exports.update().values(**values))


def put(world: World, *keys: str) -> None:
    for key in keys:
        world.store.put(key, b"bytes")


def test_a_lost_workers_export_is_taken_back(world: World) -> None:
    world.ask("exp_1", request())
    world.claim()
    sweeper = sweeper_of(world)
    assert sweeper.rescue() == []
    set_row(world, lease_until=1)
    assert [found.status for found in sweeper.rescue()] == ["SCHEDULED"]
    set_row(world, available_at=0)
    assert run_attempt(world.shop, world.claim()) == "done"


def test_the_leftovers_of_a_lost_attempt_go_with_the_next_success(world: World) -> None:
    world.ask("exp_1", request())
    world.claim()
    put(world, "exports/1/exp_1/1/part-00000.csv", "exports/1/exp_1/1/export.csv")
    set_row(world, lease_until=1)
    sweeper_of(world).rescue()
    set_row(world, available_at=0)
    assert run_attempt(world.shop, world.claim()) == "done"
    assert world.files() == ["exports/1/exp_1/2/export.csv", "exports/1/exp_1/2/manifest-00000001.json"]


def test_a_zombies_late_files_are_removed_after_the_end(world: World) -> None:
    world.ask("exp_1", request())
    world.claim()
    set_row(world, lease_until=1)
    sweeper_of(world).rescue()
    set_row(world, available_at=0)
    run_attempt(world.shop, world.claim())
    put(world, "exports/1/exp_1/1/export.csv")
    sweeper_of(world).run()
    assert world.files() == ["exports/1/exp_1/2/export.csv", "exports/1/exp_1/2/manifest-00000001.json"]


def test_what_a_running_attempt_writes_is_left_alone(world: World) -> None:
    world.ask("exp_1", request())
    claim = world.claim()
    put(world, f"{claim.folder}/part-00003.csv", "exports/1/exp_1/0/part-00003.csv")
    assert sweeper_of(world).remove_orphans() == 1
    assert world.files() == [f"{claim.folder}/part-00003.csv"]


def test_recorded_parts_wait_for_the_next_attempt(world: World) -> None:
    world.ask("exp_1", request())
    claim = world.claim()
    keys = [f"{claim.folder}/{name}" for name in ("part-00000.csv", "part-00000.runs", "part-00001.csv")]
    put(world, *keys)
    part = queue.RecordedPart(0, "hash", 1, keys[0], 1, 5, "sha", {"runs": {"key": keys[1]}})
    with world.database.write() as connection:
        queue.record_part(connection, claim, part, 1)
        queue.release(connection, claim)
    world.claim()
    assert sweeper_of(world).remove_orphans() == 1
    assert world.files() == keys[:2]


def test_retention_removes_the_file_and_keeps_the_manifest(world: World) -> None:
    export = world.run("exp_1", request())
    sweeper_of(world).sweep(0)
    assert world.text(export)
    set_row(world, file_expires_at=1)
    sweeper_of(world).sweep(0)
    assert world.row("exp_1").status == "EXPIRED"
    assert world.files() == ["exports/1/exp_1/1/manifest-00000001.json"]
    set_row(world, finished_at=1)
    sweeper_of(world).sweep(0)
    with world.database.read() as connection:
        assert rows.get_export(connection, 1, "exp_1") is None
    assert sweeper_of(world).remove_orphans() == 0
    assert world.files() == ["exports/1/exp_1/1/manifest-00000001.json"]


def test_a_crash_between_expiry_and_deletion_is_mended(world: World) -> None:
    world.run("exp_1", request())
    set_row(world, status="EXPIRED")
    assert sweeper_of(world).remove_orphans() == 1
    assert world.files() == ["exports/1/exp_1/1/manifest-00000001.json"]


def test_a_deleted_exports_files_are_orphans(world: World) -> None:
    world.run("exp_1", request())
    world.run("exp_2", request())
    put(world, "exports/1/exp_never/1/export.csv", "elsewhere/file")
    with world.database.write() as connection:
        rows.delete_export(connection, 1, "exp_1")
    assert sweeper_of(world).remove_orphans() == 2
    assert [key for key in world.files() if "manifest" not in key] == [
        "elsewhere/file",
        "exports/1/exp_2/1/export.csv",
    ]


def test_canceled_and_failed_exports_leave_no_files(world: World) -> None:
    world.ask("exp_1", request())
    claim = world.claim()
    with world.database.write() as connection:
        queue.fail(connection, claim, "code", "words")
    put(world, f"{claim.folder}/part-00000.csv")
    sweeper_of(world).run()
    assert world.files() == []


def test_unsealed_files_of_dead_writers_are_removed_when_they_are_old(world: World) -> None:
    staged = world.store.create("exports/1/exp_1/1/export.csv")
    staged.write(b"never sealed")
    now = SystemClock().now_ms()
    sweeper_of(world, clock=FakeClock(now)).remove_orphans()
    assert len(list(world.store.remnants("exports", now + 1_000_000))) == 1
    sweeper_of(world, clock=FakeClock(now + 2 * 86_400_000)).remove_orphans()
    assert list(world.store.remnants("exports", now + 1_000_000)) == []
    staged.abort()


def test_one_sweeper_at_a_time_does_the_duty(world: World) -> None:
    first, second = sweeper_of(world, "first"), sweeper_of(world, "second")
    first.run()
    times = _times(world)
    second.run()
    assert _times(world) == times  # done a moment ago
    _let_duties_be_due(world, lease_owner="third", lease_until=SystemClock().now_ms() + 600_000)
    second.run()
    assert _times(world) == {SWEEP: 0, ORPHANS: 0}  # somebody is at it
    _let_duties_be_due(world, lease_owner="third", lease_until=1)
    second.run()
    assert all(at > 0 for at in _times(world).values())  # whose lease ran out


def test_a_duty_that_was_done_in_the_future_is_done_again(world: World) -> None:
    """The database's clock was set back: nobody waits until it has come by again."""
    day_ahead = SystemClock().now_ms() + 86_400_000
    sweeper_of(world, "first").run()
    with world.database.write() as connection:
        connection.execute(duties.update().values(last_done_at=day_ahead, lease_owner="lost", lease_until=day_ahead))
    sweeper_of(world, "second").run()
    assert all(at < day_ahead for at in _times(world).values())


def test_leases_of_dead_processes_of_this_host_are_freed_at_once(world: World) -> None:
    for no, owner in enumerate((f"{socket.gethostname()}:999999999:x:0", this_process(), "elsewhere:1:x:0")):
        world.ask(f"exp_{no}", request())
        world.claim(owner)
    assert [found.export_id for found in sweeper_of(world).release_dead()] == ["exp_0"]
    assert [world.row(f"exp_{no}").status for no in range(3)] == ["SCHEDULED", "IN_PROGRESS", "IN_PROGRESS"]


def test_a_reused_pid_is_not_the_process_before_it() -> None:
    host, pid, token, number = this_process(3).split(":")
    assert number == "3"
    assert not is_dead(this_process())
    assert is_dead(f"{host}:{pid}:{token[:-1]}x:0")
    assert not is_dead("not an owner at all")


def _times(world: World) -> dict[str, int]:
    with world.database.read() as connection:
        return dict(connection.execute(sa.select(duties.c.name, duties.c.last_done_at)).all())


def _let_duties_be_due(world: World, **values: object) -> None:
    with world.database.write() as connection:
        connection.execute(duties.update().values(last_done_at=0, **values))
