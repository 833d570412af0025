"""Who a call is about: customers by what is known of them, and the cards they hold in a programme."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from counterfoil.db.expressions import json_text
from counterfoil.db.schema import customers, vouchers

_AT_MOST = 20


def customers_with(connection: Connection, project_id: int, field: str, value: str) -> list[str]:
    """Ids of live customers, oldest first, at most 20. field: id, email, phone, source_id, or `metadata.NAME`."""
    statement = (
        sa.select(customers.c.id)
        .where(customers.c.project_id == project_id, customers.c.deleted_at.is_(None), _is(field, value))
        .order_by(customers.c.created_at, customers.c.id)
        .limit(_AT_MOST)
    )
    return list(connection.execute(statement).scalars())


def held_cards(connection: Connection, project_id: int, campaign_id: str, ids: list[str]) -> dict[str, str]:
    """For each of the customers who holds a live loyalty card of the programme, the oldest one's id."""
    statement = (
        sa.select(vouchers.c.holder_id, vouchers.c.id)
        .where(
            vouchers.c.project_id == project_id,
            vouchers.c.holder_id.in_(ids),
            vouchers.c.campaign_id == campaign_id,
            vouchers.c.type == "LOYALTY_CARD",
            vouchers.c.deleted_at.is_(None),
        )
        .order_by(vouchers.c.created_at.desc(), vouchers.c.id.desc())
    )
    return {str(row.holder_id): row.id for row in connection.execute(statement)}


def _is(field: str, value: str) -> ColumnElement[bool]:
    column: Any
    if field.startswith("metadata."):
        column = json_text(customers.c.metadata, field.removeprefix("metadata."))
    else:
        column = customers.c[field]
    return column == value
