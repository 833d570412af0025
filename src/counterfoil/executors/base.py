"""The seam for whatever runs tasks: threads of this process, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from counterfoil.dataplane.parts import Part, PartJob
from counterfoil.dataplane.stop import StopFlag
from counterfoil.plan.task import Task


class Executor(Protocol):
    """Runs the tasks of one job. Several jobs may use it at once."""

    name: str
    """What the exports row and the manifest say: `local`, `spark`."""

    streams: bool
    """Whether an export that is not worth parts should be one stream in this process instead."""

    def run(
        self, job: PartJob, tasks: Sequence[Task], stop: StopFlag, on_rows: Callable[[int], None]
    ) -> Generator[Part]:
        """Run the tasks and give their parts in the order of the tasks, each as soon as it and those before it are
        done. on_rows may be called from any thread. What is under way is bounded, so memory is too.

        Raises what the first failing task raised, or what `stop` was set with; then, or when the iterator is closed,
        every task that still runs has been stopped when the call returns.
        """
        ...
