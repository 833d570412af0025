"""How fast the ledger is written: movements a second, each durable before its caller has the answer.

SQLite with synchronous=FULL and ROWS movements in it already. THREADS callers on the services, or CONNECTIONS clients in
a process of their own on a real server; the same while full exports run one after another, and with the sealer at work.
What counts is the ledger's own counter before and after, so a refused call counts for nothing.

By itself: `python -m bench.postings [ROWS] [--seconds S] [--rounds N]`, one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import columns, ours, story
from bench.case import Case, Contender, Context, Run, measure
from counterfoil import settings as settings_table
from counterfoil.archive.segment_writer import codec_for
from counterfoil.archive.upkeep import Upkeep
from counterfoil.archive.workbench import Workbench
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

ROWS_MAX = 1_000_000
SECONDS = 10.0
WARM_UP_S = 1.0
THREADS = 40
"""As many as the server has for requests."""
CONNECTIONS = 32
SEAL_EVERY_S = 1.0
ROUNDS_MAX = 2
"""Each run lasts long enough to be an average by itself."""


@dataclass(frozen=True)
class Shop:
    """The filled project in this process. points, gifts: codes of cards."""

    system: System
    caller: Caller
    points: Sequence[str]
    gifts: Sequence[str]

    def movements(self) -> int:
        """How many there are."""
        with self.system.core.read() as connection:
            return ledger.last_seq(connection, self.caller.project_id)


Posting = Callable[[Shop, random.Random], None]
Beside = Callable[[Shop], AbstractContextManager[Any]]


def cases(context: Context, seconds: float = SECONDS) -> Iterator[Case]:
    """`postings` and `postings-http`."""
    own = replace(context, rows=min(context.rows, ROWS_MAX), folder=context.folder / "postings")
    if context.wanted("postings"):
        yield Case(
            "postings",
            "Balance changes through the services, commits durable",
            [
                Contender("Counterfoil", lambda: through_services(own, seconds, change), ROUNDS_MAX),
                Contender(
                    "Counterfoil, beside full exports",
                    lambda: through_services(own, seconds, change, exports_in_process),
                    ROUNDS_MAX,
                ),
                Contender(
                    "Counterfoil, with the sealer", lambda: through_services(own, seconds, change, sealing), ROUNDS_MAX
                ),
                Contender(
                    "Counterfoil, gift cards paying orders",
                    lambda: through_services(own, seconds, checkout),
                    ROUNDS_MAX,
                ),
            ],
        )
    if context.wanted("postings-http"):
        yield Case(
            "postings-http",
            "Balance changes over HTTP, commits durable",
            [
                Contender("Counterfoil", lambda: over_http(own, seconds, exports=False), ROUNDS_MAX),
                Contender(
                    "Counterfoil, beside full exports", lambda: over_http(own, seconds, exports=True), ROUNDS_MAX
                ),
            ],
        )


@contextmanager
def opened(context: Context) -> Iterator[Shop]:
    """The shop in this process."""
    home = ours.home_of(context)
    told = story.tell(context.rows)
    codes: list[str] = columns.names_of(told).codes.to_pylist()
    gift = told.is_gift(told.campaign_of_card).tolist()
    system = build(settings_table.load({"home": str(home)}, {}))
    try:
        yield Shop(
            system,
            Caller(system.access.ensure_project("bench")),
            [code for code, is_gift in zip(codes, gift, strict=True) if not is_gift],
            [code for code, is_gift in zip(codes, gift, strict=True) if is_gift],
        )
    finally:
        system.close()


# -- through the services ------------------------------------------------------------------------------------------------


def change(shop: Shop, draw: random.Random) -> None:
    """Points or credits added, or taken away now and then: one movement."""
    amount = draw.choice((5, 10, 25, 50, -3))
    if draw.random() < 0.7:
        shop.system.services.loyalty.change_points(shop.caller, draw.choice(shop.points), PointsChange(amount))
    else:
        shop.system.services.vouchers.change_balance(shop.caller, draw.choice(shop.gifts), amount)


def checkout(shop: Shop, draw: random.Random) -> None:
    """An order paid with a gift card: one movement, and rows of the order, the redemption, the customer and sums."""
    order = OrderDraft(source_id=f"order-{draw.getrandbits(64):x}", amount=draw.randrange(1, 4))
    who = CustomerDraft(source_id=f"person-{draw.randrange(10_000)}")
    asked = RedemptionAsked((Redeemable(draw.choice(shop.gifts)),), order, who)
    shop.system.services.redemptions.redeem(shop.caller, asked)


def through_services(
    context: Context, seconds: float, post: Posting, beside: Beside = lambda _: nullcontext(())
) -> Run:
    """THREADS callers post as fast as they are answered."""
    with opened(context) as shop, beside(shop) as happened:
        end_s = time.perf_counter() + WARM_UP_S + seconds
        failures: list[BaseException] = []
        seed = random.getrandbits(32)

        def call(no: int) -> None:
            draw = random.Random(seed + no)
            try:
                while time.perf_counter() < end_s:
                    _posted(shop, post, draw)
            except BaseException as error:  # noqa: BLE001  it is raised by the thread that waits
                failures.append(error)

        threads = [threading.Thread(target=call, args=(no,)) for no in range(THREADS)]
        for thread in threads:
            thread.start()
        time.sleep(WARM_UP_S)
        before, since_s, processor_s = shop.movements(), time.perf_counter(), time.process_time()
        for thread in threads:
            thread.join()
        count, took_s = shop.movements() - before, time.perf_counter() - since_s
        busy_ms = (time.process_time() - processor_s) * 1000 / max(count, 1)
        if failures:
            raise failures[0]
        return _run(count, took_s, happened, {"processor ms a row": busy_ms})


def _posted(shop: Shop, post: Posting, draw: random.Random) -> None:
    try:
        post(shop, draw)
    except Refused:
        return  # a card with too little on it


def _run(count: int, took_s: float, happened: Sequence[float], notes: dict[str, float]) -> Run:
    return Run(
        took_s, rows=count, notes={"movements a second": round(count / took_s), "rounds beside": len(happened), **notes}
    )


@contextmanager
def sealing(shop: Shop) -> Iterator[list[float]]:
    """The sealer looks every second, so that it seals whenever as much waits as it wants; yields its rounds' seconds."""
    store = shop.system.store
    upkeep = Upkeep(shop.system.database, Workbench(store, codec_for(store)), shop.system.clock)
    rounds: list[float] = []
    with _again_and_again(lambda stop: _seal(upkeep, shop, stop, rounds)):
        yield rounds


def _seal(upkeep: Upkeep, shop: Shop, stop: threading.Event, rounds: list[float]) -> None:
    stop.wait(SEAL_EVERY_S)
    since_s = time.perf_counter()
    upkeep.run()
    if time.perf_counter() - since_s > 0.1:
        rounds.append(time.perf_counter() - since_s)


@contextmanager
def exports_in_process(shop: Shop) -> Iterator[list[float]]:
    """Full exports by this process's own worker."""
    shop.system.workers.start()
    exports = shop.system.services.exports
    ask = Ask(ExportRequest("voucher_transactions"), "voucherify")
    with exporting(
        lambda: exports.create(shop.caller, ask).id, lambda name: exports.get(shop.caller, name).status
    ) as took:
        yield took


@contextmanager
def exporting(ask: Callable[[], str], status: Callable[[str], str]) -> Iterator[list[float]]:
    """Full exports one after another; yields the seconds that each finished one took."""
    took: list[float] = []

    def export(stop: threading.Event) -> None:
        since_s, name = time.perf_counter(), ask()
        while (found := status(name)) in {"SCHEDULED", "IN_PROGRESS"}:
            if stop.wait(0.05):
                return
        assert found == "DONE", found
        took.append(time.perf_counter() - since_s)

    with _again_and_again(export):
        yield took


@contextmanager
def _again_and_again(work: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while not stop.is_set():
                work(stop)
        except BaseException as error:  # noqa: BLE001  it is raised by the thread that waits
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


# -- over HTTP -----------------------------------------------------------------------------------------------------------


def over_http(context: Context, seconds: float, *, exports: bool) -> Run:
    """CONNECTIONS clients post over connections that stay open."""
    with opened(context) as shop, ours.serving(ours.home_of(context)) as server, ExitStack() as stack:
        client = server.client
        took: Sequence[float] = ()
        if exports:
            took = stack.enter_context(
                exporting(
                    lambda: server.export({})["id"], lambda name: client.get(f"/v1/exports/{name}").json()["status"]
                )
            )
        work = {
            "port": client.base_url.port, "app_id": client.headers["X-App-Id"],
            "app_token": client.headers["X-App-Token"], "seconds": WARM_UP_S + seconds, "connections": CONNECTIONS,
            "points": shop.points, "gifts": shop.gifts,
        }  # fmt: skip
        with subprocess.Popen(
            [sys.executable, "-m", "bench.http_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as load:
            assert load.stdin is not None
            assert load.stdout is not None
            load.stdin.write(json.dumps(work))
            load.stdin.close()
            load.stdout.readline()  # it has begun
            time.sleep(WARM_UP_S)
            before, since_s, processor_s = shop.movements(), time.perf_counter(), _processor_s(server.process.pid)
            statuses = json.loads(load.stdout.readline())
            count, took_s = shop.movements() - before, time.perf_counter() - since_s
            busy_ms = (_processor_s(server.process.pid) - processor_s) * 1000 / max(count, 1)
        assert set(statuses) <= {"200", "400"} and statuses["200"] > 9 * statuses.get("400", 0), statuses
        return _run(count, took_s, took, {"processor ms a row": busy_ms})


def _processor_s(process_id: int) -> float:
    """Seconds of processor time that a process has taken so far."""
    times = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=ROWS_MAX)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=("postings", "postings-http"))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "counterfoil-bench")
    given = parser.parse_args()

    def tell(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    with ExitStack() as open_files:
        context = Context(
            given.rows, given.rounds, given.folder / str(given.rows), lambda name: given.only in {None, name}, tell,
            open_files,
        )  # fmt: skip
        for case in cases(context, given.seconds):
            for record in measure(case, given.rounds, tell):
                print(json.dumps(record.to_json() | {"load_average": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
