"""The database's clock as a SQL expression, so that every process of a cluster judges leases by one clock."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

AHEAD_MAX_MS = 2 * 3_600_000
"""Further ahead than any instant that a queue sets: leases last an hour at most (settings), pauses five minutes."""


class db_now_ms(FunctionElement[int]):
    """Milliseconds since the epoch as the database's host sees them when the statement runs (not its transaction)."""

    type = sa.BigInteger()
    inherit_cache = True
    name = "db_now_ms"


@compiles(db_now_ms, "sqlite")
def _sqlite(element: db_now_ms, compiler: Any, **kw: Any) -> str:
    # A day number in a double resolves 0.04 ms; SQLite holds 'now' still within one statement.
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"


@compiles(db_now_ms, "postgresql")
def _postgresql(element: db_now_ms, compiler: Any, **kw: Any) -> str:
    # now() would stand still for a whole transaction, however long it waits for a lock.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def has_come(instant: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether an instant that a queue has set has come; also when it lies so far ahead that the clock must have been set
    back since, so that a lease or a pause of before does not last as long as the clock needs to come by again."""
    return sa.or_(instant <= db_now_ms(), instant > db_now_ms() + AHEAD_MAX_MS)
