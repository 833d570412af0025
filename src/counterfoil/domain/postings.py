"""Postings: points that a caller accrues or redeems by a call of its own, at once, for a time, or from a day on.

Source: Altcraft, Accrue points, Redeem points, Commit, Rollback and Cancel transaction (facts/altcraft 8); what those
pages leave open, decision 0016. A temporary redemption takes its points at once, so that nobody else can spend them, and
gives them back when it is undone; a temporary accrual, like one for later, is a promise until it is committed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import msgspec

from counterfoil.clock import MS_PER_DAY, date_start_ms, iso_date, iso_ms
from counterfoil.domain.money import checked
from counterfoil.errors import InvalidInput

HOLD_S_MAX = 30 * 86_400
HOLD_S = 3_600
"""How long a temporary posting holds when its caller does not say."""


class PostingKind(StrEnum):
    """What is asked for."""

    ACCRUAL = "ACCRUAL"
    REDEMPTION = "REDEMPTION"


class PostingStatus(StrEnum):
    """HELD: temporary, until it is committed, undone or past its time. DONE: final, or promised for a day. UNDONE."""

    HELD = "HELD"
    DONE = "DONE"
    UNDONE = "UNDONE"


class Undone(StrEnum):
    """Why a posting counts no more."""

    ROLLED_BACK = "ROLLED_BACK"
    CANCELED = "CANCELED"
    TIMED_OUT = "TIMED_OUT"


@dataclass(frozen=True, slots=True)
class PostingDraft:
    """What a caller asks for. points > 0, minor units; instants in ms; eid: the caller's own id for it.

    hold_s: temporary, for so many seconds; None for final. activates_at, expires_at: of an accrual's points, None for
    at once and for the programme's rules.
    """

    kind: PostingKind
    points: int
    eid: str | None = None
    description: str | None = None
    promotion_iid: int | None = None
    external_data: Mapping[str, Any] | None = None
    created_at: int | None = None
    activates_at: int | None = None
    expires_at: int | None = None
    hold_s: int | None = None

    @property
    def expires_on(self) -> str | None:
        """The points' last day of use (UTC): the day that is not over before expires_at."""
        return None if self.expires_at is None else iso_date(self.expires_at - 1)

    def activates_on(self, now_ms: int) -> str | None:
        """The first day (UTC) that begins at or after activates_at, so that points are never there too soon; None when
        that moment is past."""
        if self.activates_at is None or self.activates_at <= now_ms:
            return None
        return iso_date(self.activates_at + MS_PER_DAY - 1)

    def fingerprint(self, card_id: str) -> str:
        """The same for the same request about the same card only."""
        return hashlib.sha256(msgspec.json.encode([card_id, asdict(self)], order="sorted")).hexdigest()


def check_draft(draft: PostingDraft, now_ms: int) -> None:
    """Raise InvalidInput unless the draft can be posted at `now_ms`."""
    if draft.points <= 0:
        raise InvalidInput("invalid_amount", "must be more than 0", field="amount", value=draft.points)
    checked(draft.points)
    if draft.created_at is not None and draft.created_at > now_ms:
        raise InvalidInput("invalid_date", "lies in the future", field="created_at", value=draft.created_at)
    if draft.hold_s is not None and not 0 < draft.hold_s <= HOLD_S_MAX:
        raise InvalidInput(
            "invalid_timeout", f"must be from 1 to {HOLD_S_MAX} seconds", field="temp_timeout_sec", value=draft.hold_s
        )
    first_day = draft.activates_on(now_ms) or iso_date(now_ms)
    if draft.expires_on is not None and draft.expires_on < first_day:
        raise InvalidInput(
            "invalid_date", "lies before the points could be used", field="expiration_date", value=draft.expires_at
        )


def details(draft: PostingDraft, expires_on: str | None) -> dict[str, Any]:
    """What the movement's details say besides the balance. expires_on: the points' last day, where it is known."""
    about: dict[str, Any] = {}
    if draft.promotion_iid is not None:
        about["promotion"] = {"iid": draft.promotion_iid}
    if draft.external_data:
        about["external_data"] = dict(draft.external_data)
    if draft.activates_at is not None:
        about["activation_date"] = iso_ms(draft.activates_at)
    if expires_on is not None:
        about["expiration_date"] = iso_ms(date_start_ms(expires_on) + MS_PER_DAY - 1)
    return about
