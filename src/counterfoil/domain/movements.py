"""Movements: the kinds of balance change, and the details each one records.

Source of the types, signs and details: seed 000 (field table) and the vendor's transaction object (facts 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from counterfoil.domain.buckets import Lots


class MovementType(StrEnum):
    """Why a balance changed. OPENING_BALANCE is ours: what a card starts with; the dialects hide it."""

    CREDITS_ADDITION = "CREDITS_ADDITION"
    CREDITS_REMOVAL = "CREDITS_REMOVAL"
    CREDITS_REDEMPTION = "CREDITS_REDEMPTION"
    CREDITS_REFUND = "CREDITS_REFUND"
    POINTS_ACCRUAL = "POINTS_ACCRUAL"
    POINTS_ADDITION = "POINTS_ADDITION"
    POINTS_REMOVAL = "POINTS_REMOVAL"
    POINTS_REDEMPTION = "POINTS_REDEMPTION"
    POINTS_REFUND = "POINTS_REFUND"
    POINTS_EXPIRATION = "POINTS_EXPIRATION"
    POINTS_TRANSFER_OUT = "POINTS_TRANSFER_OUT"
    POINTS_TRANSFER_IN = "POINTS_TRANSFER_IN"
    PENDING_POINTS_ACTIVATION = "PENDING_POINTS_ACTIVATION"
    OPENING_BALANCE = "OPENING_BALANCE"


HIDDEN_TYPES = frozenset({MovementType.OPENING_BALANCE})
AUTOMATION = "Automation"
"""The source of movements that no caller asked for (facts 3.2)."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One balance change, before the ledger gives it its seq and id.

    amount: signed, minor units. balance: the card's after it. related: how many movements away, within the same
    posting, the related one stands (+1, -1), or None. created_at: ms; None means the moment of posting.
    """

    card_id: str
    campaign_id: str | None
    customer_id: str | None
    type: MovementType
    amount: int
    balance: int
    details: Mapping[str, Any]
    lots: Lots = ()
    source: str | None = None
    source_id: str | None = None
    reason: str | None = None
    related: int | None = None
    created_at: int | None = None
