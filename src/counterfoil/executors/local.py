"""Tasks in threads of this process. Scanning, encoding, hashing and writing leave the interpreter's lock alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from counterfoil.dataplane.parts import Part, PartJob, PartMaker
from counterfoil.dataplane.stop import StopFlag
from counterfoil.errors import CounterfoilError
from counterfoil.plan.task import Task

_AHEAD = 2
"""Tasks waiting or done beyond those that run, so that no thread idles while the oldest part is being recorded."""


class LocalExecutor:
    """An Executor. threads: how many tasks of one job run at once."""

    name = "local"
    streams = True

    def __init__(self, maker: PartMaker, threads: int) -> None:
        self._maker = maker
        self._threads = threads

    def run(
        self, job: PartJob, tasks: Sequence[Task], stop: StopFlag, on_rows: Callable[[int], None]
    ) -> Generator[Part]:
        ours = StopFlag()  # also stops the tasks of this run when one of them fails, or the caller goes away
        running: deque[Future[Part]] = deque()
        waiting = iter(tasks)
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="counterfoil-task")

        def pass_on() -> None:
            if stop.error is not None:
                ours.set(stop.error)

        def start_next() -> None:
            task = next(waiting, None)
            if task is not None:
                running.append(pool.submit(self._maker.make, job, task, ours, on_rows))

        try:
            with stop.on_set(pass_on):
                for _ in range(self._threads + _AHEAD):
                    start_next()
                while running:
                    part = running[0].result()
                    running.popleft()
                    start_next()
                    yield part
        finally:
            ours.set(CounterfoilError("stopped", "The run of tasks ended before this one"))
            pool.shutdown(wait=True, cancel_futures=True)
