"""The benchmark on a few thousand rows, for what it makes and not for how long it takes."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bench import __main__ as bench
from bench import columns, peer, report, sealing, selections, story, together
from bench.case import Case, Contender, Context, Run, measure
from bench.full import REQUEST
from bench.market import Market
from bench.ours import FIELDS, home_of, serving
from bench.targets import targets
from counterfoil.dataplane.csv_reference import ReferenceCsvEncoder
from counterfoil.dataplane.encoder import Column

ROWS = 6_000

PEERS = [
    ("duckdb", "table in file order"),
    ("duckdb", "ORDER BY"),
    ("duckdb", "Parquet"),
    *[("polars", how) for how in ("Parquet", "sort") if peer.installed("polars")],
    *[("chdb", how) for how in ("ORDER BY",) if peer.installed("chdb")],
    pytest.param("postgres", "psql", marks=pytest.mark.postgres),
    pytest.param("postgres", "Python csv", marks=pytest.mark.postgres),
]
"""Those that `make bench` installs are held to it where they are."""

pytestmark = [pytest.mark.xdist_group("bench"), pytest.mark.slow]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    with ExitStack() as open_files:
        folder = tmp_path_factory.mktemp("bench")
        yield Context(ROWS, 1, folder, lambda _: True, lambda _: None, open_files)


@pytest.fixture(scope="module")
def ours(context: Context) -> bytes:
    with serving(home_of(context)) as server:
        return server.content(REQUEST)


def told() -> pa.Table:
    tale = story.tell(ROWS)
    return pa.Table.from_batches(list(columns.batches(tale, columns.names_of(tale))))


def test_our_file_is_what_the_reference_makes_of_the_story(ours: bytes) -> None:
    table = told()
    newest_first = np.lexsort((table["seq"].to_numpy(), table["created_at"].to_numpy()))[::-1]
    rows = table.take(pa.array(newest_first)).select([*FIELDS]).combine_chunks()
    at = rows.schema.get_field_index("created_at")
    rows = rows.set_column(at, "created_at", rows["created_at"].cast(pa.timestamp("ms", "UTC")))
    encoder = ReferenceCsvEncoder(rows.schema, [Column(name, name) for name in FIELDS])
    assert ours == b"".join([encoder.begin(), *map(encoder.encode, rows.to_batches()), encoder.end()])


@pytest.mark.parametrize(("system", "how"), PEERS)
def test_every_peer_writes_the_same_rows(
    context: Context, ours: bytes, monkeypatch: pytest.MonkeyPatch, system: str, how: str
) -> None:
    kept: dict[str, str] = {}
    monkeypatch.setattr(Path, "unlink", lambda path: kept.setdefault("file", path.read_text()))
    (contender,) = Market(context).contender(system, how)
    found = contender.run()
    monkeypatch.undo()
    expected = list(csv.reader(io.StringIO(ours.decode())))
    rows = list(csv.reader(io.StringIO(kept["file"])))
    assert rows[0] == expected[0] == list(FIELDS)
    at = FIELDS.index("created_at")
    assert [row[at] for row in rows] == [row[at] for row in expected]
    assert sorted(rows[1:]) == sorted(expected[1:])
    assert (found.rows, found.size_bytes) == (ROWS, len(kept["file"].encode()))
    assert found.seconds > 0 and found.peak_mb is not None and found.peak_mb > 10


@pytest.mark.postgres
@pytest.mark.parametrize("module", [selections, together])
def test_all_contenders_of_a_case_find_the_same_rows(context: Context, module: Any) -> None:
    seen = 0
    for case in module.cases(context):
        runs = {contender.system: contender.run() for contender in case.contenders}
        rows = {run.rows for run in runs.values()}
        assert len(rows) == 1 and (rows != {0} or case.name == "small-beside-huge"), (case.name, runs)
        seen += 1
    assert seen >= 2


def test_sealing_writes_every_movement(context: Context) -> None:
    (case,) = sealing.cases(context)
    (contender,) = case.contenders
    run = contender.run()
    assert run.rows == ROWS and run.size_bytes > 100 * ROWS


def test_the_story_adds_up() -> None:
    table = told()
    before: dict[str, int] = {}
    for row in table.select(["voucher_id", "amount", "balance"]).to_pylist():
        card = row["voucher_id"]
        before[card] = before.get(card, 0) + row["amount"]
        assert row["balance"] == before[card] >= 0
    assert table["seq"].to_pylist() == list(range(1, ROWS + 1))
    details = [json.loads(text) for text in table["details"].drop_null().to_pylist()]
    assert 0.35 * ROWS < len(details) < 0.45 * ROWS
    reasons = "".join(table["reason"].drop_null().to_pylist())
    assert all(letter in reasons for letter in '",\n')


def test_rounds_take_turns() -> None:
    order: list[str] = []

    def run(system: str) -> Run:
        order.append(system)
        return Run(float(len(order)), 1.0 * len(order), 10, 100)

    case = Case("x", "X", [Contender("a", lambda: run("a")), Contender("b", lambda: run("b"), rounds_max=1)])
    found = [record.to_json() for record in measure(case, 3, lambda _: None)]
    assert order == ["a", "b", "a", "a"]
    assert found[0] | {"case": "x", "system": "a", "median_s": 3.0, "min_s": 1.0, "max_s": 4.0} == found[0]
    assert found[0] | {"peak_mb": 4.0, "bytes": 100, "rows": 10, "rounds": 3} == found[0]


def test_results_are_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["bench", "--rows", "2000", "--rounds", "2", "--cases", "encoder"]
    monkeypatch.setattr("sys.argv", [*arguments, "--folder", str(tmp_path / "data"), "--root", str(tmp_path)])
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "benchmarks.md"
    page.write_text(f"# Benchmarks\n\nBefore.\n\n{report.BEGIN}\nold\n{report.END}\n\nAfter.\n")
    started_s = time.perf_counter()
    bench.main()
    took_s = time.perf_counter() - started_s
    found = json.loads((tmp_path / "bench/results/latest.json").read_text())
    assert found["rows"] == 2000 and "cores" in found["machine"]
    systems = {case["system"]: case for case in found["cases"] if case["case"] == "encoder"}
    assert 0 < systems["Counterfoil"]["median_s"] < took_s and systems["Counterfoil"]["rows"] == 2000
    text = page.read_text()
    assert "Before." in text and "After." in text and "old" not in text and "**encoder**" in text


def test_targets_say_by_how_much_they_are_met_or_missed() -> None:
    def full(system: str, median_s: float, peak_mb: float | None = None) -> dict[str, Any]:
        return {"case": "full", "system": system, "median_s": median_s, "peak_mb": peak_mb}

    cases = [full("Counterfoil", 2.0, 500.0), full("ClickHouse, ORDER BY", 7.0), full("DuckDB, ORDER BY", 11.0)]
    cases += [full("Polars, Parquet", 3.0), {"case": "another", "system": "x", "median_s": 1.0}]
    lines = [target.line() for target in targets(cases)]
    assert lines == [
        "* met: full export, times as fast as ClickHouse, ORDER BY: 3.5× (at least 3× wanted)\n",
        "* **missed**: full export, times as fast as DuckDB, ORDER BY: 5.5× (at least 6× wanted)\n",
        "* met: full export, peak memory: 500 MiB (at most 600 MiB wanted)\n",
    ]
