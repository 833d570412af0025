"""Customers in the database. Their summary columns are written by db.summaries only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import campaigns, customers, vouchers

Row = dict[str, Any]
"""A customer: every column of the table. `with_balances` adds what their cards hold."""

# One statement's worth of values; SQLite's own bound on variables is 32,766.
_CHUNK = 1000

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


def insert_customer(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new customer, all summaries at 0."""
    connection.execute(customers.insert(), row)


def update_customer(connection: Connection, project_id: int, customer_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one customer."""
    connection.execute(
        customers.update().where(customers.c.project_id == project_id, customers.c.id == customer_id).values(**values)
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
