"""One task on the cluster: from its description to its part. Runs in Python processes that Spark starts.

It knows the store and nothing else: no ledger, no lease. It may run twice, or go on when nobody wants it any more (Spark
gave its machine up, the export was canceled, the worker that asked is dead). So each run has files of its own, and looks
for the permission to work again and again, the last time before it makes a file visible.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import msgspec
import pyarrow as pa

import counterfoil
from counterfoil.archive.reader import ArchiveRows
from counterfoil.clock import Clock, SystemClock
from counterfoil.dataplane.formats import FORMATS
from counterfoil.dataplane.parts import Part, PartMaker
from counterfoil.dataplane.stop import StopFlag
from counterfoil.errors import CounterfoilError, Misconfigured, NotFound, Unavailable
from counterfoil.executors.spark.order import Answer, Failure, WorkOrder, read_task
from counterfoil.files.open import open_store
from counterfoil.files.store import Store
from counterfoil.ids import random_text
from counterfoil.settings import aws_environment

ANSWER_SCHEMA = "task bigint, answer binary"
STOPPED = "spark_stopped"
_SCHEMA = pa.schema([("task", pa.int64()), ("answer", pa.binary())])
_LOOK_EVERY_S = 1.0
_MARK_LETTERS = 8


def work(payload: bytes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks whose indices the batches hold; a row for each. payload: a WorkOrder as JSON.

    What may pass (Unavailable) and what nobody foresaw is raised, so that Spark tries again on another machine;
    every other error is an answer, since it would be the same there.
    """
    for batch in batches:
        for index in batch.column(0).to_pylist():
            try:
                answer = Answer(part=_make(payload, int(index or 0), SystemClock()))
            except CounterfoilError as error:
                if error.transient:
                    raise
                answer = Answer(failure=Failure.of(error))
            yield pa.RecordBatch.from_pydict({"task": [index], "answer": [msgspec.json.encode(answer)]}, _SCHEMA)


class Permission(StopFlag):
    """A StopFlag that is set when the attempt's file of tasks is gone; looked for at most once a second, by `check`."""

    def __init__(self, store: Store, key: str, clock: Clock) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._clock = clock
        self._look_at_s = clock.monotonic_s()

    def check(self) -> None:
        """Raise `spark_stopped` when the permission is known, or found, to be withdrawn."""
        if self._clock.monotonic_s() >= self._look_at_s:
            with suppress(Unavailable):  # the next look will tell, and `demand` looks in any case
                self.demand()
        super().check()

    def demand(self) -> None:
        """Look now. Raises `spark_stopped`, or Unavailable when the store does not say."""
        self._look_at_s = self._clock.monotonic_s() + _LOOK_EVERY_S
        try:
            self._store.size_bytes(self._key)
        except NotFound:
            self.set(_stopped())
        super().check()


def _make(payload: bytes, index: int, clock: Clock) -> Part:
    order = _order(payload)
    store = open_store(order.store.url, order.store.options(aws_environment()), clock)
    permission = Permission(store, order.tasks_key, clock)
    try:
        task = read_task(store, order, index)
    except NotFound:
        raise _stopped() from None
    maker = PartMaker(
        ArchiveRows(store, None), {name: known.factory for name, known in FORMATS.items()}, store, permission.demand
    )
    job = replace(order.job, mark=f"-{random_text(_MARK_LETTERS)}")
    return maker.make(job, task, permission, lambda _: None)


def _order(payload: bytes) -> WorkOrder:
    asked = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    version = msgspec.json.decode(asked["version"], type=str)
    if version != counterfoil.__version__:
        raise Misconfigured(
            "spark_version_differs",
            f"The cluster has counterfoil {counterfoil.__version__}, this export was made by {version}: give both the "
            "same (docs/spark.md)",
        )
    return msgspec.json.decode(payload, type=WorkOrder)


def _stopped() -> CounterfoilError:
    return CounterfoilError(STOPPED, "The attempt's file of tasks is gone: nobody wants its parts any more")
