"""One round of an archive's upkeep in a process of its own, for tests that kill it."""

from __future__ import annotations

from pathlib import Path

from counterfoil.archive.upkeep import Upkeep, UpkeepSettings
from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database, DatabaseSettings
from counterfoil.worker.probes import arm, reach
from tests.archive.random_ledger import Archived

LIMITS = {"rows_max": 100, "batch_rows": 16}


def work(url: str, folder: str, probe: str) -> None:
    """Mend, seal and compact what is due. probe: as in COUNTERFOIL_PROBE, or nothing."""
    arm(probe)
    database = Database(url, DatabaseSettings(pool_size=4, cache_mb=8))
    archived = Archived.in_folder(database, Path(folder), **LIMITS, reach=reach)
    Upkeep(database, archived.bench, SystemClock(), UpkeepSettings(rows_min=1, idle_rows_min=1)).run()
    database.dispose()
