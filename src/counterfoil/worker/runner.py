"""The threads of a worker: some run exports, each of the others has one chore.

A thread survives whatever its work raises: it says so, waits, and goes on, because nobody restarts it. What this
process queues wakes the threads at once; what another queued does so too on PostgreSQL, and is else found by polling.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from counterfoil.dataplane.stop import StopFlag
from counterfoil.db import queue
from counterfoil.db.notices import Listener
from counterfoil.errors import CounterfoilError
from counterfoil.worker.job import TOO_LARGE, Workshop, run_attempt, stopping
from counterfoil.worker.owner import this_process
from counterfoil.worker.sweeper import Sweeper

log = structlog.get_logger(__name__)

_FAILURE_PAUSE_MIN_S = 0.2
_FAILURE_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do again and again in a thread of its own, such as sealing. every_s: the pause between two times.
    woken: also at once when this process has queued something. run: returns soon, raises what it likes."""

    name: str
    every_s: float
    run: Callable[[], object]
    woken: bool = False


class Runner:
    """Runs exports, the sweeper and chores until it is stopped.

    wake: set by whoever queues something in this process. embedded: this process is the database's only host, so
    leases of dead processes here are freed at start.
    """

    def __init__(
        self,
        shop: Workshop,
        wake: threading.Event,
        chores: Sequence[Chore] = (),
        *,
        embedded: bool = False,
    ) -> None:
        self._shop = shop
        self._wake = wake
        self._embedded = embedded
        self._owner = this_process()
        self._sweeper = Sweeper(shop.database, shop.store, shop.settings, shop.clock, self._owner)
        self._chores = (
            Chore("rescue", shop.settings.lease_ttl_s / 3, self._rescue),
            Chore("sweeper", shop.settings.duties_every_s, self._sweeper.run),
            *chores,
        )
        self._listener = None if shop.database.sqlite else Listener(shop.database, wake)
        if self._listener is not None:
            self._chores += (Chore("listen", 0, self._listener.run),)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: set[StopFlag] = set()
        self._threads: list[threading.Thread] = []
        self._wakes: list[threading.Event] = []

    def start(self) -> None:
        """Start the threads. Once."""
        assert not self._threads, "a runner starts once"
        if self._embedded:
            self._sweeper.release_dead()
        for no in range(self._shop.settings.threads):
            self._start(f"export-{no}", self._serve_exports, no)
        for chore in self._chores:
            self._start(chore.name, self._serve_chore, chore)
        thread = threading.Thread(target=self._pass_on_wakes, name="counterfoil-wake", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self, *, graceful: bool = True) -> None:
        """Stop the threads and wait for them. graceful: exports under way are given back to the queue within about a
        second, to be resumed elsewhere; else they keep their leases and are left to be rescued."""
        self._stopping.set()
        self._wake.set()
        if not graceful:
            return
        with self._lock:
            running = list(self._running)
        for stop in running:
            stop.set(stopping())
        for wake in self._wakes:
            wake.set()
        for thread in self._threads:
            thread.join()
        if self._listener is not None:
            self._listener.close()

    def _start(self, name: str, serve: Callable[..., None], about: object) -> None:
        wake = threading.Event()
        self._wakes.append(wake)
        thread = threading.Thread(target=serve, args=(about, wake), name=f"counterfoil-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pass_on_wakes(self) -> None:
        """One event is set from outside; every thread has its own, so none takes another's wake-up away."""
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            for wake in self._wakes:
                wake.set()

    def _serve_exports(self, no: int, wake: threading.Event) -> None:
        settings = self._shop.settings
        # The last of several threads never takes a huge export, see WorkerSettings.threads.
        rows_max = settings.quick_rows_max if settings.threads > 1 and no == settings.threads - 1 else None
        owner = f"{self._owner.rpartition(':')[0]}:{no}"
        while not self._stopping.is_set():
            wake.clear()
            try:
                while not self._stopping.is_set() and self._run_next(owner, rows_max):
                    pass
            except CounterfoilError as error:
                log.warning("queue_not_reached", error=error.message)
            except Exception:
                log.exception("worker_failed")
            wake.wait(settings.poll_s)

    def _rescue(self) -> None:
        if self._sweeper.rescue():
            self._wake.set()

    def _run_next(self, owner: str, rows_max: int | None) -> bool:
        """Run one export, if one is due; whether there may be more."""
        shop = self._shop
        with shop.database.read() as connection:
            if not queue.anything_due(connection, rows_max=rows_max):
                return False
        with shop.database.write() as connection:
            claim = queue.claim(connection, owner, shop.settings.lease_ttl_ms, rows_max=rows_max)
        if claim is None:
            return False
        stop = StopFlag()
        with self._lock:
            self._running.add(stop)
        if self._stopping.is_set():
            stop.set(stopping())
        try:
            ended = run_attempt(shop, claim, rows_max=rows_max, stop=stop)
        finally:
            with self._lock:
                self._running.discard(stop)
        if ended == TOO_LARGE:
            self._wake.set()  # for a thread that takes such exports
        return True

    def _serve_chore(self, chore: Chore, wake: threading.Event) -> None:
        while not self._stopping.is_set():
            wake.clear()
            try:
                chore.run()
                pause_s = chore.every_s
            except CounterfoilError as error:
                log.warning("chore_failed", chore=chore.name, error=error.message)
                pause_s = min(max(chore.every_s, _FAILURE_PAUSE_MIN_S), _FAILURE_PAUSE_S)
            except Exception:
                log.exception("chore_failed", chore=chore.name)
                pause_s = max(chore.every_s, _FAILURE_PAUSE_S)
            if chore.woken:
                wake.wait(pause_s)
            else:
                self._stopping.wait(pause_s)
