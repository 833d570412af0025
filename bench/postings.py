"""How fast the ledger is written: `python -m bench.postings [ROWS] [--seconds S] [--only WORD]`.

SQLite with durable commits (synchronous=FULL) and ROWS movements in it already: movements a second through the services
and over HTTP, the same while full exports run one after another, and with the sealer at work. One JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bench.shop import Shop, change, checkout, exporting_in_process, opened, rate_of_services, served
from counterfoil.archive.segment_writer import codec_for
from counterfoil.archive.upkeep import Upkeep
from counterfoil.archive.workbench import Workbench

SEAL_EVERY_S = 1.0
Told = dict[str, Any]


def services(shop: Shop, seconds: float) -> Iterator[Told]:
    """Through the services, alone and beside full exports."""
    alone = rate_of_services(shop, change, seconds)
    yield _line("postings", alone)
    yield _line("postings, checkouts", rate_of_services(shop, checkout, seconds))
    shop.system.workers.start()
    with exporting_in_process(shop) as took:
        beside = rate_of_services(shop, change, seconds)
    yield _line("postings beside exports", beside, of_alone=beside / alone, exports=len(took))


def http(shop: Shop, seconds: float) -> Iterator[Told]:
    """Over HTTP, alone and beside full exports."""
    with served(shop) as server:
        alone = server.rate(seconds)
        yield _line("postings over HTTP", alone)
        with server.exporting() as took:
            beside = server.rate(seconds)
        yield _line("postings over HTTP beside exports", beside, of_alone=beside / alone, exports=len(took))


def sealing(shop: Shop, seconds: float) -> Iterator[Told]:
    """With the sealer looking every second, against without, in turn."""
    upkeep = Upkeep(shop.system.database, Workbench(shop.system.store, codec_for(shop.system.store)), shop.system.clock)
    upkeep.seal_now(shop.caller.project_id)
    without, with_it = 0.0, 0.0
    for _ in range(2):
        without += rate_of_services(shop, change, seconds) / 2
        with _upkeep(upkeep):
            with_it += rate_of_services(shop, change, seconds) / 2
    yield _line("postings without sealing", without)
    yield _line("postings with sealing", with_it, of_alone=with_it / without)


@contextmanager
def _upkeep(upkeep: Upkeep) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(SEAL_EVERY_S):
            upkeep.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _line(case: str, rate: float, **more: float) -> Told:
    shown = {name: round(value, 3) for name, value in more.items()}
    return {"case": case, "system": "counterfoil", "movements_per_s": round(rate), **shown,
            "load_average": round(os.getloadavg()[0], 1)}  # fmt: skip


CASES: dict[str, Callable[[Shop, float], Iterator[Told]]] = {"services": services, "http": http, "sealing": sealing}


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", choices=sorted(CASES))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with nullcontext(given.folder) if given.folder else tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            if given.only in {None, name}:
                with opened(Path(folder), given.rows, lambda words: print(words, file=sys.stderr)) as shop:
                    for told in case(shop, given.seconds):
                        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
