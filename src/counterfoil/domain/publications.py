"""Publications before they are stored: which voucher somebody wants given to which customer.

Source of the shapes and rules: Voucherify, Create Publication and Code publication (facts 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterfoil.clock import MS_MAX
from counterfoil.domain import validity
from counterfoil.domain.customers import CustomerDraft
from counterfoil.errors import InvalidInput, Refused

COUNT_MAX = 50
API_CHANNEL = "API"
STANDALONE = "STANDALONE"


@dataclass(frozen=True, slots=True)
class PublicationDraft:
    """A voucher for a customer: the one with this code, or `count` free ones of this campaign (id or name).

    A voucher that is named makes the campaign irrelevant. join_once: the customer gets what they got before, if anything.
    source_id: the caller's own id; asked for again with it, they get the same publication again.
    """

    customer: CustomerDraft
    campaign: str | None = None
    voucher: str | None = None
    count: int = 1
    source_id: str | None = None
    channel: str | None = None
    metadata: Mapping[str, Any] | None = None
    join_once: bool = False


def check_publication(draft: PublicationDraft) -> None:
    """Raise InvalidInput unless the draft says clearly what to publish to whom."""
    if not draft.voucher and not draft.campaign:
        raise InvalidInput("missing_vouchers", "Either Campaign or Voucher is required")
    if draft.customer.nameless:
        raise InvalidInput("missing_customer", "The customer needs an id, a source_id or a profile", field="customer")
    most = 1 if draft.source_id else COUNT_MAX
    if not 1 <= draft.count <= most:
        raise InvalidInput("too_many_vouchers_requested", f"Only up to {most} can be published", field="campaign.count",
                           value=draft.count)  # fmt: skip


def check_campaign(campaign: Mapping[str, Any], now_ms: int) -> None:
    """Raise Refused unless vouchers of the campaign (its row) may be given out now."""
    ended = campaign["expiration_date"] is not None and now_ms > campaign["expiration_date"]
    if not campaign["active"] or ended:
        raise Refused("campaign_not_active", f"Campaign {campaign['name']} is not active", resource_type="campaign",
                      resource_id=campaign["id"])  # fmt: skip


def check_voucher(voucher: Mapping[str, Any], now_ms: int, *, generic: bool) -> None:
    """Raise Refused unless the voucher (its row) may be given out now. generic: to any number of customers."""
    if not voucher["active"]:
        raise Refused("voucher_disabled", "voucher is disabled", resource_type="voucher", resource_id=voucher["code"])
    if voucher["expiration_date"] is not None and now_ms > voucher["expiration_date"]:
        raise Refused("voucher_expired", "voucher expired", resource_type="voucher", resource_id=voucher["code"])
    if not generic and (voucher["holder_id"] is not None or voucher["publications_count"]):
        raise Refused("voucher_already_published", f"Voucher '{voucher['id']}' has already been published",
                      resource_type="voucher", resource_id=voucher["code"])  # fmt: skip


def expiration_after(campaign: Mapping[str, Any] | None, expiration_date: int | None, now_ms: int) -> int | None:
    """The expiration (ms) of a voucher given out now: its own, or the end of the campaign's
    activity_duration_after_publishing when that comes first."""
    duration = (campaign or {}).get("activity_duration_after_publishing")
    if not duration:
        return expiration_date
    try:
        ends = min(now_ms + validity.duration_ms(duration), MS_MAX)
    except ValueError:
        return expiration_date
    return ends if expiration_date is None else min(ends, expiration_date)
