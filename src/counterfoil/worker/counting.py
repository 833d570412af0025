"""How many rows a long export will have, found out beside it, so that its progress is exact.

A plan over the database knows at most how many movements there are, and nothing of other objects. Counting is a small
part of the work of exporting, but a short export is over before anybody looks: the count begins when the export has run
for a moment, and ends with it. What the archive reads is not counted: that would put its cost on the database again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db.engine import Database
from counterfoil.errors import CounterfoilError
from counterfoil.plan.task import Plan

log = structlog.get_logger(__name__)


class Counting:
    """Counts while the `with` runs. after_s: how long the export must have run. told: hears the number, once."""

    def __init__(self, database: Database, plan: Plan, after_s: float, told: Callable[[int], None]) -> None:
        self._rows = DatabaseRows(database)
        self._plan = plan
        self._after_s = after_s
        self._told = told
        self._over = threading.Event()
        self._stop = StopFlag()
        self._thread = threading.Thread(target=self._serve, name="counterfoil-count", daemon=True)

    def __enter__(self) -> Counting:
        if self._plan.path == "database":
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._stop.set(CounterfoilError("stopped", "The export ended before its rows were counted"))
        if self._thread.is_alive():
            self._thread.join()

    def _serve(self) -> None:
        if self._over.wait(self._after_s):
            return
        selection = self._plan.selection
        try:
            found = sum(self._rows.count(selection, task, self._stop) for task in self._plan.tasks)
            self._stop.check()
            self._told(found if selection.limit_rows is None else min(found, selection.limit_rows))
        except CounterfoilError as error:
            if self._stop.error is None:
                log.warning("export_not_counted", error=error.message)
