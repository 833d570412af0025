"""Filling a ledger with a story: the tables themselves in bulk, as a restored backup would, then the sealer.

Bulk means past the services but not past the rules: seq has no gaps, each movement's balance follows from the one
before, cards and buckets hold what their movements add up to. Going through the services would take an hour for 10
million movements; what they cost is measured by itself (`posting`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from bench.columns import Names, batches, names_of
from bench.story import START_MS, TYPES, Story
from counterfoil.archive.hold import hold
from counterfoil.archive.segment_writer import codec_for, coded
from counterfoil.archive.workbench import Workbench
from counterfoil.clock import Clock
from counterfoil.dataplane.schema import arrow_schema
from counterfoil.db import segments
from counterfoil.db.engine import Database
from counterfoil.db.schema import buckets, campaigns, counters, movements, vouchers
from counterfoil.db.segments import MOVEMENT_VALUES
from counterfoil.files.store import Store

_REDEEMING = np.array([name.endswith(("REDEMPTION", "REFUND")) for name in TYPES])
_REMOVING = np.array([name.endswith("REMOVAL") for name in TYPES])


def fill(database: Database, project_id: int, story: Story, tell: Callable[[str], None]) -> Names:
    """Write the story into an empty project of a migrated SQLite database; returns the names in it."""
    assert project_id == 1, "the story's rows are of project 1"
    names = names_of(story)
    with database.write() as connection:
        connection.execute(campaigns.insert(), list(_campaigns(story, names)))
        connection.execute(
            counters.update()
            .where(counters.c.project_id == project_id)
            .values(movement_seq=story.rows, campaign_iid=len(names.campaigns))
        )
    _write_sqlite(database, [(vouchers, _vouchers(story, names)), (buckets, _buckets(story, names))])
    tell(f"{story.cards:,} cards")
    _write_sqlite(database, [(movements, batches(story, names))])
    tell(f"{story.rows:,} movements")
    return names


def archive(database: Database, store: Store, story: Story, names: Names, clock: Clock) -> int:
    """Write the story's segments as the sealer does, but out of the story and not out of the table; returns how many."""
    with hold(database, clock, 1) as mine:
        assert mine is not None, "nobody else is here"
        bench = Workbench(store, codec_for(store))
        sealed = count = 0
        for rows in _portions(map(_movements, batches(story, names)), bench.rows_max):
            new = bench.write(1, rows, level=0, late=False)
            with mine.write() as connection:
                segments.add_sealed(connection, 1, sealed, [new])
            sealed, count = sealed + rows.num_rows, count + 1
    return count


def _movements(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The table's columns as a segment has them."""
    plain = arrow_schema("movement", MOVEMENT_VALUES)
    columns = [batch.column(field.name).cast(field.type) for field in plain]
    return coded(pa.RecordBatch.from_arrays(columns, schema=plain))


def _portions(found: Iterator[pa.RecordBatch], rows_max: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in found:
        if held and sum(each.num_rows for each in held) + batch.num_rows > rows_max:
            yield pa.Table.from_batches(held)
            held = []
        held.append(batch)
    yield pa.Table.from_batches(held)


def _campaigns(story: Story, names: Names) -> Iterator[dict[str, Any]]:
    gift = story.is_gift(np.arange(len(names.campaigns)))
    per_campaign = np.bincount(story.campaign_of_card, minlength=len(names.campaigns))
    for no, campaign_id in enumerate(names.campaigns.to_pylist()):
        yield {
            "project_id": 1,
            "id": campaign_id,
            "iid": no + 1,
            "name": f"Campaign {no + 1}",
            "campaign_type": "GIFT_VOUCHERS" if gift[no] else "LOYALTY_PROGRAM",
            "type": "AUTO_UPDATE",
            "vouchers_count": int(per_campaign[no]),
            "created_at": START_MS,
        }


def _vouchers(story: Story, names: Names) -> Iterator[pa.RecordBatch]:
    balance = np.zeros(story.cards, np.int64)
    balance[story.card] = story.balance  # the last one stands
    redeemed = -_sum_of(story, _REDEEMING[story.kind])
    redeemed = np.maximum(redeemed, 0)
    gift = story.is_gift(story.campaign_of_card)
    rows = pa.RecordBatch.from_pydict(
        {
            "project_id": pa.repeat(pa.scalar(1, pa.int64()), story.cards),
            "id": names.cards,
            "code": names.codes,
            "campaign_id": names.campaigns.take(pa.array(story.campaign_of_card)),
            "type": pa.array(["LOYALTY_CARD", "GIFT_VOUCHER"]).take(pa.array(gift.astype(np.int8))),
            "balance": pa.array(balance),
            "total": pa.array(balance + redeemed),
            "subtracted": pa.array(-_sum_of(story, _REMOVING[story.kind])),
            "redeemed": pa.array(redeemed),
            "expired": pa.repeat(pa.scalar(0, pa.int64()), story.cards),
            "active": pa.repeat(pa.scalar(True), story.cards),
            "is_referral_code": pa.repeat(pa.scalar(False), story.cards),
            "holder_id": names.customers,
            "created_at": pa.array(story.opened_ms),
        }
    )
    yield from pa.Table.from_batches([rows]).to_batches(max_chunksize=100_000)


def _buckets(story: Story, names: Names) -> Iterator[pa.RecordBatch]:
    balance = np.zeros(story.cards, np.int64)
    balance[story.card] = story.balance
    loyal = pa.array(np.flatnonzero(~story.is_gift(story.campaign_of_card)))
    count = len(loyal)
    rows = pa.RecordBatch.from_pydict(
        {
            "project_id": pa.repeat(pa.scalar(1, pa.int64()), count),
            "id": names.buckets.take(loyal),
            "voucher_id": names.cards.take(loyal),
            "campaign_id": names.campaigns.take(pa.array(story.campaign_of_card)).take(loyal),
            "points": pa.array(balance).take(loyal),
            "status": pa.repeat(pa.scalar("ACTIVE"), count),
            "created_at": pa.array(story.opened_ms).take(loyal),
        }
    )
    yield from pa.Table.from_batches([rows]).to_batches(max_chunksize=100_000)


def _sum_of(story: Story, chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found = np.bincount(story.card[chosen], weights=story.amount[chosen], minlength=story.cards)
    return found.astype(np.int64)


_Fills = Iterable[tuple[sa.Table, Iterator[pa.RecordBatch]]]


def _write_sqlite(database: Database, fills: _Fills) -> None:
    assert database.url.database is not None
    connection = sqlite3.connect(Path(database.url.database), isolation_level=None)
    try:
        connection.execute("pragma synchronous=off")
        connection.execute("pragma cache_size=-1000000")
        for table, found in fills:
            # An index built over what is there costs a third of one that grows with every row.
            indexes = _indexes(connection, table)
            for name, _ in indexes:
                connection.execute(f'drop index "{name}"')
            for batch in found:
                connection.execute("begin")
                connection.executemany(
                    _insert(table, batch.schema.names), zip(*(_values(c) for c in batch.columns), strict=True)
                )
                connection.execute("commit")
            for _, text in indexes:
                connection.execute(text)
        connection.execute("analyze")
        connection.execute("pragma wal_checkpoint(truncate)")
    finally:
        connection.close()


def _values(column: pa.Array[Any]) -> Sequence[Any]:
    return column.to_pylist()


def _indexes(connection: sqlite3.Connection, table: sa.Table) -> list[tuple[str, str]]:
    found = "select name, sql from sqlite_master where type = 'index' and tbl_name = ? and sql is not null"
    return [(row[0], row[1]) for row in connection.execute(found, (table.name,))]


def _insert(table: sa.Table, names: Sequence[str]) -> str:
    return f'insert into "{table.name}" ({", ".join(names)}) values ({", ".join("?" * len(names))})'
