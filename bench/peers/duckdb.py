"""DuckDB: COPY out of its own table, kept in the file's order or in time's, or out of Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from bench.peer import COLUMNS, Wanted

_CSV = "(format csv, header, timestampformat '%Y-%m-%dT%H:%M:%S.%gZ')"
_SOURCES = {
    "table in file order": "descending",
    "ORDER BY": "ascending",
    "selection": "ascending",
    "table by campaign": "by_campaign",
}


def prepare(rows: Path, folder: Path) -> None:
    """rows: Parquet of the movements in the order they were posted."""
    with duckdb.connect(str(folder / "bench.duckdb")) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"create table ascending as select * from '{rows}' order by created_at, seq")
        connection.execute("create table descending as select * from ascending order by created_at desc, seq desc")
        connection.execute("create table by_campaign as select * from ascending order by campaign_id, created_at, seq")
        connection.execute(
            f"copy descending to '{folder / 'descending.parquet'}' (format parquet, compression zstd, row_group_size 122880)"
        )


@contextmanager
def opened(wanted: Wanted) -> Iterator[Callable[[], int]]:
    """Gives what writes the file."""
    folder = Path(wanted.folder)
    source = f"'{folder / 'descending.parquet'}'" if wanted.how == "Parquet" else _SOURCES[wanted.how]
    order = "" if wanted.how in {"Parquet", "table in file order"} else "order by created_at desc"
    condition = wanted.where(lambda at_ms: f"make_timestamp({at_ms}::bigint * 1000)")
    question = f"select {', '.join(COLUMNS)} from {source} {condition} {order}"
    with duckdb.connect(str(folder / "bench.duckdb"), read_only=True) as connection:
        connection.execute("set enable_progress_bar = false")

        def act() -> int:
            found = connection.execute(f"copy ({question}) to '{wanted.out}' {_CSV}").fetchone()
            return 0 if found is None else int(found[0])

        yield act
