"""A shop whose movements are mostly sealed, with its files on S3: what an export needs to be spread over a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from counterfoil.archive.reader import ArchiveRows
from counterfoil.archive.workbench import Workbench
from counterfoil.clock import SystemClock
from counterfoil.dataplane.formats import FORMATS
from counterfoil.dataplane.parts import PartMaker
from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.dataplane.signature import Signer
from counterfoil.db import exports, ledger, queue
from counterfoil.db.engine import Database
from counterfoil.db.exports import Export, NewExport
from counterfoil.db.queue import Claim
from counterfoil.db.schema import export_parts, movements
from counterfoil.db.segments import archive_of
from counterfoil.executors.local import LocalExecutor
from counterfoil.executors.spark.executor import Cluster, SparkExecutor
from counterfoil.executors.spark.order import StoreAddress
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from counterfoil.plan.planner import PlanLimits
from counterfoil.plan.request import ExportRequest
from counterfoil.worker.job import Workshop, run_attempt
from counterfoil.worker.planning import ExportPlanner
from counterfoil.worker.settings import WorkerSettings
from tests.archive.random_ledger import Archived
from tests.services import S3Server

START_MS = 1_700_000_000_000
PROJECT = 1
ROWS_PER_SEGMENT = 300
SEGMENTS = 8
TAIL_ROWS = 100
CARDS = 40
SETTINGS = WorkerSettings(threads=1, lease_ttl_s=20, watch_s=0.05, poll_s=0.05, backoff_s=0.01, duties_every_s=0.2)
TYPES = ("POINTS_ACCRUAL", "POINTS_REDEMPTION", "POINTS_ADDITION")


def grow(database: Database, count: int) -> None:
    """Append movements whose balances hold; one in thirty is dated back, so that segments and tail lie over others."""
    with database.write() as connection:
        last = ledger.lock_seq(connection, PROJECT)
        balances = _balances(connection)
        rows: list[dict[str, Any]] = []
        for seq in range(last + 1, last + count + 1):
            card = (seq * seq + seq // 3) % CARDS
            amount = 1000 if card not in balances else (seq % 23) - 7
            balances[card] = balances.get(card, 0) + amount
            late_ms = 40 * 86_400_000 if seq % 30 == 0 else 0
            rows.append(
                {
                    "project_id": PROJECT,
                    "seq": seq,
                    "id": f"vtx_{seq:018x}",
                    "voucher_id": f"v_{card:032}",
                    "campaign_id": "camp_1",
                    "customer_id": f"cust_{card:032}",
                    "type": "OPENING_BALANCE" if amount == 1000 else TYPES[seq % 3],
                    "amount": amount,
                    "balance": balances[card],
                    "source": "API" if seq % 2 else None,
                    "source_id": f"order-{seq}" if seq % 5 == 0 else None,
                    "reason": 'said "yes, please"\nand left' if seq % 11 == 0 else None,
                    "details": '{"order":{"id":"ord_1","source_id":"a,b"}}' if seq % 4 == 0 else "{}",
                    "created_at": START_MS + seq * 600_000 - late_ms,
                    "recorded_at": START_MS + seq * 600_000,
                }
            )
        connection.execute(movements.insert(), rows)
        ledger.store_seq(connection, PROJECT, last + count)


def _balances(connection: sa.Connection) -> dict[int, int]:
    last = sa.select(sa.func.max(movements.c.seq)).group_by(movements.c.voucher_id).scalar_subquery()
    rows = connection.execute(sa.select(movements.c.voucher_id, movements.c.balance).where(movements.c.seq.in_(last)))
    return {int(row.voucher_id[2:]): row.balance for row in rows}


@dataclass(frozen=True)
class SealedWorld:
    """A ledger with its archive, and workshops over both."""

    archived: Archived
    shop: Workshop
    address: StoreAddress

    def in_slices(self, rows: int) -> SealedWorld:
        """The same world with tasks of about so many rows."""
        planner = ExportPlanner(self.database, PlanLimits(rows, cards_by_index=0, index_share=0), archive_of)
        return replace(self, shop=replace(self.shop, planner=planner))

    def with_spark(self, executor: SparkExecutor) -> SealedWorld:
        """The same world with another executor on the cluster."""
        return replace(self, shop=replace(self.shop, executors={**self.shop.executors, "spark": executor}))

    @property
    def database(self) -> Database:
        """The ledger."""
        return self.archived.database

    @property
    def store(self) -> Store:
        """Where files and segments are."""
        return self.archived.store

    def ask(self, export_id: str, asked: ExportRequest) -> None:
        """Queue an export of what the ledger holds now."""
        with self.database.write() as connection:
            seq_max = ledger.last_seq(connection, PROJECT)
            new = NewExport(PROJECT, export_id, "voucherify", asked.object, asked, seq_max, START_MS)
            exports.enqueue(connection, new)

    def claim(self) -> Claim:
        """Take the next export."""
        with self.database.write() as connection:
            found = queue.claim(connection, "test", self.shop.settings.lease_ttl_ms)
        assert found is not None
        return found

    def run(self, export_id: str, asked: ExportRequest, executor: str = "spark") -> Export:
        """Queue an export, run it here, and give its row."""
        self.ask(export_id, replace(asked, executor=executor))
        run_attempt(self.shop, self.claim())
        return self.row(export_id)

    def row(self, export_id: str) -> Export:
        """The row as it is."""
        with self.database.read() as connection:
            found = exports.get_export(connection, PROJECT, export_id)
        assert found is not None
        return found

    def parts(self, export_id: str) -> dict[int, str]:
        """The keys of the recorded parts, by number."""
        asked = sa.select(export_parts.c.part_no, export_parts.c.key).where(export_parts.c.export_id == export_id)
        with self.database.read() as connection:
            return {row.part_no: row.key for row in connection.execute(asked)}

    def files(self, export_id: str) -> list[str]:
        """Everything of an export in the store, also what is not sealed."""
        folder = f"exports/{PROJECT}/{export_id}"
        keys = [file.key for file in self.store.list(folder)]
        return keys + [remnant.key for remnant in self.store.remnants(folder, 1 << 60)]

    def content(self, export: Export) -> bytes:
        """A finished export's file."""
        assert export.result is not None, export
        return self.store.read(export.result["files"][0]["key"])

    def manifest(self, export: Export) -> bytes:
        """A finished export's manifest."""
        assert export.result is not None, export
        return self.store.read(export.result["manifest"])


@contextmanager
def sealed_world(database: Database, folder: Path, server: S3Server, remote: str) -> Iterator[SealedWorld]:
    """A world with SEGMENTS segments and a tail, in a folder of its own on S3."""
    options = store_options(server)
    store = open_store(f"s3://{server.bucket}/{folder.name}", options)
    archived = Archived(database, store, Workbench(store, "zstd", rows_max=ROWS_PER_SEGMENT, batch_rows=64))
    for _ in range(4):
        grow(database, ROWS_PER_SEGMENT * SEGMENTS // 4)
        archived.seal()
    grow(database, TAIL_ROWS)
    yield world_of(archived, folder, StoreAddress.of(f"s3://{server.bucket}/{folder.name}", options), remote)


def open_sealed_world(url: str, folder: Path, address: StoreAddress, remote: str) -> SealedWorld:
    """The same world, from another process."""
    store = open_store(address.url, address.options({}))
    return world_of(Archived(Database(url), store, Workbench(store, "zstd")), folder, address, remote)


def world_of(archived: Archived, folder: Path, address: StoreAddress, remote: str) -> SealedWorld:
    """Workshops over a ledger and its archive."""
    rows = ArchiveRows(archived.store, DatabaseRows(archived.database), archived._hear)
    maker = PartMaker(rows, {name: known.factory for name, known in FORMATS.items()}, archived.store)
    executors: Mapping[str, Any] = {
        "local": LocalExecutor(maker, threads=2),
        "spark": SparkExecutor(maker, archived.database, Cluster(remote, address)),
    }
    shop = Workshop(
        database=archived.database,
        store=archived.store,
        maker=maker,
        planner=ExportPlanner(
            archived.database, PlanLimits(ROWS_PER_SEGMENT, cards_by_index=0, index_share=0), archive_of
        ),
        executors=executors,
        signer=Signer.of_home(folder),
        clock=SystemClock(),
        settings=replace(SETTINGS, parts_rows_min=0),
    )
    return SealedWorld(archived, shop, address)


def store_options(server: S3Server) -> StoreOptions:
    """How the store is opened, here and on the cluster."""
    return StoreOptions(
        endpoint=server.endpoint,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
        allow_http=True,
    )
