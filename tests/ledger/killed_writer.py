"""A process that writes through the services and says what it was told was done, to be killed while it does so.

Run as `python -m tests.ledger.killed_writer URL`. It imports everything once and then forks a writer for each line
`go FIRST n,n,…` on its input: numbers to do again, then FIRST, FIRST + 1, … until killed. On its output, one line each:
`up PID`, `begin N`, `done N`, `refused N`, `redeemed N ID`, and `dead` once the writer has died.

What a number asks for follows from the number alone, under an Idempotency-Key of its own.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database, DatabaseSettings
from counterfoil.db.projects import get_project
from counterfoil.db.unit import Idempotency
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.domain.redemptions import Redeemable
from counterfoil.errors import Refused
from counterfoil.services.core import Caller, Core
from counterfoil.services.loyalty import LoyaltyService, PointsChange, PointsSource
from counterfoil.services.redemptions import RedemptionAsked, RedemptionService
from counterfoil.services.rollbacks import RollbackAsked, RollbackService
from counterfoil.services.vouchers import VoucherService

THREADS = 6
GIFTS = ("G0", "G1", "G2")
MEMBERS = ("M0", "M1", "M2")


class Writer:
    """The services over one database, and what a number asks of them."""

    def __init__(self, url: str) -> None:
        database = Database(url, DatabaseSettings(pool_size=8, cache_mb=8))
        clock = SystemClock()
        core = Core(database, GroupWriter(database, clock), clock)
        with core.read() as connection:
            self.project = get_project(connection, 1)
        self.vouchers = VoucherService(core)
        self.loyalty = LoyaltyService(core)
        self.redemptions = RedemptionService(core)
        self.rollbacks = RollbackService(core)

    def do(self, no: int) -> str | None:
        """What the number asks for; the redemption's id where it is one. Raises Refused."""
        draw = random.Random(no)
        caller = Caller(self.project, channel="test", idempotency=Idempotency(f"key {no}", str(no)))
        kind = draw.choice(("credits", "points", "transfer", "redeem", "redeem and undo"))
        amount = draw.choice((1, 2, 5, -3))
        if kind == "credits":
            self.vouchers.change_balance(caller, draw.choice(GIFTS), amount, source_id=str(no))
        elif kind == "points":
            self.loyalty.change_points(caller, draw.choice(MEMBERS), PointsChange(amount, source_id=str(no)))
        elif kind == "transfer":
            taker, giver = draw.sample(MEMBERS, 2)
            self.loyalty.transfer(caller, "Club", taker, [PointsSource(giver, 1, source_id=str(no))])
        else:
            return self.redeem(caller, draw, no, undo=kind != "redeem")
        return None

    def redeem(self, caller: Caller, draw: random.Random, no: int, *, undo: bool) -> str:
        """Pay an order with a gift card; undo: and cancel it, under the same number's second key."""
        order = OrderDraft(source_id=f"order {no}", amount=draw.randrange(1, 4))
        who = CustomerDraft(source_id=draw.choice(("ann", "bob")))
        asked = RedemptionAsked((Redeemable(draw.choice(GIFTS)),), order, who)
        found: dict[str, Any] = self.redemptions.redeem(caller, asked)
        redemption_id = found["redemptions"][0]["id"]
        if undo:
            again = Caller(self.project, idempotency=Idempotency(f"undo {no}", str(no)))
            self.rollbacks.roll_back(again, redemption_id, RollbackAsked())
        return redemption_id


def say(line: str) -> None:
    """One line in one system call, so that a kill leaves whole lines."""
    os.write(1, line.encode() + b"\n")


def write_until_killed(url: str, numbers: Iterator[int]) -> None:
    """Several callers at once, each with the next number."""
    writer, lock = Writer(url), threading.Lock()

    def call() -> None:
        while True:
            with lock:
                no = next(numbers)
            say(f"begin {no}")
            try:
                redemption_id = writer.do(no)
            except Refused:
                say(f"refused {no}")
            else:
                say(f"done {no}" if redemption_id is None else f"redeemed {no} {redemption_id}")

    for _ in range(THREADS):
        threading.Thread(target=call, daemon=True).start()
    signal.pause()


def main() -> None:
    """Fork a writer for each line of input."""
    for line in sys.stdin:
        _, first, *again = line.split()
        numbers = itertools.chain((int(no) for no in again), itertools.count(int(first)))
        pid = os.fork()
        if pid == 0:
            say(f"up {os.getpid()}")
            write_until_killed(sys.argv[1], numbers)
        os.waitpid(pid, 0)
        say("dead")


if __name__ == "__main__":
    main()
