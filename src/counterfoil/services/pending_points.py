"""Pending points: promised by earning rules, activated on their day or by hand, changed or canceled before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.clock import iso_date
from counterfoil.db import earning_rules, postings, projects, vouchers
from counterfoil.db import pending_points as stored
from counterfoil.db.pending_points import PendingQuery, Row
from counterfoil.db.unit import Unit
from counterfoil.domain import cards, expiry
from counterfoil.domain.cards import Card, Origin
from counterfoil.domain.money import checked
from counterfoil.domain.movements import AUTOMATION
from counterfoil.errors import InvalidInput, NotFound, Refused
from counterfoil.services.core import Caller, Core
from counterfoil.services.duty import alone
from counterfoil.services.loyalty import member_row, programme_row
from counterfoil.services.vouchers import API_CHANNEL, points_expire_on

DUTY = "pending_points"
"""The name under which the duty is taken, so that one process at a time does it."""

BATCH = 200
"""Promises kept in one transaction."""


@dataclass(frozen=True, slots=True)
class PendingPage:
    """Which part of a list is wanted. starting_after_id: the last promise seen."""

    limit: int = 10
    descending: bool = True
    starting_after_id: str | None = None


class PendingPointsService:
    """The use-cases of pending points, rows as `db.pending_points.Row`. Members and campaigns as in `LoyaltyService`.

    Changing what is not PENDING any more raises Refused (invalid_pending_points_state).
    """

    def __init__(self, core: Core, batch: int = BATCH) -> None:
        self._core = core
        self._batch = batch

    def of_campaign(self, caller: Caller, campaign: str, page: PendingPage) -> tuple[list[Row], bool]:
        """What is pending on a programme's cards, and whether more follows."""
        with self._core.read() as connection:
            home = programme_row(connection, caller.project_id, campaign)
            return _listed(connection, caller.project_id, page, campaign_id=home["id"])

    def of_member(
        self, caller: Caller, member: str, page: PendingPage, campaign: str | None = None
    ) -> tuple[list[Row], bool]:
        """What is pending on a card, and whether more follows."""
        with self._core.read() as connection:
            row = member_row(connection, caller.project_id, member, campaign)
            return _listed(connection, caller.project_id, page, voucher_id=row["id"])

    def activate(self, caller: Caller, member: str, pending_id: str) -> dict[str, Any]:
        """Make pending points spendable now; the card's balance object."""
        origin = Origin(caller.channel or API_CHANNEL)

        def work(unit: Unit) -> dict[str, Any]:
            card, row = _of_member(unit, member, pending_id)
            cards.check_usable(card, unit.now_ms)
            card = activate_promise(unit, card, row, origin)
            return cards.balance_view(card, row["points"], "MANUAL")

        return self._core.write(caller, work, cards=(member,))

    def adjust(self, caller: Caller, member: str, pending_id: str, points: int) -> dict[str, Any]:
        """Add to pending points, or take away when negative, down to none but not below; the vendor's answer.

        {points: the change, total: what is pending on the card now, …}. Raises InvalidInput for 0, Refused for too few.
        """
        if points == 0:
            raise InvalidInput(
                "invalid_amount", "Amount has to be a valid positive number", field="points", value=points
            )

        def work(unit: Unit) -> dict[str, Any]:
            card, row = _of_member(unit, member, pending_id)
            left = checked(row["points"] + checked(points, "points"), "points")
            if left < 0:
                raise Refused("insufficient_points", "loyalty card points exceeded: more than is pending", field="points",
                              value=points, resource_type="voucher", resource_id=card.code)  # fmt: skip
            stored.update_pending(unit.sql, unit.project_id, pending_id, {"points": left, "updated_at": unit.now_ms})
            return {
                "points": points,
                "total": stored.pending_sum(unit.sql, unit.project_id, card.id),
                "type": "loyalty_card",
                "object": "balance",
                "operation_type": "MANUAL",
                "related_object": {"type": "voucher", "id": card.id},
            }

        return self._core.write(caller, work)

    def cancel(self, caller: Caller, member: str, pending_id: str) -> None:
        """Take a promise back."""

        def work(unit: Unit) -> None:
            _of_member(unit, member, pending_id)
            values = {"status": "CANCELED", "updated_at": unit.now_ms}
            stored.update_pending(unit.sql, unit.project_id, pending_id, values)

        self._core.write(caller, work)

    def run_due(self) -> int:
        """Activate every promise whose day has come, in every project; returns how many, 0 when another process does it.

        A promise to a card that was removed since is canceled.
        """
        return alone(self._core, DUTY, self.batches)

    def batches(self) -> Iterator[int]:
        """The work itself, batch by batch: how many promises each kept. Correct however many go through it at once."""
        with self._core.read() as connection:
            ids = [project.id for project in projects.all_projects(connection)]
        for project_id in ids:
            before = None
            while found := self._due(project_id):
                assert found != before, f"promises of project {project_id} stay due: {found[:3]}"
                yield self._core.writer.run(project_id, lambda unit, ids=tuple(found): _keep_promises(unit, ids))
                before = found

    def _due(self, project_id: int) -> list[str]:
        today = iso_date(self._core.clock.now_ms())
        with self._core.read() as connection:
            return stored.due_ids(connection, project_id, today, self._batch)


def _listed(
    connection: Connection, project_id: int, page: PendingPage, voucher_id: str | None = None, campaign_id: str | None = None
) -> tuple[list[Row], bool]:  # fmt: skip
    after = page.starting_after_id
    if after is not None and stored.find_pending(connection, project_id, after) is None:
        raise InvalidInput("invalid_query_params", f"No pending points have the id {after}", field="starting_after_id",
                           value=after)  # fmt: skip
    query = PendingQuery(voucher_id, campaign_id, page.descending, after, page.limit)
    return stored.list_pending(connection, project_id, query)


def _of_member(unit: Unit, member: str, pending_id: str) -> tuple[Card, Row]:
    unit.lock()
    card = unit.card(member_row(unit.sql, unit.project_id, member, None)["id"])
    row = stored.find_pending(unit.sql, unit.project_id, pending_id)
    if row is None or row["voucher_id"] != card.id:
        raise NotFound("pending_points", pending_id)
    if row["status"] != "PENDING":
        raise Refused("invalid_pending_points_state", f"The points are {row['status']} already",
                      resource_type="pending_points", resource_id=pending_id)  # fmt: skip
    return card, row


def activate_promise(unit: Unit, card: Card, row: Row, origin: Origin) -> Card:
    """Post what was promised; a promise that was adjusted down to nothing is kept without a movement.

    The movement has the source_id and reason of the promise. expires_on of the promise, if it has one, counts.
    """
    if row["points"]:
        about = {"pending_points": {"id": row["id"], "details": row["details"] or {}}}
        expires_on = row["expires_on"] or _last_day(unit, card, row["details"] or {})
        origin = replace(origin, source_id=row["source_id"], reason=row["reason"])
        card, movements = cards.activate(card, row["points"], about, origin, expires_on, unit.now_ms)
        posted = unit.post(card, movements)
        postings.link_promise(unit.sql, unit.project_id, row["id"], posted[0]["seq"], unit.now_ms)
    values = {"status": "ACTIVATED", "updated_at": unit.now_ms}
    stored.update_pending(unit.sql, unit.project_id, row["id"], values)
    return card


def _last_day(unit: Unit, card: Card, details: Mapping[str, Any]) -> str | None:
    """By the rules of what earned the points, when it has its own, else the programme's; counted from activation."""
    rule_id = (details.get("earning_rule") or {}).get("id")
    if rule_id is not None and card.campaign_id is not None:
        rule = earning_rules.find_rule(unit.sql, unit.project_id, card.campaign_id, rule_id)
        if rule is not None and rule["expiration_rules"]:
            return expiry.last_day(rule["expiration_rules"], unit.today)
    return points_expire_on(unit, card)


def _keep_promises(unit: Unit, ids: tuple[str, ...]) -> int:
    unit.lock()
    kept = 0
    for pending_id in ids:
        row = stored.find_pending(unit.sql, unit.project_id, pending_id)
        if row is None or row["status"] != "PENDING":
            continue
        if row["voucher_id"] in vouchers.vouchers_by_id(unit.sql, unit.project_id, (row["voucher_id"],)):
            activate_promise(unit, unit.card(row["voucher_id"]), row, Origin(AUTOMATION))
            kept += 1
        else:
            values = {"status": "CANCELED", "updated_at": unit.now_ms}
            stored.update_pending(unit.sql, unit.project_id, pending_id, values)
    return kept
