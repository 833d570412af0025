"""Postings in the database (see `db.schema.postings`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import postings
from counterfoil.db.schema.postings import IS_HELD

Row = dict[str, Any]
"""A posting: every column of the table."""

_of_project = postings.c.project_id == sa.bindparam("project")
_rows = sa.select(*postings.c).where(_of_project)
_by_id = _rows.where(postings.c.id == sa.bindparam("id"))
_by_seq = _rows.where(postings.c.movement_seq == sa.bindparam("seq"))
_by_eid = _rows.where(postings.c.eid == sa.bindparam("eid"))
_held = _rows.where(IS_HELD, postings.c.voucher_id == sa.bindparam("voucher"))
_due = _rows.where(IS_HELD, postings.c.held_until <= sa.bindparam("now")).order_by(postings.c.held_until)


def insert_posting(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new posting."""
    connection.execute(postings.insert(), row)


def update_posting(connection: Connection, project_id: int, posting_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one posting."""
    mine = (postings.c.project_id == project_id, postings.c.id == posting_id)
    connection.execute(postings.update().where(*mine).values(**values))


def posting_by_id(connection: Connection, project_id: int, posting_id: str) -> Row | None:
    """The posting with that id, or None."""
    return _one(connection, _by_id, {"project": project_id, "id": posting_id})


def posting_of_movement(connection: Connection, project_id: int, seq: int) -> Row | None:
    """The posting that led to that movement, or None."""
    return _one(connection, _by_seq, {"project": project_id, "seq": seq})


def postings_by_eid(connection: Connection, project_id: int, eid: str) -> list[Row]:
    """The postings with that external id, at most one in each programme."""
    return [dict(row) for row in connection.execute(_by_eid, {"project": project_id, "eid": eid}).mappings()]


def held_postings(connection: Connection, project_id: int, voucher_id: str) -> list[Row]:
    """What is held on a card, past its time or not."""
    return [dict(row) for row in connection.execute(_held, {"project": project_id, "voucher": voucher_id}).mappings()]


def due_postings(connection: Connection, project_id: int, now_ms: int, limit: int) -> list[Row]:
    """What is held past its time, longest first."""
    values = {"project": project_id, "now": now_ms}
    return [dict(row) for row in connection.execute(_due.limit(limit), values).mappings()]


def link_promise(connection: Connection, project_id: int, pending_id: str, seq: int, now_ms: int) -> None:
    """Note the movement that a promise has led to, on the posting that promised it, if there is one."""
    mine = (postings.c.project_id == project_id, postings.c.pending_id == pending_id)
    connection.execute(postings.update().where(*mine).values(movement_seq=seq, updated_at=now_ms))


def _one(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> Row | None:
    row = connection.execute(statement, values).mappings().one_or_none()
    return None if row is None else dict(row)
