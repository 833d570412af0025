"""Customers before they are stored: what a caller may say of one, and what changes when they say it again.

Source of the shapes: Voucherify, Create Customer and Update Customer (facts 3.5). A key that is null counts as not
said, since some of the vendor's own clients send every key; an empty text takes a value away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from counterfoil.clock import iso_date, parse_instant_ms

ADDRESS = ("city", "state", "line_1", "line_2", "country", "postal_code")
DATES = ("birthday", "birthdate")
PROFILE = ("name", "description", "email", "phone", *DATES, *(f"address_{part}" for part in ADDRESS))
"""The columns a caller may fill, besides source_id and metadata."""

NOBODY: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class CustomerDraft:
    """What a caller says of a customer.

    id: an existing customer's; when it is given, source_id does not look anyone up (Voucherify: Customer). profile:
    column of PROFILE -> text, "" to take it away; what is not in it stays. metadata: joins what there is, key by key.
    created_at: ms, for records of the past; None means now.
    """

    id: str | None = None
    source_id: str | None = None
    profile: Mapping[str, str] = field(default_factory=lambda: NOBODY)
    metadata: Mapping[str, Any] | None = None
    created_at: int | None = None

    @property
    def nameless(self) -> bool:
        """Whether it says nothing at all, not even whom it is about."""
        return not (self.id or self.source_id or self.profile or self.metadata)


def new_columns(draft: CustomerDraft) -> dict[str, Any]:
    """Every profile column and the metadata of a customer that did not exist."""
    profile = {column: draft.profile.get(column) or None for column in PROFILE}
    return {"source_id": draft.source_id or None, **profile, "metadata": _kept(draft.metadata)}


def changes(stored: Mapping[str, Any], draft: CustomerDraft) -> dict[str, Any]:
    """The columns that differ once the draft is applied to a stored row; {} when nothing does. source_id never changes."""
    changed: dict[str, Any] = {
        column: text or None for column, text in draft.profile.items() if (text or None) != stored[column]
    }
    if draft.metadata:
        merged = {**(stored["metadata"] or {}), **draft.metadata}
        if merged != stored["metadata"]:
            changed["metadata"] = merged
    return changed


def birth_date(text: str) -> str:
    """An ISO date or instant as its date, `2022-01-01`; "" stays. Raises ValueError for anything else."""
    if not text:
        return text
    try:
        return iso_date(parse_instant_ms(text))
    except ValueError as error:
        raise ValueError("cannot be recognized as a ISO-8601 compliant date") from error


def average(total: int, count: int) -> int:
    """total / count rounded half up, as the export has it; 0 for a count of 0."""
    return (2 * total + count) // (2 * count) if count else 0


def _kept(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return dict(metadata) if metadata else None
