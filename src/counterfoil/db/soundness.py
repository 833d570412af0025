"""Questions that a sound ledger answers with nothing: each returns what is wrong, in words, a few examples at most."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import buckets, counters, exports, movements, projects, vouchers
from counterfoil.domain.cards import CardKind

EXAMPLES_MAX = 5


def findings(connection: Connection) -> Iterator[str]:
    """Everything that does not add up in the ledger."""
    yield from _gaps(connection)
    yield from _balances(connection)
    yield from _buckets(connection)


def _gaps(connection: Connection) -> Iterator[str]:
    """seq counts a project's movements: 1 to the counter, each once."""
    counted = (
        sa.select(
            movements.c.project_id,
            sa.func.count().label("rows"),
            sa.func.max(movements.c.seq).label("last"),
        )
        .group_by(movements.c.project_id)
        .subquery()
    )
    rows = connection.execute(
        sa.select(projects.c.name, counters.c.movement_seq, counted.c.rows, counted.c.last)
        .join(counters, counters.c.project_id == projects.c.id)
        .outerjoin(counted, counted.c.project_id == projects.c.id)
    )
    for name, counter, count, last in rows:
        if (count or 0, last or 0) != (counter, counter):
            yield f"project {name}: the counter stands at {counter}, but there are {count} movements, the last is {last}"


def _balances(connection: Connection) -> Iterator[str]:
    """A card's balance is the sum of its movements."""
    total = (
        sa.select(movements.c.project_id, movements.c.voucher_id, sa.func.sum(movements.c.amount).label("amount"))
        .group_by(movements.c.project_id, movements.c.voucher_id)
        .subquery()
    )
    rows = connection.execute(
        sa.select(vouchers.c.id, vouchers.c.balance, total.c.amount)
        .outerjoin(total, (total.c.project_id == vouchers.c.project_id) & (total.c.voucher_id == vouchers.c.id))
        .where(vouchers.c.balance != sa.func.coalesce(total.c.amount, 0))
        .limit(EXAMPLES_MAX)
    )
    for card, balance, amount in rows:
        yield f"card {card}: its balance is {balance}, its movements add up to {amount or 0}"


def _buckets(connection: Connection) -> Iterator[str]:
    """A loyalty card's active buckets add up to its balance."""
    held = (
        sa.select(buckets.c.project_id, buckets.c.voucher_id, sa.func.sum(buckets.c.points).label("points"))
        .where(buckets.c.status == "ACTIVE")
        .group_by(buckets.c.project_id, buckets.c.voucher_id)
        .subquery()
    )
    rows = connection.execute(
        sa.select(vouchers.c.id, vouchers.c.balance, held.c.points)
        .outerjoin(held, (held.c.project_id == vouchers.c.project_id) & (held.c.voucher_id == vouchers.c.id))
        .where(vouchers.c.type == str(CardKind.LOYALTY), vouchers.c.balance != sa.func.coalesce(held.c.points, 0))
        .limit(EXAMPLES_MAX)
    )
    for card, balance, points in rows:
        yield f"card {card}: its balance is {balance}, its buckets hold {points or 0}"


def finished_exports(connection: Connection) -> Iterator[tuple[str, dict[str, object]]]:
    """(export id, file) for every file that a finished export points to."""
    rows = connection.execute(sa.select(exports.c.id, exports.c.result).where(exports.c.status == "DONE"))
    for export_id, result in rows:
        for file in result["files"]:
            yield export_id, file
