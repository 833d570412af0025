"""Clients of a server, in a process of their own: `python -m bench.http_load`, told what to do by JSON on its input.

Prints a line when it begins and, in the end, how often each status was answered. Requests are rendered by hand and
answers are read no further than their length, so that the clients take little of the processor they share.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from typing import Any


class Connection:
    """One connection that is kept open."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", work["port"]))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = (
            f"HTTP/1.1\r\nHost: 127.0.0.1\r\nX-App-Id: {work['app_id']}\r\nX-App-Token: {work['app_token']}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )

    def post(self, path: str, body: str) -> str:
        """Send a request, wait for its whole answer; the status."""
        self._socket.sendall(f"POST {path} {self._headers}{len(body)}\r\n\r\n{body}".encode())
        answer = self._socket.recv(65536)
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, rest = answer.partition(b"\r\n\r\n")
        at = head.lower().index(b"content-length:")
        length = int(head[at + 15 :].partition(b"\r\n")[0])
        while len(rest) < length:
            rest += self._receive()
        return head[9:12].decode()

    def _receive(self) -> bytes:
        found = self._socket.recv(65536)
        if not found:
            raise ConnectionError("the server closed the connection")
        return found


def main() -> None:
    """Post until the time is over."""
    work = json.load(sys.stdin)
    end_s = time.perf_counter() + work["seconds"]
    statuses = Counter[str]()
    lock = threading.Lock()

    def call(seed: int) -> None:
        draw, connection, mine = random.Random(seed), Connection(work), Counter[str]()
        while time.perf_counter() < end_s:
            amount = draw.choice((5, 10, 25, 50, -3))
            if draw.random() < 0.7:
                path, body = f"/v1/loyalties/members/{draw.choice(work['points'])}/balance", f'{{"points":{amount}}}'
            else:
                path, body = f"/v1/vouchers/{draw.choice(work['gifts'])}/balance", f'{{"amount":{amount}}}'
            mine[connection.post(path, body)] += 1
        with lock:
            statuses.update(mine)

    threads = [threading.Thread(target=call, args=(random.getrandbits(32),)) for _ in range(work["connections"])]
    print("begun", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(statuses), flush=True)


if __name__ == "__main__":
    main()
