"""What must always hold of a ledger, read from its rows alone and worked out in plain Python."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import buckets, counters, movements, redemptions, vouchers

_SPENT = {"CREDITS_REDEMPTION", "CREDITS_REFUND", "POINTS_REDEMPTION", "POINTS_REFUND"}


def ledger_faults(connection: Connection, project_id: int) -> list[str]:
    """Everything wrong with a project's ledger, as sentences; none when it holds together.

    seq has no gap and ends at the counter; on each card, balances are a chain that ends at the card's balance, and its
    columns follow from the movements by type; buckets hold what the movements' lots say; transfers cancel out and name
    each other; every spending and refund belongs to a redemption or rollback that says the same, and the other way round.
    """
    rows = connection.execute(
        sa.select(movements).where(movements.c.project_id == project_id).order_by(movements.c.seq)
    ).all()
    cards = connection.execute(
        sa.select(vouchers).where(vouchers.c.project_id == project_id, vouchers.c.type != "DISCOUNT_VOUCHER")
    ).all()
    last = connection.execute(
        sa.select(counters.c.movement_seq).where(counters.c.project_id == project_id)
    ).scalar_one()
    faults = [] if [row.seq for row in rows] == list(range(1, last + 1)) else [f"seq has a gap before {last}"]
    by_card: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_card[row.voucher_id].append(row)
    for card in cards:
        faults += _card_faults(card, by_card.pop(card.id, []))
    faults += [f"movements of a card that is not there: {card_id}" for card_id in by_card]
    faults += _bucket_faults(connection, project_id, rows, {card.id: card for card in cards})
    faults += _transfer_faults(rows)
    return faults + _redemption_faults(connection, project_id, rows)


def _card_faults(card: Any, rows: list[Any]) -> list[str]:
    faults: list[str] = []
    balance, sums = 0, Counter[str]()
    for row in rows:
        balance += row.amount
        sums[row.type] += row.amount
        details = json.loads(row.details)
        if row.balance != balance or details["balance"]["balance"] != balance or balance < 0 or row.amount == 0:
            faults.append(f"{card.code}: the chain breaks at seq {row.seq}")
    removed = -(sums["CREDITS_REMOVAL"] + sums["POINTS_REMOVAL"])
    spent = -sum(sums[kind] for kind in _SPENT)
    expired = -sums["POINTS_EXPIRATION"]
    expected = (balance, balance + spent + expired, removed, spent, expired)
    stored = (card.balance, card.total, card.subtracted, card.redeemed, card.expired)
    if stored != expected:
        faults.append(f"{card.code}: columns {stored} are not what its movements say {expected}")
    return faults


def _bucket_faults(connection: Connection, project_id: int, rows: list[Any], cards: dict[str, Any]) -> list[str]:
    held, expired = Counter[str](), Counter[str]()
    faults: list[str] = []
    for row in rows:
        lots = json.loads(row.lots or "[]")
        if cards[row.voucher_id].type == "LOYALTY_CARD" and sum(points for _, points in lots) != row.amount:
            faults.append(f"the lots of seq {row.seq} do not sum to its amount")
        for bucket, points in lots:
            held[bucket] += points
            if row.type == "POINTS_EXPIRATION":
                expired[bucket] -= points
    sums = Counter[str]()
    for bucket in connection.execute(sa.select(buckets).where(buckets.c.project_id == project_id)):
        lives = bucket.status == "ACTIVE"
        if bucket.points != (held[bucket.id] if lives else expired[bucket.id]) or (held[bucket.id] and not lives):
            faults.append(f"bucket {bucket.id} holds {bucket.points}, its movements say {held[bucket.id]}")
        sums[bucket.voucher_id] += bucket.points if lives else 0
        held.pop(bucket.id, None)
    faults += [f"movements name a bucket that is not there: {bucket}" for bucket in held]
    for card in cards.values():
        if card.type == "LOYALTY_CARD" and sums[card.id] != card.balance:
            faults.append(f"{card.code}: active buckets sum to {sums[card.id]}, the balance is {card.balance}")
    return faults


def _transfer_faults(rows: list[Any]) -> list[str]:
    by_id = {row.id: row for row in rows}
    faults: list[str] = []
    for row in rows:
        if not row.type.startswith("POINTS_TRANSFER"):
            continue
        other = by_id.get(row.related_transaction_id)
        if other is None or other.related_transaction_id != row.id or other.amount != -row.amount:
            faults.append(f"the transfer at seq {row.seq} has no match")
    return faults


def _redemption_faults(connection: Connection, project_id: int, rows: list[Any]) -> list[str]:
    told = {
        row.movement_id: row
        for row in connection.execute(sa.select(redemptions).where(redemptions.c.project_id == project_id))
        if row.movement_id is not None
    }
    faults: list[str] = []
    for row in rows:
        if row.type not in _SPENT:
            continue
        about = told.pop(row.id, None)
        amount = None if about is None else about.amount
        if amount != -row.amount or about.voucher_id != row.voucher_id:
            faults.append(f"seq {row.seq} ({row.type}, {row.amount}) belongs to no redemption of that amount")
    return faults + [f"{row.id} names a movement that is not there" for row in told.values()]
