"""Loyalty programmes by number and points currency, as callers name them who know no campaigns (Altcraft, facts 9)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from counterfoil.db.programmes import Programme, first_programmes, programme_by_iid
from counterfoil.errors import InvalidInput, NotFound

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ProgrammeNamed:
    """What a caller says: the programme's number, and its currency by the number, by the external id, or by both."""

    iid: int
    currency_iid: int | None = None
    currency_eid: str | None = None


def named_programme(connection: Connection, project_id: int, named: ProgrammeNamed) -> Programme:
    """The programme that is meant. A programme has one currency, which must be the one named.

    Raises NotFound, InvalidInput when no currency is named or two different ones are.
    """
    if named.currency_iid is None and named.currency_eid is None:
        raise InvalidInput(
            "missing_currency", "is required, or points_currency_iid in its place", field="points_currency_eid"
        )
    found = plain_programme(connection, project_id, named.iid)
    currency = found.currency
    fits = [
        wanted == known
        for wanted, known in ((named.currency_iid, currency.iid), (named.currency_eid, currency.eid))
        if wanted is not None
    ]
    if all(fits):
        return found
    if any(fits):
        raise InvalidInput(
            "conflicting_currency",
            f"{named.currency_eid!r} and points_currency_iid {named.currency_iid} are not the same currency; send one "
            f"of them: programme {found.iid} has {currency.eid!r}, which is {currency.iid}",
            field="points_currency_eid",
        )
    said = repr(named.currency_eid) if named.currency_iid is None else str(named.currency_iid)
    raise NotFound(
        "points_currency",
        said,
        f"Programme {found.iid} has no points currency {said}; it has {currency.eid!r}, which is {currency.iid}",
    )


def plain_programme(connection: Connection, project_id: int, iid: int) -> Programme:
    """The programme with that number. Raises NotFound with the numbers there are."""
    found = programme_by_iid(connection, project_id, iid) if 0 < iid < 2**63 else None
    if found is not None:
        return found
    known = first_programmes(connection, project_id, _SHOWN + 1)
    names = ", ".join(f"{each.iid} ({each.name})" for each in known[:_SHOWN]) or "none yet"
    more = ", and more" if len(known) > _SHOWN else ""
    raise NotFound("loyalty_program", str(iid), f"There is no loyalty programme {iid}; there are: {names}{more}")
