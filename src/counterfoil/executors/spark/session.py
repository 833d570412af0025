"""Spark's client: jobs through a session on a Spark Connect server, and Spark's failures in our words.

pyspark is imported when the first session opens, so that a process without the setting needs none of it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from counterfoil.errors import CounterfoilError, Misconfigured, Unavailable

USER = "counterfoil"
LOST = "spark_unavailable"
_RETRIES_MAX = 7
"""Of a call that the server does not answer: some twenty seconds with the client's own pauses, then the export's retry
takes over, which is not bounded to minutes and shows in the export's row."""

_REFUSALS = ("UNAUTHENTICATED", "PERMISSION_DENIED", "Unauthenticated")
_DETAILS = re.compile(r'\bdetails = "([^"]*)"')
"""Where gRPC's errors, whose text is half a page, say what happened."""
Batches = Iterator[pa.RecordBatch]


def require_client() -> None:
    """Raise Misconfigured when Spark's client is not installed. Imports none of it."""
    if find_spec("pyspark") is None or find_spec("grpc") is None:
        raise Misconfigured(
            "spark_missing", "spark_remote is set, but Spark's client is not here: pip install 'counterfoil[spark]'"
        )


class Client:
    """This process's session on Spark Connect, opened for the first job. Any thread may use it.

    It is shared, because each session has Python processes of its own on the cluster, and those take seconds to start.
    """

    def __init__(self, remote: str) -> None:
        self._remote = remote
        self._lock = threading.Lock()
        self._session: Any = None

    def answers(self, payload: bytes, count: int, schema: str, tag: str) -> Iterator[bytes]:
        """Run `count` tasks as one job, each on its own; their answers in order, each as soon as it and those before it
        are there. tag: what `interrupt` knows the job by; of the thread that iterates.

        Raises Unavailable, Misconfigured, and CounterfoilError `spark_task_failed` for what the cluster has tried
        several times in vain.
        """
        session = self._opened()
        session.addTag(tag)
        try:
            tasks = session.range(0, count, 1, count)
            for row in tasks.mapInArrow(_work(payload), schema).toLocalIterator():
                yield bytes(row.answer)
        except Exception as error:
            ours = translated(error)
            if ours.code == LOST:
                self._forget(session)
            raise ours from error
        finally:
            session.removeTag(tag)

    def interrupt(self, tag: str) -> None:
        """Stop the job of that tag. Raises whatever the client does."""
        with self._lock:
            session = self._session
        if session is not None:
            session.interruptTag(tag)

    def _opened(self) -> Any:
        """The session; a new one asks the server nothing yet. Raises Misconfigured for an address that is none."""
        from pyspark.errors import PySparkException  # noqa: PLC0415 - see above
        from pyspark.sql.connect.client.retries import DefaultPolicy  # noqa: PLC0415
        from pyspark.sql.connect.session import SparkSession  # noqa: PLC0415

        with self._lock:
            if self._session is None:
                try:
                    session = SparkSession(connection=self._remote, userId=USER)
                except PySparkException as error:
                    reason = f"spark_remote is no address of Spark Connect: {error}"
                    raise Misconfigured("invalid_setting", reason) from error
                session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES_MAX)])
                self._session = session
            return self._session

    def _forget(self, session: Any) -> None:
        """Let the next job open another: the server may have been started anew, or have given this one up."""
        with self._lock:
            if self._session is session:
                self._session = None


def _work(payload: bytes) -> Callable[[Batches], Batches]:
    """The function that travels: it names our code, and the cluster has that installed."""

    def run(batches: Batches) -> Batches:
        from counterfoil.executors.spark.task import work  # noqa: PLC0415 - resolved where it runs

        return work(payload, batches)

    return run


def translated(error: Exception) -> CounterfoilError:
    """One of our errors for one of Spark's, or of the network on the way to it."""
    from pyspark.errors import PythonException  # noqa: PLC0415 - see above

    if isinstance(error, CounterfoilError):
        return error
    text = str(error)
    network = _DETAILS.search(text)
    if network is not None:
        text = network.group(1)
    if isinstance(error, PythonException):
        return _of_python(_last_line(text))
    if any(word in text for word in _REFUSALS):
        return Misconfigured("spark_refused", f"Spark refuses us: {text.splitlines()[0]}")
    return Unavailable(LOST, f"Spark did not finish the job: {(text.splitlines() or [''])[0][:500]}")


def _of_python(said: str) -> CounterfoilError:
    """An error out of a Python process of the cluster, after Spark's own tries."""
    if "ModuleNotFoundError" in said or "PYTHON_VERSION_MISMATCH" in said:
        return Misconfigured(
            "spark_environment",
            f"The cluster's Python cannot run our tasks: {said}. Give it Counterfoil's environment (docs/spark.md)",
        )
    if Unavailable.__name__ in said:
        return Unavailable("spark_task_failed", f"A task met a failure that may pass: {said}")
    return CounterfoilError("spark_task_failed", f"A task failed each time that Spark tried it: {said}")


def _last_line(text: str) -> str:
    """Of a traceback the line that names the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(" SQLSTATE")]
    trace = [no for no, line in enumerate(lines) if "Traceback (most recent call last)" in line]
    body = lines[trace[-1] + 1 :] if trace else lines
    found = [line for line in body if "Error" in line or "counterfoil.errors." in line or "Exception" in line]
    return (found or body or [text])[-1][:500]
