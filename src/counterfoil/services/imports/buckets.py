"""Points buckets that come in: each one takes its points from those of its card whose expiry was not known.

No balance changes, so there is no movement. What a file does not tell of stays where it is, never expiring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterfoil.dataplane.intake import Block
from counterfoil.db import bulk
from counterfoil.db.schema import buckets
from counterfoil.db.unit import Unit
from counterfoil.domain import cells
from counterfoil.domain.buckets import ACTIVE, EXPIRED
from counterfoil.domain.cards import CardKind
from counterfoil.domain.imports import unplaced_bucket_id
from counterfoil.errors import InvalidInput
from counterfoil.services.imports.report import Cells, ImportOptions, Item, Outcome, read_items
from counterfoil.services.imports.rows import Once, difference

_CONTENT = ("voucher_id", "points", "expires_on", "status")


@dataclass(frozen=True, slots=True)
class BucketRow:
    """A bucket as a file has it. expires_on: ISO date, None for never."""

    id: str
    voucher_id: str
    campaign_id: str | None
    points: int
    expires_on: str | None
    status: str


def read_bucket(row: Cells) -> BucketRow:
    """A bucket out of its cells; without a status it is ACTIVE. Raises InvalidInput."""
    points = cells.whole("points", cells.required("points", row.get("points")))
    if points < 0:
        raise cells.invalid_cell("points", "must not be below 0", points)
    status = row.get("status") or ACTIVE
    if status not in (ACTIVE, EXPIRED):
        raise cells.invalid_cell("status", f"must be {ACTIVE} or {EXPIRED}", status)
    expires_on = cells.read_day("expires_at", row.get("expires_at"))
    if status == EXPIRED and expires_on is None:
        raise InvalidInput("invalid_cell", "an EXPIRED bucket needs the day it expired on", field="expires_at")
    return BucketRow(
        cells.required("id", cells.read_id("id", row.get("id"))),
        cells.required("voucher_id", cells.read_id("voucher_id", row.get("voucher_id"))),
        cells.read_id("campaign_id", row.get("campaign_id")),
        points,
        expires_on,
        status,
    )


class BucketImporter:
    """The importer of points buckets."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options

    def read(self, block: Block) -> list[Item]:
        return read_items(block, read_bucket)

    def apply(self, unit: Unit, given: list[Item]) -> Outcome:
        connection = unit.sql
        unit.lock()
        once = Once()
        items = list(once.pass_on(given, ("id",)))
        stored = bulk.rows_by(
            connection, buckets, unit.project_id, "id", [item.value.id for item in items], _CONTENT
        )  # fmt: skip
        card_ids = {item.value.voucher_id for item in items}
        cards = {row.id: row for row in bulk.cards_by_id(connection, unit.project_id, card_ids)}
        unplaced_ids = {unplaced_bucket_id(card_id) for card_id in cards}
        held = bulk.rows_by(connection, buckets, unit.project_id, "id", unplaced_ids, ("voucher_id", "points"))
        unplaced = {row.voucher_id: int(row.points) for row in held.values()}
        touched: set[str] = set()
        rows: list[tuple[Any, ...]] = []
        known = 0
        for item in items:
            row: BucketRow = item.value
            reason = _reason(row, stored.get(row.id), cards.get(row.voucher_id), unplaced)
            if reason is not None:
                once.refuse(item, reason)
            elif row.id in stored:
                known += 1
            else:
                rows.append(_values(unit, row, cards[row.voucher_id].campaign_id))
                if row.status == ACTIVE and row.points:
                    unplaced[row.voucher_id] -= row.points
                    touched.add(row.voucher_id)
        bulk.insert_rows(connection, buckets, bulk.BUCKET_COLUMNS, rows)
        _leave(unit, cards, {card_id: unplaced[card_id] for card_id in touched})
        return Outcome(len(rows), once.known + known, once.sorted)

    def committed(self, outcome: Outcome) -> None:
        pass  # nothing is remembered from one batch to the next


def _reason(row: BucketRow, stored: Any, card: Any, unplaced: Mapping[str, int]) -> str | None:
    if stored is not None:
        said = {name: getattr(row, name) for name in _CONTENT}
        return difference(stored._mapping, said, "the bucket")
    if card is None:
        return f"there is no card {row.voucher_id} in this project: import its voucher first"
    if card.type != CardKind.LOYALTY:
        return f"voucher {row.voucher_id} is a {card.type}, which has no points"
    if row.campaign_id is not None and card.campaign_id is not None and row.campaign_id != card.campaign_id:
        return f"campaign_id is {row.campaign_id}, and the card belongs to {card.campaign_id}"
    left = unplaced.get(row.voucher_id, 0)
    if row.status == ACTIVE and row.points > left:
        return f"the card has only {left} points whose expiry is not known yet: import its vouchers and movements first"
    return None


def _values(unit: Unit, row: BucketRow, campaign_id: str | None) -> tuple[Any, ...]:
    return (
        unit.project_id, row.id, row.voucher_id, row.campaign_id or campaign_id, row.points, row.expires_on, row.status,
        unit.now_ms, unit.now_ms,
    )  # fmt: skip


def _leave(unit: Unit, cards: Mapping[str, Any], left: Mapping[str, int]) -> None:
    """Write what is still unplaced; a bucket with nothing left is removed."""
    connection = unit.sql
    bulk.upsert_buckets(connection, [
        (
            unit.project_id, unplaced_bucket_id(card_id), card_id, cards[card_id].campaign_id, points, None, ACTIVE,
            unit.now_ms, unit.now_ms,
        )
        for card_id, points in left.items()
        if points
    ])  # fmt: skip
    emptied = [unplaced_bucket_id(card_id) for card_id, points in left.items() if not points]
    bulk.delete_buckets(connection, unit.project_id, emptied)
