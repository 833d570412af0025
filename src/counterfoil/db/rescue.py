"""What happens to exports that nobody works on any more: rescue after a lost worker, retention, forgotten links.

Each statement carries its own fence (the lease must have run out now, by the database's clock), so any number of
sweepers on any number of hosts do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.exports import FINAL
from counterfoil.db.now import db_now_ms, has_come
from counterfoil.db.queue import recorded_parts
from counterfoil.db.schema import access_tokens, export_parts, exports, manifests

WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class Rescue:
    """An export taken back from a lost worker, and the state it went to (SCHEDULED, ERROR or CANCELED)."""

    project_id: int
    export_id: str
    attempt: int
    status: str


@dataclass(frozen=True, slots=True)
class FileHolder:
    """An export whose files have lost their claim to be kept; the keys are those its row named."""

    project_id: int
    export_id: str
    keys: tuple[str, ...]


_NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_until": None}


def _expired() -> sa.ColumnElement[bool]:
    return (exports.c.status == "IN_PROGRESS") & has_come(exports.c.lease_until)


def any_expired(connection: Connection) -> bool:
    """Whether `sweep_expired` would find something: a look that takes no lock."""
    return connection.execute(sa.select(sa.literal(1)).where(_expired()).limit(1)).one_or_none() is not None


def sweep_expired(connection: Connection, tries_max: int, backoff_ms: int) -> list[Rescue]:
    """Take back every export whose lease ran out: CANCELED if that was asked, ERROR `worker_lost` when its tries are
    used up, else SCHEDULED and due in `backoff_ms`."""
    return _take_back(connection, _expired(), tries_max, backoff_ms)


def release_dead(connection: Connection, is_dead: Callable[[str], bool], tries_max: int) -> list[Rescue]:
    """Take back at once what processes hold that `is_dead(owner)` says cannot be alive, as `sweep_expired` does.

    Only for owners whose death is certain, such as an earlier process of this host. The try is spent: it may be the
    export itself that kills the process again and again, by its memory for one.
    """
    owners = connection.execute(sa.select(exports.c.lease_owner).where(exports.c.status == "IN_PROGRESS").distinct())
    dead = [owner for (owner,) in owners if is_dead(owner)]
    if not dead:
        return []
    held = (exports.c.status == "IN_PROGRESS") & exports.c.lease_owner.in_(dead)
    return _take_back(connection, held, tries_max, 0)


def _take_back(connection: Connection, lost: sa.ColumnElement[bool], tries_max: int, backoff_ms: int) -> list[Rescue]:
    now = db_now_ms()
    canceled = exports.c.cancel_requested.is_(True)
    spent = exports.c.tries >= tries_max
    steps: tuple[tuple[sa.ColumnElement[bool], dict[str, Any]], ...] = (
        (canceled, {"status": "CANCELED", "finished_at": now}),
        (spent, {"status": "ERROR", "finished_at": now, "error_code": WORKER_LOST,
                 "error_message": "The worker died or lost the database on every try"}),
        (sa.true(), {"status": "SCHEDULED", "available_at": now + backoff_ms,
                     "error_code": WORKER_LOST, "error_message": "A worker died or lost the database; trying again"}),
    )  # fmt: skip
    back = (exports.c.project_id, exports.c.id, exports.c.attempt, exports.c.status)
    found: list[Rescue] = []
    for condition, values in steps:
        statement = exports.update().where(lost, condition).values(**values, **_NO_LEASE).returning(*back)
        found.extend(Rescue(*row) for row in connection.execute(statement))
    return found


# -- retention --------------------------------------------------------------------------------------------------------


def expire_files(connection: Connection) -> list[FileHolder]:
    """Mark EXPIRED every DONE export whose retention has ended; returns the files to delete now.

    A crash before they are deleted leaves orphans, which the sweeper finds by their folder.
    """
    due = (exports.c.status == "DONE") & (exports.c.file_expires_at <= db_now_ms())
    statement = exports.update().where(due).values(status="EXPIRED")
    rows = connection.execute(statement.returning(exports.c.project_id, exports.c.id, exports.c.result))
    return [FileHolder(row[0], row[1], tuple(file["key"] for file in row[2]["files"])) for row in rows]


def expire_rows(connection: Connection, retention_ms: int) -> int:
    """Remove the records of exports that ended more than `retention_ms` ago and have no file any more."""
    old = (
        exports.c.status.in_([state for state in FINAL if state != "DONE"])
        & (exports.c.finished_at <= db_now_ms() - retention_ms)
    )  # fmt: skip
    gone = connection.execute(sa.select(exports.c.project_id, exports.c.id).where(old)).all()
    for project_id, export_id in gone:
        for table, column in ((export_parts, "export_id"), (exports, "id")):
            mine = (table.c.project_id == project_id) & (table.c[column] == export_id)
            connection.execute(table.delete().where(mine))
    return len(gone)


def expire_tokens(connection: Connection) -> int:
    """Forget OAuth tokens that nobody can use any more."""
    return connection.execute(access_tokens.delete().where(access_tokens.c.expires_at <= db_now_ms())).rowcount


# -- which files are wanted -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may stay of an export's folder: these keys, and the folders of the attempt that runs or ran last and of any
    after it. attempt: None when no attempt will come."""

    keys: frozenset[str]
    attempt: int | None

    def keeps(self, key: str, attempt: int) -> bool:
        """Whether a file of that attempt may stay."""
        return key in self.keys or (self.attempt is not None and attempt >= self.attempt)


def wanted_files(connection: Connection, project_id: int, export_id: str) -> Wanted:
    """Decide what may stay. The manifest stays as long as the chain names it, also when the export is gone."""
    row = connection.execute(
        sa.select(exports.c.status, exports.c.attempt, exports.c.result).where(
            exports.c.project_id == project_id, exports.c.id == export_id
        )
    ).one_or_none()
    mine = (manifests.c.project_id == project_id) & (manifests.c.export_id == export_id)
    keys = set(connection.execute(sa.select(manifests.c.key).where(mine)).scalars())
    if row is None:
        return Wanted(frozenset(keys), None)
    if row.status == "DONE":
        keys.update(file["key"] for file in row.result["files"])
    elif row.status not in FINAL:
        for part in recorded_parts(connection, project_id, export_id).values():
            keys.add(part.key)
            runs = part.sums.get("runs")
            keys.update([runs["key"]] if runs else ())
    return Wanted(frozenset(keys), None if row.status in FINAL else row.attempt)


def ended_since(connection: Connection, since_ms: int) -> list[tuple[int, str]]:
    """Exports that ended at or after an instant of the database's clock: their folders may hold leftovers."""
    statement = sa.select(exports.c.project_id, exports.c.id).where(
        exports.c.status.in_(FINAL), exports.c.finished_at >= since_ms
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]
