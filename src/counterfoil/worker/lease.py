"""The lease of an export that runs: kept by a thread of its own, and the stop of the work when it is lost.

The thread takes its connections from the worker's own database pool, so neither the scan nor the web can hold it up.
"""

from __future__ import annotations

import threading

import structlog

from counterfoil.clock import Clock
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db import queue
from counterfoil.db.engine import Database
from counterfoil.db.queue import Claim
from counterfoil.errors import Canceled, CounterfoilError, LeaseLost
from counterfoil.worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

_PROGRESS_EVERY_S = 1.0


class Lease:
    """Keeps a claim alive while the `with` runs, tells its progress, and sets `stop` when it is lost or canceled."""

    def __init__(
        self, database: Database, claim: Claim, settings: WorkerSettings, clock: Clock, stop: StopFlag
    ) -> None:
        self._database = database
        self._claim = claim
        self._settings = settings
        self._clock = clock
        self.stop = stop
        self._rows_lock = threading.Lock()
        self._rows_done = 0
        self._rows_told = 0
        self._renewed_s = self._written_s = clock.monotonic_s()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="counterfoil-lease", daemon=True)

    @property
    def rows_done(self) -> int:
        """Rows counted by `add_rows`."""
        return self._rows_done

    def add_rows(self, count: int) -> None:
        """Count rows that are done, from any thread; also stops the work once the lease must have run out, should the
        lease's own thread hang in a call."""
        with self._rows_lock:
            self._rows_done += count
        if self._clock.monotonic_s() >= self._renewed_s + self._settings.lease_ttl_s:
            self.stop.set(LeaseLost(self._claim.export_id, self._claim.attempt))

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _serve(self) -> None:
        # A worker that is told to stop keeps its lease until it has given the export back.
        while not self._end.wait(self._settings.watch_s):
            try:
                self.beat()
            except (LeaseLost, Canceled) as error:
                self.stop.set(error)
                return
            except CounterfoilError as error:
                log.warning("lease_not_renewed", export=self._claim.export_id, error=error.message)
                self.add_rows(0)

    def beat(self) -> None:
        """Renew the lease if a third of it is over, or if there is progress to tell; else only look.

        Raises LeaseLost, Canceled, and whatever the database's failure is.
        """
        now_s = self._clock.monotonic_s()
        rows_done = self._rows_done
        due = now_s >= self._renewed_s + self._settings.lease_ttl_s / 3
        telling = rows_done != self._rows_told and now_s >= self._written_s + _PROGRESS_EVERY_S
        if not due and not telling:
            with self._database.read() as connection:
                queue.watch(connection, self._claim)
            return
        with self._database.write() as connection:
            queue.renew(connection, self._claim, self._settings.lease_ttl_ms, rows_done)
        self._renewed_s = self._written_s = now_s
        self._rows_told = rows_done
