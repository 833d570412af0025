"""What dies while an export runs on the cluster: a Spark worker, our worker, the export itself."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from counterfoil.clock import SystemClock
from counterfoil.db import exports
from counterfoil.db.schema import exports as exports_table
from counterfoil.plan.request import ExportRequest
from counterfoil.worker.job import run_attempt
from counterfoil.worker.probes import arm
from counterfoil.worker.sweeper import Sweeper
from tests.executors.archived_world import PROJECT, SealedWorld, open_sealed_world
from tests.spark_cluster import WORKERS, SparkCluster
from tests.waiting import until

pytestmark = [pytest.mark.spark, pytest.mark.crash, pytest.mark.xdist_group("spark")]
one_postgres = pytest.mark.parametrize("postgres_server", ["embedded"], indirect=True, scope="session")
ASKED = ExportRequest("voucher_transactions", executor="spark")
ROWS_PER_TASK = 40
PROCESSES = multiprocessing.get_context("spawn")


@contextmanager
def under_way(world: SealedWorld, export_id: str) -> Iterator[threading.Thread]:
    """An export that has some of its parts, and runs on."""
    world.ask(export_id, ASKED)
    thread = threading.Thread(target=run_attempt, args=(world.shop, world.claim()))
    thread.start()
    try:
        until(lambda: len(world.parts(export_id)) > 2, "the first parts", 120)
        yield thread
    finally:
        thread.join(60)


def reference(world: SealedWorld, export_id: str) -> bytes:
    """The bytes of an export that nobody disturbed."""
    return world.content(world.run(export_id, ASKED, "local"))


@one_postgres
def test_a_killed_spark_worker_costs_nothing_but_time(world: SealedWorld, spark_cluster: SparkCluster) -> None:
    world = world.in_slices(ROWS_PER_TASK)
    expected = reference(world, "exp_before")
    tasks = len(world.parts("exp_before"))
    with under_way(world, "exp_worker") as thread:
        victim = spark_cluster.running()[0]
        with spark_cluster.frozen(victim):  # so its task is lost and not done
            assert len(world.parts("exp_worker")) < tasks
            spark_cluster.kill_worker(victim)
        thread.join(60)
    export = world.row("exp_worker")
    assert (export.status, export.attempt, export.executor) == ("DONE", 1, "spark"), spark_cluster.log()
    assert world.content(export) == expected
    spark_cluster.start_worker()
    until(lambda: len(spark_cluster.running()) == WORKERS, "a worker in its place", 120)


@one_postgres
def test_another_worker_goes_on_where_a_killed_one_stopped(
    world: SealedWorld, spark_cluster: SparkCluster, tmp_path: Path
) -> None:
    world = world.in_slices(ROWS_PER_TASK)
    expected = reference(world, "exp_undisturbed")
    world.ask("exp_resumed", ASKED)
    url = world.database.engine.url.set(drivername="postgresql").render_as_string(False)
    process = PROCESSES.Process(target=work_and_die, args=(url, tmp_path, world.address, spark_cluster.remote))
    process.start()
    process.join(180)
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    first = world.parts("exp_resumed")
    assert len(first) == 3
    with world.database.write() as connection:
        lost = exports_table.update().where(exports_table.c.id == "exp_resumed").values(lease_until=1)
        connection.execute(lost)
    settings = replace(world.shop.settings, backoff_s=0)
    assert len(Sweeper(world.database, world.store, settings, SystemClock(), "rescuer").rescue()) == 1
    run_attempt(world.shop, world.claim())
    export = world.row("exp_resumed")
    assert (export.status, export.attempt, export.executor) == ("DONE", 2, "spark"), export
    assert world.content(export) == expected
    taken = world.parts("exp_resumed")
    assert {no: taken[no] for no in first} == first
    left = world.files("exp_resumed")
    assert len(left) == 2
    world.run("exp_after_resumed", ASKED)  # by its end, what the dead worker's job still did is over
    assert world.files("exp_resumed") == left


@one_postgres
def test_a_canceled_export_stops_within_seconds_and_leaves_no_file(
    world: SealedWorld, spark_cluster: SparkCluster
) -> None:
    world = world.in_slices(ROWS_PER_TASK)
    clock = SystemClock()
    with under_way(world, "exp_canceled") as thread, spark_cluster.frozen(*spark_cluster.running()):
        with world.database.write() as connection:
            exports.request_cancel(connection, PROJECT, "exp_canceled")
        asked_at_s = clock.monotonic_s()
        thread.join(30)
        took_s = clock.monotonic_s() - asked_at_s
        assert world.row("exp_canceled").status == "CANCELED"
        assert took_s < 12, took_s
        assert world.files("exp_canceled") == []
    # The tasks that stood still have gone on since, and found that nobody wants them.
    export = world.run("exp_after_canceled", ASKED)
    assert export.status == "DONE"
    assert world.files("exp_canceled") == []


def work_and_die(url: str, folder: Path, address: object, remote: str) -> None:
    """Be a worker that is killed when it has recorded three parts."""
    import os

    log = os.open(folder / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    arm("part_recorded:3")
    world = open_sealed_world(url, folder, address, remote).in_slices(ROWS_PER_TASK)  # type: ignore[arg-type]
    run_attempt(world.shop, world.claim())
