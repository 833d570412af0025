"""Async actions: bulk work that is asked for in one transaction and done in many, step by step.

A step's changes and the action's checkpoint are committed together. So a crash loses at most the step that ran, the
next runner goes on from the checkpoint, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from counterfoil.db import async_actions
from counterfoil.db.async_actions import Row
from counterfoil.db.unit import Unit
from counterfoil.errors import Conflict, CounterfoilError, NotFound
from counterfoil.ids import hex_id, random_id
from counterfoil.services.core import Caller, Core

log = structlog.get_logger(__name__)

_LEASE_LOST = "lease_lost"


@dataclass(frozen=True, slots=True)
class Action:
    """An action under way. payload: what was asked, as enqueued. checkpoint: what the last step left, None at first."""

    project_id: int
    id: str
    type: str
    payload: Any
    checkpoint: Any
    created_at: int


@dataclass(frozen=True, slots=True)
class Step:
    """What a piece of work leaves: the next checkpoint and the progress (0 to 100), or the result when all is done.

    result: the vendor's result object, such as {message, failed, done_count, failed_count} (facts 3.5).
    """

    checkpoint: Any = None
    progress: int = 0
    result: Mapping[str, Any] | None = None


Work = Callable[[Unit], Step]


class Handler(Protocol):
    """Knows how one type of action is done."""

    def __call__(self, action: Action) -> Work:
        """The next piece of work, from the checkpoint on; called outside of any transaction, so it may read files.

        The work itself runs in one transaction and should take well under a second. A CounterfoilError from either
        ends the action as FAILED, unless it is transient.
        """
        ...


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """lease_ttl_ms: how long a runner may be silent. portion_s: after so long another action gets its turn.

    tries_max: how often an action is taken up again without a step of progress. backoff_ms: the wait before that.
    """

    lease_ttl_ms: int = 60_000
    portion_s: float = 2.0
    tries_max: int = 5
    backoff_ms: int = 1_000


def enqueue(unit: Unit, action_type: str, payload: Any, *, request_id: str | None = None) -> str:
    """Ask for an action in the caller's transaction; returns its id (`aa_…`). payload: plain JSON values."""
    action_id = hex_id("aa_", unit.now_ms)
    row = {
        "project_id": unit.project_id,
        "id": action_id,
        "type": action_type,
        "status": "ENQUEUED",
        "payload": payload,
        "progress": 0,
        "request_id": request_id,
        "tries": 0,
        "created_at": unit.now_ms,
    }
    async_actions.insert_action(unit.sql, row)
    return action_id


class AsyncActions:
    """The actions as callers see them, and the runner that does them. Thread-safe once every handler is registered."""

    def __init__(self, core: Core, settings: RunnerSettings | None = None) -> None:
        self._core = core
        self._settings = settings or RunnerSettings()
        self._handlers: dict[str, Handler] = {}

    def register(self, action_type: str, handler: Handler) -> None:
        """Say who does actions of that type; others are left to processes that know them."""
        assert action_type not in self._handlers, action_type
        self._handlers[action_type] = handler

    # -- for callers ------------------------------------------------------------------------------------------------

    def get(self, caller: Caller, action_id: str) -> Row:
        """The action with that id. Raises NotFound."""
        with self._core.read() as connection:
            row = async_actions.find_action(connection, caller.project_id, action_id)
        if row is None:
            raise NotFound("async_action", action_id)
        return row

    def latest(self, caller: Caller, *, limit: int, end_date: int | None) -> tuple[list[Row], bool]:
        """The latest actions asked for before end_date (ms), newest first, and whether there are more."""
        with self._core.read() as connection:
            rows = async_actions.list_actions(connection, caller.project_id, before_ms=end_date, limit=limit + 1)
        return rows[:limit], len(rows) > limit

    # -- for workers ------------------------------------------------------------------------------------------------

    def run_due(self) -> int:
        """Do what waits, and return how many portions of actions were worked on; 0 means that nothing waits."""
        portions = 0
        while self.run_one():
            portions += 1
        return portions

    def run_one(self) -> bool:
        """Work on one action for a portion of time, or to its end; False when none waits."""
        types = tuple(self._handlers)
        with self._core.read() as connection:
            if not async_actions.any_due(connection, types):
                return False
        owner = random_id("run_")
        with self._core.database.write() as connection:
            row = async_actions.claim(connection, types, owner, self._settings.lease_ttl_ms)
        if row is None:
            return False
        self._run(row, owner)
        return True

    def _run(self, row: Row, owner: str) -> None:
        if row["tries"] > self._settings.tries_max:
            self._fail(row, owner, "The action was given up after it had stopped too often without getting further")
            return
        action = Action(row["project_id"], row["id"], row["type"], row["payload"], row["checkpoint"], row["created_at"])
        started_s = self._core.clock.monotonic_s()
        try:
            while True:
                step = self._step(action, row, owner)
                if step.result is not None:
                    return
                action = replace(action, checkpoint=step.checkpoint)
                if self._core.clock.monotonic_s() - started_s >= self._settings.portion_s:
                    self._release(row, owner, 0)
                    return
        except CounterfoilError as error:
            self._stopped(row, owner, error)
        except Exception:
            log.exception("async_action_broke", action_id=row["id"], type=row["type"], tries=row["tries"])
            self._release(row, owner, self._settings.backoff_ms)

    def _step(self, action: Action, row: Row, owner: str) -> Step:
        work = self._handlers[action.type](action)

        def fenced(unit: Unit) -> Step:
            step = work(unit)
            if step.result is None:
                ttl_ms = self._settings.lease_ttl_ms
                owned = async_actions.advance(unit.sql, row, owner, step.checkpoint, step.progress, unit.now_ms, ttl_ms)
            else:
                owned = async_actions.finish(
                    unit.sql, row, owner, status="DONE", operation_status="SUCCESS", result=step.result,
                    now_ms=unit.now_ms,
                )  # fmt: skip
            if not owned:
                raise Conflict(_LEASE_LOST, f"Another runner has taken over async action {action.id}")
            return step

        return self._core.writer.run(action.project_id, fenced)

    def _stopped(self, row: Row, owner: str, error: CounterfoilError) -> None:
        if error.code == _LEASE_LOST:
            log.warning("async_action_lost", action_id=row["id"], type=row["type"])
        elif error.transient:
            log.warning("async_action_waits", action_id=row["id"], type=row["type"], reason=error.message)
            self._release(row, owner, self._settings.backoff_ms)
        else:
            self._fail(row, owner, error.message)

    def _release(self, row: Row, owner: str, wait_ms: int) -> None:
        with self._core.database.write() as connection:
            async_actions.release(connection, row, owner, wait_ms)

    def _fail(self, row: Row, owner: str, message: str) -> None:
        log.warning("async_action_failed", action_id=row["id"], type=row["type"], reason=message)
        with self._core.database.write() as connection:
            async_actions.finish(
                connection, row, owner, status="FAILED", operation_status="FAILED", result={"message": message},
                now_ms=self._core.clock.now_ms(),
            )  # fmt: skip
