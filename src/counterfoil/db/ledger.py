"""Cards, buckets and movements in the database: load cards with their buckets, write what changed, in bulk.

Only `db.unit` writes through here, so that every balance change is a movement with its seq.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from counterfoil.db.schema import buckets, campaigns, counters, movements, vouchers
from counterfoil.domain.buckets import Bucket
from counterfoil.domain.cards import Card, CardKind
from counterfoil.ids import movement_id

_encode = msgspec.json.Encoder().encode
_KINDS = tuple(str(kind) for kind in CardKind)
# One statement's worth of ids; SQLite's own bound on variables is 32,766.
_IDS_PER_STATEMENT = 1000

_cards = (
    sa.select(
        vouchers.c.id,
        vouchers.c.code,
        vouchers.c.type,
        vouchers.c.campaign_id,
        campaigns.c.name.label("campaign"),
        vouchers.c.holder_id,
        vouchers.c.active,
        vouchers.c.start_date,
        vouchers.c.expiration_date,
        vouchers.c.is_referral_code,
        vouchers.c.deleted_at,
        vouchers.c.balance,
        vouchers.c.total,
        vouchers.c.subtracted,
        vouchers.c.redeemed,
        vouchers.c.expired,
    )
    .select_from(
        vouchers.outerjoin(
            campaigns, (campaigns.c.project_id == vouchers.c.project_id) & (campaigns.c.id == vouchers.c.campaign_id)
        )
    )
    .where(vouchers.c.project_id == sa.bindparam("project"), vouchers.c.type.in_(_KINDS))
)
_cards_by_id = _cards.where(vouchers.c.id.in_(sa.bindparam("ids", expanding=True)))
_cards_by_code = _cards.where(
    vouchers.c.code.in_(sa.bindparam("codes", expanding=True)), vouchers.c.deleted_at.is_(None)
)
_buckets = sa.select(
    buckets.c.voucher_id,
    buckets.c.id,
    buckets.c.points,
    buckets.c.expires_on,
    buckets.c.status,
    buckets.c.created_at,
).where(
    buckets.c.project_id == sa.bindparam("project"),
    buckets.c.voucher_id.in_(sa.bindparam("ids", expanding=True)),
    buckets.c.status == "ACTIVE",
)
_update_card = (
    vouchers.update()
    .where(vouchers.c.project_id == sa.bindparam("b_project"), vouchers.c.id == sa.bindparam("b_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in ("balance", "total", "subtracted", "redeemed", "expired")})
)
_insert_movement = movements.insert()
_lock_counter = sa.select(counters.c.movement_seq).where(counters.c.project_id == sa.bindparam("project"))
_move_counter = (
    counters.update()
    .where(counters.c.project_id == sa.bindparam("b_project"))
    .values(movement_seq=sa.bindparam("b_seq"))
)


def _upsert_bucket(insert: Any) -> Any:
    statement = insert(buckets)
    return statement.on_conflict_do_update(
        index_elements=["project_id", "id"],
        set_={name: statement.excluded[name] for name in ("points", "status", "updated_at")},
    )


_upsert_buckets = {"sqlite": _upsert_bucket(sqlite.insert), "postgresql": _upsert_bucket(postgresql.insert)}


def lock_seq(connection: Connection, project_id: int) -> int:
    """Take the project's counter for this transaction and return the last seq given."""
    return int(connection.execute(_lock_counter.with_for_update(), {"project": project_id}).scalar_one())


def last_seq(connection: Connection, project_id: int) -> int:
    """The last seq committed, as this connection's snapshot sees it."""
    return int(connection.execute(_lock_counter, {"project": project_id}).scalar_one())


def store_seq(connection: Connection, project_id: int, seq: int) -> None:
    """Write the last seq given in this transaction."""
    connection.execute(_move_counter, {"b_project": project_id, "b_seq": seq})


def cards_by_id(connection: Connection, project_id: int, ids: Iterable[str]) -> dict[str, Card]:
    """The cards with these ids, with their active buckets, removed ones too; unknown ids and discount vouchers are left
    out."""
    return _load(connection, project_id, _cards_by_id, "ids", sorted(set(ids)))


def cards_by_code(connection: Connection, project_id: int, codes: Iterable[str]) -> dict[str, Card]:
    """The same by code; the result is keyed by id."""
    return _load(connection, project_id, _cards_by_code, "codes", sorted(set(codes)))


def _load(
    connection: Connection, project_id: int, statement: sa.Select[*tuple[Any, ...]], key: str, values: Sequence[str]
) -> dict[str, Card]:
    rows: list[Any] = []
    for at in range(0, len(values), _IDS_PER_STATEMENT):
        chunk = values[at : at + _IDS_PER_STATEMENT]
        rows.extend(connection.execute(statement, {"project": project_id, key: chunk}))
    loyalty = [row.id for row in rows if row.type == CardKind.LOYALTY]
    held = _load_buckets(connection, project_id, loyalty)
    return {row.id: _card(row, held.get(row.id, ())) for row in rows}


def _load_buckets(connection: Connection, project_id: int, card_ids: list[str]) -> Mapping[str, tuple[Bucket, ...]]:
    held: defaultdict[str, list[Bucket]] = defaultdict(list)
    for at in range(0, len(card_ids), _IDS_PER_STATEMENT):
        chunk = card_ids[at : at + _IDS_PER_STATEMENT]
        for card_id, *rest in connection.execute(_buckets, {"project": project_id, "ids": chunk}):
            held[card_id].append(Bucket(*rest))
    return {card_id: tuple(found) for card_id, found in held.items()}


def _card(row: Any, held: tuple[Bucket, ...]) -> Card:
    return Card(
        row.id,
        row.code,
        CardKind(row.type),
        row.campaign_id,
        row.campaign,
        row.holder_id,
        row.active,
        row.start_date,
        row.expiration_date,
        row.is_referral_code,
        row.deleted_at is not None,
        row.balance,
        row.total,
        row.subtracted,
        row.redeemed,
        row.expired,
        held,
    )


def store_cards(connection: Connection, project_id: int, changed: Iterable[tuple[Card, Card]], now_ms: int) -> None:
    """Write the new state of cards, given (before, after) pairs, and of the buckets that differ."""
    card_rows: list[dict[str, Any]] = []
    bucket_rows: list[dict[str, Any]] = []
    for before, after in changed:
        card_rows.append(
            {
                "b_project": project_id,
                "b_id": after.id,
                "b_balance": after.balance,
                "b_total": after.total,
                "b_subtracted": after.subtracted,
                "b_redeemed": after.redeemed,
                "b_expired": after.expired,
            }
        )
        known = set(before.buckets)
        bucket_rows.extend(_bucket_row(project_id, after, b, now_ms) for b in after.buckets if b not in known)
    if card_rows:
        connection.execute(_update_card, card_rows)
    if bucket_rows:
        connection.execute(_upsert_buckets[connection.dialect.name], bucket_rows)


def _bucket_row(project_id: int, card: Card, bucket: Bucket, now_ms: int) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "id": bucket.id,
        "voucher_id": card.id,
        "campaign_id": card.campaign_id,
        "points": bucket.points,
        "expires_on": bucket.expires_on,
        "status": bucket.status,
        "created_at": bucket.created_at,
        "updated_at": now_ms,
    }


def insert_movements(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append movement rows as `movement_row` makes them."""
    if rows:
        connection.execute(_insert_movement, rows)


def movement_row(
    project_id: int, seq: int, movement: Any, now_ms: int, movement_id_: str | None = None
) -> dict[str, Any]:
    """A domain Movement as a row of the movements table, with its seq and id."""
    return {
        "project_id": project_id,
        "seq": seq,
        "id": movement_id_ or movement_id(now_ms, seq),
        "voucher_id": movement.card_id,
        "campaign_id": movement.campaign_id,
        "customer_id": movement.customer_id,
        "type": movement.type.value,
        "amount": movement.amount,
        "balance": movement.balance,
        "source": movement.source,
        "source_id": movement.source_id,
        "reason": movement.reason,
        "details": _encode(movement.details).decode(),
        "related_transaction_id": None,
        "lots": _encode(movement.lots).decode() if movement.lots else None,
        "created_at": now_ms if movement.created_at is None else movement.created_at,
        "recorded_at": now_ms,
    }
