"""Exports on a real Spark cluster: the bytes of the local executor, and clear words where a task cannot go on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import counterfoil
from counterfoil.catalog.objects import OBJECTS
from counterfoil.dataplane.scan_rows import reads_movements
from counterfoil.dataplane.verify import verify
from counterfoil.errors import CounterfoilError, Misconfigured, Unavailable
from counterfoil.executors.spark import session
from counterfoil.executors.spark.executor import Cluster, SparkExecutor
from counterfoil.executors.spark.session import Client, translated
from counterfoil.executors.spark.task import ANSWER_SCHEMA
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter, Order
from tests.executors.archived_world import SEGMENTS, SealedWorld
from tests.services import free_ports
from tests.spark_cluster import SparkCluster

on_the_cluster = [pytest.mark.spark, pytest.mark.xdist_group("spark")]
pytestmark = on_the_cluster
one_postgres = pytest.mark.parametrize("postgres_server", ["embedded"], indirect=True, scope="session")
TRANSACTIONS = ExportRequest("voucher_transactions")


@one_postgres
@pytest.mark.parametrize("name", [name for name in OBJECTS if reads_movements(name)])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_bytes_are_those_of_the_local_executor(world: SealedWorld, name: str, form: str) -> None:
    asked = ExportRequest(name, order=Order("created_at", form == "csv"), format=form)
    here, there = (world.run(f"exp_{name}_{form}_{executor}", asked, executor) for executor in ("local", "spark"))
    assert (here.status, here.executor, there.status, there.executor) == ("DONE", "local", "DONE", "spark")
    assert world.content(here) == world.content(there) != b""
    assert len(world.parts(there.id)) >= SEGMENTS
    assert there.result is not None and there.rows_done == there.result["rows"]
    assert len(world.files(there.id)) == 2  # the file and its manifest


@one_postgres
def test_filters_compression_and_the_proof_are_the_same(world: SealedWorld, tmp_path: Path) -> None:
    cards = Filter("and", (FieldFilter("campaign_id", (Condition("in", ("camp_1",)),)),))
    asked = ExportRequest("voucher_transactions", scope=cards, compression="gzip")
    here, there = (world.run(f"exp_gzip_{executor}", asked, executor) for executor in ("local", "spark"))
    assert world.content(here) == world.content(there)
    assert there.result is not None
    path = tmp_path / there.result["files"][0]["name"]
    path.write_bytes(world.content(there))
    verdict = verify(world.manifest(there), {path.name: path})
    assert verdict.findings == []
    assert b'"executor":"spark"' in world.manifest(there) and b'"kind":"cards"' in world.manifest(there)


@one_postgres
def test_a_task_that_meets_a_damaged_segment_is_done_here(world: SealedWorld) -> None:
    expected = world.content(world.run("exp_sound", TRANSACTIONS, "local"))
    broken = world.archived.live()[3].ref
    data = world.store.read(broken.key)
    world.store.delete(broken.key)
    try:
        export = world.run("exp_damaged", TRANSACTIONS)
    finally:
        world.store.put(broken.key, data)
    assert (export.status, export.executor) == ("DONE", "spark"), export
    assert world.content(export) == expected
    assert set(world.archived.reports) == {broken.id}


@one_postgres
def test_one_task_needs_no_cluster(world: SealedWorld) -> None:
    export = world.run("exp_limited", replace(TRANSACTIONS, limit_rows=10))
    assert (export.status, export.executor) == ("DONE", "local")


@one_postgres
def test_a_store_that_refuses_the_cluster_ends_the_export_in_clear_words(
    world: SealedWorld, spark_cluster: SparkCluster
) -> None:
    stranger = Cluster(spark_cluster.remote, replace(world.address, secret_key="wrong"))
    export = world.with_spark(SparkExecutor(world.shop.maker, world.database, stranger)).run("exp_keys", TRANSACTIONS)
    assert (export.status, export.tries) == ("ERROR", 1), export
    assert export.error_code in ("store_credentials", "store_forbidden"), export
    assert "COUNTERFOIL_S3" in (export.error_message or "")
    assert world.files("exp_keys") == []


@one_postgres
def test_another_version_on_the_cluster_is_refused(world: SealedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counterfoil, "__version__", "99.0")
    export = world.run("exp_version", TRANSACTIONS)
    assert (export.status, export.tries) == ("ERROR", 1), export
    assert export.error_code == "spark_version_differs" and "99.0" in (export.error_message or "")


@one_postgres
def test_what_nobody_foresaw_is_terminal_after_sparks_own_tries(world: SealedWorld) -> None:
    spark = world.shop.executors["spark"]
    assert isinstance(spark, SparkExecutor)
    with pytest.raises(CounterfoilError, match="KeyError: 'version'") as caught:
        list(spark._client.answers(b"{}", 1, ANSWER_SCHEMA, "test"))
    assert (caught.value.code, caught.value.transient) == ("spark_task_failed", False)


@pytest.mark.filterwarnings("ignore:.*RETRIES_EXCEEDED")
def test_a_server_that_is_away_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_RETRIES_MAX", 0)
    with pytest.raises(Unavailable, match="failed to connect"):
        list(Client(f"sc://127.0.0.1:{free_ports(1)[0]}").answers(b"{}", 1, ANSWER_SCHEMA, "test"))
    with pytest.raises(Misconfigured, match="spark_remote"):
        list(Client("http://127.0.0.1").answers(b"{}", 1, ANSWER_SCHEMA, "test"))


@pytest.mark.parametrize(
    ("said", "code", "transient"),
    [
        ("counterfoil.errors.Unavailable: The store is away", "spark_task_failed", True),
        ("ModuleNotFoundError: No module named 'counterfoil'", "spark_environment", False),
        ("MemoryError: no room", "spark_task_failed", False),
    ],
)
def test_errors_of_the_clusters_python(said: str, code: str, transient: bool) -> None:
    from pyspark.errors import PythonException

    trace = f'An exception was thrown from the Python worker. Traceback (most recent call last):\n  File "x"\n{said}\n'
    found = translated(PythonException(trace))
    assert (found.code, found.transient) == (code, transient)
    assert said in found.message


_WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Refuses(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("pyspark", "grpc"):
            assert not sys.argv[2:], name + " was imported"
            return None

sys.meta_path.insert(0, Refuses())
from counterfoil import compose, settings
given = {"home": sys.argv[1], "worker_threads": 0}
compose.build(settings.load(given, {})).close()
assert not {"pyspark", "grpc", "pandas"} & {name.partition(".")[0] for name in sys.modules}
print("none")
"""


def test_nothing_of_spark_is_imported_without_the_setting(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WITHOUT, str(tmp_path), "refuse"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "none", found.stderr


def test_the_setting_without_the_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    from counterfoil import compose, settings

    with pytest.raises(Misconfigured, match=r"pip install 'counterfoil\[spark\]'"):
        compose.build(settings.load({"home": str(tmp_path), "spark_remote": "sc://127.0.0.1"}, {}))
