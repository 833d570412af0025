"""The local executor: parts in task order, bounded, and nothing left running when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from counterfoil.dataplane.parts import Part, PartJob
from counterfoil.dataplane.stop import StopFlag
from counterfoil.errors import Canceled, Unavailable
from counterfoil.executors.local import LocalExecutor
from counterfoil.plan.request import Filter, Order
from counterfoil.plan.task import Selection, Task

SELECTION = Selection(1, "voucher_transactions", (), Filter(), Filter(), Order("created_at"), 9)
JOB = PartJob(SELECTION, "exports/1/exp_1/1", 9, chain=False)
TASKS = [Task(no, "movements") for no in range(10)]


class Maker:
    """Makes parts as the test's function says, and knows which were begun and which are under way."""

    def __init__(self, make: Callable[[Task, StopFlag], None]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.begun: list[int] = []
        self.running = 0
        self.running_max = 0

    def make(self, job: PartJob, task: Task, stop: StopFlag, on_rows: Callable[[int], None]) -> Part:
        with self._lock:
            self.begun.append(task.no)
            self.running += 1
            self.running_max = max(self.running, self.running_max)
        try:
            self._make(task, stop)
            on_rows(1)
            return Part(task.no, "hash", f"{job.folder}/{task.no}", 1, 2, "sha", {})
        finally:
            with self._lock:
                self.running -= 1


def run(maker: Maker, *, threads: int = 2, stop: StopFlag | None = None, rows: list[int] | None = None) -> Any:
    counted = rows if rows is not None else []
    return LocalExecutor(maker, threads).run(JOB, TASKS, stop or StopFlag(), counted.append)  # type: ignore[arg-type]


def test_parts_come_in_the_order_of_the_tasks_though_they_end_in_another() -> None:
    second_done = threading.Event()

    def make(task: Task, _: StopFlag) -> None:
        if task.no == 0:
            assert second_done.wait(10)
        second_done.set()

    maker, rows = Maker(make), list[int]()
    assert [part.no for part in run(maker, rows=rows)] == list(range(10))
    assert rows == [1] * 10
    assert maker.running_max <= 2


def test_what_is_under_way_is_bounded() -> None:
    maker = Maker(lambda task, stop: None)
    with closing(run(maker)) as parts:
        assert next(parts).no == 0
    assert len(maker.begun) <= 5  # two threads, two ahead, and the one that was given out
    assert maker.running == 0


def test_a_failure_stops_the_others_and_is_raised() -> None:
    def make(task: Task, stop: StopFlag) -> None:
        if task.no == 1:
            raise Unavailable("store_unavailable", "away")
        if task.no == 2:
            assert stop.wait(10), "nobody stopped it"
            stop.check()

    maker = Maker(make)
    found: list[int] = []
    with pytest.raises(Unavailable, match="away"):
        found.extend(part.no for part in run(maker))
    assert maker.running == 0


def test_a_stop_from_outside_reaches_the_tasks() -> None:
    stop = StopFlag()
    begun = threading.Event()

    def make(_: Task, ours: StopFlag) -> None:
        begun.set()
        assert ours.wait(10), "nobody stopped it"
        ours.check()

    parts = run(Maker(make), stop=stop)
    timer = threading.Thread(target=lambda: begun.wait(10) and stop.set(Canceled("exp_1")))
    timer.start()
    with pytest.raises(Canceled):
        next(parts)
    timer.join()
