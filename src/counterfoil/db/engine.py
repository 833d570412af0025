"""The ledger database: connections, transactions and what differs between SQLite and PostgreSQL.

Writing transactions are short; reading ones are snapshots. Driver errors become ours here and nowhere else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from counterfoil.errors import Conflict, CounterfoilError, InvalidInput, Unavailable

_BEGIN = "counterfoil_begin"
_PAGES_PER_MB = 256
_SWITCH_TRIES = 100
KEEPALIVE = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""libpq's options, in s and tries: a PostgreSQL host that vanished without a word is noticed within half a minute."""
_STATEMENT_TIMED_OUT = "57014"
_TICKET = sa.text("SELECT pg_current_xact_id_if_assigned()::text")
_TICKET_STATUS = sa.text("SELECT pg_xact_status(CAST(:ticket AS xid8))")


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """pool_size: connections kept; overflow: how many more for a moment; pool_wait_s: how long one is waited for after
    that. busy_timeout_ms: how long SQLite waits for its one writer.

    cache_mb: SQLite's page cache per connection. log_mb: how far its log grows before it is folded into the database:
    the further, the more often a page changes for one write of it (among 50,000 cards, 64 MB make a fifth more
    balance changes a second than SQLite's own 4). statement_timeout_ms: PostgreSQL's bound on one statement of a
    writing transaction, its wait for locks included, so that one that hangs does not hold its own locks for ever (0:
    none); reads, exports among them, have none. writer_idle_ms: after so long a silence PostgreSQL ends a writing
    transaction, so that a process that was paused, or cut off from the network, does not hold its locks for ever.
    """

    pool_size: int = 48
    overflow: int = 16
    pool_wait_s: float = 30.0
    busy_timeout_ms: int = 30_000
    cache_mb: int = 64
    log_mb: int = 64
    statement_timeout_ms: int = 60_000
    writer_idle_ms: int = 20_000


class Database:
    """One database and its pool. Thread-safe. `url` as in settings: sqlite:///path or postgresql://…"""

    def __init__(self, url: str, settings: DatabaseSettings | None = None) -> None:
        self.settings = settings or DatabaseSettings()
        self.url = _checked_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = self._sqlite_engine() if self.sqlite else self._postgresql_engine()

    @property
    def dialect_name(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A read-only snapshot: every statement inside sees the same moment."""
        begin = "BEGIN" if self.sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        with self._transaction(begin) as connection:
            yield connection

    @contextmanager
    def write(self) -> Generator[Connection]:
        """A writing transaction, durable once the block ends without an exception."""
        bounds = (
            f"SET LOCAL idle_in_transaction_session_timeout = {self.settings.writer_idle_ms}; "
            f"SET LOCAL statement_timeout = {self.settings.statement_timeout_ms}"
        )
        with self._transaction("BEGIN IMMEDIATE" if self.sqlite else f"BEGIN; {bounds}") as connection:
            yield connection

    def ticket(self, connection: Connection) -> str | None:
        """What to ask `committed` about, should the connection break while this writing transaction commits.

        None when nothing can be in doubt: SQLite commits in this process, and what wrote nothing lost nothing.
        """
        return None if self.sqlite else connection.execute(_TICKET).scalar_one()

    def committed(self, ticket: str) -> bool | None:
        """Whether the transaction with that ticket was committed; None while it still runs."""
        with self.read() as connection:
            status = connection.execute(_TICKET_STATUS, {"ticket": ticket}).scalar_one()
        return None if status == "in progress" else status == "committed"

    @contextmanager
    def _transaction(self, begin: str) -> Generator[Connection]:
        with (
            translated_errors(),
            self.engine.connect().execution_options(**{_BEGIN: begin}) as connection,
            connection.begin(),
        ):
            yield connection

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _sqlite_engine(self) -> sa.Engine:
        if self.url.database and self.url.database != ":memory:":
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            self.url,
            pool_size=self.settings.pool_size,
            max_overflow=self.settings.overflow,
            pool_timeout=self.settings.pool_wait_s,
            connect_args={"check_same_thread": False, "timeout": self.settings.busy_timeout_ms / 1000},
        )
        event.listen(engine, "connect", self._prepare_sqlite)
        event.listen(engine, "begin", _emit_begin)
        return engine

    def _postgresql_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url.set(drivername="postgresql+psycopg"),
            pool_size=self.settings.pool_size,
            max_overflow=self.settings.overflow,
            pool_timeout=self.settings.pool_wait_s,
            pool_pre_ping=True,
            isolation_level="AUTOCOMMIT",
            connect_args=KEEPALIVE,
        )
        event.listen(engine, "begin", _emit_begin)
        event.listen(engine, "commit", _emit_commit)
        event.listen(engine, "rollback", _emit_rollback)
        return engine

    def _prepare_sqlite(self, connection: Any, _record: object) -> None:
        # The driver's own transaction handling is switched off: begin says which kind it wants.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={self.settings.busy_timeout_ms}")
        _use_log(connection)
        for pragma in (
            "synchronous=FULL",
            f"cache_size=-{self.settings.cache_mb * 1024}",
            f"wal_autocheckpoint={self.settings.log_mb * _PAGES_PER_MB}",
            "temp_store=MEMORY",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")


def _use_log(connection: Any) -> None:
    """Switch the file to the write-ahead log, unless it is. Of several that open a new file at once one does it; for that
    alone SQLite does not let the others wait, so they wait for a lock that it lets them wait for, and look again."""
    for _ in range(_SWITCH_TRIES):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")


def _emit_begin(connection: Connection) -> None:
    # Without parameters several statements go to the server in one message.
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN")
    connection.exec_driver_sql(begin, execution_options={"no_parameters": True})


def _emit_commit(connection: Connection) -> None:
    connection.exec_driver_sql("COMMIT")


def _emit_rollback(connection: Connection) -> None:
    if not connection.invalidated:  # with a connection that broke, the server has rolled back already
        connection.exec_driver_sql("ROLLBACK")


def _checked_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise InvalidInput(
            "invalid_setting",
            "The database must be a URL",
            field="database",
            value=text,
            allowed=("sqlite:///PATH", "postgresql://USER:PASSWORD@HOST/NAME"),
        ) from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidInput(
            "invalid_setting",
            "Unknown kind of database",
            field="database",
            value=url.get_backend_name(),
            allowed=("sqlite", "postgresql"),
        )
    return url


@contextmanager
def translated_errors() -> Generator[None]:
    """Turn the drivers' exceptions into ours: uniqueness into Conflict, what may pass into Unavailable."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict("duplicate_found", _first_line(error)) from error
    except PoolTimeout as error:
        raise Unavailable("database_busy", "Every connection to the database is in use; try again") from error
    except (OperationalError, InterfaceError) as error:
        raise Unavailable("database_unavailable", f"The database did not answer: {_first_line(error)}") from error
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if error.connection_invalidated or state[:2] in {"08", "40", "53", "57"}:
            raise Unavailable("database_unavailable", f"The database did not answer: {_first_line(error)}") from error
        raise CounterfoilError("database_refused", _first_line(error)) from error


def _first_line(error: DBAPIError) -> str:
    line = str(error.orig).strip().split("\n", 1)[0]
    timed_out = getattr(error.orig, "sqlstate", None) == _STATEMENT_TIMED_OUT
    return f"{line} (COUNTERFOIL_STATEMENT_TIMEOUT_S)" if timed_out else line
