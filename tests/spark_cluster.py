"""A real Spark cluster for the tests: a standalone master, two workers and a Spark Connect server, each a process.

Started once per test process, so the tests that ask for it are one group of xdist's. It comes with the package pyspark;
workers run this environment's Python. Java compiles as little as it can, since no process of it lives long here.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.services import HOST, free_ports, running_process, scratch, still_alive
from tests.waiting import until

WORKERS = 2
_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xss512k"
_EXECUTOR_MB = 512
_PACKAGE = "org.apache.spark.deploy"


@dataclass
class SparkCluster:
    """remote: the address of Spark Connect. Workers can be killed and started anew; each has one core."""

    remote: str
    master: str
    folder: Path
    home: Path
    _stack: ExitStack
    _workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self) -> None:
        """Start one more worker."""
        no = len(self._workers)
        command = [self.home / "bin/spark-class", f"{_PACKAGE}.worker.Worker", "--host", HOST, "--cores", "1"]
        command += ["--memory", f"{_EXECUTOR_MB}m", "--webui-port", "0", "--work-dir", self.folder / f"work-{no}"]
        log = self.folder / f"worker-{no}.log"
        self._workers.append(
            self._stack.enter_context(
                running_process([*command, self.master], log, signal.SIGKILL, None, _environment(self.home))
            )
        )

    def executors(self, worker: int) -> list[int]:
        """The processes that a worker has started: Java, and below it Python."""
        return [pid for pid in descendants(self._workers[worker].pid) if pid != self._workers[worker].pid]

    def running(self) -> list[int]:
        """The workers that run and have an executor."""
        return [no for no, worker in enumerate(self._workers) if worker.poll() is None and self.executors(no)]

    def kill_worker(self, worker: int) -> None:
        """Kill a worker and all that it has started, as the end of its machine would."""
        for pid in [self._workers[worker].pid, *self.executors(worker)]:
            _signal(pid, signal.SIGKILL)
        self._workers[worker].wait()

    @contextmanager
    def frozen(self, *workers: int) -> Iterator[None]:
        """While the block runs these workers' executors stand still, Java and Python."""
        pids = [pid for worker in workers for pid in self.executors(worker)]
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                _signal(pid, signal.SIGCONT)

    def log(self) -> str:
        """The last words of Spark Connect, for a test that failed."""
        return (self.folder / "connect.log").read_text(errors="replace")[-6000:]


def descendants(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):  # each thread has those it started
            with suppress(OSError):
                found += map(int, children.read_text().split())
    return found


@pytest.fixture(scope="session", params=[pytest.param("standalone", marks=pytest.mark.spark)])
def spark_cluster() -> Iterator[SparkCluster]:
    """The cluster, with both workers there."""
    spec = find_spec("pyspark")
    home = Path(spec.origin or "").parent if spec is not None else Path()
    if not (home / "bin/spark-class").exists() or not _java_there():
        pytest.skip("no Spark or no Java here: run `make setup`")
    with scratch("spark") as folder, ExitStack() as stack:
        port, connect = free_ports(2)
        master = f"spark://{HOST}:{port}"
        command = [home / "bin/spark-class", f"{_PACKAGE}.master.Master", "--host", HOST, "--port", str(port)]
        log = folder / "master.log"
        process = stack.enter_context(
            running_process([*command, "--webui-port", "0"], log, signal.SIGKILL, None, _environment(home))
        )
        until(lambda: _listens(process, port, log), "Spark's master to listen", 120)
        cluster = SparkCluster(f"sc://{HOST}:{connect}/", master, folder, home, stack)
        for _ in range(WORKERS):
            cluster.start_worker()
        log = folder / "connect.log"
        server = stack.enter_context(
            running_process(
                _connect_command(home, master, connect), log, signal.SIGKILL, None, _environment(home, "640m")
            )
        )
        until(lambda: _listens(server, connect, log), "Spark Connect to listen", 180)
        until(lambda: len(cluster.running()) == WORKERS, "both workers to have an executor", 120)
        yield cluster


def _connect_command(home: Path, master: str, port: int) -> Sequence[str | Path]:
    settings = {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.executor.memory": f"{_EXECUTOR_MB}m",
        "spark.executor.cores": "1",
        "spark.executor.extraJavaOptions": _JAVA,
        "spark.ui.enabled": "false",
        "spark.connect.grpc.binding.address": HOST,
        "spark.connect.grpc.binding.port": str(port),
    }
    command = [home / "bin/spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += ["--master", master, "--name", "counterfoil"]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    return command


def _environment(home: Path, memory: str = "256m") -> Mapping[str, str]:
    return {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_DAEMON_MEMORY": memory,
        "SPARK_DAEMON_JAVA_OPTS": _JAVA,
        "PYSPARK_PYTHON": sys.executable,
    }


def _java_there() -> bool:
    try:
        return subprocess.run(["java", "-version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _listens(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    still_alive(process, log)
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
