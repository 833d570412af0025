"""Real workers, killed and stopped at every named point, on every database; and what is left when others go on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.dataplane.verify import verify
from counterfoil.db.engine import Database
from counterfoil.db.schema import exports, manifests
from counterfoil.worker.probes import PROBES
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer
from tests.waiting import until
from tests.worker import child
from tests.worker.exporting import World, fill, open_world, request

pytestmark = pytest.mark.crash

ROWS = 1000
# Processes of their own, forked from a server that has the imports done: they are killed by dozens here.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([child.__name__])
EXPORTS = PROBES[: PROBES.index("expired") + 1]
"""The points of an export's life; those of the archive have tests of their own."""
STREAMED = [probe for probe in EXPORTS if not probe.startswith("part_")]


@dataclass(frozen=True)
class Site:
    """A ledger, and what a worker's process must be told to work on it."""

    world: World
    url: str
    folder: Path

    @contextmanager
    def worker(self, how: str, probe: str = "") -> Iterator[ForkServerProcess]:
        """A worker's process, killed at the end of the block if it still runs."""
        process = PROCESSES.Process(target=child.work, args=(self.url, str(self.folder), how, probe))
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def work(self, how: str, probe: str = "") -> int | None:
        """Let a worker do everything there is; its return code, negative for the signal that ended it."""
        with self.worker(how, probe) as process:
            return ended(process)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]


def ended(process: ForkServerProcess) -> int | None:
    """Wait for a worker's end; None when it takes too long."""
    process.join(timeout=150)
    return process.exitcode


class Crashes:
    """What each database below has to survive."""

    @pytest.mark.parametrize("probe", EXPORTS)
    def test_parts(self, site: Site, probe: str) -> None:
        crash_and_go_on(site, probe, "parts")

    @pytest.mark.parametrize("probe", STREAMED)
    def test_one_stream(self, site: Site, probe: str) -> None:
        crash_and_go_on(site, probe, "stream")

    @pytest.mark.parametrize("probe", ["batch:7", "part_recorded:3"])
    def test_in_the_middle(self, site: Site, probe: str) -> None:
        crash_and_go_on(site, probe, "parts")

    def test_a_paused_workers_late_finish_changes_nothing(self, site: Site) -> None:
        expected = reference(site.world)
        site.world.ask("exp_1", request())
        with site.worker("alone", "proved:1:pause") as paused:
            until(lambda: _is_stopped(paused.pid or 0), "the worker to stand still", deadline_s=60)
            _let_lease_end(site.world)
            assert site.work("stream") == 0, site.log()
            done = site.world.row("exp_1")
            assert (done.status, done.attempt) == ("DONE", 2)
            os.kill(paused.pid or 0, signal.SIGCONT)
            assert ended(paused) == 0, site.log()
        assert site.world.row("exp_1") == done
        check(site.world, "exp_1", expected)

    def test_two_workers_share_the_queue(self, site: Site) -> None:
        expected = reference(site.world)
        names = [f"exp_{no:02}" for no in range(20)]
        for name in names:
            site.world.ask(name, request())
        with site.worker("stream") as one, site.worker("parts") as other:
            assert [ended(one), ended(other)] == [0, 0], site.log()
        for name in names:
            check(site.world, name, expected)
            assert site.world.row(name).attempt == 1
        with site.world.database.read() as connection:
            numbers = connection.execute(sa.select(manifests.c.no).order_by(manifests.c.no)).scalars().all()
        assert numbers == list(range(1, len(names) + 2))


class TestOnSqlite(Crashes):
    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with sqlite_ledger(tmp_path) as database:
            yield _site(database, tmp_path)


class TestOnPostgres(Crashes):
    @pytest.fixture
    def site(self, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Site]:
        with postgres_ledger(postgres_server) as database:
            yield _site(database, tmp_path)


def crash_and_go_on(site: Site, probe: str, how: str) -> None:
    """Kill a worker at the probe, let another go on, and look at everything that is left."""
    world = site.world
    expected = reference(world)
    world.ask("exp_1", request())
    if probe == "expired":
        _let_files_expire(world)
    if probe == "rescued":
        world.claim("elsewhere:1:x:0")
        _let_lease_end(world)
    first = "leave" if probe == "released" else how
    assert site.work(first, probe) == -signal.SIGKILL, site.log()
    if not world.database.sqlite:  # there, an earlier process of the host is known to be dead
        _let_lease_end(world)
    assert site.work(how) == 0, site.log()
    check(world, "exp_1", expected)
    row = world.row("exp_1")
    assert row.tries <= 2
    if probe != "expired":  # which is the sweeper's, whatever the export is at
        assert row.attempt == (1 if probe in ("finished", "tidied") else 2)


def reference(world: World) -> str:
    """The bytes of an export that nobody disturbed."""
    return world.text(world.run("exp_0", request()))


def check(world: World, export_id: str, expected: str) -> None:
    """The export is done, its bytes are right and proved, and nothing lies about that no row names."""
    row = world.row(export_id)
    assert row.status == "DONE", row
    assert world.text(row) == expected
    assert row.result is not None
    file = row.result["files"][0]
    data = world.store.read(row.result["manifest"])
    assert verify(data, {file["name"]: world.store.local_path(file["key"])}).findings == []
    assert world.files(f"exports/1/{export_id}") == sorted([file["key"], row.result["manifest"]])
    assert list(world.store.remnants(f"exports/1/{export_id}", 1 << 60)) == []


def _site(database: Database, folder: Path) -> Site:
    fill(database, ROWS)
    world = open_world(database, folder)
    return Site(world, database.engine.url.set(drivername=_kind(database)).render_as_string(False), folder)


def _kind(database: Database) -> str:
    return "sqlite" if database.sqlite else "postgresql"


def _let_files_expire(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(exports.update().where(exports.c.id == "exp_0").values(file_expires_at=1))


def _let_lease_end(world: World) -> None:
    """Let the time of every lease pass, for whoever holds one."""
    with world.database.write() as connection:
        connection.execute(exports.update().where(exports.c.lease_until.is_not(None)).values(lease_until=1))


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
