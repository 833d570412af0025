"""Rows out of the ledger database: the same on every database, in bounded batches, stopped in the middle of a query."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from counterfoil.dataplane import scan_rows
from counterfoil.dataplane.rows import MOVEMENT_COLUMNS
from counterfoil.dataplane.scan_rows import DatabaseRows, reads_movements
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db.engine import Database
from counterfoil.errors import Canceled, Unavailable
from counterfoil.plan.planner import plan
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter, Order
from counterfoil.plan.task import Plan, Task
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer
from tests.worker.exporting import CARDS, START_MS, fill, request

ROWS = 500


def planned(asked: ExportRequest, **more: Any) -> Plan:
    return plan(asked, project_id=1, seq_max=more.pop("seq_max", ROWS), now_ms=START_MS, **more)


def scan(source: DatabaseRows, asked: ExportRequest, **more: Any) -> pa.Table:
    made = planned(asked, **more)
    batches = [
        rows.batch for task in made.tasks for rows in source.batches(made.selection, task, StopFlag()) if len(rows)
    ]
    return pa.Table.from_batches(batches, source.schema(made.selection))


class Contract:
    """What each database below gives."""

    def test_a_selections_rows_in_order_with_what_the_proof_needs(self, database: Database) -> None:
        table = scan(DatabaseRows(database, 64), request(fields=("type", "amount"), descending=True))
        assert table.schema.names[:2] == ["type", "amount"]
        assert set(MOVEMENT_COLUMNS) <= set(table.schema.names)
        assert len(table.schema.names) == len(set(table.schema.names))
        assert table["seq"].to_pylist() == list(range(ROWS, CARDS, -1))
        assert "OPENING_BALANCE" not in table["type"].to_pylist()
        assert table["created_at"].type == pa.timestamp("ms", "UTC")

    def test_batches_are_bounded(self, database: Database) -> None:
        made = planned(request())
        sizes = [len(rows) for rows in DatabaseRows(database, 100).batches(made.selection, made.tasks[0], StopFlag())]
        assert sizes == [100, 100, 100, 100, 93]

    def test_filters_cursor_limit_and_slices_are_applied(self, database: Database) -> None:
        source = DatabaseRows(database)
        only = Filter("and", (FieldFilter("voucher_id", (Condition("is", (f"v_{2:032}",)),)),))
        assert set(scan(source, request(filter=only))["voucher_id"].to_pylist()) == {f"v_{2:032}"}
        behind = scan(source, request(cursor=(START_MS + 59 * 60_000, 60), limit_rows=5))
        assert behind["seq"].to_pylist() == [61, 62, 63, 64, 65]
        made = planned(request())
        task = Task(
            0, "movements", tail=(1, 200), created_from=START_MS + 60_000 * 50, created_to=START_MS + 60_000 * 53
        )
        (rows,) = source.batches(made.selection, task, StopFlag())
        assert rows.batch.column("seq").to_pylist() == [51, 52, 53]
        assert list(source.batches(made.selection, Task(0, "movements"), StopFlag())) == []

    def test_other_objects_are_read_whole(self, database: Database) -> None:
        asked = ExportRequest("voucher", ("id", "code"), Order("created_at"))
        assert scan(DatabaseRows(database), asked).num_rows == 0
        assert reads_movements("movement")
        assert not reads_movements("voucher")

    def test_a_statement_under_way_is_interrupted(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scan_rows, "_statement", lambda *_: endless(database))
        made = planned(request())
        stop = StopFlag()
        timer = threading.Timer(0.3, stop.set, [Canceled("exp_1")])
        timer.start()
        with pytest.raises(Canceled):
            list(DatabaseRows(database).batches(made.selection, made.tasks[0], stop))
        timer.join()
        with database.read() as connection:  # the connection went back to the pool in order
            assert connection.execute(sa.select(sa.literal(1))).scalar_one() == 1

    def test_a_statement_that_fails_is_told_as_the_databases_failure(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scan_rows, "_statement", lambda *_: sa.select(sa.func.no_such_function()))
        made = planned(request())
        with pytest.raises(Exception, match="no_such_function") as raised:
            list(DatabaseRows(database).batches(made.selection, made.tasks[0], StopFlag()))
        assert type(raised.value).__module__ == Unavailable.__module__


def endless(database: Database) -> sa.Select[Any]:
    """A statement that gives its first row after a minute or more."""
    if not database.sqlite:
        return sa.select(sa.func.pg_sleep(60))
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < 1_000_000_000))
    return sa.select(sa.func.count()).select_from(numbers)


class TestOnSqlite(Contract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        with sqlite_ledger(tmp_path) as database:
            fill(database, ROWS)
            yield database


class TestOnPostgres(Contract):
    @pytest.fixture
    def database(self, postgres_server: PostgresServer) -> Iterator[Database]:
        with postgres_ledger(postgres_server) as database:
            fill(database, ROWS)
            yield database
