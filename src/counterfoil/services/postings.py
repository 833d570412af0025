"""Points that callers accrue and redeem by calls of their own: post, commit, roll back, cancel, and let time out.

The rules stand in `domain.postings`. Every use-case is one transaction under the project's lock, so a hold is committed
or undone once, whoever comes first: its caller, another caller, or the duty that ends holds whose time is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from counterfoil.db import ledger, movements, pending_points, postings, projects
from counterfoil.db.earning_rules import insert_pending
from counterfoil.db.postings import Row
from counterfoil.db.programmes import Currency, Programme, currency_of
from counterfoil.db.unit import Unit
from counterfoil.domain import cards
from counterfoil.domain.cards import Card, Origin
from counterfoil.domain.movements import MovementType
from counterfoil.domain.postings import PostingDraft, PostingKind, PostingStatus, Undone, check_draft, details
from counterfoil.errors import Conflict, InvalidInput, NotFound, Refused
from counterfoil.ids import movement_uuid, new_uuid, random_id, seq_of_movement_uuid
from counterfoil.services.core import Caller, Core
from counterfoil.services.duty import alone
from counterfoil.services.memberships import Matching, find_member
from counterfoil.services.pending_points import activate_promise
from counterfoil.services.programmes import ProgrammeNamed, named_programme
from counterfoil.services.vouchers import API_CHANNEL, points_expire_on

DUTY = "points_holds"
"""The name under which the ending of holds is taken, so that one process at a time does it."""

BATCH = 200
"""Holds ended in one transaction."""

_ACCRUALS = frozenset(
    {MovementType.POINTS_ACCRUAL, MovementType.POINTS_ADDITION, MovementType.PENDING_POINTS_ACTIVATION}
)
_WORDS = {Undone.ROLLED_BACK: "was rolled back", Undone.CANCELED: "was canceled", Undone.TIMED_OUT: "has timed out"}


@dataclass(frozen=True, slots=True)
class PostingNamed:
    """A posting by its transaction id, by its external id, or by both; programme_iid: in which an external id is."""

    transaction_id: str | None = None
    eid: str | None = None
    programme_iid: int | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer to a posting and to what is done with one. balance: what can be spent now, in minor units of scale."""

    transaction_id: str
    balance: int
    scale: int


class PostingService:
    """The use-cases."""

    def __init__(self, core: Core, batch: int = BATCH) -> None:
        self._core = core
        self._batch = batch

    def currency(self, caller: Caller, named: ProgrammeNamed) -> Currency:
        """The programme's currency: what a caller's amounts are counted in. Raises as `named_programme`."""
        with self._core.read() as connection:
            return named_programme(connection, caller.project_id, named).currency

    def post(self, caller: Caller, named: ProgrammeNamed, matching: Matching, draft: PostingDraft) -> Posted:
        """Accrue or redeem points. The same request with the same eid in the same programme answers the first posting.

        Raises InvalidInput, NotFound for programme and member, Refused for a card that cannot be used or has too few
        points, Conflict for an eid that was used for something else.
        """
        key = caller.project.key

        def work(unit: Unit) -> dict[str, Any]:
            unit.lock()
            programme = named_programme(unit.sql, unit.project_id, named)
            card_id = find_member(unit.sql, unit.project_id, programme, matching).card_id
            check_draft(draft, unit.now_ms)
            known = _by_eid(unit, draft.eid, programme.id)
            if known is not None:
                return _answer(unit, _repeated(known, draft, card_id), key)
            _end_due(unit, card_id)
            card = unit.card(card_id)
            cards.check_usable(card, unit.now_ms)
            origin = Origin(caller.channel or API_CHANNEL, draft.eid, draft.description, draft.created_at)
            row = _posted(unit, programme, card, draft, origin)
            if row["eid"] is not None or row["movement_seq"] is None or row["held_until"] is not None:
                postings.insert_posting(unit.sql, row)
            return _answer(unit, row, key)

        return Posted(**self._core.write(caller, work))

    def commit(self, caller: Caller, named: PostingNamed) -> Posted:
        """Make a temporary posting final; doing it again changes nothing. Raises NotFound, Conflict when it is undone."""

        def act(unit: Unit, row: Row) -> Row:
            if row["status"] == PostingStatus.DONE:
                if row["held_until"] is None:
                    raise _refused(row, "is not temporary, so there is nothing to commit")
                return row
            if row["status"] == PostingStatus.UNDONE or row["held_until"] <= unit.now_ms:
                raise _refused(row, _WORDS[Undone(row["undone_because"] or Undone.TIMED_OUT)])
            if row["kind"] == PostingKind.ACCRUAL:
                _keep(unit, row, Origin(caller.channel or API_CHANNEL))
            postings.update_posting(
                unit.sql, unit.project_id, row["id"], {"status": PostingStatus.DONE, "updated_at": unit.now_ms}
            )
            return _again(unit, row)

        return self._settle(caller, named, act)

    def roll_back(self, caller: Caller, named: PostingNamed) -> Posted:
        """Undo a temporary posting; doing it again changes nothing. Raises NotFound, Conflict for a final one."""

        def act(unit: Unit, row: Row) -> Row:
            if row["status"] == PostingStatus.DONE:
                raise _refused(row, "is final; cancel_transaction undoes it")
            return _undo(unit, row, Undone.ROLLED_BACK)

        return self._settle(caller, named, act)

    def cancel(self, caller: Caller, named: PostingNamed) -> Posted:
        """Undo a posting, temporary or final; doing it again changes nothing.

        Raises NotFound, Refused when the points of an accrual are spent already, or for a movement of another kind.
        """
        return self._settle(caller, named, lambda unit, row: _undo(unit, row, Undone.CANCELED))

    def _settle(self, caller: Caller, named: PostingNamed, act: Any) -> Posted:
        key = caller.project.key

        def work(unit: Unit) -> dict[str, Any]:
            unit.lock()
            return _answer(unit, act(unit, _named(unit, named, key)), key)

        return Posted(**self._core.write(caller, work))

    def run_due(self) -> int:
        """End every hold whose time is over, in every project; returns how many. 0 when another process is at it."""
        return alone(self._core, DUTY, self.batches)

    def batches(self) -> Iterator[int]:
        """The work itself, batch by batch: how many holds each ended. Correct however many go through it at once."""
        with self._core.read() as connection:
            ids = [project.id for project in projects.all_projects(connection)]
        for project_id in ids:
            before = None
            while found := self._due(project_id):
                assert found != before, f"holds of project {project_id} stay due: {found[:3]}"
                yield self._core.writer.run(project_id, lambda unit, ids=tuple(found): _end(unit, ids))
                before = found

    def _due(self, project_id: int) -> list[str]:
        now_ms = self._core.clock.now_ms()
        with self._core.read() as connection:
            return [row["id"] for row in postings.due_postings(connection, project_id, now_ms, self._batch)]


# -- posting ----------------------------------------------------------------------------------------------------------


def _by_eid(unit: Unit, eid: str | None, campaign_id: str) -> Row | None:
    if eid is None:
        return None
    found = postings.postings_by_eid(unit.sql, unit.project_id, eid)
    return next((row for row in found if row["campaign_id"] == campaign_id), None)


def _repeated(known: Row, draft: PostingDraft, card_id: str) -> Row:
    if known["fingerprint"] != draft.fingerprint(card_id):
        raise Conflict(
            "duplicate_eid",
            f"{draft.eid!r} was used for another transaction; use a new one",
            field="transaction_eid",
            value=draft.eid,
        )
    if known["status"] == PostingStatus.UNDONE:
        raise _refused(known, f"{_WORDS[Undone(known['undone_because'])]}; use a new transaction_eid to post it again")
    return known


def _posted(unit: Unit, programme: Programme, card: Card, draft: PostingDraft, origin: Origin) -> Row:
    """Take or give the points, or promise them; the posting's row, not stored yet."""
    row: Row = {
        "project_id": unit.project_id,
        "id": new_uuid(),
        "campaign_id": programme.id,
        "voucher_id": card.id,
        "eid": draft.eid,
        "kind": draft.kind.value,
        "points": draft.points,
        "status": PostingStatus.DONE.value if draft.hold_s is None else PostingStatus.HELD.value,
        "undone_because": None,
        "fingerprint": draft.fingerprint(card.id),
        "movement_seq": None,
        "pending_id": None,
        "activates_on": draft.activates_on(unit.now_ms),
        "held_until": None if draft.hold_s is None else unit.now_ms + draft.hold_s * 1000,
        "created_at": unit.now_ms,
        "updated_at": None,
    }
    if draft.kind is PostingKind.REDEMPTION:
        posted = cards.redeem(card, draft.points, details(draft, None), origin)
        row["movement_seq"] = unit.post(*posted)[0]["seq"]
    elif draft.hold_s is None and row["activates_on"] is None:
        expires_on = draft.expires_on or points_expire_on(unit, card)
        posted = cards.accrue(card, draft.points, details(draft, expires_on), expires_on, unit.now_ms, origin)
        row["movement_seq"] = unit.post(*posted)[0]["seq"]
    else:
        row["pending_id"] = _promise(unit, card, draft, origin, None if draft.hold_s else row["activates_on"])
    return row


def _promise(unit: Unit, card: Card, draft: PostingDraft, origin: Origin, activates_on: str | None) -> str:
    """Promise an accrual's points. activates_on: their day; None while only a commit brings them."""
    pending_id = random_id("lopp_")
    row = {
        "project_id": unit.project_id,
        "id": pending_id,
        "voucher_id": card.id,
        "campaign_id": card.campaign_id,
        "customer_id": card.holder_id,
        "points": draft.points,
        "status": "PENDING",
        "activates_on": activates_on,
        "expires_on": draft.expires_on,
        "source": origin.source,
        "source_id": origin.source_id,
        "reason": origin.reason,
        "details": details(draft, draft.expires_on),
        "created_at": unit.now_ms,
    }
    insert_pending(unit.sql, [row])
    return pending_id


# -- settling ---------------------------------------------------------------------------------------------------------


def _named(unit: Unit, named: PostingNamed, key: str) -> Row:
    """The posting that is meant; a movement that was posted without one gets its row here."""
    by_id = None if named.transaction_id is None else _by_transaction_id(unit, named.transaction_id, key)
    if named.eid is None:
        if by_id is None:
            raise InvalidInput("missing_parameter", "is required, or transaction_eid", field="transaction_id")
        return by_id
    found = postings.postings_by_eid(unit.sql, unit.project_id, named.eid)
    if named.programme_iid is not None:
        wanted = _programme_ids(unit, found)
        found = [row for row in found if wanted.get(row["campaign_id"]) == named.programme_iid]
    if not found:
        raise NotFound(
            "transaction", named.eid, f"There is no transaction with the transaction_eid {named.eid!r}; send its transaction_id"
        )  # fmt: skip
    if len(found) > 1:
        raise Conflict(
            "ambiguous_eid",
            f"{named.eid!r} is a transaction in several programmes; send loyalty_program_id too",
            field="transaction_eid",
        )
    if by_id is not None and by_id["id"] != found[0]["id"]:
        raise InvalidInput(
            "conflicting_ids", "is another transaction than transaction_id; send one of them", field="transaction_eid"
        )
    return found[0]


def _programme_ids(unit: Unit, found: list[Row]) -> dict[str, int]:
    currencies = {row["campaign_id"]: currency_of(unit.sql, unit.project_id, row["campaign_id"]) for row in found}
    return {campaign_id: currency.iid for campaign_id, currency in currencies.items() if currency is not None}


def _by_transaction_id(unit: Unit, transaction_id: str, key: str) -> Row:
    seq = seq_of_movement_uuid(key, transaction_id)
    if seq is None:
        row = postings.posting_by_id(unit.sql, unit.project_id, transaction_id)
        if row is not None:
            return row
    elif seq <= ledger.last_seq(unit.sql, unit.project_id):
        row = postings.posting_of_movement(unit.sql, unit.project_id, seq)
        return row if row is not None else _of_movement(unit, seq, transaction_id)
    raise NotFound("transaction", transaction_id, f"There is no transaction {transaction_id!r}")


def _of_movement(unit: Unit, seq: int, transaction_id: str) -> Row:
    movement = movements.movement_at(unit.sql, unit.project_id, seq)
    assert movement is not None, seq
    kind = MovementType(movement["type"])
    if kind is MovementType.OPENING_BALANCE:
        raise NotFound("transaction", transaction_id, f"There is no transaction {transaction_id!r}")
    about: dict[str, Any] = msgspec.json.decode(movement["details"] or "{}")
    if kind is MovementType.POINTS_REDEMPTION and "redemption" not in about:
        wanted = PostingKind.REDEMPTION
    elif kind in _ACCRUALS:
        wanted = PostingKind.ACCRUAL
    else:
        redemption = about.get("redemption")
        hint = f"; it belongs to redemption {redemption['id']}" if isinstance(redemption, Mapping) else ""
        raise Refused(
            "invalid_transaction", f"Transaction {transaction_id} is a {kind}, which cannot be undone here{hint}"
        )
    row: Row = {
        "project_id": unit.project_id,
        "id": new_uuid(),
        "campaign_id": movement["campaign_id"],
        "voucher_id": movement["voucher_id"],
        "eid": None,
        "kind": wanted.value,
        "points": abs(movement["amount"]),
        "status": PostingStatus.DONE.value,
        "undone_because": None,
        "fingerprint": None,
        "movement_seq": seq,
        "pending_id": None,
        "activates_on": None,
        "held_until": None,
        "created_at": unit.now_ms,
        "updated_at": None,
    }
    postings.insert_posting(unit.sql, row)
    return row


def _keep(unit: Unit, row: Row, origin: Origin) -> None:
    """Keep the promise of a temporary accrual: now, or on its day."""
    pending = pending_points.find_pending(unit.sql, unit.project_id, row["pending_id"])
    if pending is None or pending["status"] == "CANCELED":
        raise _refused(row, "was canceled with the points it had promised")
    if pending["status"] == "ACTIVATED":
        return
    if row["activates_on"] is not None and row["activates_on"] > unit.today:
        values = {"activates_on": row["activates_on"], "updated_at": unit.now_ms}
        pending_points.update_pending(unit.sql, unit.project_id, pending["id"], values)
        return
    activate_promise(unit, unit.kept_card(row["voucher_id"]), pending, origin)


def _undo(unit: Unit, row: Row, why: Undone) -> Row:
    if row["status"] == PostingStatus.UNDONE:
        return row
    if row["pending_id"] is not None and _take_promise_back(unit, row["pending_id"]):
        pass
    elif row["movement_seq"] is not None:
        _reverse(unit, row, why)
    values = {"status": PostingStatus.UNDONE.value, "undone_because": why.value, "updated_at": unit.now_ms}
    postings.update_posting(unit.sql, unit.project_id, row["id"], values)
    return _again(unit, row)


def _take_promise_back(unit: Unit, pending_id: str) -> bool:
    """Whether the points were still only promised."""
    pending = pending_points.find_pending(unit.sql, unit.project_id, pending_id)
    if pending is None or pending["status"] != "PENDING":
        return False
    values = {"status": "CANCELED", "updated_at": unit.now_ms}
    pending_points.update_pending(unit.sql, unit.project_id, pending_id, values)
    return True


def _reverse(unit: Unit, row: Row, why: Undone) -> None:
    """Post the movement that undoes a movement: what was spent returns to its buckets, what was given is taken."""
    movement = movements.movement_at(unit.sql, unit.project_id, row["movement_seq"])
    assert movement is not None, row
    card = unit.kept_card(row["voucher_id"])
    origin = Origin(API_CHANNEL, row["eid"], f"{why.lower().replace('_', ' ')}: {movement['id']}")
    if row["kind"] == PostingKind.ACCRUAL:
        unit.post(*cards.remove(card, movement["amount"], origin))
        return
    spent = -movement["amount"]
    lots = tuple((str(bucket), int(points)) for bucket, points in msgspec.json.decode(movement["lots"] or "[]"))
    if -sum(points for _, points in lots) != spent:
        lots = (("", -spent),)  # an imported movement does not say which points it spent
    expired_to = points_expire_on(unit, card)
    unit.post(
        *cards.refund(card, lots, spent, {"transaction": {"id": movement["id"]}}, origin, expired_to, unit.now_ms)
    )


# -- the end of holds ---------------------------------------------------------------------------------------------------


def _end_due(unit: Unit, card_id: str) -> None:
    """End what is held on a card past its time, so that its points can be spent at once."""
    due = [
        row for row in postings.held_postings(unit.sql, unit.project_id, card_id) if row["held_until"] <= unit.now_ms
    ]
    for row in due:
        _time_out(unit, row)


def _end(unit: Unit, ids: tuple[str, ...]) -> int:
    unit.lock()
    ended = 0
    for posting_id in ids:
        row = postings.posting_by_id(unit.sql, unit.project_id, posting_id)
        if row is not None and row["status"] == PostingStatus.HELD and row["held_until"] <= unit.now_ms:
            _time_out(unit, row)
            ended += 1
    return ended


def _time_out(unit: Unit, row: Row) -> None:
    """End a hold; an accrual whose promise somebody has kept meanwhile, by hand, is final."""
    if row["kind"] == PostingKind.ACCRUAL and row["movement_seq"] is not None:
        values = {"status": PostingStatus.DONE.value, "updated_at": unit.now_ms}
        postings.update_posting(unit.sql, unit.project_id, row["id"], values)
    else:
        _undo(unit, row, Undone.TIMED_OUT)


# -- answers ----------------------------------------------------------------------------------------------------------


def _again(unit: Unit, row: Row) -> Row:
    found = postings.posting_by_id(unit.sql, unit.project_id, row["id"])
    assert found is not None, row
    return found


def _answer(unit: Unit, row: Row, key: str) -> dict[str, Any]:
    """transaction_id: the movement's UUID, or the posting's own while its points are only promised."""
    seq = row["movement_seq"]
    currency = None if row["campaign_id"] is None else currency_of(unit.sql, unit.project_id, row["campaign_id"])
    return {
        "transaction_id": row["id"] if seq is None else movement_uuid(key, seq),
        "balance": unit.kept_card(row["voucher_id"]).balance,
        "scale": 0 if currency is None else currency.scale,
    }


def _refused(row: Row, what: str) -> Conflict:
    name = f"transaction_eid {row['eid']!r}" if row["eid"] is not None else "The transaction"
    return Conflict("transaction_settled", f"{name} {what}")
