"""A server between us and the real S3 that passes requests on, except where a test wants it to fail.

The real server checks signatures over the Host header, which is passed on as it came; so what gets through is what the
client really sent.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Fault:
    """What happens instead. status: answer this at once; 0: say nothing and hang up.

    after: pass the request on first, so that it does its work, and only its answer is lost.
    """

    status: int
    body: bytes = b""
    after: bool = False


Choice = Callable[[str, str], Fault | None]


@dataclass
class FaultyProxy:
    """A running proxy. `choose(method, path with query)` names the fault of a request, or None to pass it on."""

    endpoint: str
    choose: Choice = lambda method, path: None
    seen: list[tuple[str, str]] = field(default_factory=list)

    def count(self, method: str, part: str) -> int:
        """How many requests of `method` with `part` in their path have come."""
        return sum(each == method and part in path for each, path in self.seen)

    def times(self, count: int, method: str, part: str, fault: Fault) -> None:
        """Let the next `count` requests of `method` with `part` in their path meet `fault`."""
        left = threading.Semaphore(count)

        def choose(each: str, path: str) -> Fault | None:
            wanted = each == method and part in path
            return fault if wanted and left.acquire(blocking=False) else None

        self.choose = choose


class _Server(ThreadingHTTPServer):
    """Handles each request in a thread of its own, and says nothing of connections that break."""

    daemon_threads = True

    def __init__(self, proxy: FaultyProxy, upstream: str) -> None:
        self.proxy = proxy
        self.upstream = upstream.removeprefix("http://")
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: hanging up is what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.proxy.seen.append((self.command, self.path))
        fault = self.server.proxy.choose(self.command, self.path)
        if fault is None:
            self._answer(*self._passed_on(body))
            return
        if fault.after:
            self._passed_on(body)
        if fault.status == 0:
            self.close_connection = True
        else:
            self._answer(fault.status, [], fault.body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def _passed_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        dropped = {"connection", "content-length", "transfer-encoding", "date", "server"}
        length = dict(headers).get("Content-Length") if self.command == "HEAD" else None
        for name, value in headers:
            if name.lower() not in dropped:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: what was asked is in `seen`."""


@contextmanager
def faulty_proxy(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[FaultyProxy]:
    """Run a proxy before the server at `upstream` (`http://host:port`), that speaks TLS to us if it is given a context."""
    proxy = FaultyProxy("")
    server = _Server(proxy, upstream)
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    if tls is not None:
        # The handshake is left to the request's own thread: one that fails must not stop the server.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        proxy.endpoint = proxy.endpoint.replace("http:", "https:")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
