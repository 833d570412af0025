"""`counterfoil doctor`: each thing that can be wrong is made wrong, found, and explained with what to do."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from counterfoil.cli.examination import examine
from counterfoil.clock import Clock, SystemClock
from counterfoil.db.engine import Database
from counterfoil.db.migrate import migrate
from counterfoil.db.schema import counters, vouchers
from tests.databases import POOL, sqlite_ledger
from tests.fakes import FakeClock
from tests.services import S3Server
from tests.worker.exporting import World, fill, fill_cards, open_world, request


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A ledger with one finished export."""
    with sqlite_ledger(tmp_path) as database:
        fill(database, 100)
        fill_cards(database)
        world = open_world(database, tmp_path)
        assert world.run("exp_1", request()).status == "DONE"
        yield world


class Doctor:
    """Examines the world and gives what was printed."""

    def __init__(self, world: World, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._given: dict[str, Any] = {
            "home": str(home),
            "database": world.database.url.render_as_string(hide_password=False),
            "files": world.store.url,
        }
        self._capsys = capsys

    def finds(self, *, clock: Clock | None = None, migrate: bool = False, **other: Any) -> list[str]:
        """The findings, without what is well."""
        found = examine({**self._given, **other}, migrate=migrate, clock=clock)
        lines = self._capsys.readouterr().out.splitlines()
        findings = [line.strip() for line in lines if line.startswith("     ")]
        assert found == (1 if findings else 0)
        assert lines[-1] == (f"{len(findings)} finding(s)" if findings else "all is well")
        return findings


@pytest.fixture
def doctor(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(world, tmp_path, capsys)


def only(findings: list[str]) -> str:
    (found,) = findings
    return found


def test_a_sound_system_is_well(doctor: Doctor) -> None:
    assert doctor.finds() == []


def test_a_schema_that_is_behind_is_told_and_mended(doctor: Doctor, tmp_path: Path) -> None:
    behind = f"sqlite:///{tmp_path}/behind.db"
    database = Database(behind, POOL)
    migrate(database, "0003")
    database.dispose()
    empty_files = (tmp_path / "empty").as_uri()
    found = doctor.finds(database=behind, files=empty_files)
    assert found[0].startswith("The database is at schema 0003") and "run `counterfoil doctor --migrate`" in found[0]
    assert doctor.finds(database=behind, files=empty_files, migrate=True) == []


def test_a_schema_that_is_ahead_is_told(doctor: Doctor, world: World) -> None:
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert "which is newer than this version of Counterfoil knows" in only(doctor.finds())
    assert "run the newer version, or restore a backup" in only(doctor.finds(migrate=True))


def test_a_database_that_does_not_answer_is_told(doctor: Doctor) -> None:
    found = doctor.finds(database="postgresql://nobody@127.0.0.1:1/none")
    assert "The database did not answer" in found[0]


def test_a_clock_that_is_off_is_told_with_how_far(doctor: Doctor) -> None:
    slow = FakeClock(SystemClock().now_ms() - 90_000)
    found = only(doctor.finds(clock=slow))
    assert found.startswith(("the database's clock is +90.", "the database's clock is +89."))
    assert "set both by the same time server" in found


def test_a_store_that_is_no_folder_is_told(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = doctor.finds(files=(tmp_path / "file" / "below").as_uri())
    assert found and all("file" in each for each in found)


def test_a_full_store_is_told(tmp_path: Path, world: World) -> None:
    """In a process of its own, which may write no byte to any file, as on a full disk."""
    command = [sys.executable, "-m", "counterfoil", "doctor", "--home", str(tmp_path)]
    ran = subprocess.run(
        [*command, "--database", world.database.url.render_as_string(), "--files", world.store.url],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "BAD  store" in ran.stdout, ran.stdout + ran.stderr
    assert "ulimit -f" in ran.stdout


def test_a_bucket_that_refuses_is_told(doctor: Doctor, seaweed: S3Server) -> None:
    s3 = {
        "files": f"s3://{seaweed.bucket}/doctor",
        "s3_endpoint": seaweed.endpoint,
        "s3_access_key": seaweed.access_key,
        "s3_secret_key": "wrong",
        "s3_allow_http": "1",
    }
    found = doctor.finds(**s3)
    assert found and all("COUNTERFOIL_S3_SECRET_KEY" in each for each in found), found


def test_balances_and_numbers_that_do_not_add_up_are_told(doctor: Doctor, world: World) -> None:
    with world.database.write() as connection:
        connection.execute(vouchers.update().where(vouchers.c.id == f"v_{3:032}").values(balance=7, total=7))
        connection.execute(counters.update().where(counters.c.project_id == 1).values(movement_seq=101))
    found = doctor.finds()
    assert len(found) == 2
    assert found[0].startswith("project Project 1: the counter stands at 101, but there are 100 movements")
    assert found[1].startswith(f"card v_{3:032}: its balance is 7, its movements add up to ")


def test_a_missing_and_a_damaged_file_are_told(doctor: Doctor, world: World) -> None:
    result = world.row("exp_1").result
    assert result is not None
    key = result["files"][0]["key"]
    content = world.store.read(key)
    world.store.put(key, content[:-2] + b"9\n", create_only=False)
    assert only(doctor.finds()) == (
        f"export exp_1: {key} is damaged (its bytes are not those recorded); ask for the export again"
    )
    world.store.delete(key)
    assert only(doctor.finds()).endswith("ask for the export again")


def test_files_that_nothing_names_are_told(doctor: Doctor, world: World) -> None:
    world.store.put("exports/1/exp_gone/1/export.csv", b"left behind")
    assert only(doctor.finds()) == (
        "1 file(s) that no export names, such as exports/1/exp_gone/1/export.csv; a running worker removes them "
        "within 60 minutes: start one, or look why none could"
    )
    assert world.store.read("exports/1/exp_gone/1/export.csv") == b"left behind"  # it only looks
