"""Members of a loyalty programme by what is known of them, and how somebody becomes one (Altcraft, facts 7 and 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.engine import Connection

from counterfoil.clock import iso_ms
from counterfoil.db import memberships
from counterfoil.db.programmes import Programme
from counterfoil.db.unit import Unit
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.publications import PublicationDraft
from counterfoil.errors import Conflict, NotFound
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import upsert_customer
from counterfoil.services.programmes import plain_programme
from counterfoil.services.publications import publish

MatchBy = Literal["email", "phone", "profile_id", "custom"]
SOURCE_ID = "source_id"


@dataclass(frozen=True, slots=True)
class Matching:
    """Whom a call is about. field: with `custom`, `source_id` or the name of a metadata property."""

    by: MatchBy
    value: str
    field: str = SOURCE_ID

    @property
    def column(self) -> str:
        """What is compared, as `db.memberships` names it."""
        if self.by == "profile_id":
            return "id"
        if self.by == "custom":
            return SOURCE_ID if self.field == SOURCE_ID else f"metadata.{self.field}"
        return self.by

    def __str__(self) -> str:
        name = self.field if self.by == "custom" else self.by
        return f"{name} {self.value!r}"


@dataclass(frozen=True, slots=True)
class Member:
    """A customer and their card in a programme, by id. Of several cards the oldest counts, as it does for earning."""

    customer_id: str
    card_id: str


def find_member(connection: Connection, project_id: int, programme: Programme, matching: Matching) -> Member:
    """The member of the programme who is meant.

    Raises NotFound for nobody and for who is no member, Conflict when it could be several members.
    """
    known = memberships.customers_with(connection, project_id, matching.column, matching.value)
    if not known:
        raise NotFound("profile", matching.value, f"There is no profile with {matching}")
    cards = memberships.held_cards(connection, project_id, programme.id, known)
    if not cards:
        raise NotFound(
            "member",
            matching.value,
            f"The profile with {matching} is no member of programme {programme.iid}; "
            "POST /api/v1.1/loyalty/register_member makes it one",
        )
    if len(cards) > 1:
        raise _several(matching)
    return Member(*cards.popitem())


class MembershipService:
    """The use-case of becoming a member."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, caller: Caller, programme_iid: int, matching: Matching, registered_at: int | None = None) -> str:
        """Give the customer a card of the programme, unless they hold one; their id.

        Whoever is not known yet is made, but by a profile_id. registered_at: ms, kept with the publication. Raises
        NotFound for the programme and a profile_id, Conflict when it could be several customers, Refused when the
        programme gives out no cards now.
        """

        def work(unit: Unit) -> str:
            unit.lock()
            programme = plain_programme(unit.sql, unit.project_id, programme_iid)
            customer_id = _customer(unit, programme, matching)
            said = {} if registered_at is None else {"registration_date": iso_ms(registered_at)}
            draft = PublicationDraft(
                CustomerDraft(id=customer_id), programme.id, channel=caller.channel, metadata=said, join_once=True
            )
            publish(unit, draft)
            return customer_id

        return self._core.write(caller, work)


def _customer(unit: Unit, programme: Programme, matching: Matching) -> str:
    known = memberships.customers_with(unit.sql, unit.project_id, matching.column, matching.value)
    if len(known) == 1:
        return known[0]
    if known:
        # Of several who are alike the one who is a member already is meant.
        cards = memberships.held_cards(unit.sql, unit.project_id, programme.id, known)
        if len(cards) != 1:
            raise _several(matching)
        return cards.popitem()[0]
    if matching.by == "profile_id":
        raise NotFound("profile", matching.value, f"There is no profile with {matching}")
    column = matching.column
    if column == SOURCE_ID:
        draft = CustomerDraft(source_id=matching.value)
    elif matching.by == "custom":
        draft = CustomerDraft(metadata={matching.field: matching.value})
    else:
        draft = CustomerDraft(profile={column: matching.value})
    return str(upsert_customer(unit, draft)["id"])


def _several(matching: Matching) -> Conflict:
    return Conflict("ambiguous_profile", f"Several profiles have {matching}; name one with matching profile_id")
