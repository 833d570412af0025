"""Async actions in the database: the vendor's object, and the queue that a runner works through.

A runner owns an action while its lease lives, by the database's clock. Every write of a step names the owner, so a
runner that lost its action changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.notices import announce
from counterfoil.db.now import db_now_ms, has_come
from counterfoil.db.schema import async_actions

Row = dict[str, Any]
"""An async action: every column of the table."""

UNFINISHED = ("ENQUEUED", "IN_PROGRESS")

_table = async_actions
_unowned = sa.or_(
    _table.c.status == "ENQUEUED",
    sa.and_(_table.c.status == "IN_PROGRESS", sa.or_(_table.c.lease_until.is_(None), has_come(_table.c.lease_until))),
)
_due = _unowned & _table.c.type.in_(sa.bindparam("types", expanding=True))
# Least recently worked on comes first, so that long actions take turns and a short one never waits for their end.
_next = (
    sa.select(_table.c.project_id, _table.c.id)
    .where(_due)
    .order_by(sa.func.coalesce(_table.c.updated_at, _table.c.created_at), _table.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("next_action")
)
_claim = (
    _table.update()
    .where(_table.c.project_id == _next.c.project_id, _table.c.id == _next.c.id)
    .values(
        status="IN_PROGRESS",
        lease_owner=sa.bindparam("owner"),
        lease_until=db_now_ms() + sa.bindparam("ttl_ms", type_=sa.BigInteger),
        tries=_table.c.tries + 1,
    )
    .returning(*_table.c)
)


def insert_action(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new action, ENQUEUED."""
    connection.execute(_table.insert(), row)
    announce(connection)


def find_action(connection: Connection, project_id: int, action_id: str) -> Row | None:
    """The action with that id, or None."""
    statement = sa.select(*_table.c).where(_table.c.project_id == project_id, _table.c.id == action_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else dict(row)


def list_actions(connection: Connection, project_id: int, *, before_ms: int | None, limit: int) -> list[Row]:
    """The latest actions, newest first, without payload, checkpoint and result; before_ms: only those made earlier."""
    columns = [c for c in _table.c if c.name not in {"payload", "checkpoint", "result"}]
    statement = sa.select(*columns).where(_table.c.project_id == project_id)
    if before_ms is not None:
        statement = statement.where(_table.c.created_at < before_ms)
    statement = statement.order_by(_table.c.created_at.desc(), _table.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(statement).mappings()]


def unfinished_payloads(connection: Connection, project_id: int, types: Sequence[str]) -> list[Any]:
    """What the project's unfinished actions of these types were asked."""
    wanted = (_table.c.project_id == project_id, _table.c.type.in_(types), _table.c.status.in_(UNFINISHED))
    return list(connection.execute(sa.select(_table.c.payload).where(*wanted)).scalars())


def any_due(connection: Connection, types: Sequence[str]) -> bool:
    """Whether an action of these types waits for a runner."""
    statement = sa.select(sa.literal(1)).select_from(_table).where(_due).limit(1)
    return connection.execute(statement, {"types": list(types)}).first() is not None


def claim(connection: Connection, types: Sequence[str], owner: str, lease_ttl_ms: int) -> Row | None:
    """Take the next action of these types for `owner`, or None when none waits. tries counts this claim already."""
    found = connection.execute(_claim, {"types": list(types), "owner": owner, "ttl_ms": lease_ttl_ms})
    row = found.mappings().one_or_none()
    return None if row is None else dict(row)


def advance(
    connection: Connection, row: Row, owner: str, checkpoint: Any, progress: int, now_ms: int, ttl_ms: int
) -> bool:
    """Record a step and renew the lease; False when `owner` does not own the action any more."""
    values = {
        "checkpoint": checkpoint,
        "progress": progress,
        "updated_at": now_ms,
        "tries": 0,
        "lease_until": db_now_ms() + ttl_ms,
    }
    return _write_owned(connection, row, owner, values)


def release(connection: Connection, row: Row, owner: str, wait_ms: int) -> bool:
    """Give the action up unfinished; the next runner may take it after `wait_ms`."""
    return _write_owned(connection, row, owner, {"lease_owner": None, "lease_until": db_now_ms() + wait_ms})


def finish(
    connection: Connection, row: Row, owner: str, *, status: str, operation_status: str, result: Any, now_ms: int
) -> bool:
    """End the action as DONE or FAILED and drop what it needed to run; False when `owner` does not own it any more."""
    values = {
        "status": status,
        "operation_status": operation_status,
        "result": result,
        "payload": None,
        "checkpoint": None,
        "lease_owner": None,
        "lease_until": None,
        "updated_at": now_ms,
        "finished_at": now_ms,
    }
    if status == "DONE":
        values["progress"] = 100
    return _write_owned(connection, row, owner, values)


def _write_owned(connection: Connection, row: Row, owner: str, values: Mapping[str, Any]) -> bool:
    statement = (
        _table.update()
        .where(_table.c.project_id == row["project_id"], _table.c.id == row["id"])
        .where(_table.c.status == "IN_PROGRESS", _table.c.lease_owner == owner)
        .values(**values)
    )
    return connection.execute(statement).rowcount == 1
