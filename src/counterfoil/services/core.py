"""What every service stands on, and who is asking.

Services are the use-cases and the only owners of transactions on the request side. They take and give plain values;
dialects turn those into their vendor's shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.engine import Connection

from counterfoil.clock import Clock
from counterfoil.db.engine import Database
from counterfoil.db.projects import Project
from counterfoil.db.unit import Idempotency, Unit
from counterfoil.db.writer import GroupWriter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated request. scopes None means all; channel is what the caller says of itself, or None; app_id is the
    public half of its key, where the dialect has one.

    idempotency is set when the caller sent a key; every write of the request then goes by it.
    """

    project: Project
    scopes: frozenset[str] | None = None
    channel: str | None = None
    request_id: str = ""
    key_id: int | None = None
    app_id: str | None = None
    idempotency: Idempotency | None = None

    @property
    def project_id(self) -> int:
        """The tenant's number."""
        return self.project.id


@dataclass(frozen=True, slots=True)
class Core:
    """The database, the group writer and the clock."""

    database: Database
    writer: GroupWriter
    clock: Clock

    def write(self, caller: Caller, work: Callable[[Unit], T], *, cards: Iterable[str] = ()) -> T:
        """Do a caller's write: durable when this returns. The answer must be plain JSON values (it may be remembered)."""
        return self.writer.run(caller.project_id, work, idempotency=caller.idempotency, cards=cards)

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A snapshot to read from."""
        with self.database.read() as connection:
            yield connection
