"""Sealing: movements out of the ledger's table into a segment's durable file, as the sealer does it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.case import Case, Contender, Context, Run
from bench.ours import home_of
from counterfoil.archive.hold import hold
from counterfoil.archive.sealer import movements_table
from counterfoil.archive.segment_writer import codec_for
from counterfoil.archive.workbench import Workbench
from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions

_ROWS_MAX = 200_000


def cases(context: Context) -> Iterator[Case]:
    """`sealing`: seconds for so many movements; a posting may take five times as long before it costs a fifth."""
    if not context.wanted("sealing"):
        return
    home, rows = home_of(context), min(context.rows, _ROWS_MAX)
    contenders = [Contender("Counterfoil", partial(_seal, home, context.folder / "sealing", rows))]
    yield Case("sealing", f"{rows:,} movements from the table into a segment", contenders)


def _seal(home: Path, scratch: Path, rows: int) -> Run:
    clock = SystemClock()
    database = Database(f"sqlite:///{home / 'counterfoil.db'}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    store = open_store(f"file://{scratch}", StoreOptions(), clock)
    try:
        with hold(database, clock, 1) as mine:
            assert mine is not None, "nobody else is here"
            started_s, processor_s = time.perf_counter(), time.process_time()
            made = Workbench(store, codec_for(store)).write(1, movements_table(mine, 1, rows), level=0, late=False)
            seconds, processor_s = time.perf_counter() - started_s, time.process_time() - processor_s
    finally:
        database.dispose()
        shutil.rmtree(scratch)
    return Run(
        seconds,
        None,
        rows,
        made.ref.size_bytes,
        {"µs a row": seconds * 1e6 / rows, "processor µs a row": processor_s * 1e6 / rows},
    )
