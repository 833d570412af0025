"""Customers in the database. Their summary columns are written by db.summaries only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.exportables import EVERYTHING, Rows, matching_rows
from counterfoil.db.expressions import bytewise
from counterfoil.db.schema import campaigns, customers, vouchers
from counterfoil.plan.request import Filter

Row = dict[str, Any]
"""A customer: every column of the table. `with_balances` adds what their cards hold."""

ORDERS = ("created_at", "updated_at", "source_id")

# One statement's worth of values; SQLite's own bound on variables is 32,766.
_CHUNK = 1000

_EMPTY: Row = {column.name: None if column.default is None else 0 for column in customers.c}
_insert = customers.insert()
_alive = customers.c.deleted_at.is_(None)
_of_project = customers.c.project_id == sa.bindparam("project")
_rows = sa.select(*customers.c)
_by_id = _rows.where(_of_project, _alive, customers.c.id == sa.bindparam("id"))
_by_source_id = _rows.where(_of_project, _alive, customers.c.source_id == sa.bindparam("source_id"))
_by_ids = _rows.where(_of_project, customers.c.id.in_(sa.bindparam("ids", expanding=True)))
_held = (
    sa.select(
        vouchers.c.holder_id,
        vouchers.c.type,
        campaigns.c.name.label("campaign"),
        sa.func.sum(vouchers.c.balance).label("balance"),
    )
    .select_from(
        vouchers.outerjoin(
            campaigns, (campaigns.c.project_id == vouchers.c.project_id) & (campaigns.c.id == vouchers.c.campaign_id)
        )
    )
    .where(
        vouchers.c.project_id == sa.bindparam("project"),
        vouchers.c.holder_id.in_(sa.bindparam("ids", expanding=True)),
        vouchers.c.type.in_(("GIFT_VOUCHER", "LOYALTY_CARD")),
        vouchers.c.deleted_at.is_(None),
    )
    .group_by(vouchers.c.holder_id, vouchers.c.type, campaigns.c.name)
    .order_by(campaigns.c.name)
)


@dataclass(frozen=True, slots=True)
class CustomerQuery:
    """Which customers to list. order: one of ORDERS, with a dash for descending. Bounds in ms, both exclusive.

    starting_after: ms; turns pages into a walk along created_at (ascending when the order is `created_at`, else
    descending) from behind that moment on. filter: resolved. Everything that is None does not matter.
    """

    limit: int = 10
    page: int = 1
    order: str = "-created_at"
    email: str | None = None
    city: str | None = None
    name: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    updated_after: int | None = None
    updated_before: int | None = None
    starting_after: int | None = None
    filter: Filter = EVERYTHING


def customer_by_id(connection: Connection, project_id: int, customer_id: str) -> Row | None:
    """The live customer with that id, or None."""
    return _one(connection, _by_id, {"project": project_id, "id": customer_id})


def customer_by_source_id(connection: Connection, project_id: int, source_id: str) -> Row | None:
    """The live customer with that source id, or None."""
    return _one(connection, _by_source_id, {"project": project_id, "source_id": source_id})


def find_customer(connection: Connection, project_id: int, name: str) -> Row | None:
    """The live customer with that id or, when no id is like it, with that source id; None when there is none."""
    return customer_by_id(connection, project_id, name) or customer_by_source_id(connection, project_id, name)


def customers_by_id(connection: Connection, project_id: int, ids: Iterable[str]) -> dict[str, Row]:
    """The customers with these ids, by id, deleted ones among them (their profile is empty); unknown ones left out."""
    found: dict[str, Row] = {}
    wanted = sorted(set(ids))
    for at in range(0, len(wanted), _CHUNK):
        values = {"project": project_id, "ids": wanted[at : at + _CHUNK]}
        found |= {row["id"]: dict(row) for row in connection.execute(_by_ids, values).mappings()}
    return found


def list_customers(connection: Connection, project_id: int, query: CustomerQuery) -> tuple[list[Row], int, bool]:
    """A page of the live customers asked for, how many there are in all, and whether more follow the page."""
    wanted = sa.and_(matching_rows("customer", Rows(project_id, filter=query.filter)), *_conditions(query))
    total = int(connection.execute(sa.select(sa.func.count()).select_from(customers).where(wanted)).scalar_one())
    if query.starting_after is not None:
        return _walked(connection, wanted, query, total)
    name = query.order.removeprefix("-")
    # A customer never changed was last changed when it was made; ids settle ties, so that pages do not overlap.
    key: Any = customers.c[name]
    if name == "updated_at":
        key = sa.func.coalesce(customers.c.updated_at, customers.c.created_at)
    if name == "source_id":
        key = bytewise(key)
    by_key = sa.desc(key).nulls_last() if query.order.startswith("-") else sa.asc(key).nulls_first()
    by_id = customers.c.id.desc() if query.order.startswith("-") else customers.c.id.asc()
    offset = (query.page - 1) * query.limit
    page = _rows.where(wanted).order_by(by_key, by_id).limit(query.limit).offset(offset)
    rows = [dict(row) for row in connection.execute(page).mappings()]
    return rows, total, offset + len(rows) < total


def _walked(
    connection: Connection, wanted: sa.ColumnElement[bool], query: CustomerQuery, total: int
) -> tuple[list[Row], int, bool]:
    """One stretch of the walk. It never ends within a millisecond, since the next one begins behind it: the customers
    who share the last one's moment come along, even beyond the limit."""
    made = customers.c.created_at
    onwards = query.order == "created_at"
    order = (made, customers.c.id) if onwards else (made.desc(), customers.c.id.desc())
    ahead = made > query.starting_after if onwards else made < query.starting_after
    rows = [dict(row) for row in connection.execute(
        _rows.where(wanted, ahead).order_by(*order).limit(query.limit + 1)
    ).mappings()]  # fmt: skip
    if len(rows) <= query.limit:
        return rows, total, False
    last = rows[query.limit - 1]["created_at"]
    tied = connection.execute(_rows.where(wanted, made == last).order_by(*order)).mappings()
    rows = [row for row in rows[: query.limit] if row["created_at"] != last] + [dict(row) for row in tied]
    beyond = made > last if onwards else made < last
    more = connection.execute(sa.select(customers.c.id).where(wanted, beyond).limit(1)).first() is not None
    return rows, total, more


def _conditions(query: CustomerQuery) -> list[sa.ColumnElement[bool]]:
    table = customers.c
    exact = ((table.email, query.email), (table.address_city, query.city), (table.name, query.name))
    found: list[sa.ColumnElement[bool]] = [column == value for column, value in exact if value is not None]
    above = ((table.created_at, query.created_after), (table.updated_at, query.updated_after))
    below = ((table.created_at, query.created_before), (table.updated_at, query.updated_before))
    found += [column > value for column, value in above if value is not None]
    return found + [column < value for column, value in below if value is not None]


def insert_customer(connection: Connection, values: Mapping[str, Any]) -> Row:
    """A new customer; the whole row, all summaries at 0 and what is not among the values empty."""
    row = {**_EMPTY, **values}
    connection.execute(_insert, row)
    return row


def update_customer(connection: Connection, project_id: int, customer_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one customer."""
    connection.execute(
        customers.update().where(customers.c.project_id == project_id, customers.c.id == customer_id).values(**values)
    )


def release_vouchers(connection: Connection, project_id: int, customer_id: str, now_ms: int) -> None:
    """Leave every voucher of the customer without a holder; what was published stays published."""
    connection.execute(
        vouchers.update()
        .where(vouchers.c.project_id == project_id, vouchers.c.holder_id == customer_id)
        .values(holder_id=None, updated_at=now_ms)
    )


def with_balances(connection: Connection, project_id: int, rows: Sequence[Row]) -> list[Row]:
    """The rows with loyalty_points and gift_amount_to_go, the sums of the balances of the live cards each one holds.

    Also `points_by_campaign`, name -> points, of the loyalty cards that belong to a campaign.
    """
    held: dict[str, Row] = {
        row["id"]: {"loyalty_points": 0, "gift_amount_to_go": 0, "points_by_campaign": {}} for row in rows
    }
    wanted = sorted(held)
    for at in range(0, len(wanted), _CHUNK):
        for found in connection.execute(_held, {"project": project_id, "ids": wanted[at : at + _CHUNK]}):
            sums, balance = held[found.holder_id], int(found.balance)
            if found.type == "GIFT_VOUCHER":
                sums["gift_amount_to_go"] += balance
                continue
            sums["loyalty_points"] += balance
            if found.campaign is not None:
                by_campaign = sums["points_by_campaign"]
                by_campaign[found.campaign] = by_campaign.get(found.campaign, 0) + balance
    return [row | held[row["id"]] for row in rows]


def _one(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> Row | None:
    row = connection.execute(statement, values).mappings().one_or_none()
    return None if row is None else dict(row)
