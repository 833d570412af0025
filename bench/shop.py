"""A filled ledger with callers on it: threads on the services, or clients of a real server in processes of their own.

What counts is movements, taken from the ledger's own counter before and after, so a refused call counts for nothing.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import story
from bench.ledger import fill
from counterfoil import settings as settings_table
from counterfoil.compose import System, build
from counterfoil.db import ledger
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.domain.redemptions import Redeemable
from counterfoil.errors import Refused
from counterfoil.plan.request import ExportRequest
from counterfoil.services.core import Caller
from counterfoil.services.exports import Ask
from counterfoil.services.loyalty import PointsChange
from counterfoil.services.redemptions import RedemptionAsked

THREADS = 40
"""Callers of the services at once: as many as the server has threads for requests."""

CONNECTIONS = 32
"""Connections that clients keep open to the server."""

WARM_UP_S = 1.0
Posting = Callable[["Shop", random.Random], None]


@dataclass(frozen=True)
class Shop:
    """A project with `rows` movements behind it. codes: of cards that can be posted to."""

    home: Path
    caller: Caller
    system: System
    points: Sequence[str]
    gifts: Sequence[str]

    def movements(self) -> int:
        """How many there are."""
        with self.system.core.read() as connection:
            return ledger.last_seq(connection, self.caller.project_id)


@contextmanager
def opened(folder: Path, rows: int, tell: Callable[[str], None], **given: Any) -> Iterator[Shop]:
    """A shop on SQLite with durable commits, filled when the folder does not have it yet. given: settings."""
    home = folder / f"shop-{rows}"
    fresh = not (home / "filled").exists()
    system = build(settings_table.load({"home": str(home), **given}, {}))
    try:
        project = system.access.ensure_project("bench")
        told = story.tell(rows)
        if fresh:
            names = fill(system.database, project.id, told, tell)
            (home / "cards.json").write_text(json.dumps(names.codes.to_pylist()))
            (home / "filled").touch()
        codes = json.loads((home / "cards.json").read_text())
        gift = told.is_gift(told.campaign_of_card)
        points = [code for code, is_gift in zip(codes, gift.tolist(), strict=True) if not is_gift]
        gifts = [code for code, is_gift in zip(codes, gift.tolist(), strict=True) if is_gift]
        yield Shop(home, Caller(project), system, points, gifts)
    finally:
        system.close()


# -- what is posted ------------------------------------------------------------------------------------------------------


def change(shop: Shop, draw: random.Random) -> None:
    """Points or credits added, or taken away now and then: one movement."""
    amount = draw.choice((5, 10, 25, 50, -3))
    if draw.random() < 0.7:
        shop.system.services.loyalty.change_points(shop.caller, draw.choice(shop.points), PointsChange(amount))
    else:
        shop.system.services.vouchers.change_balance(shop.caller, draw.choice(shop.gifts), amount)


def checkout(shop: Shop, draw: random.Random) -> None:
    """An order paid with a gift card: one movement, and rows of the order, the redemption and sums."""
    order = OrderDraft(source_id=f"order-{draw.getrandbits(64):x}", amount=draw.randrange(1, 4))
    who = CustomerDraft(source_id=f"person-{draw.randrange(10_000)}")
    asked = RedemptionAsked((Redeemable(draw.choice(shop.gifts)),), order, who)
    shop.system.services.redemptions.redeem(shop.caller, asked)


def rate_of_services(shop: Shop, post: Posting, seconds: float) -> float:
    """Movements a second while THREADS callers post as fast as they are answered."""
    end_s = time.perf_counter() + WARM_UP_S + seconds
    failures: list[BaseException] = []

    def call(seed: int) -> None:
        draw = random.Random(seed)
        try:
            while time.perf_counter() < end_s:
                try:
                    post(shop, draw)
                except Refused:
                    continue
        except BaseException as error:  # noqa: BLE001  it is raised by the thread that waits
            failures.append(error)

    seed = random.getrandbits(32)
    threads = [threading.Thread(target=call, args=(seed + no,)) for no in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_UP_S)
    before, since_s = shop.movements(), time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return (shop.movements() - before) / (time.perf_counter() - since_s)


# -- what goes on beside it ----------------------------------------------------------------------------------------------


@contextmanager
def exporting(ask: Callable[[], str], status: Callable[[str], str]) -> Iterator[list[float]]:
    """Full exports one after another all the while; yields the seconds that each finished one took."""
    took: list[float] = []
    stop = threading.Event()

    def export_again_and_again() -> None:
        while not stop.is_set():
            since_s = time.perf_counter()
            name = ask()
            while (found := status(name)) in {"SCHEDULED", "IN_PROGRESS"}:
                if stop.wait(0.05):
                    return
            assert found == "DONE", found
            took.append(time.perf_counter() - since_s)

    thread = threading.Thread(target=export_again_and_again)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def exporting_in_process(shop: Shop) -> Any:
    """`exporting` every movement by this process's own worker, which must run."""
    exports = shop.system.services.exports
    ask = Ask(ExportRequest("voucher_transactions"), "voucherify")
    return exporting(lambda: exports.create(shop.caller, ask).id, lambda name: exports.get(shop.caller, name).status)


# -- over HTTP -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """A real server in a process of its own over a shop's folder, and credentials for it."""

    shop: Shop
    port: int
    app_id: str
    app_token: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call, with its JSON answer."""
        headers = {"X-App-Id": self.app_id, "X-App-Token": self.app_token, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def exporting(self) -> Any:
        """`exporting` every movement by the server."""
        return exporting(
            lambda: self.ask("POST", "/v1/exports", {"exported_object": "voucher_transactions"})["id"],
            lambda name: self.ask("GET", f"/v1/exports/{name}")["status"],
        )

    def rate(self, seconds: float) -> float:
        """Movements a second while CONNECTIONS clients post over connections they keep open."""
        work = {
            "port": self.port, "app_id": self.app_id, "app_token": self.app_token, "seconds": WARM_UP_S + seconds,
            "connections": CONNECTIONS, "points": self.shop.points, "gifts": self.shop.gifts,
        }  # fmt: skip
        with subprocess.Popen(
            [sys.executable, "-m", "bench.http_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(json.dumps(work))
            client.stdin.close()
            client.stdout.readline()  # it has begun
            time.sleep(WARM_UP_S)
            before, since_s = self.shop.movements(), time.perf_counter()
            statuses = json.loads(client.stdout.readline())
            rate = (self.shop.movements() - before) / (time.perf_counter() - since_s)
        assert set(statuses) <= {"200", "400"} and statuses["200"] > 9 * statuses.get("400", 0), statuses
        return rate


@contextmanager
def served(shop: Shop, **environment: str) -> Iterator[Served]:
    """`counterfoil serve` over the shop's folder until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = shop.system.access.create_keys("bench")
    command = [sys.executable, "-m", "counterfoil", "serve", "--home", str(shop.home), "--port", str(port)]
    with (shop.home / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        found = Served(shop, port, keys.app_id, keys.app_token)
        for _ in range(600):
            try:
                found.ask("GET", "/health/ready")
                break
            except OSError:
                assert process.poll() is None, (shop.home / "server.log").read_text()
                time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        process.wait()
