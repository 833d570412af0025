"""SQLAlchemy expressions as DuckDB's SQL: PostgreSQL's grammar, positional parameters, a few constructs of its own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect


class DuckDBDialect(PGDialect):
    """Enough of a dialect to write statements; connections are DuckDB's own."""

    name = "duckdb"
    supports_statement_cache = False


_DIALECT = DuckDBDialect(paramstyle="qmark")


def rendered(statement: sa.ClauseElement) -> tuple[str, list[Any]]:
    """The statement as DuckDB takes it, and its parameters in their places."""
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    params = compiled.construct_params() or {}
    return str(compiled), [params[name] for name in getattr(compiled, "positiontup", None) or ()]
