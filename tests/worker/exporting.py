"""A small ledger with a queue, a file store and everything a worker needs, for the tests of workers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from counterfoil.clock import Clock, SystemClock
from counterfoil.dataplane.csv_encoder import csv_encoder
from counterfoil.dataplane.parts import PartMaker
from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.dataplane.signature import Signer
from counterfoil.db import exports, queue
from counterfoil.db.engine import Database
from counterfoil.db.exports import Export, NewExport
from counterfoil.db.queue import Claim
from counterfoil.db.schema import counters, movements, vouchers
from counterfoil.executors.local import LocalExecutor
from counterfoil.files.local import LocalStore
from counterfoil.files.store import Store
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter, Order
from counterfoil.plan.task import Plan
from counterfoil.worker.job import Workshop, run_attempt
from counterfoil.worker.planning import ExportPlanner
from counterfoil.worker.settings import WorkerSettings

DAY_MS = 86_400_000
START_MS = 1_700_000_000_000
CARDS = 7
QUICK = WorkerSettings(threads=1, lease_ttl_s=3, watch_s=0.02, poll_s=0.05, backoff_s=0.01, duties_every_s=0.1)
FIELDS = ("id", "voucher_id", "type", "amount", "balance", "created_at", "reason")
TYPES = ("POINTS_ACCRUAL", "POINTS_REDEMPTION", "POINTS_ADDITION")


def fill(
    database: Database, count: int, *, project: int = 1, campaign: str = "camp_1", reason_bytes: int | None = None
) -> None:
    """Append `count` movements to an empty project: an opening balance for each card, then whatever comes.

    reason_bytes: give each of them so long a reason, for exports that are large with few rows.
    """
    balances = dict.fromkeys(range(CARDS), 0)
    rows: list[dict[str, Any]] = []
    for no in range(count):
        card = (no * no + no // 3) % CARDS if no >= CARDS else no
        amount = 100 if no < CARDS else (no % 23) - 7
        balances[card] += amount
        rows.append(
            {
                "project_id": project,
                "seq": no + 1,
                "id": f"vtx_{no:018x}",
                "voucher_id": f"v_{card:032}",
                "campaign_id": campaign,
                "type": "OPENING_BALANCE" if no < CARDS else TYPES[no % 3],
                "amount": amount,
                "balance": balances[card],
                "reason": _reason(no) if reason_bytes is None else f"{no:08}" * (reason_bytes // 8),
                "details": "{}",
                "created_at": START_MS + no * 60_000,
                "recorded_at": START_MS + no * 60_000,
            }
        )
    with database.write() as connection:
        connection.execute(movements.insert(), rows)


def _reason(no: int) -> str | None:
    return 'said "yes, please"\nand left' if no % 11 == 0 else None


def fill_cards(database: Database, *, project: int = 1) -> None:
    """Make the cards of the movements that `fill` wrote, with the balances they lead to, and count the movements."""
    with database.write() as connection:
        mine = movements.c.project_id == project
        steps = sa.select(movements.c.voucher_id, movements.c.balance).where(mine).order_by(movements.c.seq)
        last = {card: balance for card, balance in connection.execute(steps)}  # noqa: C416  the last of each card stays
        connection.execute(
            vouchers.insert(),
            [
                {"project_id": project, "id": card, "code": card, "campaign_id": "camp_1", "type": "GIFT_VOUCHER",
                 "balance": balance, "total": balance, "created_at": START_MS}
                for card, balance in last.items()
            ],
        )  # fmt: skip
        count = connection.execute(sa.select(sa.func.count()).select_from(movements).where(mine)).scalar_one()
        connection.execute(counters.update().where(counters.c.project_id == project).values(movement_seq=count))


def request(*, descending: bool = False, fields: Sequence[str] = FIELDS, **more: Any) -> ExportRequest:
    """All transactions of campaign camp_1."""
    scope = Filter("and", (FieldFilter("campaign_id", (Condition("in", ("camp_1",)),)),))
    order = Order("created_at", descending=descending)
    return ExportRequest("voucher_transactions", tuple(fields), order, scope=scope, **more)


@dataclass(frozen=True)
class InSlices:
    """Plans as the archive will make the planner do: several tasks over slices of time, here all in the database."""

    planner: ExportPlanner
    slices: int

    def __call__(self, claim: Claim) -> Plan:
        plan = self.planner(claim)
        (task,) = plan.tasks
        cuts = [START_MS + no * 60_000 * claim.seq_max // self.slices for no in range(1, self.slices)]
        bounds = list(zip([None, *cuts], [*cuts, None], strict=True))
        if plan.selection.order.descending:
            bounds.reverse()
        tasks = tuple(replace(task, no=no, created_from=low, created_to=high) for no, (low, high) in enumerate(bounds))
        return replace(plan, tasks=tasks)


@dataclass(frozen=True)
class World:
    """What the tests look at."""

    database: Database
    store: Store
    shop: Workshop

    def ask(self, export_id: str, asked: ExportRequest, *, seq_max: int = 1000, project: int = 1) -> None:
        """Queue an export."""
        new = NewExport(project, export_id, "voucherify", asked.object, asked, seq_max, START_MS)
        with self.database.write() as connection:
            exports.enqueue(connection, new)

    def claim(self, owner: str = "test") -> Claim:
        """Take the next export."""
        with self.database.write() as connection:
            found = queue.claim(connection, owner, self.shop.settings.lease_ttl_ms)
        assert found is not None
        return found

    def run(self, export_id: str, asked: ExportRequest, **more: Any) -> Export:
        """Queue an export, run it here, and give its row."""
        self.ask(export_id, asked, **more)
        run_attempt(self.shop, self.claim())
        return self.row(export_id)

    def row(self, export_id: str, project: int = 1) -> Export:
        """The row as it is."""
        with self.database.read() as connection:
            found = exports.get_export(connection, project, export_id)
        assert found is not None
        return found

    def with_shop(self, **changes: Any) -> World:
        """The same world, worked on in another way."""
        return replace(self, shop=replace(self.shop, **changes))

    def in_parts(self, slices: int = 4) -> World:
        """The same, with every export cut into tasks whose parts are recorded."""
        planner = self.shop.planner
        assert isinstance(planner, ExportPlanner)
        return self.with_shop(planner=InSlices(planner, slices), settings=replace(self.shop.settings, parts_rows_min=0))

    def files(self, prefix: str = "") -> list[str]:
        """Every file in the store."""
        return [file.key for file in self.store.list(prefix)]

    def text(self, export: Export, no: int = 0) -> str:
        """A finished export's file; its size and hash are those of its row."""
        assert export.result is not None, export
        file = export.result["files"][no]
        data = self.store.read(file["key"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
        return data.decode()


def open_world(
    database: Database,
    folder: Path,
    *,
    settings: WorkerSettings = QUICK,
    clock: Clock | None = None,
    store: Store | None = None,
) -> World:
    """A world over a ledger, with keys in `folder`, and files there too unless there is a store for them."""
    store = store or LocalStore(folder / "files")
    maker = PartMaker(DatabaseRows(database, batch_rows=64), {"csv": csv_encoder}, store)
    shop = Workshop(
        database=database,
        store=store,
        maker=maker,
        planner=ExportPlanner(database),
        executors={"local": LocalExecutor(maker, threads=2)},
        signer=Signer.of_home(folder),
        clock=clock or SystemClock(),
        settings=settings,
    )
    return World(database, store, shop)
