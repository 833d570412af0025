"""A real `counterfoil serve` in a process of its own, and a plain client of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx

from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database
from counterfoil.services.access import Access
from tests.waiting import until

COMMAND = [sys.executable, "-m", "counterfoil"]


@dataclass(slots=True)
class Server:
    """One home folder; a process can be started on it again and again."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start and wait until it is ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        with (self.home.parent / "server.log").open("ab") as told:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--home", str(self.home), "--port", str(port)],
                env={**os.environ, **self.environment, **environment},
                stderr=told,
            )
        until(self._ready, "the server to be ready", 60)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.home.parent / "server.log").read_text()
        try:
            return httpx.get(f"{self.url}/health/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def died(self) -> int:
        """Wait for the process to end by itself; returns its status."""
        assert self.process is not None
        return self.process.wait(timeout=60)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and wait."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def keys(self, project: str) -> dict[str, str]:
        """Fresh credentials, made beside the running server."""
        database = Database(f"sqlite:///{self.home / 'counterfoil.db'}")
        try:
            return asdict(Access(database, SystemClock()).create_keys(project))
        finally:
            database.dispose()

    def keys_by_command(self, project: str) -> dict[str, str]:
        """The same as a person does it."""
        command = [*COMMAND, "keys", "create", "--project", project, "--home", str(self.home)]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def client(self, keys: dict[str, str]) -> httpx.Client:
        """A client with these credentials."""
        headers = {"X-App-Id": keys["app_id"], "X-App-Token": keys["app_token"]}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


@contextmanager
def serving(home: Path, **environment: str) -> Iterator[Server]:
    """A server that runs, and is stopped in the end whatever happened."""
    server = Server(home, environment)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.stop(signal.SIGKILL)


def finished(client: httpx.Client, export_id: str) -> dict[str, Any]:
    """Poll an export until it has ended."""

    def look() -> dict[str, Any] | None:
        export = client.get(f"/v1/exports/{export_id}").json()
        return export if export["status"] in {"DONE", "ERROR"} else None

    return until(look, f"export {export_id} to end", 60)
