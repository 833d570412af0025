"""Duties: work of which the whole system needs one doer at a time (sweeping, sealing, expiry of points).

A duty is a row with a lease and the time it was last done. Whoever takes it has it until the lease ends, dead or alive;
nothing need be released.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from counterfoil.db.now import db_now_ms, has_come
from counterfoil.db.schema import duties


def take_duty(connection: Connection, name: str, owner: str, *, ttl_ms: int, every_ms: int) -> bool:
    """Whether `owner` has the duty now: nobody else holds it, and it was last done `every_ms` ago or longer."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(duties).values(name=name).on_conflict_do_nothing())
    now = db_now_ms()
    taken = connection.execute(
        duties.update()
        .where(
            duties.c.name == name,
            sa.or_(duties.c.lease_until.is_(None), has_come(duties.c.lease_until)),
            # Done in the future: the clock was set back since.
            sa.or_(
                duties.c.last_done_at.is_(None), duties.c.last_done_at <= now - every_ms, duties.c.last_done_at > now
            ),
        )
        .values(lease_owner=owner, lease_until=now + ttl_ms)
    )
    return taken.rowcount == 1


def keep_duty(connection: Connection, name: str, owner: str, ttl_ms: int) -> bool:
    """Extend a duty that takes longer; False when another has taken it since."""
    now = db_now_ms()
    kept = connection.execute(
        duties.update()
        .where(duties.c.name == name, duties.c.lease_owner == owner, duties.c.lease_until > now)
        .values(lease_until=now + ttl_ms)
    )
    return kept.rowcount == 1


def duty_done(connection: Connection, name: str, owner: str, started_at: int) -> None:
    """Note that the duty was done for everything up to `started_at` (ms, the database's clock) and let go of it."""
    connection.execute(
        duties.update()
        .where(duties.c.name == name, duties.c.lease_owner == owner)
        .values(lease_owner=None, lease_until=None, last_done_at=started_at)
    )


def last_done(connection: Connection, name: str) -> int | None:
    """When the duty was last done, ms, or None."""
    return connection.execute(sa.select(duties.c.last_done_at).where(duties.c.name == name)).scalar_one_or_none()


def database_now_ms(connection: Connection) -> int:
    """The database's clock, ms since the epoch."""
    return int(connection.execute(sa.select(db_now_ms())).scalar_one())
