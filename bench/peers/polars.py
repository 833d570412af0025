"""Polars: its streaming engine over Parquet that lies in the file's order, or sorted by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from bench.peer import COLUMNS, Wanted


@contextmanager
def opened(wanted: Wanted) -> Iterator[Callable[[], int]]:
    """Gives what writes the file. The Parquet is DuckDB's."""
    found = pl.scan_parquet(Path(wanted.folder) / "descending.parquet")
    rows = int(found.select(pl.len()).collect().item())

    def act() -> int:
        asked = found.select(COLUMNS)
        if wanted.how == "sort":
            asked = asked.sort("created_at", descending=True)
        asked.sink_csv(wanted.out, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ", quote_style="necessary")
        return rows

    yield act
