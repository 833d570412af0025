"""Redemptions and rollbacks in the database, those that failed too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.exportables import Rows, matching_rows
from counterfoil.db.schema import customers, orders, redemptions, vouchers
from counterfoil.plan.request import Filter

Row = dict[str, Any]
"""A redemption or rollback: every column of the table."""

ORDERS = ("created_at", "id", "voucher_code", "tracking_id", "customer_id")
EXPORTABLE = "redemption"
"""The catalogue's object whose fields filters may name."""

STACK = "redemption"
"""related_object_type of what stands for several redemptions made, or undone, at once."""

# One statement's worth of values; SQLite's own bound on variables is 32,766.
_CHUNK = 1000

_of_project = redemptions.c.project_id == sa.bindparam("project")
_rows = sa.select(*redemptions.c)
_by_id = _rows.where(_of_project, redemptions.c.id == sa.bindparam("id"))
_children = _rows.where(_of_project, redemptions.c.parent_id == sa.bindparam("id")).order_by(redemptions.c.id)
_orders = sa.select(*orders.c).where(
    orders.c.project_id == sa.bindparam("project"), orders.c.id.in_(sa.bindparam("ids", expanding=True))
)
_times = vouchers.c.redeemed_quantity + sa.bindparam("b_more", type_=sa.BigInteger)
_count = (
    vouchers.update()
    .where(vouchers.c.project_id == sa.bindparam("b_project"), vouchers.c.id == sa.bindparam("b_id"))
    .values(redeemed_quantity=sa.case((_times < 0, 0), else_=_times))
)
_undone_by = _rows.where(_of_project, redemptions.c.redemption_id.in_(sa.bindparam("ids", expanding=True)))


def empty_row(project_id: int, now_ms: int) -> Row:
    """A row with every column, to be laid under what is known."""
    row: Row = dict.fromkeys(column.name for column in redemptions.c)
    return row | {"project_id": project_id, "date": now_ms, "created_at": now_ms}


def insert_redemptions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """New redemptions or rollbacks, as `empty_row` shapes them."""
    if rows:
        connection.execute(redemptions.insert(), rows)


def find_redemption(connection: Connection, project_id: int, redemption_id: str) -> Row | None:
    """The redemption or rollback with that id, or None."""
    row = connection.execute(_by_id, {"project": project_id, "id": redemption_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def children_of(connection: Connection, project_id: int, parent_id: str) -> list[Row]:
    """What a parent stands for, in the order in which it was redeemed."""
    return [dict(row) for row in connection.execute(_children, {"project": project_id, "id": parent_id}).mappings()]


def rollbacks_of(connection: Connection, project_id: int, ids: Iterable[str]) -> list[Row]:
    """Every rollback, failed ones too, of redemptions with these ids."""
    found: list[Row] = []
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), _CHUNK):
        values = {"project": project_id, "ids": wanted[at : at + _CHUNK]}
        found.extend(dict(row) for row in connection.execute(_undone_by, values).mappings())
    return found


def count_redemption(connection: Connection, project_id: int, voucher_id: str, more: int) -> None:
    """Count a voucher's redemptions: one more (1) or, undone, one less (-1); of a removed voucher as well."""
    connection.execute(_count, {"b_project": project_id, "b_id": voucher_id, "b_more": more})


def mark_rolled_back(connection: Connection, project_id: int, ids: Sequence[str], now_ms: int) -> None:
    """Say of redemptions that they were undone."""
    connection.execute(
        redemptions.update()
        .where(redemptions.c.project_id == project_id, redemptions.c.id.in_(ids))
        .values(status="ROLLED_BACK", updated_at=now_ms)
    )


_ALL = Filter()


@dataclass(frozen=True, slots=True)
class RedemptionQuery:
    """Which redemptions and rollbacks to list. order: one of ORDERS, with a dash for descending. Bounds in ms, exclusive.

    campaign: a name. customer: an id or source id. voucher_id: one voucher's, redemptions only. filter: resolved, over
    the fields of EXPORTABLE. Everything that is None does not matter.
    """

    limit: int = 10
    page: int = 1
    order: str = "-created_at"
    results: tuple[str, ...] = ()
    campaign: str | None = None
    customer: str | None = None
    voucher_id: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    filter: Filter = _ALL


def list_redemptions(connection: Connection, project_id: int, query: RedemptionQuery) -> tuple[list[Row], int]:
    """A page of redemptions and rollbacks, and how many there are in all."""
    wanted = sa.and_(redemptions.c.project_id == project_id, *_conditions(project_id, query))
    key: Any = redemptions.c[query.order.removeprefix("-")]
    ties: Any = redemptions.c.id
    if connection.dialect.name == "postgresql":
        # Text goes by its bytes on both databases.
        key = sa.collate(key, "C") if isinstance(key.type, sa.Text) else key
        ties = sa.collate(ties, "C")
    descending = query.order.startswith("-")
    directed = key.desc().nulls_last() if descending else key.asc().nulls_first()
    page = _rows.where(wanted).order_by(directed, ties.desc() if descending else ties.asc())
    page = page.limit(query.limit).offset((query.page - 1) * query.limit)
    total = int(connection.execute(sa.select(sa.func.count()).select_from(redemptions).where(wanted)).scalar_one())
    return [dict(row) for row in connection.execute(page).mappings()] if total else [], total


def _conditions(project_id: int, query: RedemptionQuery) -> Iterable[sa.ColumnElement[bool]]:
    if query.results:
        yield redemptions.c.result.in_(query.results)
    if query.campaign is not None:
        yield redemptions.c.campaign == query.campaign
    if query.customer is not None:
        known = sa.select(customers.c.id).where(
            customers.c.project_id == project_id, customers.c.source_id == query.customer
        )
        yield sa.or_(redemptions.c.customer_id == query.customer, redemptions.c.customer_id.in_(known))
    if query.voucher_id is not None:
        yield redemptions.c.voucher_id == query.voucher_id
        yield redemptions.c.object == "redemption"
    if query.created_after is not None:
        yield redemptions.c.created_at > query.created_after
    if query.created_before is not None:
        yield redemptions.c.created_at < query.created_before
    if query.filter.fields:
        yield matching_rows(EXPORTABLE, Rows(project_id, filter=query.filter))


def orders_by_id(connection: Connection, project_id: int, ids: Iterable[str]) -> dict[str, Row]:
    """The orders that redemptions name, by id."""
    found: dict[str, Row] = {}
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), _CHUNK):
        values = {"project": project_id, "ids": wanted[at : at + _CHUNK]}
        found |= {row["id"]: dict(row) for row in connection.execute(_orders, values).mappings()}
    return found
