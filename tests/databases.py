"""Ledger databases for tests, with the schema of the migrations and one project: on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from counterfoil.db.engine import Database, DatabaseSettings
from counterfoil.db.migrate import migrate
from counterfoil.db.projects import insert_project
from tests.services import PostgresServer

POOL = DatabaseSettings(pool_size=8, cache_mb=8)


@contextmanager
def sqlite_ledger(folder: Path, *, projects: int = 2) -> Iterator[Database]:
    """A migrated database file in `folder` with projects 1, 2, …"""
    (folder / "ledger.db").write_bytes(_sqlite_template(projects))
    database = Database(f"sqlite:///{folder / 'ledger.db'}", POOL)
    yield database
    database.dispose()


@contextmanager
def postgres_ledger(server: PostgresServer, *, projects: int = 2) -> Iterator[Database]:
    """The same on a PostgreSQL server, in a database of the test's own."""

    def fill(url: str) -> None:
        database = Database(url, POOL)
        _fill(database, projects)
        database.dispose()

    name = server.create(server.template(f"ledger of {projects} projects", fill))
    database = Database(server.url(name), POOL)
    yield database
    database.dispose()
    server.drop(name)


@cache
def _sqlite_template(projects: int) -> bytes:
    with TemporaryDirectory(prefix="counterfoil-ledger-") as folder:
        database = Database(f"sqlite:///{folder}/ledger.db", POOL)
        _fill(database, projects)
        database.dispose()  # the last connection to close leaves one file, without a log beside it
        return Path(folder, "ledger.db").read_bytes()


def _fill(database: Database, projects: int) -> None:
    migrate(database)
    with database.write() as connection:
        for no in range(1, projects + 1):
            assert insert_project(connection, f"Project {no}", f"proj_{no}", 0).id == no
