"""Real workers, killed and stopped at every named point, on every database and store; and what is left when others go on."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.dataplane.verify import verify
from counterfoil.db import rescue, soundness
from counterfoil.db.engine import Database
from counterfoil.db.exports import FINAL, Export
from counterfoil.db.schema import exports, manifests
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.ids import random_text
from counterfoil.worker.probes import PROBES
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer, S3Server
from tests.stores import bucket
from tests.waiting import until
from tests.worker import child
from tests.worker.exporting import World, fill, fill_cards, open_world, request

pytestmark = pytest.mark.crash

ROWS = 1000
# On S3 an export has to be larger than one part of an upload, or none is ever under way.
REASON_BYTES = 8_000
# Processes of their own, forked from a server that has the imports done: they are killed by dozens here.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([child.__name__])
EXPORTS = PROBES[: PROBES.index("expired") + 1]
"""The points of an export's life; those of the archive have tests of their own."""
STREAMED = [probe for probe in EXPORTS if not probe.startswith("part_")]
FAR_FUTURE_MS = 1 << 46
MATRIX = "crash matrix: a worker is killed at the probe, another goes on, and files, rows and balances are recounted"

Tell = Callable[[str, dict[str, str | int]], None]


@dataclass(frozen=True)
class Site:
    """A ledger with its store, and what a worker's process must be told to work on them."""

    world: World
    database: str
    store: str
    url: str
    files: tuple[str, StoreOptions]
    folder: Path
    tell: Tell
    kills: list[str] = field(default_factory=list)

    @contextmanager
    def worker(self, how: str, probe: str = "") -> Iterator[ForkServerProcess]:
        """A worker's process, killed at the end of the block if it still runs."""
        process = PROCESSES.Process(target=child.work, args=(self.url, self.files, str(self.folder), how, probe))
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def work(self, how: str, probe: str = "") -> int | None:
        """Let a worker do everything there is; its return code, negative for the signal that ended it."""
        with self.worker(how, probe) as process:
            code = ended(process)
        if code == -signal.SIGKILL:
            self.kills.append(probe)
        return code

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def row(self, probe: str, how: str, outcome: str) -> None:
        """Add what became of it to the table at the end of the run."""
        kills = len(self.kills)
        self.tell(
            MATRIX,
            {"probe": probe, "made as": how, "database": self.database, "store": self.store, "kills": kills,
             "outcome": outcome},
        )  # fmt: skip


def ended(process: ForkServerProcess) -> int | None:
    """Wait for a worker's end; None when it takes too long."""
    process.join(timeout=150)
    return process.exitcode


class Crashes:
    """What each database below has to survive, with each store."""

    @pytest.mark.parametrize("probe", EXPORTS)
    def test_parts(self, site: Site, probe: str) -> None:
        crash_and_go_on(site, probe, "parts")

    @pytest.mark.parametrize(
        ("probe", "how"), [("batch:7", "parts"), ("part_recorded:3", "parts"), ("batch:15", "stream")]
    )
    def test_in_the_middle(self, site: Site, probe: str, how: str) -> None:
        crash_and_go_on(site, probe, how)

    def test_killed_again_and_again_it_ends_as_worker_lost(self, site: Site) -> None:
        world = site.world
        world.ask("exp_1", request())
        for no in range(1, child.SETTINGS.tries_max + 1):
            assert site.work("parts", "batch") == -signal.SIGKILL, site.log()
            assert world.row("exp_1").tries == no
            _let_lease_end(world)
            if no < child.SETTINGS.tries_max:
                _rescue(world)
        assert site.work("parts") == 0, site.log()
        row = world.row("exp_1")
        assert (row.status, row.error_code, row.result) == ("ERROR", "worker_lost", None)
        check_everything(world)
        assert world.files() == []
        site.row("batch", "parts, each try", f"ERROR worker_lost after {row.tries} tries, nothing left")

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
        site.row("proved", "stream, paused", "DONE by another; the late worker touched no row and left no file")

    def test_two_workers_share_the_queue(self, site: Site) -> None:
        expected = reference(site.world)
        names = [f"exp_{no:02}" for no in range(10)]
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


class StreamedCrashes(Crashes):
    """The same for exports that are written as one stream."""

    @pytest.mark.parametrize("probe", STREAMED)
    def test_one_stream(self, site: Site, probe: str) -> None:
        crash_and_go_on(site, probe, "stream")


class OnDisk:
    """Files on this machine's disk."""

    store = "local disk"
    reason_bytes: int | None = None

    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[str, StoreOptions]:
        return (tmp_path / "files").as_uri(), StoreOptions()


class OnS3:
    """Files in a bucket."""

    store = "S3 (SeaweedFS)"
    reason_bytes: int | None = REASON_BYTES

    @pytest.fixture
    def files(self, seaweed: S3Server) -> tuple[str, StoreOptions]:
        return bucket(seaweed)


class OnSqlite:
    """A ledger in a file."""

    @pytest.fixture
    def site(self, tmp_path: Path, files: tuple[str, StoreOptions], told_row: Tell) -> Iterator[Site]:
        with sqlite_ledger(tmp_path) as database:
            yield _site(self, database, "SQLite", files, tmp_path, told_row)


class OnPostgres:
    """A ledger on a server."""

    @pytest.fixture
    def site(
        self, postgres_server: PostgresServer, tmp_path: Path, files: tuple[str, StoreOptions], told_row: Tell
    ) -> Iterator[Site]:
        version = postgres_server.version.split()[0]
        with postgres_ledger(postgres_server) as database:
            yield _site(self, database, f"PostgreSQL {version}", files, tmp_path, told_row)


class TestSqliteAndDisk(OnSqlite, OnDisk, StreamedCrashes):
    pass


class TestSqliteAndS3(OnSqlite, OnS3, Crashes):
    pass


@pytest.mark.parametrize("postgres_server", [pytest.param("system", marks=pytest.mark.postgres)], indirect=True)
class TestPostgresAndDisk(OnPostgres, OnDisk, StreamedCrashes):
    pass


@pytest.mark.parametrize("postgres_server", [pytest.param("embedded", marks=pytest.mark.postgres)], indirect=True)
class TestPostgresAndS3(OnPostgres, OnS3, StreamedCrashes):
    pass


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
    left = len(list(world.store.remnants("exports/1/exp_1", FAR_FUTURE_MS)))
    if probe == "batch:15":
        assert left == 1, "the upload was not under way"
    if not world.database.sqlite:  # there, an earlier process of the host is known to be dead
        _let_lease_end(world)
    assert site.work(how) == 0, site.log()
    check(world, "exp_1", expected)
    row = world.row("exp_1")
    assert row.tries <= 2
    if probe != "expired":  # which is the sweeper's, whatever the export is at
        assert row.attempt == (1 if probe in ("finished", "tidied") else 2)
    outcome = f"{row.status}, attempt {row.attempt}, same bytes" + (", its unsealed file removed" if left else "")
    site.row(probe, how, outcome)


def reference(world: World) -> str:
    """The bytes of an export that nobody disturbed."""
    return world.text(world.run("exp_0", request()))


def check(world: World, export_id: str, expected: str) -> None:
    """The export is done, its bytes are right and proved, and the whole world is in order."""
    row = world.row(export_id)
    assert row.status == "DONE", row
    assert world.text(row) == expected
    assert row.result is not None
    file = row.result["files"][0]
    data = world.store.read(row.result["manifest"])
    copy = Path(os.environ.get("TMPDIR", "/tmp")) / f"counterfoil-{random_text(12)}.csv"
    copy.write_bytes(world.store.read(file["key"]))
    try:
        assert verify(data, {file["name"]: copy}).findings == []
    finally:
        copy.unlink()
    check_everything(world)


def check_everything(world: World) -> None:
    """Every export has ended; no file without a row, no row without its file; nothing unsealed; the ledger adds up."""
    with world.database.read() as connection:
        rows = [Export(*row) for row in connection.execute(sa.select(*(exports.c[name] for name in Export.__slots__)))]
        wanted = set(connection.execute(sa.select(manifests.c.key)).scalars())
        assert list(soundness.findings(connection)) == []
    for row in rows:
        assert row.status in FINAL, row
        for file in row.result["files"] if row.result and row.status == "DONE" else []:
            content = world.store.read(file["key"])
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
            wanted.add(file["key"])
    assert set(world.files()) == wanted
    assert list(world.store.remnants("exports", FAR_FUTURE_MS)) == []


def _site(
    case: OnDisk | OnS3, database: Database, name: str, files: tuple[str, StoreOptions], folder: Path, tell: Tell
) -> Site:
    fill(database, ROWS, reason_bytes=case.reason_bytes)
    fill_cards(database)
    world = open_world(database, folder, store=open_store(*files))
    url = database.engine.url.set(drivername=_kind(database)).render_as_string(False)
    return Site(world, name, case.store, url, files, folder, tell)


def _kind(database: Database) -> str:
    return "sqlite" if database.sqlite else "postgresql"


def _rescue(world: World) -> None:
    """Let another take the export back, and let its pause pass."""
    with world.database.write() as connection:
        rescue.sweep_expired(connection, child.SETTINGS.tries_max, 0)


def _let_files_expire(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(exports.update().where(exports.c.id == "exp_0").values(file_expires_at=1))


def _let_lease_end(world: World) -> None:
    """Let the time of every lease pass, for whoever holds one."""
    with world.database.write() as connection:
        connection.execute(exports.update().where(exports.c.lease_until.is_not(None)).values(lease_until=1))


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
