"""The hold on a project's archive: whoever rewrites it has the duty, and every write to the table proves it.

A holder that was paused past its lease finds out at its next write, before it has changed anything; files it wrote are
then named by no row, and the next holder removes them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from counterfoil.clock import Clock
from counterfoil.db.duties import database_now_ms, duty_done, keep_duty, take_duty
from counterfoil.db.engine import Database
from counterfoil.errors import Conflict
from counterfoil.ids import random_text

TTL_MS = 60_000


class Hold:
    """One project's archive in one hand. For one thread."""

    def __init__(self, database: Database, clock: Clock, project_id: int, owner: str, ttl_ms: int) -> None:
        self.database = database
        self.clock = clock
        self.project_id = project_id
        self._owner = owner
        self._ttl_ms = ttl_ms
        self._kept_s = clock.monotonic_s()

    def keep(self) -> None:
        """Extend the lease when a third of it has passed. Call it between steps. Raises Conflict `archive_taken`."""
        if (self.clock.monotonic_s() - self._kept_s) * 3000 > self._ttl_ms:
            with self.write():
                pass

    @contextmanager
    def write(self) -> Generator[Connection]:
        """A writing transaction that is this holder's alone. Raises Conflict `archive_taken` when the duty was lost."""
        with self.database.write() as connection:
            # On PostgreSQL this locks the duty's row until the end, so two holders never write at once.
            if not keep_duty(connection, duty_of(self.project_id), self._owner, self._ttl_ms):
                raise Conflict("archive_taken", f"The archive of project {self.project_id} is in another hand by now")
            self._kept_s = self.clock.monotonic_s()
            yield connection


@contextmanager
def hold(database: Database, clock: Clock, project_id: int, *, ttl_ms: int = TTL_MS) -> Generator[Hold | None]:
    """Take a project's archive for the block; None when somebody else has it."""
    owner = f"archive-{random_text(16)}"
    name = duty_of(project_id)
    with database.write() as connection:
        started_at = database_now_ms(connection)
        taken = take_duty(connection, name, owner, ttl_ms=ttl_ms, every_ms=0)
    if not taken:
        yield None
        return
    try:
        yield Hold(database, clock, project_id, owner, ttl_ms)
    finally:
        with database.write() as connection:
            duty_done(connection, name, owner, started_at)


def duty_of(project_id: int) -> str:
    """The name of a project's archive among the duties."""
    return f"archive/{project_id}"
