"""Rewards, and their assignments to loyalty programmes, in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import reward_assignments, rewards, vouchers

Row = dict[str, Any]
"""A reward or an assignment: every column of its table."""

_alive = rewards.c.deleted_at.is_(None)
_rewards = sa.select(*rewards.c).where(rewards.c.project_id == sa.bindparam("project"))
_reward = _rewards.where(_alive, rewards.c.id == sa.bindparam("id"))
_assignments = sa.select(*reward_assignments.c).where(reward_assignments.c.project_id == sa.bindparam("project"))


def find_reward(connection: Connection, project_id: int, reward_id: str) -> Row | None:
    """The live reward with that id, or None."""
    row = connection.execute(_reward, {"project": project_id, "id": reward_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def rewards_by_id(connection: Connection, project_id: int, ids: Iterable[str]) -> dict[str, Row]:
    """The rewards with these ids, by id, removed ones too."""
    statement = _rewards.where(rewards.c.id.in_(sorted(set(ids))))
    return {row["id"]: dict(row) for row in connection.execute(statement, {"project": project_id}).mappings()}


def list_rewards(
    connection: Connection, project_id: int, limit: int, page: int, assigned_to: str | None = None
) -> tuple[list[Row], int]:
    """A page of the live rewards, newest first, and how many there are. assigned_to: a campaign's id."""
    wanted = [rewards.c.project_id == project_id, _alive]
    if assigned_to is not None:
        chosen = sa.select(reward_assignments.c.reward_id).where(
            reward_assignments.c.project_id == project_id, reward_assignments.c.campaign_id == assigned_to
        )
        wanted.append(rewards.c.id.in_(chosen))
    order = (rewards.c.created_at.desc(), rewards.c.id.desc())
    statement = sa.select(*rewards.c).where(*wanted).order_by(*order).limit(limit).offset((page - 1) * limit)
    return _page(connection, statement, sa.select(sa.func.count()).select_from(rewards).where(*wanted))


def insert_reward(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new reward."""
    connection.execute(rewards.insert(), row)


def update_reward(connection: Connection, project_id: int, reward_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one reward."""
    connection.execute(
        rewards.update().where(rewards.c.project_id == project_id, rewards.c.id == reward_id).values(**values)
    )


def find_assignment(connection: Connection, project_id: int, **named: str) -> Row | None:
    """The assignment with these columns (id, reward_id, campaign_id), or None. Name what is unique."""
    wanted = (reward_assignments.c[name] == value for name, value in named.items())
    row = connection.execute(_assignments.where(*wanted), {"project": project_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def list_assignments(
    connection: Connection, project_id: int, limit: int, page: int, **named: str
) -> tuple[list[Row], int]:
    """A page of the assignments with these columns (reward_id, campaign_id, id), newest first, and how many there are."""
    wanted = [reward_assignments.c.project_id == project_id]
    wanted += [reward_assignments.c[name] == value for name, value in named.items()]
    statement = sa.select(*reward_assignments.c).where(*wanted)
    statement = statement.order_by(reward_assignments.c.created_at.desc(), reward_assignments.c.id.desc())
    counted = sa.select(sa.func.count()).select_from(reward_assignments).where(*wanted)
    return _page(connection, statement.limit(limit).offset((page - 1) * limit), counted)


def insert_assignment(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new assignment."""
    connection.execute(reward_assignments.insert(), row)


def update_assignment(connection: Connection, project_id: int, assignment_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one assignment."""
    table = reward_assignments
    connection.execute(
        table.update().where(table.c.project_id == project_id, table.c.id == assignment_id).values(**values)
    )


def delete_assignments(connection: Connection, project_id: int, **named: str) -> None:
    """Remove the assignments with these columns."""
    wanted = (reward_assignments.c[name] == value for name, value in named.items())
    connection.execute(reward_assignments.delete().where(reward_assignments.c.project_id == project_id, *wanted))


def held_card(connection: Connection, project_id: int, campaign_id: str, customer_id: str) -> str | None:
    """The id of the customer's oldest live card of a campaign, or None."""
    statement = (
        sa.select(vouchers.c.id)
        .where(vouchers.c.project_id == project_id, vouchers.c.holder_id == customer_id)
        .where(vouchers.c.campaign_id == campaign_id, vouchers.c.deleted_at.is_(None))
        .where(vouchers.c.type.in_(("GIFT_VOUCHER", "LOYALTY_CARD")))
        .order_by(vouchers.c.created_at, vouchers.c.id)
        .limit(1)
    )
    return connection.execute(statement).scalar_one_or_none()


def _page(connection: Connection, statement: sa.Select[Any], counted: sa.Select[Any]) -> tuple[list[Row], int]:
    total = int(connection.execute(counted).scalar_one())
    return [dict(row) for row in connection.execute(statement).mappings()] if total else [], total
