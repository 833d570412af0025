"""ClickHouse's engine in the process (chDB): a MergeTree kept in time's order, read backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chdb.session import Session

from bench.peer import COLUMNS, Wanted

_TABLE = """
    create table movements (
        seq Int64, id String, campaign_id LowCardinality(String), voucher_id String, type LowCardinality(String),
        source_id Nullable(String), reason Nullable(String), source LowCardinality(Nullable(String)), balance Int64,
        amount Int64, related_transaction_id Nullable(String), created_at DateTime64(3, 'UTC'),
        details Nullable(String)
    ) engine = MergeTree order by (created_at, seq)
"""


def prepare(rows: Path, folder: Path) -> None:
    """rows: Parquet of the movements in the order they were posted."""
    with Session(str(folder / "clickhouse")) as session:
        session.query("create database bench engine = Atomic")
        session.query("use bench")
        session.query(_TABLE)
        session.query(
            f"insert into movements select seq, {', '.join(COLUMNS)} from file('{rows}', 'Parquet') "
            "settings max_insert_block_size = 1000000"
        )
        session.query("optimize table movements final")


@contextmanager
def opened(wanted: Wanted) -> Iterator[Callable[[], int]]:
    """Gives what writes the file."""
    condition = wanted.where(lambda at_ms: f"fromUnixTimestamp64Milli({at_ms}, 'UTC')")
    with Session(str(Path(wanted.folder) / "clickhouse")) as session:
        session.query("use bench")
        rows = int(session.query(f"select count() from movements {condition}", "TSV").bytes())

        def act() -> int:
            session.query(
                f"insert into function file('{wanted.out}', 'CSVWithNames') select {', '.join(COLUMNS)} "
                f"from movements {condition} order by created_at desc settings date_time_output_format = 'iso', "
                "format_csv_null_representation = ''"
            )
            return rows

        yield act
