"""One attempt: what it makes, what it proves, and how each way to end is written down."""

from __future__ import annotations

import csv
import gc
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.clock import iso_ms
from counterfoil.dataplane.stop import StopFlag
from counterfoil.dataplane.verify import verify
from counterfoil.db import exports as rows
from counterfoil.db import queue
from counterfoil.db.engine import Database
from counterfoil.db.schema import exports, manifests, movements
from counterfoil.errors import StoreFull, Unavailable
from counterfoil.executors.local import LocalExecutor
from counterfoil.plan.request import Condition, FieldFilter, Filter
from counterfoil.worker.job import run_attempt, stopping
from tests.databases import sqlite_ledger
from tests.worker.exporting import CARDS, DAY_MS, FIELDS, START_MS, World, fill, open_world, request


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with sqlite_ledger(tmp_path) as database:
        fill(database, 1000)
        yield database


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return open_world(database, tmp_path)


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def manifest_of(world: World, export: rows.Export) -> dict[str, object]:
    assert export.result is not None
    return json.loads(world.store.read(export.result["manifest"]))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("slices", [1, 4])
def test_a_campaigns_transactions_are_all_there_in_order(world: World, descending: bool, slices: int) -> None:
    maker = world.in_parts(slices) if slices > 1 else world
    export = maker.run("exp_1", request(descending=descending))
    assert (export.status, export.rows_done, export.executor) == ("DONE", 1000 - CARDS, "local")
    header, *found = cells(world.text(export))
    assert header == list(FIELDS)
    ids = [f"vtx_{no:018x}" for no in range(CARDS, 1000)]
    assert [row[0] for row in found] == (ids[::-1] if descending else ids)
    by_hand = {row[1]: row for row in (found if not descending else found[::-1])}
    with world.database.read() as connection:
        last = connection.execute(
            sa.select(movements.c.voucher_id, movements.c.balance).order_by(movements.c.seq)
        ).all()
    assert {card: int(row[4]) for card, row in by_hand.items()} == dict(last)


def test_parts_and_one_stream_give_the_same_bytes(world: World) -> None:
    streamed = world.run("exp_1", request())
    parted = world.in_parts(5).run("exp_2", request())
    assert world.text(streamed) == world.text(parted)
    assert len(manifest_of(world, parted)["parts"]) == 5
    assert manifest_of(world, streamed)["totals"] == manifest_of(world, parted)["totals"]
    assert manifest_of(world, streamed)["proof"] == manifest_of(world, parted)["proof"]


def test_only_what_is_published_stays(world: World) -> None:
    export = world.in_parts().run("exp_1", request())
    assert world.files() == ["exports/1/exp_1/1/export.csv", "exports/1/exp_1/1/manifest-00000001.json"]
    assert export.result is not None
    assert export.result["manifest"] == world.files()[1]


def test_the_manifest_proves_the_cards_and_is_verified(world: World) -> None:
    first, second = world.run("exp_1", request()), world.run("exp_2", request())
    documents = [manifest_of(world, export) for export in (first, second)]
    proof = documents[1]["proof"]
    assert isinstance(proof, dict)
    assert (proof["kind"], proof["cards"], proof["opening"], proof["shuffled_cards"]) == ("cards", CARDS, 700, 0)
    assert proof["opening"] + proof["amount"] == proof["closing"]
    data = [world.store.read(export.result["manifest"]) for export in (first, second) if export.result]
    name = second.result["files"][0]["name"] if second.result else ""
    files = {name: world.store.local_path("exports/1/exp_2/1/export.csv")}
    verdict = verify(data[1], files, previous=data[0], trusted=[world.shop.signer.fingerprint])
    assert verdict.findings == []
    assert f"balances of {CARDS} cards, movement by movement" in verdict.checked
    assert documents[0]["previous"] is None
    with world.database.read() as connection:
        found = connection.execute(sa.select(manifests.c.no, manifests.c.export_id).order_by(manifests.c.no)).all()
    assert found == [(1, "exp_1"), (2, "exp_2")]


def test_an_export_of_nothing_is_a_header(world: World) -> None:
    nobody = Filter("and", (FieldFilter("voucher_id", (Condition("in", ("v_none",)),)),))
    assert world.text(world.run("exp_1", request(filter=nobody))) == ",".join(FIELDS) + "\n"
    assert world.text(world.run("exp_2", request(), seq_max=0)) == ",".join(FIELDS) + "\n"
    assert world.text(world.in_parts().run("exp_3", request(filter=nobody))) == ",".join(FIELDS) + "\n"


def test_the_snapshot_is_the_one_of_the_question(world: World) -> None:
    export = world.run("exp_1", request(), seq_max=500)
    assert export.rows_done == 500 - CARDS
    assert manifest_of(world, export)["as_of"] == {"seq": 500}


@pytest.mark.parametrize("slices", [1, 3])
def test_compressed_files_hold_the_same_content(world: World, slices: int) -> None:
    maker = world.in_parts(slices) if slices > 1 else world
    plain = world.text(world.run("exp_1", request()))
    zipped = maker.run("exp_2", request(compression="zip", file_name="Transactions 1"))
    assert zipped.result is not None
    file = zipped.result["files"][0]
    assert (file["name"], file["media_type"]) == ("Transactions 1.zip", "application/zip")
    with zipfile.ZipFile(io.BytesIO(world.store.read(file["key"]))) as archive:
        assert archive.namelist() == ["Transactions 1.csv"]
        assert archive.testzip() is None
        assert archive.read("Transactions 1.csv").decode() == plain
    gzipped = maker.run("exp_3", request(compression="gzip"))
    assert gzipped.result is not None
    file = gzipped.result["files"][0]
    assert file["name"] == "voucher_transactions-exp_3.csv.gz"
    assert gzip.decompress(world.store.read(file["key"])).decode() == plain
    for export in (zipped, gzipped):
        assert export.result is not None
        about = export.result["files"][0]
        verdict = verify(
            world.store.read(export.result["manifest"]), {about["name"]: world.store.local_path(about["key"])}
        )
        assert verdict.findings == []


def test_the_same_export_has_the_same_bytes_compressed_too(world: World) -> None:
    for compression in ("zip", "gzip"):
        found = [
            world.run(f"exp_{compression}_{no}", request(compression=compression, file_name="same")) for no in (1, 2)
        ]
        hashes = {export.result["files"][0]["sha256"] for export in found if export.result}
        assert len(hashes) == 1


def test_files_are_cut_by_rows_and_by_bytes(world: World) -> None:
    header, *whole = cells(world.text(world.run("exp_0", request())))
    by_rows = world.run("exp_1", request(split_rows=400))
    assert by_rows.result is not None
    assert [file["rows"] for file in by_rows.result["files"]] == [400, 400, 193]
    assert [file["name"] for file in by_rows.result["files"]][-1] == "voucher_transactions-exp_1-0003.csv"
    by_bytes = world.run("exp_2", request(split_bytes=20_000))
    assert by_bytes.result is not None
    sizes = [file["bytes"] for file in by_bytes.result["files"]]
    assert all(19_000 < size <= 20_000 for size in sizes[:-1])
    tiny = world.run("exp_3", request(split_bytes=1), seq_max=CARDS + 3)
    assert tiny.result is not None
    assert [file["rows"] for file in tiny.result["files"]] == [1, 1, 1]
    for export in (by_rows, by_bytes):
        assert export.result is not None
        pieces = [cells(world.text(export, no)) for no in range(len(export.result["files"]))]
        assert all(piece[0] == header for piece in pieces)
        assert [row for piece in pieces for row in piece[1:]] == whole
        files = {file["name"]: world.store.local_path(file["key"]) for file in export.result["files"]}
        assert verify(world.store.read(export.result["manifest"]), files).findings == []


@pytest.mark.parametrize("descending", [False, True])
def test_batches_by_limit_join_into_the_whole(world: World, descending: bool) -> None:
    whole = world.text(world.run("exp_0", request(descending=descending)))
    text = ",".join(FIELDS) + "\n"
    cursor: tuple[int, int] | None = None
    for no in range(1, 10):
        asked = request(descending=descending, limit_rows=331, cursor=cursor)
        export = world.run(f"exp_{no}", asked)
        assert export.result is not None
        text += world.text(export).split("\n", 1)[1]
        proof = manifest_of(world, export)["proof"]
        assert isinstance(proof, dict)
        assert proof["kind"] == "period"
        if export.result["cursor"] is None:
            break
        cursor = (export.result["cursor"][0], export.result["cursor"][1])
    assert no == 3  # 993 rows: the third batch is full and the last one all the same
    assert text == whole


def test_a_period_is_proved_unless_movements_were_back_dated(world: World) -> None:
    bounds = (
        Condition("after", (iso_ms(START_MS + 3_600_000),)),
        Condition("before", (iso_ms(START_MS + DAY_MS // 2),)),
    )
    within = Filter("and", (FieldFilter("created_at", bounds),))
    proof = manifest_of(world, world.run("exp_1", request(filter=within)))["proof"]
    assert isinstance(proof, dict)
    assert proof["kind"] == "period"
    assert proof["opening"] + proof["amount"] == proof["closing"]
    with world.database.write() as connection:
        last = connection.execute(sa.select(movements).order_by(movements.c.seq.desc())).first()
        assert last is not None
        late = {**last._mapping, "seq": 1001, "id": "vtx_late", "created_at": START_MS + DAY_MS // 3, "amount": 5,
                "balance": last.balance + 5}  # fmt: skip
        connection.execute(movements.insert(), late)
    proof = manifest_of(world, world.run("exp_2", request(filter=within), seq_max=1001))["proof"]
    assert isinstance(proof, dict)
    assert (proof["kind"], proof["gaps"]) == ("totals", 1)
    proof = manifest_of(world, world.run("exp_3", request(), seq_max=1001))["proof"]
    assert isinstance(proof, dict)
    assert (proof["kind"], proof["shuffled_cards"]) == ("cards", 1)


def test_a_filter_that_leaves_gaps_gives_totals(world: World) -> None:
    only = Filter("and", (FieldFilter("type", (Condition("in", ("POINTS_ACCRUAL",)),)),))
    export = world.run("exp_1", replace(request(filter=only), object="movement"))
    proof = manifest_of(world, export)["proof"]
    assert isinstance(proof, dict)
    assert proof["kind"] == "totals"
    assert "type" in proof["why"]


def test_a_damaged_ledger_is_not_exported(world: World) -> None:
    with world.database.write() as connection:
        wrong = {"project_id": 1, "seq": 1001, "id": "vtx_wrong", "voucher_id": f"v_{3:032}", "campaign_id": "camp_1",
                 "type": "POINTS_ADDITION", "amount": 1, "balance": 77, "created_at": START_MS * 2,
                 "recorded_at": 0}  # fmt: skip
        connection.execute(movements.insert(), wrong)
    export = world.run("exp_1", request(), seq_max=1001)
    assert (export.status, export.error_code, export.result) == ("ERROR", "chain_broken", None)
    assert f"card v_{3:032} before movement 1001" in str(export.error_message)
    assert world.files("exports") == []


def test_a_wrong_request_is_an_error_and_leaves_nothing(world: World) -> None:
    export = world.run("exp_1", request(format="papyrus"))
    assert (export.status, export.error_code) == ("ERROR", "invalid_export_params")
    export = world.run("exp_2", request(executor="abacus"))
    assert (export.status, export.error_code) == ("ERROR", "invalid_export_params")
    assert world.files() == []


class Failing:
    """A row source that fails in the middle."""

    def __init__(self, source: object, error: Exception, after: int) -> None:
        self._source = source
        self._error = error
        self._after = after

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def batches(self, *arguments: object) -> Iterator[object]:
        for rows_ in self._source.batches(*arguments):  # type: ignore[attr-defined]
            if self._after == 0:
                raise self._error
            self._after -= 1
            yield rows_


def failing(world: World, error: Exception, after: int = 3) -> World:
    return with_source(world, Failing(world.shop.maker.source, error, after))


def with_source(world: World, source: Failing) -> World:
    maker = replace(world.shop.maker, source=source)  # type: ignore[arg-type]
    return world.with_shop(maker=maker, executors={"local": LocalExecutor(maker, threads=1)})


@pytest.mark.parametrize("error", [Unavailable("store_unavailable", "away"), ZeroDivisionError("ours")])
def test_what_may_pass_is_tried_again_until_the_budget_is_spent(world: World, error: Exception) -> None:
    settings = replace(world.shop.settings, tries_max=2, backoff_s=0)
    world = world.with_shop(settings=settings)
    broken = failing(world, error)
    world.ask("exp_1", request())
    assert run_attempt(broken.shop, world.claim()) == "retried"
    assert (world.row("exp_1").status, world.row("exp_1").tries) == ("SCHEDULED", 1)
    assert world.files() == []
    assert run_attempt(failing(world, error).shop, world.claim()) == "failed"
    export = world.row("exp_1")
    assert (export.status, export.attempt) == ("ERROR", 2)
    assert export.error_code in ("store_unavailable", "internal_error")


def test_a_full_store_is_terminal_and_says_what_to_do(world: World) -> None:
    world.ask("exp_1", request())
    assert run_attempt(failing(world, StoreFull("Free some space")).shop, world.claim()) == "failed"
    assert (world.row("exp_1").error_code, world.row("exp_1").error_message) == ("store_full", "Free some space")


def test_a_cancel_stops_the_work_and_leaves_nothing(world: World) -> None:
    class Canceling(Failing):
        def batches(self, *arguments: object) -> Iterator[object]:
            with world.database.write() as connection:
                rows.request_cancel(connection, 1, "exp_1")
            stop = arguments[2]
            assert isinstance(stop, StopFlag)
            assert stop.wait(10), "the lease's thread did not hear of it"
            return super().batches(*arguments)

    world.ask("exp_1", request())
    working = with_source(world, Canceling(world.shop.maker.source, AssertionError("went on"), 1))
    assert run_attempt(working.shop, world.claim()) == "canceled"
    assert (world.row("exp_1").status, world.row("exp_1").tries) == ("CANCELED", 0)
    assert world.files() == []


def test_a_canceled_scan_is_closed_with_its_export(world: World) -> None:
    class Open(Failing):
        closed = False

        def batches(self, *arguments: object) -> Iterator[object]:
            with world.database.write() as connection:
                rows.request_cancel(connection, 1, "exp_1")
            stop = arguments[2]
            assert isinstance(stop, StopFlag)
            try:
                for rows_ in self._source.batches(*arguments):  # type: ignore[attr-defined]
                    assert stop.wait(10), "the lease's thread did not hear of it"
                    yield rows_
            finally:
                self.closed = True

    world.ask("exp_1", request())
    source = Open(world.shop.maker.source, AssertionError("went on"), 1)
    gc.disable()
    try:
        assert run_attempt(with_source(world, source).shop, world.claim()) == "canceled"
        assert source.closed
    finally:
        gc.enable()


def test_a_stopping_worker_gives_the_export_back(world: World) -> None:
    world.ask("exp_1", request())
    stop = StopFlag()
    stop.set(stopping())
    assert run_attempt(world.shop, world.claim(), stop=stop) == "released"
    assert (world.row("exp_1").status, world.row("exp_1").tries) == ("SCHEDULED", 0)
    assert run_attempt(world.shop, world.claim()) == "done"


def test_a_lost_lease_stops_the_work_and_writes_nothing(world: World) -> None:
    class Losing(Failing):
        def batches(self, *arguments: object) -> Iterator[object]:
            with world.database.write() as connection:
                connection.execute(exports.update().values(lease_owner="another"))
            stop = arguments[2]
            assert isinstance(stop, StopFlag)
            assert stop.wait(10), "the lease's thread did not hear of it"
            return super().batches(*arguments)

    world.ask("exp_1", request())
    working = with_source(world, Losing(world.shop.maker.source, AssertionError("went on"), 1))
    assert run_attempt(working.shop, world.claim()) == "lost"
    row = world.row("exp_1")
    assert (row.status, row.attempt, row.error_code) == ("IN_PROGRESS", 1, None)


def test_a_huge_export_is_given_back_by_the_quick_lane(world: World) -> None:
    world.ask("exp_1", request())
    assert run_attempt(world.shop, world.claim(), rows_max=999) == "too_large"
    row = world.row("exp_1")
    assert (row.status, row.tries, row.rows_total) == ("SCHEDULED", 0, 1000)
    with world.database.read() as connection:
        assert not queue.anything_due(connection, rows_max=999)


def test_finished_parts_are_taken_over(world: World) -> None:
    parted = world.in_parts(4)
    world.ask("exp_1", request())
    broken = failing(parted, Unavailable("database_unavailable", "away"), after=10)
    assert run_attempt(broken.shop, world.claim()) == "retried"
    with world.database.read() as connection:
        made = queue.recorded_parts(connection, 1, "exp_1")
    assert list(made) == [0, 1]
    with world.database.write() as connection:
        connection.execute(exports.update().values(available_at=0))
    asked: list[int] = []

    class Watching(Failing):
        def batches(self, *arguments: object) -> Iterator[object]:
            asked.append(arguments[1].no)  # type: ignore[attr-defined]
            return super().batches(*arguments)

    again = with_source(parted, Watching(world.shop.maker.source, AssertionError(), 1 << 30))
    assert run_attempt(again.shop, world.claim()) == "done"
    assert asked == [2, 3]
    assert world.text(world.row("exp_1")) == world.text(world.run("exp_2", request()))
    assert world.files("exports/1/exp_1") == [
        "exports/1/exp_1/2/export.csv",
        "exports/1/exp_1/2/manifest-00000001.json",
    ]


def test_a_part_whose_bytes_have_changed_is_made_again(world: World) -> None:
    parted = world.in_parts(4)
    world.ask("exp_1", request())
    broken = failing(parted, Unavailable("database_unavailable", "away"), after=10)
    assert run_attempt(broken.shop, world.claim()) == "retried"
    with world.database.write() as connection:
        connection.execute(exports.update().values(available_at=0))
        made = queue.recorded_parts(connection, 1, "exp_1")
    world.store.put(made[0].key, world.store.read(made[0].key).replace(b"vtx_", b"VTX_"), create_only=False)
    assert run_attempt(parted.shop, world.claim()) == "done"
    assert world.text(world.row("exp_1")) == world.text(world.run("exp_2", request()))


def test_two_exports_that_finish_together_follow_one_another(world: World) -> None:
    """The other export takes the next place in the chain just before ours does."""
    world.ask("exp_1", request())
    ours = world.claim()
    signer = world.shop.signer

    class Overtaken:
        def __getattr__(self, name: str) -> object:
            return getattr(signer, name)

        def sign(self, data: bytes) -> str:
            if '"exp_1"' in data.decode() and json.loads(data)["no"] == 1:
                assert world.run("exp_2", request()).status == "DONE"
            return signer.sign(data)

    assert run_attempt(world.with_shop(signer=Overtaken()).shop, ours) == "done"
    documents = {no: manifest_of(world, world.row(f"exp_{no}")) for no in (1, 2)}
    assert (documents[2]["no"], documents[1]["no"]) == (1, 2)
    assert len([key for key in world.files("exports/1/exp_1") if "manifest" in key]) == 1
