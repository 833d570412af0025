"""PostgreSQL drops connections, refuses to serialize, or hangs: what may pass is tried again, within bounds, once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator

import psycopg
import psycopg.sql
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database
from counterfoil.db.schema import projects
from counterfoil.db.unit import Unit
from counterfoil.db.writer import GroupWriter, WriterSettings
from counterfoil.errors import Unavailable
from tests.databases import POOL, postgres_ledger
from tests.services import PostgresServer


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_ledger(postgres_server) as database:
        yield database


def url_of(database: Database) -> str:
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


def drop(database: Database, connection: Connection) -> None:
    """Let the server end this connection, as an administrator or its shutdown does."""
    pid = connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one()
    with psycopg.connect(url_of(database), autocommit=True) as other:
        assert other.execute("select pg_terminate_backend(%s, 5000)", (pid,)).fetchone() == (True,)


class Renaming:
    """A write that is disturbed after its first statement, so many times; each try gives another name."""

    def __init__(self, database: Database, disturb: int) -> None:
        self.database = database
        self.left = disturb
        self.tries = 0

    def __call__(self, unit: Unit) -> str:
        self.tries += 1
        name = f"try {self.tries}"
        unit.sql.execute(projects.update().where(projects.c.id == 1).values(name=name))
        if self.left:
            self.left -= 1
            drop(self.database, unit.sql)
        unit.sql.execute(projects.update().where(projects.c.id == 2).values(name=f"{name}, too"))
        return name


def names(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(projects.c.name).order_by(projects.c.id)).scalars())


def test_a_write_whose_connection_is_dropped_in_the_middle_is_done_again_and_whole(database: Database) -> None:
    writer = GroupWriter(database, SystemClock())
    work = Renaming(database, disturb=2)
    assert writer.run(1, work) == "try 3"
    writer.close()
    assert names(database) == ["try 3", "try 3, too"]


def test_a_write_that_is_dropped_each_time_is_given_up_and_nothing_was_written(database: Database) -> None:
    before = names(database)
    writer = GroupWriter(database, SystemClock(), WriterSettings(tries_max=3, backoff_s=0.001))
    work = Renaming(database, disturb=100)
    with pytest.raises(Unavailable) as given_up:
        writer.run(1, work)
    writer.close()
    assert (given_up.value.code, given_up.value.transient, work.tries) == ("database_unavailable", True, 3)
    assert names(database) == before


def test_a_serialization_failure_is_done_again(database: Database) -> None:
    """Two transactions that each change what the other has read: the server lets one of them fail (40001)."""
    with psycopg.connect(url_of(database), autocommit=True) as connection:  # as an operator may have set it
        name = psycopg.sql.Identifier(database.url.database or "")
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = serializable").format(name)
        )
    together = threading.Barrier(2, timeout=30)
    tries = [0, 0]

    def swapping(me: int) -> Callable[[Unit], None]:
        def swap(unit: Unit) -> None:
            tries[me] += 1
            connection = unit.sql
            connection.execute(sa.select(projects.c.name)).all()
            if tries[me] == 1:
                together.wait()
            connection.execute(projects.update().where(projects.c.id == me + 1).values(name=f"mine {me}"))
            if tries[me] == 1:
                together.wait()

        return swap

    # Two processes have a writer each.
    others = [Database(url_of(database), POOL) for _ in range(2)]
    writers = [GroupWriter(each, SystemClock()) for each in others]
    threads = [threading.Thread(target=each.run, args=(me + 1, swapping(me))) for me, each in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread, each, other in zip(threads, writers, others, strict=True):
        thread.join()
        each.close()
        other.dispose()
    assert names(database) == ["mine 0", "mine 1"]
    assert sorted(tries) == [1, 2]


def test_a_statement_that_hangs_ends_with_the_setting_that_says_when(database: Database) -> None:
    quick = Database(url_of(database), dataclasses.replace(POOL, statement_timeout_ms=200))
    with database.write() as holder:
        holder.execute(projects.update().where(projects.c.id == 1).values(name="held"))
        with pytest.raises(Unavailable, match=r"statement timeout \(COUNTERFOIL_STATEMENT_TIMEOUT_S\)"):
            rename(quick)
    rename(quick)
    assert names(database)[0] == "renamed"
    with quick.read() as connection:  # reads, exports among them, have no such bound
        assert connection.exec_driver_sql("show statement_timeout").scalar_one() == "0"
    quick.dispose()


def rename(database: Database) -> None:
    with database.write() as connection:
        connection.execute(projects.update().where(projects.c.id == 1).values(name="renamed"))


def test_a_pool_without_a_free_connection_is_told_as_passing(database: Database) -> None:
    narrow = Database(url_of(database), dataclasses.replace(POOL, pool_size=1, overflow=0, pool_wait_s=0.1))
    with narrow.read(), pytest.raises(Unavailable, match="Every connection"), narrow.read():
        pass
    narrow.dispose()
