"""Upkeep of the archive, killed at every named point, on every database: exports are right at once, and the next round
brings everything to its end."""

from __future__ import annotations

import multiprocessing
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from counterfoil.archive import repair
from counterfoil.db import segments
from counterfoil.db.engine import Database
from counterfoil.db.schema import duties
from counterfoil.db.schema import segments as segments_table
from counterfoil.plan.planner import select
from counterfoil.plan.request import ExportRequest, Order
from counterfoil.worker.probes import PROBES
from tests.archive import upkeep_child
from tests.archive.random_ledger import PROJECT, Archived
from tests.archive.test_sealing import files_of, seqs_of
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer

pytestmark = pytest.mark.crash

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([upkeep_child.__name__])
POINTS = PROBES[PROBES.index("segment_read") :]
LATER = ("segment_read:2", "segment_written:2", "segment_recording:2", "rewrite_written:2", "rewrite_recording:2")


@dataclass(frozen=True)
class Site:
    """An archive, and what a process must be told to work on it."""

    archived: Archived
    url: str
    folder: Path

    def upkeep(self, probe: str = "") -> int | None:
        """Let a process do what is due; its return code, negative for the signal that ended it."""
        process = PROCESSES.Process(target=upkeep_child.work, args=(self.url, str(self.folder), probe))
        process.start()
        process.join(timeout=120)
        code = process.exitcode
        process.kill()
        return code


class Crashes:
    """What each database below has to survive."""

    @pytest.mark.parametrize("probe", [*POINTS, *LATER])
    def test_killed_upkeep_leaves_a_right_archive(self, site: Site, probe: str) -> None:
        archived = site.archived
        last = _with_everything_due(archived)
        assert site.upkeep(probe) == -signal.SIGKILL
        _check_exports(archived)
        with archived.database.write() as connection:
            connection.execute(duties.update().values(lease_until=0))  # the dead holder's time is over
        assert site.upkeep() == 0
        assert not any(segment.damaged for segment in archived.live())
        assert seqs_of(archived) == list(range(1, last + 1))
        _check_exports(archived)
        with archived.database.write() as connection:
            connection.execute(segments_table.update().where(segments_table.c.status == "RETIRED").values(retired_at=0))
        archived.held(lambda mine: repair.tidy(mine, archived.bench, 1 << 60))
        assert files_of(archived) == {segment.ref.key for segment in archived.live()}
        assert list(archived.store.remnants("segments", 1 << 60)) == []


class TestOnSqlite(Crashes):
    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with sqlite_ledger(tmp_path) as database:
            yield _site(database, tmp_path, "sqlite")


class TestOnPostgres(Crashes):
    @pytest.fixture
    def site(self, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Site]:
        with postgres_ledger(postgres_server) as database:
            yield _site(database, tmp_path, "postgresql")


def _site(database: Database, folder: Path, kind: str) -> Site:
    archived = Archived.in_folder(database, folder, **upkeep_child.LIMITS)
    return Site(archived, database.engine.url.set(drivername=kind).render_as_string(False), folder)


def _with_everything_due(archived: Archived) -> int:
    """A ledger with a segment that is lost, several that are worth joining, and movements not sealed yet."""
    draw = random.Random(11)
    for _ in range(6):
        archived.grow(draw, 40)
        archived.seal()
    lost = archived.live()[2]
    archived.store.delete(lost.ref.key)
    with archived.database.write() as connection:
        segments.mark_damaged(connection, PROJECT, lost.ref.id)
    archived.grow(draw, 250)
    return archived.last_seq()


def _check_exports(archived: Archived) -> None:
    """Both orders, over the archive as it is and over the database alone: the same bytes."""
    for descending in (False, True):
        asked = ExportRequest(object="movement", order=Order("created_at", descending))
        selection = select(asked, project_id=PROJECT, seq_max=archived.last_seq(), now_ms=0)
        assert archived.agrees(selection) > 10_000
