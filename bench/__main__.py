"""`python -m bench`: measure, print the table, and write it down. See `make bench`."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.case import Context, Record, measure

MODULES = ("encoder", "full", "selections", "together", "sealing", "postings", "imports")
"""Modules of cases, in the order they run."""

ROWS = 10_000_000
ROUNDS = 5


def run(rows: int, rounds: int, names: list[str], folder: Path, keep: Callable[[list[Record]], None]) -> list[Record]:
    """Measure the cases with those names (none: all), and say on standard error how it goes. keep: told after each case
    what is known by then, so that a later one that fails takes nothing along."""
    started_s = time.perf_counter()

    def tell(words: str) -> None:
        print(f"bench: {time.perf_counter() - started_s:7.1f} s  {words}", file=sys.stderr, flush=True)

    def wanted(name: str) -> bool:
        return not names or name in names

    records: list[Record] = []
    folder = folder / str(rows)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as open_files:
        context = Context(rows, rounds, folder, wanted, tell, open_files)
        for module in MODULES:
            for case in importlib.import_module(f"bench.{module}").cases(context):
                if wanted(case.name):
                    records += measure(case, rounds, tell)
                    keep(records)
    return records


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="movements in the ledger (%(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each system (%(default)s)")
    parser.add_argument("--cases", default="", help="names of cases, with commas; all unless given")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "counterfoil-bench")
    parser.add_argument("--root", type=Path, default=Path(), help="where bench/results and docs are written")
    given = parser.parse_args()
    names = [name for name in given.cases.split(",") if name]
    records = run(
        given.rows, given.rounds, names, given.folder, lambda made: report.write(made, given.rows, given.root)
    )
    if not records:
        parser.error(f"there is no case {given.cases!r}")
    print(report.table(report.results(records, given.rows), {record.case: record.title for record in records}))


if __name__ == "__main__":
    main()
