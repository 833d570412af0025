"""Earning rules in the database, and the cards they pay to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import campaigns, earning_rules, pending_points, vouchers

Row = dict[str, Any]
"""An earning rule: every column of the table."""

_of_project = earning_rules.c.project_id == sa.bindparam("project")
_of_campaign = earning_rules.c.campaign_id == sa.bindparam("campaign")
_alive = earning_rules.c.deleted_at.is_(None)
_rows = sa.select(*earning_rules.c).where(_of_project, _alive)
_by_id = _rows.where(_of_campaign, earning_rules.c.id == sa.bindparam("id"))
_now = sa.bindparam("now")


def _started(start: sa.Column[int], end: sa.Column[int]) -> sa.ColumnElement[bool]:
    return sa.and_(sa.or_(start.is_(None), start <= _now), sa.or_(end.is_(None), end >= _now))


_earning = (
    sa.select(
        *earning_rules.c,
        vouchers.c.id.label("card_id"),
        vouchers.c.code.label("card_code"),
        campaigns.c.start_date.label("campaign_start_date"),
        campaigns.c.voucher.label("template"),
    )
    .select_from(vouchers)
    .join(campaigns, (campaigns.c.project_id == vouchers.c.project_id) & (campaigns.c.id == vouchers.c.campaign_id))
    .join(
        earning_rules,
        (earning_rules.c.project_id == campaigns.c.project_id) & (earning_rules.c.campaign_id == campaigns.c.id),
    )
    .where(
        vouchers.c.project_id == sa.bindparam("project"),
        vouchers.c.holder_id == sa.bindparam("holder"),
        vouchers.c.type == "LOYALTY_CARD",
        vouchers.c.active,
        vouchers.c.deleted_at.is_(None),
        _started(vouchers.c.start_date, vouchers.c.expiration_date),
        campaigns.c.active,
        campaigns.c.deleted_at.is_(None),
        _started(campaigns.c.start_date, campaigns.c.expiration_date),
        earning_rules.c.event == sa.bindparam("event"),
        earning_rules.c.active,
        _alive,
    )
    .order_by(campaigns.c.id, vouchers.c.created_at, vouchers.c.id, earning_rules.c.created_at, earning_rules.c.id)
)


def find_rule(connection: Connection, project_id: int, campaign_id: str, rule_id: str) -> Row | None:
    """The campaign's live rule with that id, or None."""
    values = {"project": project_id, "campaign": campaign_id, "id": rule_id}
    row = connection.execute(_by_id, values).mappings().one_or_none()
    return None if row is None else dict(row)


def list_rules(
    connection: Connection, project_id: int, campaign_id: str, *, order: str, limit: int, offset: int
) -> tuple[list[Row], int]:
    """A page of the campaign's live rules and how many there are. order: created_at or updated_at, `-` descends."""
    column = earning_rules.c[order.removeprefix("-")]
    ordered = (column.desc().nulls_last(), earning_rules.c.id.desc()) if order.startswith("-") else (
        column.asc().nulls_first(), earning_rules.c.id)  # fmt: skip
    values = {"project": project_id, "campaign": campaign_id}
    chosen = _rows.where(_of_campaign)
    rows = connection.execute(chosen.order_by(*ordered).limit(limit).offset(offset), values).mappings()
    total = connection.execute(sa.select(sa.func.count()).select_from(chosen.subquery()), values).scalar_one()
    return [dict(row) for row in rows], int(total)


def insert_rules(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """New rules; every row has the same keys."""
    if rows:
        connection.execute(earning_rules.insert(), rows)


def update_rule(connection: Connection, project_id: int, rule_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one rule."""
    connection.execute(
        earning_rules.update()
        .where(earning_rules.c.project_id == project_id, earning_rules.c.id == rule_id)
        .values(**values)
    )


def earning(connection: Connection, project_id: int, customer_id: str, event: str, now_ms: int) -> list[Row]:
    """The active rules of an event that pay to a customer, by campaign, oldest first, each with the card it pays to.

    In each campaign in force the oldest usable card of the customer earns. Besides the rule's columns: card_id,
    card_code, campaign_start_date (ms or None), template (the campaign's voucher document).
    """
    values = {"project": project_id, "holder": customer_id, "event": event, "now": now_ms}
    found = [dict(row) for row in connection.execute(_earning, values).mappings()]
    earners: dict[str, str] = {}
    for row in found:
        earners.setdefault(row["campaign_id"], row["card_id"])
    return [row for row in found if row["card_id"] == earners[row["campaign_id"]]]


def insert_pending(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Promise points; every row has the same keys."""
    if rows:
        connection.execute(pending_points.insert(), rows)
