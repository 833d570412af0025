"""Group commit: writes of one project that arrive together share one transaction and one fsync.

Each caller waits for its own answer, and has it only after the commit. A piece of work that is refused fails alone. If
the shared transaction itself fails, its pieces are done again one by one, so that nobody pays for a neighbour.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
    """group_max: how many pieces of work share a commit at most; beyond some hundreds the fsync costs nothing more. Until
    then whatever arrives while the group is worked on joins it.

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
                group = self._take(self._waiting[0].project_id, self._settings.group_max)
                if group:
                    return group

    def _take(self, project_id: int, count_max: int) -> list[_Piece]:
        """Waiting pieces of a project, in order. Needs the lock."""
        taken: list[_Piece] = []
        others: deque[_Piece] = deque()
        while self._waiting and len(taken) < count_max:
            piece = self._waiting.popleft()
            (taken if piece.project_id == project_id else others).append(piece)
        self._waiting.extendleft(reversed(others))
        # A caller may have canceled its future meanwhile; what is left of the group is promised an answer.
        return [piece for piece in taken if piece.future.set_running_or_notify_cancel()]

    def _joined(self, group: list[_Piece]) -> Iterator[list[_Piece]]:
        """The group, then those that came while it was worked on, until nobody waits: they share its commit."""
        yield list(group)
        while len(group) < self._settings.group_max:
            with self._wake:
                late = self._take(group[0].project_id, self._settings.group_max - len(group))
            if not late:
                return
            group += late
            yield late

    def _commit(self, group: list[_Piece]) -> None:
        try:
            outcomes = self._attempt(group[0].project_id, self._joined(group))
        except BaseException as error:  # noqa: BLE001  it comes again for the piece it belongs to
            if not _is_unknown(error):
                for piece in group:
                    _answer(piece, self._alone(piece, error if len(group) == 1 else None))
                return
            outcomes = [(None, error)] * len(group)
        for piece, outcome in zip(group, outcomes, strict=True):
            _answer(piece, outcome)

    def _alone(self, piece: _Piece, error: BaseException | None) -> _Outcome:
        """The piece by itself, until it succeeds, fails for good, or the database has been away for long enough.

        error: of the try it already had by itself; None if it had company, whose fault the failure may be.
        """
        pause_s = self._settings.backoff_s
        for _ in range(self._settings.tries_max - (error is not None)):
            if error is not None:
                if _is_unknown(error) or not isinstance(error, Unavailable):
                    break
                self._clock.sleep_s(pause_s)
                pause_s *= 2
            try:
                return self._attempt(piece.project_id, ([piece],))[0]
            except BaseException as found:  # noqa: BLE001  it is the caller's
                error = found
        return None, error

    def _attempt(self, project_id: int, arrivals: Iterable[list[_Piece]]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        ticket: str | None = None
        try:
            with self._database.write() as connection:
                unit = Unit(connection, project_id, self._clock.now_ms())
                for pieces in arrivals:
                    unit.now_ms = self._clock.now_ms()
                    unit.prefetch(name for piece in pieces for name in piece.cards)
                    outcomes += [_outcome(unit, piece) for piece in pieces]
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


def _answer(piece: _Piece, outcome: _Outcome) -> None:
    answer, error = outcome
    if error is None:
        piece.future.set_result(answer)
    else:
        piece.future.set_exception(error)


def _outcome(unit: Unit, piece: _Piece) -> _Outcome:
    try:
        return unit.run(piece.work, piece.idempotency), None
    except CounterfoilError as error:
        if error.transient:
            raise
        return None, error


def _is_unknown(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and error.code == _UNKNOWN
