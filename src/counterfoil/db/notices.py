"""How workers on PostgreSQL hear at once that another process has queued something: NOTIFY with the commit, LISTEN.

Only a shortcut: a notice may be lost with its connection, so workers go on polling. On SQLite nothing is said.
"""

from __future__ import annotations

import threading

import psycopg
import sqlalchemy as sa
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import Connection

from counterfoil.db.engine import KEEPALIVE, Database
from counterfoil.errors import Unavailable

log = structlog.get_logger(__name__)

CHANNEL = "counterfoil_work"
_SLICE_S = 0.5
_announce = sa.select(sa.func.pg_notify(CHANNEL, ""))


def announce(connection: Connection) -> None:
    """Tell the workers of all hosts, once this transaction commits, that there is something to do."""
    if connection.dialect.name == "postgresql":
        connection.execute(_announce)


class Listener:
    """Sets `wake` for each notice, over a connection of its own that is made anew whenever it breaks.

    `run` listens for half a second and returns, so that whoever calls it again and again can stop. `connected` is set
    while notices arrive.
    """

    def __init__(self, database: Database, wake: threading.Event) -> None:
        url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._address = make_conninfo(url, application_name="counterfoil listener", **KEEPALIVE)
        self._wake = wake
        self._connection: psycopg.Connection | None = None
        self.connected = threading.Event()

    def run(self) -> None:
        """Listen for a moment. Raises Unavailable when the database does not answer."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._address, autocommit=True)
                self._connection.execute(f"LISTEN {CHANNEL}")
                self.connected.set()
                self._wake.set()  # for what was queued while nobody listened
            for _ in self._connection.notifies(timeout=_SLICE_S, stop_after=1):
                self._wake.set()
        except psycopg.Error as error:
            self.close()
            raise Unavailable("database_unavailable", f"No notices of queued work: {error}") from error

    def close(self) -> None:
        """Let go of the connection; `run` makes another."""
        self.connected.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
