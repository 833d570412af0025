"""The database's clock as a SQL expression, so that every process of a cluster judges leases by one clock."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


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
