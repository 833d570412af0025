"""Movements as they are looked up and listed. They are written by db.unit alone, and hidden ones never show here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.exportables import Rows, matching_rows
from counterfoil.db.schema import movements
from counterfoil.domain.movements import HIDDEN_TYPES
from counterfoil.plan.request import Filter

Row = dict[str, Any]
"""A movement: every column of the table; details and lots are JSON text."""

EXPORTABLE = "voucher_transactions"
"""The catalogue's object whose fields filters may name."""

_hidden = tuple(str(kind) for kind in HIDDEN_TYPES)
_rows = sa.select(*movements.c)

_ALL = Filter()


@dataclass(frozen=True, slots=True)
class MovementQuery:
    """Which movements to list: of one card or of one campaign's cards, in the order of seq.

    after_seq: only those behind it in that order. filter: resolved (plan.filters), over the fields of EXPORTABLE.
    """

    voucher_id: str | None = None
    campaign_id: str | None = None
    descending: bool = True
    after_seq: int | None = None
    limit: int = 10
    filter: Filter = _ALL


def list_movements(connection: Connection, project_id: int, query: MovementQuery) -> tuple[list[Row], bool]:
    """A page of movements, and whether more follow it."""
    wanted = [movements.c.project_id == project_id, movements.c.type.not_in(_hidden)]
    if query.voucher_id is not None:
        wanted.append(movements.c.voucher_id == query.voucher_id)
    if query.campaign_id is not None:
        wanted.append(movements.c.campaign_id == query.campaign_id)
    if query.after_seq is not None:
        seq = movements.c.seq
        wanted.append(seq < query.after_seq if query.descending else seq > query.after_seq)
    if query.filter.fields:
        wanted.append(matching_rows(EXPORTABLE, Rows(project_id, filter=query.filter)))
    order = movements.c.seq.desc() if query.descending else movements.c.seq.asc()
    found = connection.execute(_rows.where(*wanted).order_by(order).limit(query.limit + 1)).mappings().all()
    return [dict(row) for row in found[: query.limit]], len(found) > query.limit


def count_of_campaigns(
    connection: Connection, project_id: int, campaign_ids: Sequence[str], seq_max: int, count_max: int
) -> int:
    """How many movements up to seq_max the cards of some campaigns have, hidden ones too; counted up to count_max."""
    one = sa.select(sa.literal(1)).where(
        movements.c.project_id == project_id, movements.c.campaign_id.in_(campaign_ids), movements.c.seq <= seq_max
    )
    counted = sa.select(sa.func.count()).select_from(one.limit(count_max).subquery())
    return connection.execute(counted).scalar_one()


def movement_by_id(connection: Connection, project_id: int, movement_id: str) -> Row | None:
    """The movement with that id, or None; hidden ones count as not there."""
    wanted = (
        movements.c.project_id == project_id, movements.c.id == movement_id, movements.c.type.not_in(_hidden)
    )  # fmt: skip
    row = connection.execute(_rows.where(*wanted)).mappings().one_or_none()
    return None if row is None else dict(row)


def movement_at(connection: Connection, project_id: int, seq: int) -> Row | None:
    """The movement with that number, a hidden one too, or None."""
    wanted = (movements.c.project_id == project_id, movements.c.seq == seq)
    row = connection.execute(_rows.where(*wanted)).mappings().one_or_none()
    return None if row is None else dict(row)
