"""Points buckets as they are listed, and those that are due. Only db.unit writes them, with the movements."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import buckets

Row = dict[str, Any]
"""A bucket: every column of the table."""


def list_active(
    connection: Connection, project_id: int, voucher_id: str, today: str, limit: int, page: int
) -> tuple[list[Row], int]:
    """A page of a card's buckets that can be spent on `today` (ISO date), soonest expiry first, and how many there are.

    Spent-out ones are among them (facts 3.4); those whose day is past are not, whether or not they expired already.
    """
    usable = sa.or_(buckets.c.expires_on.is_(None), buckets.c.expires_on >= today)
    wanted = sa.and_(
        buckets.c.project_id == project_id, buckets.c.voucher_id == voucher_id, buckets.c.status == "ACTIVE", usable
    )
    total = int(connection.execute(sa.select(sa.func.count()).select_from(buckets).where(wanted)).scalar_one())
    order = (buckets.c.expires_on.asc().nulls_last(), buckets.c.created_at, buckets.c.id)
    statement = sa.select(*buckets.c).where(wanted).order_by(*order).limit(limit).offset((page - 1) * limit)
    return [dict(row) for row in connection.execute(statement).mappings()], total


def cards_with_due(connection: Connection, project_id: int, today: str, limit: int) -> list[str]:
    """Ids of cards that hold an active bucket whose last day of use is before `today`: those due longest first.

    Looks at no more than `limit` buckets.
    """
    statement = (
        sa.select(buckets.c.voucher_id)
        .where(buckets.c.project_id == project_id, buckets.c.status == "ACTIVE", buckets.c.expires_on < today)
        .order_by(buckets.c.expires_on)
        .limit(limit)
    )
    return list(dict.fromkeys(connection.execute(statement).scalars()))


def points_expiring(connection: Connection, project_id: int, voucher_id: str, first: str, last: str) -> int:
    """The points of a card whose last day of use lies between two days (ISO dates, both included)."""
    statement = sa.select(sa.func.coalesce(sa.func.sum(buckets.c.points), 0)).where(
        buckets.c.project_id == project_id,
        buckets.c.voucher_id == voucher_id,
        buckets.c.status == "ACTIVE",
        buckets.c.expires_on.between(first, last),
    )
    return int(connection.execute(statement).scalar_one())
