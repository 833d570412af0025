"""Campaigns in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import async_actions, campaigns, counters
from counterfoil.db.unit import Unit
from counterfoil.errors import NotFound

Row = dict[str, Any]
"""A campaign: every column of the table, and `generation_status`, the status of its latest making of vouchers."""

_rows = sa.select(*campaigns.c, async_actions.c.status.label("generation_status")).select_from(
    campaigns.outerjoin(
        async_actions,
        (async_actions.c.project_id == campaigns.c.project_id) & (async_actions.c.id == campaigns.c.generation_id),
    )
)
_alive = campaigns.c.deleted_at.is_(None)
_of_project = campaigns.c.project_id == sa.bindparam("project")
_by_name = (
    _rows.where(
        _of_project, _alive, sa.or_(campaigns.c.id == sa.bindparam("name"), campaigns.c.name == sa.bindparam("name"))
    )
    .order_by((campaigns.c.id == sa.bindparam("name")).desc())
    .limit(1)
)


def find_campaign(connection: Connection, project_id: int, name: str) -> Row | None:
    """The live campaign with that id or, when no id is like it, with that name; None when there is none."""
    row = connection.execute(_by_name, {"project": project_id, "name": name}).mappings().first()
    return None if row is None else dict(row)


def campaign_row(source: Unit | Connection, project_id: int, name: str) -> Row:
    """The live campaign with that id or name. Raises NotFound. A Unit writes its pending balances first."""
    connection = source.sql if isinstance(source, Unit) else source
    row = find_campaign(connection, project_id, name)
    if row is None:
        raise NotFound("campaign", name)
    return row


def expiration_rules(connection: Connection, project_id: int, campaign_id: str | None) -> Mapping[str, Any] | None:
    """The programme's voucher.loyalty_card.expiration_rules, as `domain.expiry.last_day` wants them, or None."""
    if campaign_id is None:
        return None
    statement = sa.select(campaigns.c.voucher).where(
        campaigns.c.project_id == project_id, campaigns.c.id == campaign_id
    )
    template = connection.execute(statement).scalar_one_or_none() or {}
    return (template.get("loyalty_card") or {}).get("expiration_rules")


def next_iid(connection: Connection, project_id: int) -> int:
    """The next number of a campaign in its project, from 1; takes the project's lock."""
    statement = (
        counters.update()
        .where(counters.c.project_id == project_id)
        .values(campaign_iid=counters.c.campaign_iid + 1)
        .returning(counters.c.campaign_iid)
    )
    return int(connection.execute(statement).scalar_one())


def insert_campaign(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new campaign."""
    connection.execute(campaigns.insert(), row)


def update_campaign(connection: Connection, project_id: int, campaign_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one campaign."""
    connection.execute(
        campaigns.update().where(campaigns.c.project_id == project_id, campaigns.c.id == campaign_id).values(**values)
    )


def add_to_count(connection: Connection, project_id: int, campaign_id: str, count: int) -> None:
    """Change vouchers_count by `count`, which is negative for deletions."""
    connection.execute(
        campaigns.update()
        .where(campaigns.c.project_id == project_id, campaigns.c.id == campaign_id)
        .values(vouchers_count=campaigns.c.vouchers_count + count)
    )
