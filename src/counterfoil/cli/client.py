"""A client of the HTTP API as anyone would write it, with nothing but the standard library; and a server to talk to."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from counterfoil.clock import Clock, SystemClock
from counterfoil.errors import CounterfoilError, Unavailable

_CHUNK_BYTES = 1 << 20
_START_WITHIN_S = 30.0
_ASK_EVERY_S = 0.05


class Client:
    """Calls the API with one key. Errors of the server come back as CounterfoilError with its own words."""

    def __init__(self, url: str, app_id: str, app_token: str) -> None:
        self._url = url
        self._headers = {"X-App-Id": app_id, "X-App-Token": app_token, "Content-Type": "application/json"}

    def get(self, path: str) -> dict[str, Any]:
        """GET a JSON answer."""
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST a JSON body."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        return json.loads(self._answer(method, path, body))

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        with self._connected() as connection:
            connection.request(method, path, None if body is None else json.dumps(body).encode(), self._headers)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            raise CounterfoilError("refused", f"{method} {path}: {answer.status} {content.decode()}")
        return content

    def download(self, url: str, path: Path) -> Iterator[tuple[int, int]]:
        """Fetch a file in chunks, yielding (bytes so far, size in bytes). Raises when it arrives cut or altered."""
        parts, digest, done = urlsplit(url), hashlib.sha256(), 0
        with self._connected() as connection, path.open("wb") as out:
            connection.request("GET", f"{parts.path}?{parts.query}", headers=self._headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise CounterfoilError("refused", f"GET {url}: {answer.status} {answer.read().decode()}")
            size = int(answer.headers["Content-Length"])
            while chunk := answer.read(_CHUNK_BYTES):
                out.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                yield done, size
        if done != size or f'"{digest.hexdigest()}"' != answer.headers["ETag"]:
            raise CounterfoilError("download_damaged", f"{url} arrived cut or altered; download it again")

    def fetch(self, url: str, path: Path) -> None:
        """GET a small file, as it is."""
        path.write_bytes(self._answer("GET", urlsplit(url).path, None))

    def _connected(self) -> closing[HTTPConnection]:
        parts = urlsplit(self._url)
        return closing(HTTPConnection(parts.hostname or "", parts.port))


class ServerProcess:
    """`counterfoil serve` as a process of its own, on a free port, stopped when the block ends."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "counterfoil", "serve", "--home", str(home), "--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServerProcess:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)  # noqa: S603  our own command, no shell
        deadline_s = self._clock.monotonic_s() + _START_WITHIN_S
        while not self._ready():
            if self._process.poll() is not None or self._clock.monotonic_s() > deadline_s:
                self.__exit__()
                raise Unavailable(
                    "server_did_not_start", f"It did not start; try it by hand: {' '.join(self._command)}"
                )
            self._clock.sleep_s(_ASK_EVERY_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()

    def _ready(self) -> bool:
        try:
            return Client(self.url, "", "").get("/health/ready") == {"status": "ready"}
        except (OSError, CounterfoilError):
            return False
