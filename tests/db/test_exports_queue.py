"""The queue's contract, held by every database: who may take an export, and that nobody else can write to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.db import exports as rows
from counterfoil.db import queue, rescue
from counterfoil.db.engine import Database
from counterfoil.db.exports import NewExport
from counterfoil.db.queue import Claim, ManifestRecord, RecordedPart
from counterfoil.db.schema import access_tokens, export_parts, exports, manifests
from counterfoil.errors import Canceled, Conflict, LeaseLost
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter, Order
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer

TTL_MS = 60_000
REQUEST = ExportRequest(
    object="voucher_transactions",
    fields=("id", "amount"),
    order=Order("created_at", descending=True),
    filter=Filter("or", (FieldFilter("voucher_id", (Condition("in", ("v_1", "v_2")),)),)),
    scope=Filter("and", (FieldFilter("campaign_id", (Condition("in", ("camp_1",)),)),)),
    cursor=(17, 4),
)
RESULT = {
    "files": [{"key": "exports/1/exp_1/1/export.csv", "name": "export.csv", "rows": 3, "bytes": 40, "sha256": "ab"}],
    "rows": 3,
    "bytes": 40,
    "manifest": "exports/1/exp_1/1/manifest-1.json",
}
PART = RecordedPart(0, "hash", 1, "exports/1/exp_1/1/part-00000.csv", 3, 40, "ab", {"rows": 3})
MANIFEST = ManifestRecord(1, "cd", None, "exports/1/exp_1/1/manifest-1.json", 5)


def put(
    database: Database, export_id: str, *, project: int = 1, created_at: int = 100, rows_total: int | None = None
) -> None:
    with database.write() as connection:
        new = NewExport(
            project, export_id, "voucherify", REQUEST.object, REQUEST, 42, created_at, {"a": 1}, rows_total=rows_total
        )
        rows.enqueue(connection, new)


def take(database: Database, owner: str = "one", *, rows_max: int | None = None) -> Claim:
    found = take_any(database, owner, rows_max=rows_max)
    assert found is not None
    return found


def take_any(database: Database, owner: str = "one", *, rows_max: int | None = None) -> Claim | None:
    with database.write() as connection:
        return queue.claim(connection, owner, TTL_MS, rows_max=rows_max)


def look(database: Database, export_id: str = "exp_1", project: int = 1) -> rows.Export:
    with database.read() as connection:
        found = rows.get_export(connection, project, export_id)
    assert found is not None
    return found


def do(database: Database, act: Any, *arguments: Any, **named: Any) -> Any:
    with database.write() as connection:
        return act(connection, *arguments, **named)


def set_row(database: Database, export_id: str = "exp_1", **values: Any) -> None:
    """Let time pass by moving the row's own instants: the database's clock is nobody's to turn."""
    with database.write() as connection:
        connection.execute(exports.update().where(exports.c.id == export_id).values(**values))


def let_lease_end(database: Database, export_id: str = "exp_1") -> None:
    set_row(database, export_id, lease_until=exports.c.lease_until - 2 * TTL_MS)


LATE_WRITES = {
    "renew": lambda c, k: queue.renew(c, k, TTL_MS, 7),
    "watch": queue.watch,
    "plan": lambda c, k: queue.record_plan(c, k, path="database", executor="local", rows_total=9),
    "part": lambda c, k: queue.record_part(c, k, PART, 3),
    "finish": lambda c, k: queue.finish(c, k, RESULT, MANIFEST, 1000),
    "fail": lambda c, k: queue.fail(c, k, "code", "words"),
    "retry": lambda c, k: queue.retry(c, k, "code", "words", 5),
    "release": queue.release,
    "cancel": queue.cancel,
}


class Contract:
    """What each database below has to keep."""

    def test_the_request_comes_back_as_it_was_asked(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        assert claim.request == REQUEST
        assert (claim.project_id, claim.export_id, claim.attempt, claim.tries, claim.seq_max) == (1, "exp_1", 1, 1, 42)
        assert claim.folder == "exports/1/exp_1/1"
        row = look(database)
        assert (row.status, row.echo, row.attempt, row.tries) == ("IN_PROGRESS", {"a": 1}, 1, 1)
        assert row.started_at is not None
        assert not row.final

    def test_an_export_is_taken_once_and_the_oldest_first(self, database: Database) -> None:
        for export_id, created_at in (("exp_2", 200), ("exp_1", 100), ("exp_3", 300)):
            put(database, export_id, created_at=created_at)
        assert [take(database).export_id for _ in range(3)] == ["exp_1", "exp_2", "exp_3"]
        assert take_any(database) is None

    def test_a_project_waits_for_its_own_queue_only(self, database: Database) -> None:
        for no in range(5):
            put(database, f"exp_{no}", created_at=no)
        put(database, "exp_other", project=2, created_at=1000)
        taken = [take(database).export_id for _ in range(4)]
        assert taken == ["exp_0", "exp_other", "exp_1", "exp_2"]

    def test_a_small_export_has_a_way_past_huge_ones(self, database: Database) -> None:
        put(database, "exp_huge", created_at=1, rows_total=50_000_000)
        put(database, "exp_unknown", created_at=2)
        put(database, "exp_small", created_at=3, rows_total=10)
        with database.read() as connection:
            assert queue.anything_due(connection, rows_max=1)
        assert take(database, rows_max=1000).export_id == "exp_unknown"
        assert take(database, rows_max=1000).export_id == "exp_small"
        assert take_any(database, rows_max=1000) is None
        with database.read() as connection:
            assert not queue.anything_due(connection, rows_max=1000)
            assert queue.anything_due(connection)
        assert take(database).export_id == "exp_huge"

    def test_two_racers_never_get_the_same_export(self, database: Database) -> None:
        for no in range(40):
            put(database, f"exp_{no:02}", project=1 + no % 2)
        taken: list[str] = []
        barrier = threading.Barrier(4)

        def race(owner: str) -> None:
            barrier.wait()
            while (claim := take_any(database, owner)) is not None:
                taken.append(claim.export_id)

        threads = [threading.Thread(target=race, args=(f"racer {no}",)) for no in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [f"exp_{no:02}" for no in range(40)]

    def test_an_export_that_is_not_due_waits(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        do(database, queue.retry, claim, "store_unavailable", "The store did not answer", 60_000)
        assert take_any(database) is None
        row = look(database)
        assert (row.status, row.error_code, row.tries) == ("SCHEDULED", "store_unavailable", 1)
        set_row(database, available_at=0)
        again = take(database, "two")
        assert (again.attempt, again.tries) == (2, 2)

    @pytest.mark.parametrize("write", LATE_WRITES)
    def test_a_retired_workers_late_write_touches_no_row(self, database: Database, write: str) -> None:
        put(database, "exp_1")
        retired = take(database, "retired")
        let_lease_end(database)
        do(database, rescue.sweep_expired, 5, 0)
        current = take(database, "current")
        before = look(database)
        with pytest.raises(LeaseLost):
            do(database, LATE_WRITES[write], retired)
        assert look(database) == before
        assert before.attempt == current.attempt == 2
        assert _count(database, export_parts) == _count(database, manifests) == 0

    @pytest.mark.parametrize("write", LATE_WRITES)
    def test_a_lease_that_ran_out_is_not_revived(self, database: Database, write: str) -> None:
        put(database, "exp_1")
        claim = take(database)
        let_lease_end(database)
        before = look(database)
        with pytest.raises(LeaseLost):
            do(database, LATE_WRITES[write], claim)
        assert look(database) == before

    @pytest.mark.parametrize("write", LATE_WRITES)
    def test_another_owner_of_the_same_attempt_is_refused(self, database: Database, write: str) -> None:
        put(database, "exp_1")
        claim = take(database, "mine")
        set_row(database, lease_owner="somebody else")
        with pytest.raises(LeaseLost):
            do(database, LATE_WRITES[write], claim)

    def test_a_deleted_export_stops_its_worker(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        do(database, queue.record_part, claim, PART, 3)
        assert do(database, rows.delete_export, 1, "exp_1") is True
        with pytest.raises(LeaseLost):
            do(database, queue.renew, claim, TTL_MS)
        assert _count(database, export_parts) == 0
        assert do(database, rows.delete_export, 1, "exp_1") is False

    def test_renewing_extends_the_lease_and_tells_progress(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        set_row(database, lease_until=exports.c.lease_until - TTL_MS // 2)
        shortened = _lease_until(database)
        do(database, queue.renew, claim, TTL_MS, 5)
        assert _lease_until(database) >= shortened + TTL_MS // 2
        assert look(database).rows_done == 5

    def test_finishing_publishes_file_and_manifest_together(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        do(database, queue.finish, claim, RESULT, MANIFEST, 1000)
        row = look(database)
        assert (row.status, row.result, row.rows_done, row.rows_total) == ("DONE", RESULT, 3, 3)
        assert row.finished_at is not None
        assert row.file_expires_at == row.finished_at + 1000
        with database.read() as connection:
            assert queue.last_manifest(connection, 1) == MANIFEST
            assert queue.last_manifest(connection, 2) is None

    def test_the_chain_of_manifests_has_one_link_per_number(self, database: Database) -> None:
        for export_id in ("exp_1", "exp_2"):
            put(database, export_id)
        first, second = take(database), take(database)
        do(database, queue.finish, first, RESULT, MANIFEST, 1000)
        with pytest.raises(Conflict, match="manifest 1") as raised:
            do(database, queue.finish, second, RESULT, MANIFEST, 1000)
        assert raised.value.code == "manifest_chain_moved"
        assert look(database, "exp_2").status == "IN_PROGRESS"  # the whole transaction was undone
        do(database, queue.finish, second, RESULT, ManifestRecord(2, "ef", "cd", "m2", 6), 1000)
        assert look(database, "exp_2").status == "DONE"

    def test_a_waiting_export_is_canceled_at_once(self, database: Database) -> None:
        put(database, "exp_1")
        row = do(database, rows.request_cancel, 1, "exp_1")
        assert row.status == "CANCELED"
        assert row.final
        assert take_any(database) is None
        assert do(database, rows.request_cancel, 1, "exp_none") is None

    @pytest.mark.parametrize("write", ["renew", "watch", "finish", "retry", "release"])
    def test_a_running_export_hears_of_its_cancel(self, database: Database, write: str) -> None:
        put(database, "exp_1")
        claim = take(database)
        assert do(database, rows.request_cancel, 1, "exp_1").status == "IN_PROGRESS"
        with pytest.raises(Canceled):
            do(database, LATE_WRITES[write], claim)
        do(database, queue.cancel, claim)
        row = look(database)
        assert (row.status, row.tries, row.attempt) == ("CANCELED", 0, 1)

    def test_a_finished_export_cannot_be_canceled(self, database: Database) -> None:
        put(database, "exp_1")
        do(database, queue.finish, take(database), RESULT, MANIFEST, 1000)
        assert do(database, rows.request_cancel, 1, "exp_1").status == "DONE"

    def test_a_release_gives_the_try_back_but_not_the_attempt(self, database: Database) -> None:
        put(database, "exp_1")
        do(database, queue.release, take(database))
        assert (look(database).status, look(database).tries) == ("SCHEDULED", 0)
        again = take(database)
        assert (again.attempt, again.tries) == (2, 1)

    def test_an_error_is_final(self, database: Database) -> None:
        put(database, "exp_1")
        do(database, queue.fail, take(database), "store_full", "No space left")
        row = look(database)
        assert (row.status, row.error_code, row.error_message) == ("ERROR", "store_full", "No space left")
        assert take_any(database) is None

    def test_the_sweeper_rescues_until_the_budget_is_spent(self, database: Database) -> None:
        put(database, "exp_1")
        states: list[str] = []
        for _ in range(3):
            take(database)
            assert do(database, rescue.sweep_expired, 3, 0) == []  # a live lease is nobody's to end
            let_lease_end(database)
            states.extend(found.status for found in do(database, rescue.sweep_expired, 3, 0))
        assert states == ["SCHEDULED", "SCHEDULED", "ERROR"]
        row = look(database)
        assert (row.error_code, row.tries, row.attempt) == ("worker_lost", 3, 3)

    def test_a_clock_that_was_set_back_holds_up_nobody(self, database: Database) -> None:
        day_ms = 86_400_000
        put(database, "exp_1")
        set_row(database, available_at=exports.c.available_at + day_ms)
        late = take(database)
        assert do(database, rescue.sweep_expired, 3, 0) == []
        set_row(database, lease_until=exports.c.lease_until + day_ms)
        assert [found.status for found in do(database, rescue.sweep_expired, 3, 0)] == ["SCHEDULED"]
        with pytest.raises(LeaseLost):
            do(database, queue.finish, late, RESULT, MANIFEST, 1000)

    def test_a_clock_that_was_set_forward_costs_a_try_and_no_more(self, database: Database) -> None:
        put(database, "exp_1")
        late = take(database)
        set_row(database, lease_until=exports.c.lease_until - 86_400_000)
        with pytest.raises(LeaseLost):
            do(database, queue.renew, late, TTL_MS)
        assert [found.status for found in do(database, rescue.sweep_expired, 3, 0)] == ["SCHEDULED"]
        assert (take(database).attempt, look(database).tries) == (2, 2)

    def test_the_sweeper_waits_before_the_next_try(self, database: Database) -> None:
        put(database, "exp_1")
        take(database)
        let_lease_end(database)
        do(database, rescue.sweep_expired, 3, 60_000)
        assert take_any(database) is None

    def test_the_sweeper_ends_what_was_canceled(self, database: Database) -> None:
        put(database, "exp_1")
        take(database)
        do(database, rows.request_cancel, 1, "exp_1")
        let_lease_end(database)
        assert [found.status for found in do(database, rescue.sweep_expired, 1, 0)] == ["CANCELED"]

    def test_leases_of_the_dead_are_released_at_once(self, database: Database) -> None:
        for export_id in ("exp_1", "exp_2"):
            put(database, export_id)
        take(database, "dead")
        take(database, "alive")
        found = do(database, rescue.release_dead, lambda owner: owner == "dead", 2)
        assert [(each.export_id, each.status) for each in found] == [("exp_1", "SCHEDULED")]
        assert (look(database).tries, look(database, "exp_2").status) == (1, "IN_PROGRESS")
        assert do(database, rescue.release_dead, lambda owner: owner == "dead", 2) == []
        take(database, "dead")
        found = do(database, rescue.release_dead, lambda owner: owner == "dead", 2)
        assert [(each.status, look(database).error_code) for each in found] == [("ERROR", "worker_lost")]

    def test_parts_are_kept_for_the_next_attempt(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        do(database, queue.record_part, claim, PART, 3)
        do(database, queue.record_part, claim, PART, 3)  # again, as after a dropped connection
        do(database, queue.release, claim)
        assert take(database).attempt == 2
        with database.read() as connection:
            assert queue.recorded_parts(connection, 1, "exp_1") == {0: PART}

    def test_progress_never_becomes_less(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        do(database, queue.record_plan, claim, path="archive", executor="local", rows_total=100)
        do(database, queue.renew, claim, 1000, 40)
        do(database, queue.release, claim)
        claim = take(database)
        do(database, queue.record_plan, claim, path="database", executor="local", rows_total=400)
        do(database, queue.renew, claim, 1000, 10)
        assert (look(database).rows_done, look(database).rows_total, look(database).percent) == (40, 100, 40)
        do(database, queue.record_part, claim, PART, 30)
        assert look(database).percent == 40
        do(database, queue.record_plan, claim, path="archive", executor="local", rows_total=50)
        do(database, queue.renew, claim, 1000, 60)
        assert look(database).percent == 99

    def test_what_may_stay_in_an_exports_folder(self, database: Database) -> None:
        put(database, "exp_1")
        claim = take(database)
        do(database, queue.record_part, claim, PART, 3)
        assert _wanted(database) == (frozenset({PART.key}), 1)
        do(database, queue.finish, claim, RESULT, MANIFEST, 1000)
        kept = frozenset({RESULT["files"][0]["key"], MANIFEST.key})
        assert _wanted(database) == (kept, None)
        set_row(database, file_expires_at=1)
        do(database, rescue.expire_files)
        assert _wanted(database) == (frozenset({MANIFEST.key}), None)
        do(database, rows.delete_export, 1, "exp_1")
        assert _wanted(database) == (frozenset({MANIFEST.key}), None)

    def test_retention_ends_files_then_rows(self, database: Database) -> None:
        put(database, "exp_1")
        do(database, queue.finish, take(database), RESULT, MANIFEST, 10_000_000)
        assert do(database, rescue.expire_files) == []
        set_row(database, file_expires_at=1)
        (holder,) = do(database, rescue.expire_files)
        assert (holder.export_id, holder.keys) == ("exp_1", ("exports/1/exp_1/1/export.csv",))
        row = look(database)
        assert (row.status, row.result) == ("EXPIRED", RESULT)
        assert do(database, rescue.expire_rows, 10_000_000) == 0
        set_row(database, finished_at=1)
        assert do(database, rescue.expire_rows, 10_000_000) == 1
        with database.read() as connection:
            assert rows.get_export(connection, 1, "exp_1") is None
            assert queue.last_manifest(connection, 1) == MANIFEST

    def test_old_tokens_are_forgotten(self, database: Database) -> None:
        with database.write() as connection:
            for token, expires_at in (("old", 1), ("new", 1 << 50)):
                values = {"token_hash": token, "project_id": 1, "key_id": 1, "created_at": 0, "expires_at": expires_at}
                connection.execute(access_tokens.insert(), values)
        assert do(database, rescue.expire_tokens) == 1
        assert _count(database, access_tokens) == 1

    def test_the_list_pages_in_the_order_asked(self, database: Database) -> None:
        for no in range(5):
            put(database, f"exp_{no}", created_at=no // 2)
        put(database, "exp_other", project=2)
        do(database, rows.request_cancel, 1, "exp_3")
        with database.read() as connection:
            newest = rows.list_exports(connection, 1, limit=2, page=1)
            assert ([row.id for row in newest.rows], newest.total) == (["exp_4", "exp_3"], 5)
            oldest = rows.list_exports(connection, 1, limit=2, page=2, order="created_at")
            assert [row.id for row in oldest.rows] == ["exp_2", "exp_3"]
            by_status = rows.list_exports(connection, 1, limit=10, order="status")
            assert [row.id for row in by_status.rows] == ["exp_3", "exp_0", "exp_1", "exp_2", "exp_4"]
            assert rows.list_exports(connection, 1, limit=10, order="-status").rows[-1].id == "exp_3"
            assert rows.list_exports(connection, 1, dialect="altcraft").total == 0


def _count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def _lease_until(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(exports.c.lease_until)).scalar_one()


def _wanted(database: Database) -> tuple[frozenset[str], int | None]:
    with database.read() as connection:
        found = rescue.wanted_files(connection, 1, "exp_1")
    return found.keys, found.attempt


class TestOnSqlite(Contract):
    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        with sqlite_ledger(tmp_path) as database:
            yield database


class TestOnPostgres(Contract):
    @pytest.fixture
    def database(self, postgres_server: PostgresServer) -> Iterator[Database]:
        with postgres_ledger(postgres_server) as database:
            yield database
