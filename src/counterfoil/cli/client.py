"""A client of the HTTP API as anyone would write it, with nothing but the standard library; and a server to talk to."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise CounterfoilError("refused", f"{method} {path}: {error.code} {error.read().decode()}") from error

    def download(self, url: str, path: Path) -> Iterator[tuple[int, int | None]]:
        """Fetch a file in chunks, yielding (bytes so far, size in bytes); compares the digest the server announces."""
        digest, done = hashlib.sha256(), 0
        with urllib.request.urlopen(urllib.request.Request(url, headers=self._headers)) as answer, path.open("wb") as out:
            length = answer.headers["Content-Length"]
            size = None if length is None else int(length)
            while chunk := answer.read(_CHUNK_BYTES):
                out.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                yield done, size
            if size is not None and done != size:
                raise CounterfoilError("download_cut", f"{done} of {size} bytes of {url} arrived; download it again")


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
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        deadline_s = self._clock.monotonic_s() + _START_WITHIN_S
        while not self._ready():
            if self._process.poll() is not None or self._clock.monotonic_s() > deadline_s:
                self.__exit__()
                raise Unavailable("server_did_not_start", f"It did not start; try it by hand: {' '.join(self._command)}")
            self._clock.sleep_s(_ASK_EVERY_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready") as answer:
                return answer.status == 200
        except OSError:
            return False
