"""An export's tasks as one Spark job. This process is the driver: it writes down what is to be done, takes the answers in
the order of the tasks, and ends the job when the export ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue

import msgspec
import structlog

import counterfoil
from counterfoil.dataplane.parts import Part, PartJob, PartMaker
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db.engine import Database
from counterfoil.errors import CounterfoilError, Unavailable
from counterfoil.executors.spark.order import (
    TASKS_FILE,
    Answer,
    Failure,
    StoreAddress,
    WorkOrder,
    put_tasks,
)
from counterfoil.executors.spark.session import LOST, Client, require_client
from counterfoil.executors.spark.tail import Tail, without_tail
from counterfoil.executors.spark.task import ANSWER_SCHEMA, STOPPED
from counterfoil.files.store import Store
from counterfoil.plan.task import Task, task_hash

log = structlog.get_logger(__name__)

_END_S = 5.0
"""How long the end of a run waits for Spark's answer to its being stopped. The tasks stop without it: the permission is
withdrawn first."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """remote: where Spark Connect listens (`sc://host:15002/;…`). store: the file store as the cluster reaches it."""

    remote: str
    store: StoreAddress


class SparkExecutor:
    """An Executor. maker: does here what the cluster cannot, a task that met a damaged segment. Raises Misconfigured when
    Spark's client is not installed."""

    name = "spark"
    streams = False

    def __init__(self, maker: PartMaker, database: Database, cluster: Cluster) -> None:
        require_client()
        self._maker = maker
        self._database = database
        self._cluster = cluster
        self._client = Client(cluster.remote)

    def run(
        self, job: PartJob, tasks: Sequence[Task], stop: StopFlag, on_rows: Callable[[int], None]
    ) -> Generator[Part]:
        if not tasks:
            return
        store = self._maker.store
        _withdraw_earlier(store, job.folder)
        tail = Tail(self._database, job.selection.project_id, stop)
        sent = without_tail(tasks, tail, store, job.folder)
        tasks_key = f"{job.folder}/{TASKS_FILE}"
        places = put_tasks(store, tasks_key, sent)  # the permission, too
        order = WorkOrder(counterfoil.__version__, self._cluster.store, job, tasks_key, places)
        with _answers(self._client, order, len(sent), stop) as answers, _permission(store, tasks_key):
            for task in tasks:
                yield self._part(job, task, answers(), stop, on_rows)

    def _part(self, job: PartJob, task: Task, answer: Answer, stop: StopFlag, on_rows: Callable[[int], None]) -> Part:
        if answer.part is not None:
            on_rows(answer.part.rows)
            # The task that was sent may name files in the place of the tail; this one says what the rows are.
            return replace(answer.part, task_hash=task_hash(job.selection, task))
        failure = answer.failure or Failure("spark_task_failed", "A task gave no answer")
        if failure.damaged is not None:
            log.warning("spark_task_done_here", task=task.no, segment=failure.damaged, error=failure.message)
            return self._maker.make(job, task, stop, on_rows)
        if failure.code == STOPPED:
            stop.check()
            raise Unavailable(failure.code, failure.message)
        raise failure.error()


@contextmanager
def _answers(client: Client, order: WorkOrder, count: int, stop: StopFlag) -> Generator[Callable[[], Answer]]:
    """The job, run while the block does; gives what waits for the next answer.

    Spark's client blocks while it waits, so it has a thread of its own, and a stop is heard at once.
    """
    arrived: SimpleQueue[bytes | CounterfoilError | None] = SimpleQueue()

    def read() -> None:
        try:
            for answer in client.answers(msgspec.json.encode(order), count, ANSWER_SCHEMA, order.job.folder):
                arrived.put(answer)
            arrived.put(Unavailable(LOST, "Spark ended the job before every task had answered"))
        except CounterfoilError as error:
            arrived.put(error)

    def following() -> Answer:
        found = arrived.get()
        stop.check()
        if isinstance(found, CounterfoilError):
            raise found
        assert found is not None, "only a stop puts None"
        return msgspec.json.decode(found, type=Answer)

    reader = threading.Thread(target=read, name="counterfoil-spark", daemon=True)
    reader.start()
    try:
        with stop.on_set(lambda: arrived.put(None)):
            yield following
    finally:
        if reader.is_alive():
            ender = threading.Thread(
                target=_end, args=(client, order.job.folder), name="counterfoil-spark-end", daemon=True
            )
            ender.start()
            ender.join(_END_S)
            reader.join(_END_S)


def _end(client: Client, tag: str) -> None:
    try:
        client.interrupt(tag)
    except Exception as error:  # noqa: BLE001 - the tasks end without it: nobody permits them to go on
        log.warning("spark_job_not_interrupted", error=str(error).partition("\n")[0])


@contextmanager
def _permission(store: Store, tasks_key: str) -> Generator[None]:
    """The permission to work, until the block ends; so it is withdrawn before Spark is told to stop."""
    try:
        yield
    finally:
        _withdraw(store, tasks_key)


def _withdraw(store: Store, tasks_key: str) -> None:
    with suppress(CounterfoilError):  # then the tasks end with the session, or find their parts unwanted
        store.delete(tasks_key)


def _withdraw_earlier(store: Store, folder: str) -> None:
    """Stop the tasks of earlier attempts: their workers may have died, and the cluster goes on without them."""
    export, _, attempt = folder.rpartition("/")
    for earlier in range(1, int(attempt)):
        _withdraw(store, f"{export}/{earlier}/{TASKS_FILE}")
