"""A ledger's movements drawn at random, straight into its table, and an archive over them in small segments."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterfoil.archive.compaction import compact
from counterfoil.archive.hold import Hold, hold
from counterfoil.archive.reader import ArchiveRows
from counterfoil.archive.sealer import Sealed, seal
from counterfoil.archive.workbench import Workbench
from counterfoil.clock import SystemClock
from counterfoil.dataplane.csv_encoder import csv_encoder
from counterfoil.dataplane.encoder import Column
from counterfoil.dataplane.rows import RowSource
from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db import ledger, segments
from counterfoil.db.engine import Database
from counterfoil.db.schema import movements
from counterfoil.db.segments import Segment
from counterfoil.errors import Damaged
from counterfoil.files.local import LocalStore
from counterfoil.files.store import Store
from counterfoil.plan.planner import PlanLimits, plan_selection
from counterfoil.plan.task import Plan, SegmentRef, Selection
from tests.db.catalogue_world import IDS, INSTANTS, NUMBERS, WORDS

PROJECT = 1
TYPES = ("POINTS_ACCRUAL", "POINTS_REDEMPTION", "CREDITS_ADDITION", "OPENING_BALANCE")
SOURCES = ("API", "Automation", "", "a,b", None)
SPAN_MS = 90 * 86_400_000
NEXT_MS = max(INSTANTS) + 1


def movement_rows(draw: random.Random, seq_from: int, count: int) -> list[dict[str, Any]]:
    """Movements seq_from…, of project 1: mostly in the order of time, some dated back, many at one instant."""
    rows: list[dict[str, Any]] = []
    for seq in range(seq_from, seq_from + count):
        at = NEXT_MS + seq * 40_000 + draw.randrange(3) * 1000
        if draw.random() < 0.15:
            at = draw.choice((*INSTANTS, at - draw.randrange(SPAN_MS), NEXT_MS + 1_000_000))
        rows.append(
            {
                "project_id": PROJECT,
                "seq": seq,
                "id": f"vtx_{seq:018x}",
                "voucher_id": draw.choice(IDS),
                "campaign_id": draw.choice((*IDS, None)),
                "customer_id": draw.choice((*IDS, None)),
                "type": draw.choice(TYPES),
                "amount": draw.choice(NUMBERS),
                "balance": draw.choice((0, 1, 10, 2**53 + 1, 2**62)),
                "source": draw.choice(SOURCES),
                "source_id": draw.choice((*WORDS, None)),
                "reason": draw.choice((*WORDS, "two\nlines", "cr\rlf\r\n", None)),
                "details": draw.choice(('{"a":1}', '{"balance":{"type":"gift_voucher"}}', None)),
                "related_transaction_id": draw.choice((*IDS, None)),
                "lots": draw.choice(('[["lopb_1",5]]', None)),
                "created_at": at,
                "recorded_at": NEXT_MS + seq * 40_000,
            }
        )
    return rows


@dataclass
class Archived:
    """A database with a store beside it, and what is done to both. Reports of damage are kept in `reports`."""

    database: Database
    store: Store
    bench: Workbench
    reports: list[str] = field(default_factory=list)

    @staticmethod
    def in_folder(database: Database, folder: Path, **limits: Any) -> Archived:
        """An empty archive in a folder of the disk."""
        store = LocalStore(folder / "files")
        return Archived(database, store, Workbench(store, "none", **limits))

    def grow(self, draw: random.Random, count: int) -> None:
        """Append movements as the ledger would."""
        with self.database.write() as connection:
            last = ledger.lock_seq(connection, PROJECT)
            connection.execute(movements.insert(), movement_rows(draw, last + 1, count))
            ledger.store_seq(connection, PROJECT, last + count)

    def last_seq(self) -> int:
        """The last movement."""
        with self.database.read() as connection:
            return ledger.last_seq(connection, PROJECT)

    def live(self) -> list[Segment]:
        """The archive's segments."""
        with self.database.read() as connection:
            return segments.live_segments(connection, PROJECT)

    def seal(self) -> Sealed:
        """Seal what there is."""
        return self.held(lambda mine: seal(mine, self.bench))

    def compact(self) -> int:
        """Rewrite what is worth it."""
        return self.held(lambda mine: compact(mine, self.bench))

    def held(self, work: Any) -> Any:
        """Do something with the archive in hand."""
        with hold(self.database, SystemClock(), PROJECT) as mine:
            assert isinstance(mine, Hold)
            return work(mine)

    def plans(self, selection: Selection, rows_per_task: int) -> tuple[Plan, Plan]:
        """(over the database, over the archive) for one selection."""
        with self.database.read() as connection:
            archive = segments.archive_of(connection, PROJECT, selection.seq_max)
        limits = PlanLimits(rows_per_task, cards_by_index=0, index_share=0)
        return plan_selection(selection, archive=None, limits=limits), plan_selection(
            selection, archive=archive, limits=limits
        )

    def source(self) -> ArchiveRows:
        """The archive as exports read it."""
        return ArchiveRows(self.store, DatabaseRows(self.database), self._hear)

    def agrees(self, selection: Selection, rows_per_task: int = 50) -> int:
        """Assert that both ways give the same bytes, cut into whatever tasks; returns how many bytes."""
        by_database, by_archive = self.plans(selection, rows_per_task)
        wanted = file_of(DatabaseRows(self.database, 7), by_database)
        if by_archive.path == "database":
            return len(wanted)
        assert file_of(self.source(), by_archive) == wanted
        return len(wanted)

    def _hear(self, project_id: int, ref: SegmentRef, error: Damaged) -> None:
        assert error.resource_id == ref.id and project_id == PROJECT
        with self.database.write() as connection:
            segments.mark_damaged(connection, project_id, ref.id)
        self.reports.append(ref.id)


def file_of(source: RowSource, plan: Plan) -> bytes:
    """The CSV of a plan, task by task."""
    columns = [Column(each.field, each.label) for each in plan.selection.columns]
    encoder = csv_encoder(source.schema(plan.selection), columns)
    parts = [bytes(encoder.begin())]
    for task in plan.tasks:
        batches = source.batches(plan.selection, task, StopFlag())
        parts.extend(
            bytes(encoder.encode(each.batch, reverse=each.reverse, selection=each.selection)) for each in batches
        )
    return b"".join(parts)
