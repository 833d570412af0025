"""Loyalty programmes from the member's side: their card, its points, when these expire, moving them to another card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.clock import iso_date
from counterfoil.db import buckets, rewards, vouchers
from counterfoil.db.campaigns import campaign_row
from counterfoil.db.unit import Unit
from counterfoil.db.vouchers import Row, VoucherQuery
from counterfoil.domain import cards
from counterfoil.domain.campaigns import CampaignType
from counterfoil.domain.cards import Card, CardKind, Origin
from counterfoil.domain.publications import PublicationDraft
from counterfoil.errors import InvalidInput, NotFound, Refused
from counterfoil.services.core import Caller, Core
from counterfoil.services.publications import PublicationService
from counterfoil.services.vouchers import API_CHANNEL, points_expire_on, stored_row

TRANSFER_SOURCES_MAX = 100


class PointsExpiry(StrEnum):
    """How points that are added by hand expire (Voucherify: Adjust Loyalty Card Balance)."""

    PROGRAM_RULES = "PROGRAM_RULES"
    CUSTOM_DATE = "CUSTOM_DATE"
    NON_EXPIRING = "NON_EXPIRING"


@dataclass(frozen=True, slots=True)
class PointsChange:
    """Points to add to a card, or to take away when negative.

    expiry: None means CUSTOM_DATE when expires_on is given, else PROGRAM_RULES. expires_on: last day of use, ISO date.
    """

    points: int
    expiry: PointsExpiry | None = None
    expires_on: str | None = None
    source_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PointsSource:
    """A card, by code, that points (> 0) are moved from; the caller's own id for it and their reason."""

    code: str
    points: int
    source_id: str | None = None
    reason: str | None = None


class LoyaltyService:
    """The use-cases of members: loyalty cards by code or id. campaign, where given: id or name of the card's programme.

    All raise NotFound for a card that is none, or is another programme's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._publications = PublicationService(core)

    def get_programme(self, caller: Caller, campaign: str) -> dict[str, Any]:
        """The programme's row. Raises NotFound, for campaigns of other types too."""
        with self._core.read() as connection:
            return programme_row(connection, caller.project_id, campaign)

    def add_member(self, caller: Caller, campaign: str, draft: PublicationDraft) -> Row:
        """Give a customer a card of the programme: the one the draft names, a free one, or a new one; the card's row.

        It is a publication (see `PublicationService.publish`), whose refusals are kept and raised.
        """
        with self._core.read() as connection:
            home = programme_row(connection, caller.project_id, campaign)
            if draft.voucher is not None:
                member_row(connection, caller.project_id, draft.voucher, home["id"])
        published = self._publications.publish(caller, replace(draft, campaign=home["id"]))
        return published["its_vouchers"][0]

    def get_member(self, caller: Caller, member: str, campaign: str | None = None) -> Row:
        """The card, as `db.vouchers.with_points` gives it."""
        with self._core.read() as connection:
            row = member_row(connection, caller.project_id, member, campaign)
            return vouchers.with_points(connection, caller.project_id, [row])[0]

    def list_members(self, caller: Caller, campaign: str, query: VoucherQuery) -> tuple[list[Row], int]:
        """A page of a programme's cards and how many there are; the query's campaign_id is set here."""
        with self._core.read() as connection:
            found = programme_row(connection, caller.project_id, campaign)
            rows, total = vouchers.list_vouchers(connection, caller.project_id, within(query, found["id"]))
            return vouchers.with_points(connection, caller.project_id, rows), total

    def change_points(
        self, caller: Caller, member: str, change: PointsChange, campaign: str | None = None
    ) -> dict[str, Any]:
        """Add or take away points by hand; the vendor's balance object with `points` (facts 3.3).

        Raises InvalidInput for 0 points, or an expiry that is past or not said; Refused for a card that cannot be used,
        that nobody holds, or that has too few points.
        """
        origin = Origin(caller.channel or API_CHANNEL, change.source_id, change.reason)

        def work(unit: Unit) -> dict[str, Any]:
            card = held_member(unit, member, campaign)
            if change.points < 0:
                card, movements = cards.remove(card, -change.points, origin)
            else:
                expires_on = _expires_on(unit, card, change)
                card, movements = cards.add(card, change.points, origin, expires_on, unit.now_ms)
            unit.post(card, movements)
            return cards.balance_view(card, change.points, "MANUAL")

        return self._core.write(caller, work, cards=(member,))

    def transfer(self, caller: Caller, campaign: str, member: str, sources: Sequence[PointsSource]) -> Row:
        """Move points from other cards to the member's, all or none; the receiving card's row (facts 3.3).

        The points expire by the receiving programme's rules. Raises InvalidInput, Refused as `change_points` does.
        """
        if not sources or len(sources) > TRANSFER_SOURCES_MAX:
            raise InvalidInput("invalid_payload", f"Payload must have 1 to {TRANSFER_SOURCES_MAX} items", field="")

        def work(unit: Unit) -> Row:
            taker = held_member(unit, member, campaign)
            expires_on = points_expire_on(unit, taker)
            for source in sources:
                giver, taker = held_member(unit, source.code), unit.card(taker.id)
                origin = Origin(caller.channel or API_CHANNEL, source.source_id, source.reason)
                giver, taker, movements = cards.transfer(giver, taker, source.points, origin, expires_on, unit.now_ms)
                unit.post((giver, taker), movements)
            return stored_row(unit, taker.id)

        return self._core.write(caller, work, cards=(member, *(source.code for source in sources)))

    def points_expiration(
        self, caller: Caller, campaign: str, member: str, *, limit: int = 10, page: int = 1
    ) -> tuple[list[buckets.Row], int]:
        """A page of the card's buckets that can still be spent, soonest expiry first, and how many there are."""
        with self._core.read() as connection:
            row = member_row(connection, caller.project_id, member, campaign)
            today = iso_date(self._core.clock.now_ms())
            return buckets.list_active(connection, caller.project_id, row["id"], today, limit, page)

    def member_rewards(
        self, caller: Caller, member: str, *, affordable_only: bool = False
    ) -> list[tuple[rewards.Row, rewards.Row]]:
        """What the card's points can be spent on: (reward, assignment) pairs. affordable_only: with the points it has."""
        with self._core.read() as connection:
            row = member_row(connection, caller.project_id, member, None)
            if row["campaign_id"] is None:
                return []
            found, _ = rewards.list_assignments(
                connection, caller.project_id, _REWARDS_MAX, 1, campaign_id=row["campaign_id"]
            )
            offered = rewards.rewards_by_id(connection, caller.project_id, [each["reward_id"] for each in found])
            return [
                (offered[each["reward_id"]], each)
                for each in found
                if not affordable_only or each["points"] <= row["balance"]
            ]


_REWARDS_MAX = 1000


def programme_row(connection: Connection, project_id: int, campaign: str) -> dict[str, Any]:
    """The loyalty programme with that id or name. Raises NotFound, for other campaigns too."""
    row = campaign_row(connection, project_id, campaign)
    if row["campaign_type"] != CampaignType.LOYALTY:
        raise NotFound("campaign", campaign)
    return row


def member_row(connection: Connection, project_id: int, member: str, campaign: str | None) -> Row:
    """The live loyalty card with that code or id, of that programme (id or name) when one is named. Raises NotFound."""
    home = None if campaign is None else programme_row(connection, project_id, campaign)
    row = vouchers.find_voucher(connection, project_id, member)
    if row is None or row["type"] != CardKind.LOYALTY or (home is not None and row["campaign_id"] != home["id"]):
        raise NotFound("voucher", member)
    return row


def held_member(unit: Unit, member: str, campaign: str | None = None) -> Card:
    """A loyalty card that may be used now and that somebody holds. Raises NotFound, Refused."""
    card = unit.find_card(member)
    if card is None or card.kind is not CardKind.LOYALTY or campaign is not None:
        # Not a loyalty card, or with a programme to look up.
        card = unit.card(member_row(unit.peek, unit.project_id, member, campaign)["id"])
    cards.check_usable(card, unit.now_ms)
    if card.holder_id is None:
        raise Refused("invalid_add_balance_params", "The loyalty card must be assigned to a holder",
                      resource_type="voucher", resource_id=card.code)  # fmt: skip
    return card


def within(query: VoucherQuery, campaign_id: str) -> VoucherQuery:
    """The query, within one campaign."""
    return replace(query, campaign_id=campaign_id)


def _expires_on(unit: Unit, card: Card, change: PointsChange) -> str | None:
    expiry = change.expiry or (PointsExpiry.CUSTOM_DATE if change.expires_on else PointsExpiry.PROGRAM_RULES)
    if expiry is PointsExpiry.NON_EXPIRING:
        return None
    if expiry is PointsExpiry.PROGRAM_RULES:
        return points_expire_on(unit, card)
    if change.expires_on is None:
        raise InvalidInput("invalid_expiration_date", "An expiration date is needed with CUSTOM_DATE",
                           field="expiration_date")  # fmt: skip
    if change.expires_on < unit.today:
        raise InvalidInput("invalid_expiration_date", "Expiration date cannot be set in the past",
                           field="expiration_date", value=change.expires_on)  # fmt: skip
    return change.expires_on
