"""Vouchers in the database. Balances are not written here: they change with movements only (db.unit)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.exportables import EVERYTHING, Rows, matching_rows
from counterfoil.db.expressions import bytewise
from counterfoil.db.schema import buckets, campaigns, customers, pending_points, vouchers
from counterfoil.db.unit import Unit
from counterfoil.errors import NotFound
from counterfoil.plan.request import Filter

Row = dict[str, Any]
"""A voucher: every column of the table, and `campaign`, the campaign's name."""

ORDERS = ("created_at", "updated_at", "code")

# One statement's worth of values; SQLite's own bound on variables is 32,766.
CHUNK = 1000

_rows = sa.select(*vouchers.c, campaigns.c.name.label("campaign")).select_from(
    vouchers.outerjoin(
        campaigns, (campaigns.c.project_id == vouchers.c.project_id) & (campaigns.c.id == vouchers.c.campaign_id)
    )
)
_alive = vouchers.c.deleted_at.is_(None)
_of_project = vouchers.c.project_id == sa.bindparam("project")
# Two statements, each with an index of its own: one with an `or` would make SQLite read the whole project.
_by_code = _rows.where(_of_project, _alive, vouchers.c.code == sa.bindparam("name"))
_by_id = _rows.where(_of_project, _alive, vouchers.c.id == sa.bindparam("name"))
_taken = sa.select(vouchers.c.code).where(
    _of_project, _alive, vouchers.c.code.in_(sa.bindparam("codes", expanding=True))
)
_by_ids = _rows.where(_of_project, _alive, vouchers.c.id.in_(sa.bindparam("ids", expanding=True)))


def find_voucher(connection: Connection, project_id: int, name: str) -> Row | None:
    """The live voucher with that code or, when no code is like it, with that id; None when there is none."""
    for statement in (_by_code, _by_id):
        row = connection.execute(statement, {"project": project_id, "name": name}).mappings().one_or_none()
        if row is not None:
            return dict(row)
    return None


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


Place = tuple[int, str]
"""Where a walk through a campaign's vouchers stands: the last one's created_at (ms) and id."""


def walk_campaign(
    connection: Connection, project_id: int, campaign_id: str, after: Place | None, limit: int
) -> list[Place]:
    """The next vouchers of the campaign in the order of their making, live ones only; the last is where to go on."""
    statement = sa.select(vouchers.c.created_at, vouchers.c.id).where(
        vouchers.c.project_id == project_id, vouchers.c.campaign_id == campaign_id, _alive
    )
    if after is not None:
        created_at, voucher_id = after
        later = (vouchers.c.created_at > created_at) | (
            (vouchers.c.created_at == created_at) & (vouchers.c.id > voucher_id)
        )
        statement = statement.where(vouchers.c.created_at >= created_at, later)
    statement = statement.order_by(vouchers.c.created_at, vouchers.c.id).limit(limit)
    return [(row.created_at, row.id) for row in connection.execute(statement)]


def update_unused(connection: Connection, project_id: int, ids: Sequence[str], values: Mapping[str, Any]) -> int:
    """Set columns of those of the vouchers that are not published, held or redeemed; returns how many."""
    changed = 0
    for chunk in _chunks(ids):
        statement = (
            vouchers.update()
            .where(vouchers.c.project_id == project_id, vouchers.c.id.in_(chunk), _alive)
            .where(
                vouchers.c.publications_count == 0, vouchers.c.redeemed_quantity == 0, vouchers.c.holder_id.is_(None)
            )
            .values(**values)
        )
        changed += connection.execute(statement).rowcount
    return changed


@dataclass(frozen=True, slots=True)
class VoucherQuery:
    """Which vouchers to list. order: one of ORDERS, with a dash for descending. Bounds in ms, both exclusive.

    customer: the holder's id or source id. campaign: a name. Everything that is None does not matter; ids and code are
    exact. filter: resolved.
    """

    limit: int = 10
    page: int = 1
    order: str = "-created_at"
    category: str | None = None
    campaign_id: str | None = None
    campaign: str | None = None
    customer: str | None = None
    code: str | None = None
    ids: tuple[str, ...] | None = None
    created_after: int | None = None
    created_before: int | None = None
    updated_after: int | None = None
    updated_before: int | None = None
    filter: Filter = EVERYTHING


def list_vouchers(connection: Connection, project_id: int, query: VoucherQuery) -> tuple[list[Row], int]:
    """A page of the live vouchers that the query asks for, and how many there are in all."""
    wanted = sa.and_(
        matching_rows("voucher", Rows(project_id, filter=query.filter)), _alive, *_conditions(project_id, query)
    )
    name = query.order.removeprefix("-")
    # A voucher never changed was last changed when it was made; ids settle ties, so that pages do not overlap.
    key: Any = (
        sa.func.coalesce(vouchers.c.updated_at, vouchers.c.created_at) if name == "updated_at" else vouchers.c[name]
    )
    key = bytewise(key) if name == "code" else key
    direction = sa.desc if query.order.startswith("-") else sa.asc
    page = _rows.where(wanted).order_by(direction(key), direction(vouchers.c.id))
    page = page.limit(query.limit).offset((query.page - 1) * query.limit)
    counted = sa.select(sa.func.count()).select_from(vouchers).where(wanted)
    total = int(connection.execute(counted).scalar_one())
    rows = [dict(row) for row in connection.execute(page).mappings()] if total else []
    return rows, total


def _conditions(project_id: int, query: VoucherQuery) -> Iterable[sa.ColumnElement[bool]]:
    exact = {
        vouchers.c.category: query.category,
        vouchers.c.campaign_id: query.campaign_id,
        vouchers.c.code: query.code,
    }
    yield from (column == value for column, value in exact.items() if value is not None)
    if query.ids is not None:
        yield vouchers.c.id.in_(query.ids)
    if query.campaign is not None:
        yield vouchers.c.campaign_id.in_(
            sa.select(campaigns.c.id).where(campaigns.c.project_id == project_id, campaigns.c.name == query.campaign)
        )
    if query.customer is not None:
        holder = sa.or_(customers.c.id == query.customer, customers.c.source_id == query.customer)
        yield vouchers.c.holder_id.in_(
            sa.select(customers.c.id).where(
                customers.c.project_id == project_id, customers.c.deleted_at.is_(None), holder
            )
        )
    for column, after, before in (
        (vouchers.c.created_at, query.created_after, query.created_before),
        (vouchers.c.updated_at, query.updated_after, query.updated_before),
    ):
        if after is not None:
            yield column > after
        if before is not None:
            yield column < before


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
