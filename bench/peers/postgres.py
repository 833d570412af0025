"""PostgreSQL: COPY through psql, and Python's csv writer over a server-side cursor, as a web application would.

Its memory is the client's; the server's is not counted.
"""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import psycopg

from bench.peer import COLUMNS, Wanted

_TABLE = """
    create table movements (
        seq bigint, id text, campaign_id text, voucher_id text, type text, source_id text, reason text, source text,
        balance bigint, amount bigint, related_transaction_id text, created_at timestamptz(3), details text
    )
"""
_INDEXES = ("created_at", "campaign_id, created_at", "voucher_id, created_at")
_TIME = """to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at"""


def prepare(folder: Path, url: str) -> None:
    """folder: where DuckDB keeps its tables; the rows come from there. url: of an empty database."""
    scratch = folder / "postgres.csv"
    columns = ", ".join(("seq", *COLUMNS))
    with duckdb.connect(str(folder / "bench.duckdb"), read_only=True) as source:
        source.execute("set enable_progress_bar = false")
        zone = "(format csv, header false, timestampformat '%Y-%m-%dT%H:%M:%S.%gZ')"
        source.execute(f"copy (select {columns} from ascending) to '{scratch}' {zone}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
        into = f"copy movements ({columns}) from stdin (format csv)"
        with scratch.open("rb") as rows, connection.cursor().copy(into) as copy:
            while data := rows.read(1 << 22):
                copy.write(data)
        scratch.unlink()
        connection.execute("set maintenance_work_mem = '1GB'")
        for index in _INDEXES:
            connection.execute(f"create index on movements ({index})")
        connection.execute("vacuum analyze movements")


@contextmanager
def opened(wanted: Wanted) -> Iterator[Callable[[], int]]:
    """Gives what writes the file."""
    assert wanted.url is not None
    condition = wanted.where(lambda at_ms: f"timestamptz 'epoch' + {at_ms} * interval '1 millisecond'")
    columns = ", ".join(_TIME if name == "created_at" else name for name in COLUMNS)
    question = f"select {columns} from movements m {condition} order by m.created_at desc"
    if wanted.how == "psql":
        yield lambda: _psql(wanted.url or "", question, wanted.out)
        return
    with psycopg.connect(wanted.url) as connection:
        yield lambda: _python(connection, question.replace(_TIME, "created_at"), wanted.out)


def _psql(url: str, question: str, out: str) -> int:
    told = subprocess.run(
        ["psql", "-X", url, "-c", f"\\copy ({question}) to '{out}' (format csv, header)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return int(told.stdout.split()[-1])


def _python(connection: psycopg.Connection, question: str, out: str) -> int:
    rows = 0
    with connection.cursor("export") as cursor, Path(out).open("w", newline="") as file:
        cursor.itersize = 2_000
        cursor.execute(question)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        at = COLUMNS.index("created_at")
        for row in cursor:
            writer.writerow((*row[:at], _iso(row[at]), *row[at + 1 :]))
            rows += 1
    return rows


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
