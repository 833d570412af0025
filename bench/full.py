"""The full export: every movement with every field, newest first, as one CSV file."""

from __future__ import annotations

from collections.abc import Iterator

from bench.case import Case, Contender, Context
from bench.market import Market
from bench.ours import FIELDS, home_of, serving

REQUEST = {"fields": list(FIELDS), "order": "-created_at"}


def cases(context: Context) -> Iterator[Case]:
    """`full`."""
    if not context.wanted("full"):
        return
    market = Market(context)
    home = home_of(context)
    with serving(home) as server:
        yield Case(
            "full",
            "Every movement, all fields, newest first",
            [
                Contender("Counterfoil", lambda: server.run(REQUEST), inputs=[home / "files" / "segments"]),
                *market.contender("duckdb", "table in file order"),
                *market.contender("duckdb", "ORDER BY"),
                *market.contender("duckdb", "Parquet"),
                *market.contender("chdb", "ORDER BY"),
                *market.contender("polars", "Parquet"),
                *market.contender("polars", "sort"),
                *market.contender("postgres", "psql", rounds_max=1),
                *market.contender("postgres", "Python csv", rounds_max=1),
            ],
        )
