"""Points promised but not spendable yet, in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import pending_points

Row = dict[str, Any]
"""A promise: every column of the table. status: PENDING, ACTIVATED or CANCELED."""

_of_project = pending_points.c.project_id == sa.bindparam("project")
_rows = sa.select(*pending_points.c)
_by_id = _rows.where(_of_project, pending_points.c.id == sa.bindparam("id"))


@dataclass(frozen=True, slots=True)
class PendingQuery:
    """Which promises to list: those PENDING, of one card or of one campaign's. after_id: only those behind that one."""

    voucher_id: str | None = None
    campaign_id: str | None = None
    descending: bool = True
    after_id: str | None = None
    limit: int = 10


def find_pending(connection: Connection, project_id: int, pending_id: str) -> Row | None:
    """The promise with that id, whatever its status, or None."""
    row = connection.execute(_by_id, {"project": project_id, "id": pending_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def list_pending(connection: Connection, project_id: int, query: PendingQuery) -> tuple[list[Row], bool]:
    """A page of promises in the order of their ids, and whether more follow it."""
    key: Any = pending_points.c.id
    if connection.dialect.name == "postgresql":
        key = sa.collate(key, "C")
    wanted = [pending_points.c.project_id == project_id, pending_points.c.status == "PENDING"]
    if query.voucher_id is not None:
        wanted.append(pending_points.c.voucher_id == query.voucher_id)
    if query.campaign_id is not None:
        wanted.append(pending_points.c.campaign_id == query.campaign_id)
    if query.after_id is not None:
        wanted.append(key < query.after_id if query.descending else key > query.after_id)
    order = key.desc() if query.descending else key.asc()
    found = connection.execute(_rows.where(*wanted).order_by(order).limit(query.limit + 1)).mappings().all()
    return [dict(row) for row in found[: query.limit]], len(found) > query.limit


def pending_sum(connection: Connection, project_id: int, voucher_id: str) -> int:
    """The points that are promised to a card."""
    statement = sa.select(sa.func.coalesce(sa.func.sum(pending_points.c.points), 0)).where(
        pending_points.c.project_id == project_id,
        pending_points.c.voucher_id == voucher_id,
        pending_points.c.status == "PENDING",
    )
    return int(connection.execute(statement).scalar_one())


def due_ids(connection: Connection, project_id: int, today: str, limit: int) -> list[str]:
    """Ids of promises to be kept on `today` (ISO date) or earlier, those due longest first."""
    statement = (
        sa.select(pending_points.c.id)
        .where(pending_points.c.project_id == project_id, pending_points.c.status == "PENDING")
        .where(pending_points.c.activates_on <= today)
        .order_by(pending_points.c.activates_on)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def update_pending(connection: Connection, project_id: int, pending_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one promise."""
    connection.execute(
        pending_points.update()
        .where(pending_points.c.project_id == project_id, pending_points.c.id == pending_id)
        .values(**values)
    )
