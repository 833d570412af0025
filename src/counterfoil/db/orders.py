"""Orders in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import orders

Row = dict[str, Any]
"""An order: every column of the table."""

_of_project = orders.c.project_id == sa.bindparam("project")
_rows = sa.select(*orders.c)
_by_id = _rows.where(_of_project, orders.c.id == sa.bindparam("name"))
_by_source_id = _rows.where(_of_project, orders.c.source_id == sa.bindparam("name"))


def order_by_id(connection: Connection, project_id: int, order_id: str) -> Row | None:
    """The order with that id, or None."""
    return _one(connection, _by_id, project_id, order_id)


def order_by_source_id(connection: Connection, project_id: int, source_id: str) -> Row | None:
    """The order with that source id, or None."""
    return _one(connection, _by_source_id, project_id, source_id)


def find_order(connection: Connection, project_id: int, name: str) -> Row | None:
    """The order with that id or, when no id is like it, with that source id; None when there is none."""
    return order_by_id(connection, project_id, name) or order_by_source_id(connection, project_id, name)


def insert_order(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new order."""
    connection.execute(orders.insert(), row)


def update_order(connection: Connection, project_id: int, order_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one order."""
    connection.execute(
        orders.update().where(orders.c.project_id == project_id, orders.c.id == order_id).values(**values)
    )


def _one(connection: Connection, statement: sa.Select[Any], project_id: int, name: str) -> Row | None:
    row = connection.execute(statement, {"project": project_id, "name": name}).mappings().one_or_none()
    return None if row is None else dict(row)
