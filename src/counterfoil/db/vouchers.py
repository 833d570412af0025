"""Vouchers in the database. Balances are not written here: they change with movements only (db.unit)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import buckets, campaigns, pending_points, vouchers
from counterfoil.db.unit import Unit
from counterfoil.errors import NotFound

Row = dict[str, Any]
"""A voucher: every column of the table, and `campaign`, the campaign's name."""

# One statement's worth of values; SQLite's own bound on variables is 32,766.
CHUNK = 1000

_rows = sa.select(*vouchers.c, campaigns.c.name.label("campaign")).select_from(
    vouchers.outerjoin(
        campaigns, (campaigns.c.project_id == vouchers.c.project_id) & (campaigns.c.id == vouchers.c.campaign_id)
    )
)
_alive = vouchers.c.deleted_at.is_(None)
_of_project = vouchers.c.project_id == sa.bindparam("project")
_by_name = (
    _rows.where(
        _of_project, _alive, sa.or_(vouchers.c.code == sa.bindparam("name"), vouchers.c.id == sa.bindparam("name"))
    )
    .order_by((vouchers.c.code == sa.bindparam("name")).desc())
    .limit(1)
)
_taken = sa.select(vouchers.c.code).where(
    _of_project, _alive, vouchers.c.code.in_(sa.bindparam("codes", expanding=True))
)
_by_ids = _rows.where(_of_project, _alive, vouchers.c.id.in_(sa.bindparam("ids", expanding=True)))


def find_voucher(connection: Connection, project_id: int, name: str) -> Row | None:
    """The live voucher with that code or, when no code is like it, with that id; None when there is none."""
    row = connection.execute(_by_name, {"project": project_id, "name": name}).mappings().first()
    return None if row is None else dict(row)


def voucher_row(source: Unit | Connection, project_id: int, name: str) -> Row:
    """The live voucher with that code or id. Raises NotFound. A Unit writes its pending balances first."""
    connection = source.sql if isinstance(source, Unit) else source
    row = find_voucher(connection, project_id, name)
    if row is None:
        raise NotFound("voucher", name)
    return row


def vouchers_by_id(connection: Connection, project_id: int, ids: Iterable[str]) -> dict[str, Row]:
    """The live vouchers with these ids, by id; unknown ones are left out."""
    found: dict[str, Row] = {}
    for chunk in _chunks(sorted(set(ids))):
        for row in connection.execute(_by_ids, {"project": project_id, "ids": chunk}).mappings():
            found[row["id"]] = dict(row)
    return found


def taken_codes(connection: Connection, project_id: int, codes: Iterable[str]) -> set[str]:
    """Those of the codes that a live voucher of the project has."""
    taken: set[str] = set()
    for chunk in _chunks(list(codes)):
        taken.update(connection.execute(_taken, {"project": project_id, "codes": chunk}).scalars())
    return taken


def insert_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert vouchers whose balance columns are 0; every row has the same keys."""
    if rows:
        connection.execute(vouchers.insert(), rows)


def update_voucher(connection: Connection, project_id: int, voucher_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one voucher; never a balance column."""
    assert not values.keys() & {"balance", "total", "subtracted", "redeemed", "expired"}, values.keys()
    connection.execute(
        vouchers.update().where(vouchers.c.project_id == project_id, vouchers.c.id == voucher_id).values(**values)
    )


def delete_vouchers(connection: Connection, project_id: int, ids: Sequence[str], now_ms: int) -> int:
    """Mark vouchers deleted and return how many were live; their movements stay."""
    deleted = 0
    for chunk in _chunks(ids):
        statement = (
            vouchers.update()
            .where(vouchers.c.project_id == project_id, vouchers.c.id.in_(chunk), _alive)
            .values(deleted_at=now_ms, updated_at=now_ms)
        )
        deleted += connection.execute(statement).rowcount
    return deleted


def ids_of_campaign(connection: Connection, project_id: int, campaign_id: str, limit: int) -> list[str]:
    """Up to `limit` ids of the campaign's live vouchers."""
    statement = (
        sa.select(vouchers.c.id)
        .where(vouchers.c.project_id == project_id, vouchers.c.campaign_id == campaign_id, _alive)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def with_points(connection: Connection, project_id: int, rows: Sequence[Row]) -> list[Row]:
    """The rows, loyalty cards among them with next_expiration_date, next_expiration_points and pending_points."""
    cards = [row["id"] for row in rows if row["type"] == "LOYALTY_CARD"]
    following: dict[str, tuple[str, int]] = {}
    pending: dict[str, int] = {}
    for chunk in _chunks(cards):
        # Latest day first, so that the earliest is what stays.
        statement = (
            sa.select(buckets.c.voucher_id, buckets.c.expires_on, buckets.c.points)
            .where(buckets.c.project_id == project_id, buckets.c.voucher_id.in_(chunk), buckets.c.status == "ACTIVE")
            .where(buckets.c.points > 0, buckets.c.expires_on.is_not(None))
            .order_by(buckets.c.expires_on.desc())
        )
        following |= {row.voucher_id: (row.expires_on, row.points) for row in connection.execute(statement)}
        promised = (
            sa.select(pending_points.c.voucher_id, sa.func.sum(pending_points.c.points).label("points"))
            .where(pending_points.c.project_id == project_id, pending_points.c.voucher_id.in_(chunk))
            .where(pending_points.c.status == "PENDING")
            .group_by(pending_points.c.voucher_id)
        )
        pending |= {row.voucher_id: int(row.points) for row in connection.execute(promised)}
    return [_with_points(row, following, pending) if row["type"] == "LOYALTY_CARD" else row for row in rows]


def _with_points(row: Row, following: Mapping[str, tuple[str, int]], pending: Mapping[str, int]) -> Row:
    day, points = following.get(row["id"], (None, None))
    return row | {
        "next_expiration_date": day,
        "next_expiration_points": points,
        "pending_points": pending.get(row["id"], 0),
    }


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[at : at + CHUNK] for at in range(0, len(values), CHUNK))
