"""Orders in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.exportables import EVERYTHING, Rows, matching_rows
from counterfoil.db.schema import orders
from counterfoil.plan.request import Filter

Row = dict[str, Any]
"""An order: every column of the table."""

ORDERS = ("created_at", "updated_at")

_EMPTY: Row = {column.name: None for column in orders.c} | {"accrued": False}
_insert = orders.insert()
_of_project = orders.c.project_id == sa.bindparam("project")
_rows = sa.select(*orders.c)
_by_id = _rows.where(_of_project, orders.c.id == sa.bindparam("name"))
_by_source_id = _rows.where(_of_project, orders.c.source_id == sa.bindparam("name"))


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """Which orders to list. order: one of ORDERS, with a dash for descending. filter: resolved."""

    limit: int = 10
    page: int = 1
    order: str = "created_at"
    filter: Filter = EVERYTHING


def order_by_id(connection: Connection, project_id: int, order_id: str) -> Row | None:
    """The order with that id, or None."""
    return _one(connection, _by_id, project_id, order_id)


def order_by_source_id(connection: Connection, project_id: int, source_id: str) -> Row | None:
    """The order with that source id, or None."""
    return _one(connection, _by_source_id, project_id, source_id)


def find_order(connection: Connection, project_id: int, name: str) -> Row | None:
    """The order with that id or, when no id is like it, with that source id; None when there is none."""
    return order_by_id(connection, project_id, name) or order_by_source_id(connection, project_id, name)


def list_orders(connection: Connection, project_id: int, query: OrderQuery) -> tuple[list[Row], int]:
    """A page of the orders asked for, and how many there are in all."""
    wanted = matching_rows("order", Rows(project_id, filter=query.filter))
    # An order never changed was last changed when it was made; ids settle ties, so that pages do not overlap.
    key: Any = orders.c.created_at
    if query.order.endswith("updated_at"):
        key = sa.func.coalesce(orders.c.updated_at, orders.c.created_at)
    direction = sa.desc if query.order.startswith("-") else sa.asc
    page = _rows.where(wanted).order_by(direction(key), direction(orders.c.id))
    page = page.limit(query.limit).offset((query.page - 1) * query.limit)
    total = int(connection.execute(sa.select(sa.func.count()).select_from(orders).where(wanted)).scalar_one())
    return [dict(row) for row in connection.execute(page).mappings()], total


def insert_order(connection: Connection, values: Mapping[str, Any]) -> Row:
    """A new order; its whole row, what is not among the values empty."""
    row = {**_EMPTY, **values}
    connection.execute(_insert, row)
    return row


def update_order(connection: Connection, project_id: int, order_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one order."""
    connection.execute(
        orders.update().where(orders.c.project_id == project_id, orders.c.id == order_id).values(**values)
    )


def _one(connection: Connection, statement: sa.Select[Any], project_id: int, name: str) -> Row | None:
    row = connection.execute(statement, {"project": project_id, "name": name}).mappings().one_or_none()
    return None if row is None else dict(row)
