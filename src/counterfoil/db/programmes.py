"""Loyalty programmes by their numbers, and what their points are counted in: how Altcraft's dialect names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import campaigns

_is_programme = sa.and_(
    campaigns.c.project_id == sa.bindparam("project"),
    campaigns.c.campaign_type == "LOYALTY_PROGRAM",
    campaigns.c.deleted_at.is_(None),
)
_programmes = sa.select(
    campaigns.c.id,
    campaigns.c.iid,
    campaigns.c.name,
    campaigns.c.currency_iid,
    campaigns.c.currency_eid,
    campaigns.c.currency_scale,
).where(_is_programme)
_by_iid = _programmes.where(campaigns.c.iid == sa.bindparam("iid"))


@dataclass(frozen=True, slots=True)
class Currency:
    """What a programme's balances are counted in. scale: decimal digits; it and the ids never change."""

    iid: int
    eid: str
    scale: int


@dataclass(frozen=True, slots=True)
class Programme:
    """A loyalty campaign: its id, its number in the project, its name and its currency."""

    id: str
    iid: int
    name: str
    currency: Currency


def programme_by_iid(connection: Connection, project_id: int, iid: int) -> Programme | None:
    """The live loyalty programme with that number, or None."""
    row = connection.execute(_by_iid, {"project": project_id, "iid": iid}).one_or_none()
    return None if row is None else _programme(row)


def first_programmes(connection: Connection, project_id: int, limit: int) -> list[Programme]:
    """The project's live loyalty programmes with the lowest numbers."""
    statement = _programmes.order_by(campaigns.c.iid).limit(limit)
    return [_programme(row) for row in connection.execute(statement, {"project": project_id})]


def currency_of(connection: Connection, project_id: int, campaign_id: str) -> Currency | None:
    """The currency of a campaign by its id, a removed one's too; None where it has none."""
    statement = sa.select(campaigns.c.currency_iid, campaigns.c.currency_eid, campaigns.c.currency_scale).where(
        campaigns.c.project_id == project_id, campaigns.c.id == campaign_id, campaigns.c.currency_eid.is_not(None)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Currency(*row)


def _programme(row: Any) -> Programme:
    campaign_id, iid, name, *currency = row
    return Programme(campaign_id, iid, name, Currency(*currency))
