"""Group commit: writes of one project that arrive together share one transaction and one fsync.

Each caller waits for its own answer, and has it only after the commit. A piece of work that is refused fails alone. If
the shared transaction itself fails, its pieces are done again one by one, so that nobody pays for a neighbour.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from counterfoil.clock import Clock
from counterfoil.db.engine import Database
from counterfoil.db.unit import Idempotency, Unit
from counterfoil.errors import CounterfoilError, Unavailable

T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]
_UNKNOWN = "commit_unknown"


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """group_max: how many pieces of work share a commit at most; beyond some hundreds the fsync costs nothing more.

    tries_max: how often a piece is done again after a transient database failure (deadlock, dropped connection).
    backoff_s: the first pause between such tries; it doubles.
    """

    group_max: int = 512
    tries_max: int = 5
    backoff_s: float = 0.02


@dataclass(slots=True)
class _Piece:
    project_id: int
    work: Callable[[Unit], Any]
    idempotency: Idempotency | None
    cards: tuple[str, ...]
    future: Future[Any] = field(default_factory=Future)


class GroupWriter:
    """The one writing thread of a process. `run` may be called from any thread."""

    def __init__(self, database: Database, clock: Clock, settings: WriterSettings | None = None) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings or WriterSettings()
        self._waiting: deque[_Piece] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="counterfoil-writer", daemon=True)
        self._thread.start()

    def run(
        self,
        project_id: int,
        work: Callable[[Unit], T],
        *,
        idempotency: Idempotency | None = None,
        cards: Iterable[str] = (),
    ) -> T:
        """Do `work` in a transaction and return its answer once it is durable.

        cards: codes or ids the work will ask for, so that a group loads them together. Raises what the work raises,
        Conflict for a duplicate the database found, Unavailable when the database stays away (nothing was written; or,
        with the code `commit_unknown`, nobody can tell whether it was).
        """
        return self.submit(project_id, work, idempotency=idempotency, cards=cards).result()

    def submit(
        self,
        project_id: int,
        work: Callable[[Unit], T],
        *,
        idempotency: Idempotency | None = None,
        cards: Iterable[str] = (),
    ) -> Future[T]:
        """The same without waiting."""
        piece = _Piece(project_id, work, idempotency, tuple(cards))
        with self._wake:
            if self._closed:
                raise Unavailable("shutting_down", "The server is stopping; try again")
            self._waiting.append(piece)
            self._wake.notify()
        return piece.future

    def close(self) -> None:
        """Finish what was submitted, then stop."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _serve(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_Piece]:
        """The oldest piece and every waiting piece of its project, in order; [] once closed and empty."""
        with self._wake:
            while True:
                while not self._waiting and not self._closed:
                    self._wake.wait()
                if not self._waiting:
                    return []
                # A caller may have canceled its future meanwhile; what is left of the group is promised an answer.
                group = [piece for piece in self._take_group() if piece.future.set_running_or_notify_cancel()]
                if group:
                    return group

    def _take_group(self) -> list[_Piece]:
        project_id = self._waiting[0].project_id
        group: list[_Piece] = []
        others: deque[_Piece] = deque()
        while self._waiting and len(group) < self._settings.group_max:
            piece = self._waiting.popleft()
            (group if piece.project_id == project_id else others).append(piece)
        self._waiting.extendleft(reversed(others))
        return group

    def _commit(self, group: list[_Piece]) -> None:
        if len(group) > 1:
            try:
                outcomes = self._attempt(group)
            except BaseException as error:  # noqa: BLE001  it comes again for the piece it belongs to
                if _is_unknown(error):
                    outcomes = [(None, error)] * len(group)
                else:
                    for piece in group:
                        self._commit([piece])
                    return
        else:
            try:
                outcomes = self._attempt_with_retries(group)
            except BaseException as error:  # noqa: BLE001  it is the caller's
                outcomes = [(None, error)]
        for piece, (answer, error) in zip(group, outcomes, strict=True):
            if error is None:
                piece.future.set_result(answer)
            else:
                piece.future.set_exception(error)

    def _attempt_with_retries(self, group: list[_Piece]) -> list[_Outcome]:
        pause_s = self._settings.backoff_s
        for _ in range(self._settings.tries_max - 1):
            try:
                return self._attempt(group)
            except Unavailable as error:
                if _is_unknown(error):
                    raise
                self._clock.sleep_s(pause_s)
                pause_s *= 2
        return self._attempt(group)

    def _attempt(self, group: list[_Piece]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        ticket: str | None = None
        try:
            with self._database.write() as connection:
                unit = Unit(connection, group[0].project_id, self._clock.now_ms())
                wanted = {name for piece in group for name in piece.cards}
                if wanted:
                    unit.prefetch(wanted)
                for piece in group:
                    try:
                        outcomes.append((unit.run(piece.work, piece.idempotency), None))
                    except CounterfoilError as error:
                        if error.transient:
                            raise
                        outcomes.append((None, error))
                unit.flush()
                ticket = self._database.ticket(connection)
        except Unavailable:
            # Without a ticket the work was not done; with one, the commit itself may or may not have reached the server.
            if ticket is None or not self._committed(ticket):
                raise
        return outcomes

    def _committed(self, ticket: str) -> bool:
        pause_s = self._settings.backoff_s
        for _ in range(self._settings.tries_max):
            with suppress(Unavailable):
                found = self._database.committed(ticket)
                if found is not None:
                    return found
            self._clock.sleep_s(pause_s)
            pause_s *= 2
        raise Unavailable(_UNKNOWN, "The database went away during the commit; look before you try again")


def _is_unknown(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and error.code == _UNKNOWN
