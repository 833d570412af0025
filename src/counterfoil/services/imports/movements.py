"""Movements that come in: each card's chain is followed row by row, and what holds is appended in bulk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.dataplane.intake import Block
from counterfoil.db import bulk
from counterfoil.db.schema import movements, vouchers
from counterfoil.db.unit import Unit
from counterfoil.domain import cells
from counterfoil.domain.cards import CardKind
from counterfoil.domain.imports import (
    OPENING,
    ImportedCard,
    follow,
    kind_of,
    open_before,
    open_with,
    opening_movement_id,
    unplaced_bucket_id,
)
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.errors import InvalidInput
from counterfoil.services.imports.report import ImportOptions, Outcome, Refusal

CARDS_MAX = 100_000
"""Cards remembered from one batch to the next, some 130 MB; beyond them all are forgotten and read again as needed."""
BROKEN_MAX = 100_000
FUTURE_MAX_MS = 300_000
"""How far another system's clock may be ahead of this one."""

_CONTENT = bulk.MOVEMENT_CONTENT
_DETAILS = _CONTENT.index("details")
_REASONS_LENGTH_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Read:
    """A block of movements, column by column. bad: reasons by row number, of those that cannot be understood."""

    block: Block
    ids: Sequence[Any]
    contents: Sequence[tuple[Any, ...]]
    campaigns: Sequence[Any]
    customers: Sequence[Any]
    bad: Mapping[int, str]


@dataclass(slots=True)
class _Batch:
    """A batch while it is followed; nothing of it counts before the commit.

    remembered: cards as earlier batches left them. loaded: those read for this one. cards: as this one leaves them.
    broken: cards of which a row was refused, and its line. made: ids of cards that only their movements tell of.
    """

    project_id: int
    now_ms: int
    seq: int
    remembered: dict[str, ImportedCard]
    loaded: dict[str, ImportedCard] = field(default_factory=dict[str, ImportedCard])
    cards: dict[str, ImportedCard] = field(default_factory=dict[str, ImportedCard])
    broken: dict[str, int] = field(default_factory=dict[str, int])
    made: set[str] = field(default_factory=set[str])
    rows: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    refused: list[Refusal] = field(default_factory=list[Refusal])
    known: int = 0
    openings: int = 0

    def append(
        self, movement_id: str, content: tuple[Any, ...], campaign_id: str | None, customer_id: str | None
    ) -> None:
        """Append a movement with the next seq."""
        card_id, kind, amount, balance, created_at, source, source_id, reason, related, details = content
        self.seq += 1
        self.rows.append((
            self.project_id, self.seq, movement_id, card_id, campaign_id, customer_id, kind, amount, balance, source,
            source_id, reason, details, related, None, created_at, self.now_ms,
        ))  # fmt: skip


class MovementImporter:
    """The importer of voucher_transactions and of our own `movement`."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options
        self._cards: dict[str, ImportedCard] = {}
        self._broken: dict[str, int] = {}
        self._seq = -1
        self._earlier: list[int] | None = []

    def read(self, block: Block) -> Read:
        bad: dict[int, str] = {}
        ids = _texts("id", block, bad, cells.ID_LENGTH_MAX, needed=True)
        card_ids = _texts("voucher_id", block, bad, cells.ID_LENGTH_MAX, needed=True)
        kinds = _texts("type", block, bad, cells.ID_LENGTH_MAX, needed=True)
        amounts = self._amounts("amount", block, kinds, bad)
        balances = self._amounts("balance", block, kinds, bad)
        moments = _cells("created_at", block, bad, lambda name, value: cells.instant(name, value, native=block.native),
                          needed=True)  # fmt: skip
        self._look_at_direction(moments)
        texts = [
            _texts(name, block, bad, length_max)
            for name, length_max in (
                ("source", _REASONS_LENGTH_MAX), ("source_id", _REASONS_LENGTH_MAX), ("reason", _REASONS_LENGTH_MAX),
                ("related_transaction_id", cells.ID_LENGTH_MAX),
            )
        ]  # fmt: skip
        details = _documents("details", block, bad)
        contents = list(zip(card_ids, kinds, amounts, balances, moments, *texts, details, strict=True))
        campaigns = _texts("campaign_id", block, bad, cells.ID_LENGTH_MAX)
        customers = _texts("customer_id", block, bad, cells.ID_LENGTH_MAX)
        return Read(block, ids, contents, campaigns, customers, bad)

    def _look_at_direction(self, moments: Sequence[int | None]) -> None:
        """Once there are two different times, the file must not run backwards."""
        if self._earlier is None:
            return
        self._earlier = [*self._earlier[-1:], *(moment for moment in moments if moment is not None)]
        _check_direction(self._earlier)
        if len(set(self._earlier)) > 1:
            self._earlier = None

    def _amounts(self, name: str, block: Block, kinds: Sequence[Any], bad: dict[int, str]) -> Sequence[Any]:
        decimals = self._options.decimals
        if not decimals:
            return _wholes(name, block, bad)
        values: list[Any] = []
        for at, (kind, value) in enumerate(zip(kinds, block.column(name), strict=True)):
            # Points are never shown with digits after the point; an opening balance may be of either.
            digits = 0 if isinstance(kind, str) and kind_of(kind) is CardKind.LOYALTY else decimals
            try:
                values.append(cells.money(name, cells.required(name, value), digits))
            except InvalidInput as error:
                bad.setdefault(at, error.message)
                values.append(None)
        return values

    def apply(self, unit: Unit, given: Read) -> Outcome:
        connection = unit.sql
        unit.lock()
        # The project's last seq tells whether anybody else has posted since the last batch; if not, what is remembered
        # of the cards is still so.
        fresh = unit.last_seq != self._seq
        batch = _Batch(unit.project_id, unit.now_ms, unit.last_seq, {} if fresh else self._cards)
        good = [at for at in range(len(given.ids)) if at not in given.bad]
        stored = bulk.movements_by_id(connection, unit.project_id, (given.ids[at] for at in good))
        unseen = {given.contents[at][0] for at in good} - batch.remembered.keys()
        batch.loaded = _load(connection, unit.project_id, unseen)
        self._follow(batch, given, stored)
        _write(connection, batch)
        unit.next_seqs(len(batch.rows))
        batch.refused.extend(Refusal(line, reason) for line, reason in given.block.flaws)
        batch.refused.sort(key=lambda refusal: refusal.line)
        return Outcome(len(batch.rows) - batch.openings, batch.known, tuple(batch.refused), batch)

    def committed(self, outcome: Outcome) -> None:
        batch: _Batch = outcome.kept
        if batch.remembered is not self._cards or len(self._cards) + len(batch.loaded) > CARDS_MAX:
            self._cards = {}
        self._cards |= batch.loaded
        self._cards |= batch.cards
        self._broken |= batch.broken
        self._seq = batch.seq
        if len(self._broken) > BROKEN_MAX:
            raise InvalidInput(
                "too_many_refused", f"Movements of more than {BROKEN_MAX} cards were refused: the file does not fit"
            )

    # -- the chains -------------------------------------------------------------------------------------------------

    def _follow(self, batch: _Batch, given: Read, stored: dict[str, tuple[Any, ...]]) -> None:
        """Take the rows in the order of the file; what is refused stops its card for the rest of the file."""
        rows = zip(given.block.lines, given.ids, given.contents, given.campaigns, given.customers, strict=True)
        for at, (line, movement_id, content, campaign_id, customer_id) in enumerate(rows):
            reason = given.bad.get(at)
            if reason is None:
                before = stored.get(movement_id)
                if before is None:
                    reason = self._take(batch, movement_id, content, campaign_id, customer_id)
                elif _same(before, content):
                    batch.known += 1
                    continue
                else:
                    reason = _difference(before, content)
            if reason is None:
                stored[movement_id] = content
                continue
            batch.refused.append(Refusal(line, reason, movement_id if isinstance(movement_id, str) else None))
            card_id = content[0]
            if isinstance(card_id, str) and card_id not in self._broken:
                batch.broken.setdefault(card_id, line)

    def _take(
        self,
        batch: _Batch,
        movement_id: str,
        content: tuple[Any, ...],
        campaign_id: str | None,
        customer_id: str | None,
    ) -> str | None:
        """Append one movement; the reason when it cannot be."""
        card_id, kind, amount, balance, created_at = content[:5]
        card = batch.cards.get(card_id)
        reason = self._refused_before(batch, card_id, created_at)
        if card is None and reason is None:
            card, reason = self._card(batch, content, campaign_id)
        if card is None or reason is not None:
            return reason
        if campaign_id is not None and card.campaign_id is not None and campaign_id != card.campaign_id:
            return f"campaign_id is {campaign_id}, and the card belongs to {card.campaign_id}"
        if card.moved:
            reason = follow(card, kind, amount, balance)
        else:
            card = card.copied()
            reason = _begin(batch, card, content)
        if reason is None:
            batch.cards[card_id] = card
            batch.append(movement_id, content, campaign_id or card.campaign_id, customer_id or card.holder_id)
        return reason

    def _refused_before(self, batch: _Batch, card_id: str, created_at: int) -> str | None:
        stopped = self._broken.get(card_id) or batch.broken.get(card_id)
        if stopped is not None:
            return f"an earlier movement of its card was refused (line {stopped})"
        return "created_at lies in the future" if created_at > batch.now_ms + FUTURE_MAX_MS else None

    def _card(
        self, batch: _Batch, content: tuple[Any, ...], campaign_id: str | None
    ) -> tuple[ImportedCard | None, str | None]:
        """The batch's own copy of a card, or the reason why there is none."""
        card_id, kind_name, created_at = content[0], content[1], content[4]
        known = batch.loaded.get(card_id) or batch.remembered.get(card_id)
        if known is not None:
            if known.kind is None:
                return None, f"voucher {card_id} is a discount voucher, which has no balance"
            if known.removed and not self._options.removed_cards:
                return None, f"voucher {card_id} was removed (see --removed-cards)"
            return known.copied(), None
        if not self._options.removed_cards:
            return (
                None,
                f"there is no card {card_id} in this project: import its voucher first (or see --removed-cards)",
            )
        kind = kind_of(kind_name)
        if kind is None:
            return None, f"there is no card {card_id}, and type {kind_name} does not tell what it was"
        batch.made.add(card_id)
        return ImportedCard(card_id, kind, campaign_id, None, created_at, removed=True), None


def _check_direction(moments: Sequence[int]) -> None:
    """Raise InvalidInput for rows that run backwards: their first row would make the last balance an opening one."""
    pairs = pairwise(moments)
    if moments and moments[0] > moments[-1] and all(first >= second for first, second in pairs):
        raise InvalidInput(
            "wrong_direction",
            "The rows run from the newest to the oldest; a card's movements must come in the order they happened: "
            "turn --newest-first on (or off), or export the file in the order created_at",
            field="created_at",
        )


def _begin(batch: _Batch, card: ImportedCard, content: tuple[Any, ...]) -> str | None:
    """The first movement of a card, behind the opening balance that it implies; a reason when it cannot be one."""
    _, kind, amount, balance, created_at = content[:5]
    if kind == OPENING:
        if amount != balance or amount < 0:
            return f"an opening balance must equal the balance, and {amount} is not {balance}"
        open_with(card, amount)
        card.moved = True
        return None
    reason = open_before(card, kind, amount, balance, content[_DETAILS])
    opening = card.balance
    reason = reason or follow(card, kind, amount, balance)
    if reason is None and opening:
        began_at = min(card.created_at, created_at)
        first = (card.id, OPENING, opening, opening, began_at, None, None, None, None, None)
        batch.append(opening_movement_id(card.id), first, card.campaign_id, card.holder_id)
        batch.openings += 1
    return reason


def _same(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    return first == second or (
        first[:_DETAILS] == second[:_DETAILS] and cells.same_document(first[_DETAILS], second[_DETAILS])
    )


def _difference(stored: tuple[Any, ...], given: tuple[Any, ...]) -> str:
    for name, there, here in zip(_CONTENT[:_DETAILS], stored, given, strict=False):
        if there != here:
            return f"a movement with this id is there already, with another {name} ({there!r}, and here {here!r})"
    return "a movement with this id is there already, with other details"


# -- the database -----------------------------------------------------------------------------------------------------


def _load(connection: Connection, project_id: int, card_ids: Collection[str]) -> dict[str, ImportedCard]:
    """The cards with these ids, removed ones and discount vouchers among them."""
    found: dict[str, ImportedCard] = {}
    for row in bulk.cards_by_id(connection, project_id, card_ids):
        kind = CardKind(row.type) if bulk.is_card(row.type) else None
        found[row.id] = ImportedCard(
            row.id, kind, row.campaign_id, row.holder_id, row.created_at, row.balance, row.total, row.subtracted,
            row.redeemed, row.expired, row.last_type is not None, row.last_type == OPENING, row.deleted_at is not None,
        )  # fmt: skip
    loyalty = [card.id for card in found.values() if card.kind is CardKind.LOYALTY and card.balance]
    for card_id, held in bulk.active_buckets(connection, project_id, loyalty).items() if loyalty else ():
        unplaced = unplaced_bucket_id(card_id)
        if any(bucket.points and bucket.id != unplaced for bucket in held):
            found[card_id].buckets = tuple(held)
    return found


_by_card = itemgetter(bulk.MOVEMENT_COLUMNS.index("voucher_id"))
_by_id = attrgetter("id")


def _write(connection: Connection, batch: _Batch) -> None:
    """Append the batch's movements, and bring cards and buckets to where they lead."""
    if batch.made:
        _insert_removed(connection, batch)
    # Neighbours in the index by card, and the cards themselves, are written together: the database finds each page once.
    batch.rows.sort(key=_by_card)
    bulk.insert_rows(connection, movements, bulk.MOVEMENT_COLUMNS, batch.rows)
    changed = sorted(batch.cards.values(), key=_by_id)
    bulk.update_sums(
        connection, batch.project_id,
        [(card.id, card.balance, card.total, card.subtracted, card.redeemed, card.expired) for card in changed],
    )  # fmt: skip
    kept: list[tuple[Any, ...]] = []
    emptied: list[str] = []
    for card in changed:
        if card.kind is not CardKind.LOYALTY:
            continue
        unplaced = unplaced_bucket_id(card.id)
        held = [(unplaced, card.balance, None)]
        if card.buckets is not None:
            held = [(bucket.id, bucket.points, bucket.expires_on) for bucket in card.buckets]
        for bucket_id, points, expires_on in held:
            if not points and bucket_id == unplaced:
                emptied.append(bucket_id)
                continue
            kept.append((
                batch.project_id, bucket_id, card.id, card.campaign_id, points, expires_on, "ACTIVE", batch.now_ms,
                batch.now_ms,
            ))  # fmt: skip
    bulk.upsert_buckets(connection, kept)
    bulk.delete_buckets(connection, batch.project_id, emptied)


_REMOVED_COLUMNS = (
    "project_id", "id", "code", "campaign_id", "type", "balance", "total", "subtracted", "redeemed", "expired", "active",
    "is_referral_code", "redeemed_quantity", "publications_count", "created_at", "updated_at", "deleted_at",
)  # fmt: skip


def _insert_removed(connection: Connection, batch: _Batch) -> None:
    """A removed voucher for each card that only its movements tell of; its code is not known, so its id stands there."""
    rows = [
        (
            batch.project_id, card.id, card.id, card.campaign_id, str(card.kind), 0, 0, 0, 0, 0, False, False, 0, 0,
            card.created_at, batch.now_ms, batch.now_ms,
        )
        for card in batch.cards.values()
        if card.id in batch.made
    ]  # fmt: skip
    bulk.insert_rows(connection, vouchers, _REMOVED_COLUMNS, rows)


# -- cells ------------------------------------------------------------------------------------------------------------

_Reader = Callable[[str, Any], Any]


def _cells(name: str, block: Block, bad: dict[int, str], read: _Reader, *, needed: bool = False) -> list[Any]:
    """A column's values read one by one; what is wrong with one is noted for its row."""
    values: list[Any] = []
    for at, value in enumerate(block.column(name)):
        try:
            values.append(read(name, cells.required(name, value) if needed else value))
        except InvalidInput as error:
            bad.setdefault(at, error.message)
            values.append(None)
    return values


def _texts(name: str, block: Block, bad: dict[int, str], length_max: int, *, needed: bool = False) -> Sequence[Any]:
    """A column of text; looked at as a whole first, since all is well with most."""
    values = block.column(name)
    whole = all(values) if needed else True
    if (
        whole
        and set(map(type, values)) <= {str, NoneType}
        and max(map(len, filter(None, values)), default=0) <= length_max
    ):
        return values
    return _cells(name, block, bad, lambda column, value: cells.read_text(column, value, length_max), needed=needed)


def _wholes(name: str, block: Block, bad: dict[int, str]) -> Sequence[Any]:
    """A column of whole numbers, the same way."""
    values = block.column(name)
    try:
        numbers = list(map(int, values))
    except (TypeError, ValueError):
        numbers = []
    plain = set(map(type, values)) == {int} or list(map(str, numbers)) == values
    if plain and numbers and min(numbers) >= -AMOUNT_MAX and max(numbers) <= AMOUNT_MAX:
        return numbers
    return _cells(name, block, bad, cells.whole, needed=True)


def _documents(name: str, block: Block, bad: dict[int, str]) -> Sequence[Any]:
    """A column of JSON objects as the text they are."""
    values = block.column(name)
    for at, value in enumerate(values):
        try:
            cells.check_object(name, value)
        except InvalidInput as error:
            bad.setdefault(at, error.message)
    return values
