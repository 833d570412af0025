"""The unit of writing: one transaction of one project, in which several callers' work may share one commit.

Balance changes stay in memory as immutable cards until the unit needs the database or ends, so a group of postings is
a handful of statements. A piece of work that fails leaves nothing: its cards are dropped, its statements undone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, NestedTransaction
from sqlalchemy.exc import DBAPIError

from counterfoil.clock import iso_date
from counterfoil.db import ledger
from counterfoil.db.schema import idempotency_keys
from counterfoil.domain.cards import Card, check_card, expire_due
from counterfoil.domain.movements import Movement
from counterfoil.errors import Conflict, NotFound

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's key for a write and the hash of what they asked; the same pair gets the first answer again."""

    key: str
    request_hash: str


@dataclass(slots=True)
class _Mark:
    """The unit as it was before the running piece of work: what a refusal brings back."""

    cards: dict[str, tuple[Card, Card]]
    codes: dict[str, str]
    rows: int
    seq: int | None
    seq_stored: int | None


class Unit:
    """What a piece of work sees: the connection, the project, one moment of time, and the cards.

    now_ms is the moment everything is posted at. Work that replays the past may set it, and puts it back when done.
    """

    def __init__(self, connection: Connection, project_id: int, now_ms: int) -> None:
        self._connection = connection
        self.project_id = project_id
        self.now_ms = now_ms
        self._cards: dict[str, tuple[Card, Card]] = {}  # as the database has it, as the unit has it
        self._codes: dict[str, str] = {}
        self._recalled: dict[Hashable, Any] = {}
        self._rows: list[dict[str, Any]] = []
        self._seq: int | None = None
        self._seq_stored: int | None = None
        self._mark: _Mark | None = None
        self._savepoint: NestedTransaction | None = None

    @property
    def today(self) -> str:
        """The UTC date of the unit's moment."""
        return iso_date(self.now_ms)

    @property
    def last_seq(self) -> int:
        """The last movement number given in the project, by this unit or before it."""
        self._lock()
        assert self._seq is not None
        return self._seq

    @property
    def campaign_ids(self) -> set[str]:
        """The campaigns of the cards that the unit has at hand."""
        return {card.campaign_id for _, card in self._cards.values() if card.campaign_id is not None}

    # -- work of several callers ------------------------------------------------------------------------------------

    def run(self, work: Callable[[Unit], T], idempotency: Idempotency | None = None) -> T:
        """Do one caller's work: all of it, or nothing. The answer is remembered with the idempotency key."""
        mark = self._mark = _Mark(dict(self._cards), dict(self._codes), len(self._rows), self._seq, self._seq_stored)
        try:
            answer = self._answer(work, idempotency)
        except BaseException:
            self._undo(mark)
            raise
        finally:
            self._mark = None
        if self._savepoint is not None:
            self._write()
            self._savepoint.commit()
            self._savepoint = None
            self.forget()
        return answer

    def _undo(self, mark: _Mark) -> None:
        if self._savepoint is not None:
            # A connection that broke cannot roll back to the savepoint; its whole transaction is gone anyway.
            with suppress(DBAPIError):
                self._savepoint.rollback()
            self._savepoint = None
            self._seq_stored = mark.seq_stored
            self._recalled = {}
        self._cards, self._codes, self._seq = mark.cards, mark.codes, mark.seq
        del self._rows[mark.rows :]

    def _answer(self, work: Callable[[Unit], T], idempotency: Idempotency | None) -> T:
        if idempotency is None:
            return work(self)
        # The project's lock comes before the look, so that of two equal requests in two processes one sees the other.
        self._lock()
        known = self._recall(idempotency.key)
        if known is not None:
            if known[0] != idempotency.request_hash:
                raise Conflict(
                    "idempotency_key_reused",
                    "This Idempotency-Key was used before for a different request; use a new key",
                    field="Idempotency-Key",
                    value=idempotency.key,
                )
            return known[1]
        answer = work(self)
        self.sql.execute(
            idempotency_keys.insert(),
            {
                "project_id": self.project_id,
                "key": idempotency.key,
                "request_hash": idempotency.request_hash,
                "answer": answer,
                "created_at": self.now_ms,
            },
        )
        return answer

    def _recall(self, key: str) -> tuple[str, Any] | None:
        table = idempotency_keys
        found = self._connection.execute(
            sa.select(table.c.request_hash, table.c.answer).where(
                table.c.project_id == self.project_id, table.c.key == key
            )
        ).one_or_none()
        return None if found is None else (found.request_hash, found.answer)

    # -- the database -----------------------------------------------------------------------------------------------

    @property
    def sql(self) -> Connection:
        """The connection, with every pending balance change written. What is executed here is undone if the work fails."""
        self.flush()
        self._recalled = {}
        return self._connection

    @property
    def peek(self) -> Connection:
        """The same connection as it stands, pending balance changes not written, so that a group stays a few statements.

        Only to look, and only at what balance changes do not touch: campaigns, rules, rewards, customers.
        """
        return self._connection

    def recall(self, key: Hashable, look: Callable[[Connection], T]) -> T:
        """What `look` finds at a peek, looked up once for a group of pieces, until statements may have changed it."""
        if key not in self._recalled:
            self._recalled[key] = look(self.peek)
        return self._recalled[key]

    def flush(self) -> None:
        """Write pending cards and movements."""
        if self._mark is not None and self._savepoint is None:
            self._savepoint = self._begin_savepoint(self._mark)
        self._write()

    def forget(self) -> None:
        """Drop cached cards after statements may have changed their rows; pending changes must be flushed first."""
        assert not self._rows and all(stored is card for stored, card in self._cards.values()), (
            "flush before forgetting"
        )
        self._cards, self._codes, self._recalled = {}, {}, {}

    def _begin_savepoint(self, mark: _Mark) -> NestedTransaction:
        """Set the savepoint between what earlier pieces of work left pending and what this one did, to undo it alone."""
        cards, seq, rows = self._cards, self._seq, self._rows[mark.rows :]
        self._cards, self._seq = mark.cards, mark.seq
        del self._rows[mark.rows :]
        self._write()
        stored = mark.cards
        self._cards = {i: (stored[i][0], card) if i in stored else (old, card) for i, (old, card) in cards.items()}
        self._seq, self._rows = seq, rows
        mark.rows, mark.seq_stored = 0, self._seq_stored
        return self._connection.begin_nested()

    def _write(self) -> None:
        changed = [pair for pair in self._cards.values() if pair[0] is not pair[1]]
        if changed:
            ledger.store_cards(self._connection, self.project_id, changed, self.now_ms)
            for _, card in changed:
                self._cards[card.id] = (card, card)
        if self._rows:
            ledger.insert_movements(self._connection, self._rows)
            self._rows = []
        if self._seq is not None and self._seq != self._seq_stored:
            ledger.store_seq(self._connection, self.project_id, self._seq)
            self._seq_stored = self._seq

    # -- cards and movements ----------------------------------------------------------------------------------------

    def prefetch(self, names: Iterable[str]) -> None:
        """Load many cards, by code or id, in few statements."""
        wanted = {n for n in names if n not in self._codes and n not in self._cards}
        if not wanted:
            return
        self._lock()
        found = ledger.cards_by_code(self._connection, self.project_id, wanted)
        rest = wanted - {card.code for card in found.values()}
        if rest:
            found |= ledger.cards_by_id(self._connection, self.project_id, rest)
        for card in found.values():
            self._keep(card)

    def card(self, name: str) -> Card:
        """A card by code or id, its due points expired already. Raises NotFound, for a removed one too."""
        card = self.kept_card(name)
        if card.removed:
            raise NotFound("voucher", name)
        return card

    def kept_card(self, name: str) -> Card:
        """The same, removed cards by their id as well: for what has to be booked on a card whatever became of it."""
        card_id = self._codes.get(name, name)
        if card_id not in self._cards:
            self.prefetch((name,))
            card_id = self._codes.get(name, name)
        known = self._cards.get(card_id)
        if known is None:
            raise NotFound("voucher", name)
        return self._expired(known[1])

    def find_card(self, name: str) -> Card | None:
        """The same, or None."""
        with suppress(NotFound):
            return self.card(name)
        return None

    def add_card(self, card: Card) -> None:
        """Make a card known whose row this unit has just inserted."""
        self._lock()
        self._keep(card)

    def post(self, cards: Card | tuple[Card, ...], movements: tuple[Movement, ...]) -> list[dict[str, Any]]:
        """Take over cards' new states and append the movements that led there; returns the movement rows."""
        for card in cards if isinstance(cards, tuple) else (cards,):
            check_card(card)
            self._cards[card.id] = (self._cards[card.id][0], card)
        rows = [ledger.movement_row(self.project_id, self.next_seq(), m, self.now_ms) for m in movements]
        for at, movement in enumerate(movements):
            if movement.related is not None:
                rows[at]["related_transaction_id"] = rows[at + movement.related]["id"]
        self._rows.extend(rows)
        return rows

    def next_seq(self) -> int:
        """The next movement number of the project; gaps cannot arise, because a failed unit gives none out."""
        self._lock()
        assert self._seq is not None
        self._seq += 1
        return self._seq

    def next_seqs(self, count: int) -> range:
        """The next `count` movement numbers, for movements that are written in bulk (db.bulk) by the same work."""
        self._lock()
        assert self._seq is not None
        first = self._seq + 1
        self._seq += count
        return range(first, first + count)

    def lock(self) -> None:
        """Take the project's lock now, so that what is read from here on stays true until the transaction ends."""
        self._lock()

    def _lock(self) -> None:
        # The counter's lock comes first and covers every card of the project, so there is no order to deadlock on.
        if self._seq is None:
            self._seq = self._seq_stored = ledger.lock_seq(self._connection, self.project_id)

    def _keep(self, card: Card) -> None:
        self._cards[card.id] = (card, card)
        if not card.removed:  # its code may be another card's by now
            self._codes[card.code] = card.id

    def _expired(self, card: Card) -> Card:
        fresh, movements = expire_due(card, self.today)
        if fresh is not card:
            self.post(fresh, movements)
        return fresh
