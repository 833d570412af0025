"""What a member's points account holds: its balance, its transactions, what will expire (Altcraft, facts 7 and 8)."""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil.clock import iso_date
from counterfoil.db import buckets, ledger, pending_points, postings
from counterfoil.db.movements import MovementQuery, Row, list_movements, movement_at
from counterfoil.db.programmes import Programme
from counterfoil.domain.cards import expire_due
from counterfoil.domain.postings import PostingKind
from counterfoil.errors import InvalidInput, NotFound
from counterfoil.ids import seq_of_movement_uuid
from counterfoil.services.core import Caller, Core
from counterfoil.services.memberships import Matching, find_member
from counterfoil.services.programmes import ProgrammeNamed, named_programme


@dataclass(frozen=True, slots=True)
class Balance:
    """active: what can be spent now. total: besides, what is promised and what temporary redemptions have set aside.

    In minor units of scale.
    """

    active: int
    total: int
    scale: int


@dataclass(frozen=True, slots=True)
class AccountTransactions:
    """Movements of a card in the order of their posting, and the programme that tells how to show them."""

    rows: tuple[Row, ...]
    programme: Programme


class PointAccountService:
    """The use-cases; all raise NotFound for programme and member, and InvalidInput for the currency."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def balance(self, caller: Caller, named: ProgrammeNamed, matching: Matching) -> Balance:
        """What the account holds now: points past their day and holds past their time do not count, ended or not."""
        now_ms = self._core.clock.now_ms()
        project_id = caller.project_id
        with self._core.read() as connection:
            programme = named_programme(connection, project_id, named)
            card_id = find_member(connection, project_id, programme, matching).card_id
            stored = ledger.cards_by_id(connection, project_id, [card_id])[card_id]
            promised = pending_points.pending_sum(connection, project_id, card_id)
            held = postings.held_postings(connection, project_id, card_id)
        card, _ = expire_due(stored, iso_date(now_ms))
        over = [row for row in held if row["held_until"] <= now_ms]
        active = card.balance + _points(over, PostingKind.REDEMPTION)
        waiting = promised - _points(over, PostingKind.ACCRUAL)
        aside = _points([row for row in held if row not in over], PostingKind.REDEMPTION)
        return Balance(active, active + waiting + aside, programme.currency.scale)

    def transactions(
        self, caller: Caller, named: ProgrammeNamed, matching: Matching, after_id: str | None, limit: int
    ) -> AccountTransactions:
        """The account's transactions behind after_id, at most `limit`. Raises NotFound for an after_id unknown here."""
        project_id = caller.project_id
        with self._core.read() as connection:
            programme = named_programme(connection, project_id, named)
            card_id = find_member(connection, project_id, programme, matching).card_id
            after_seq = None
            if after_id is not None:
                after_seq = seq_of_movement_uuid(caller.project.key, after_id)
                known = after_seq is not None and after_seq <= ledger.last_seq(connection, project_id)
                found = movement_at(connection, project_id, after_seq) if known and after_seq is not None else None
                if found is None or found["voucher_id"] != card_id:
                    raise NotFound(
                        "transaction", after_id, f"from_id: {after_id!r} is the id of no transaction of this account"
                    )
            query = MovementQuery(voucher_id=card_id, descending=False, after_seq=after_seq, limit=limit)
            rows, _ = list_movements(connection, project_id, query)
        return AccountTransactions(tuple(rows), programme)

    def expiring(
        self, caller: Caller, named: ProgrammeNamed, matching: Matching, from_ms: int, to_ms: int
    ) -> tuple[int, int]:
        """(points, scale): those whose last day of use lies in the period, of what the account holds now."""
        if from_ms > to_ms:
            raise InvalidInput("reversed_period", "is after date_to", field="date_from", value=from_ms)
        today = iso_date(self._core.clock.now_ms())
        with self._core.read() as connection:
            programme = named_programme(connection, caller.project_id, named)
            card_id = find_member(connection, caller.project_id, programme, matching).card_id
            first = max(iso_date(from_ms), today)
            points = buckets.points_expiring(connection, caller.project_id, card_id, first, iso_date(to_ms))
        return points, programme.currency.scale


def _points(rows: list[postings.Row], kind: PostingKind) -> int:
    return sum(row["points"] for row in rows if row["kind"] == kind)
