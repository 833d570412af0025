"""Campaigns: not exported, but listed by filters (Voucherify: List Campaigns)."""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import Column, JsonAt, JsonList, Nothing, State

# campaign_status and is_referral_code are no columns: db.campaigns says what they are.
_FIELDS = tuple(
    Field(name, kind, name, definition, source, exported=False)
    for name, kind, definition, source in (
        ("campaigns", Kind.STRING, "The campaign's name.", Column("name")),
        ("campaigns_id", Kind.STRING, "The campaign's ID.", Column("id")),
        ("campaign_type", Kind.STRING, "What it gives out.", Column("campaign_type")),
        ("type", Kind.STRING, "AUTO_UPDATE, STATIC or STANDALONE.", Column("type")),
        ("voucher_type", Kind.STRING, "The type of its vouchers.", JsonAt("voucher", ("type",))),
        ("campaign_status", Kind.STRING, "DONE, IN_PROGRESS, FAILED or MODIFYING.", Nothing()),
        ("is_referral_code", Kind.BOOLEAN, "Whether it is a referral programme.", Nothing()),
        ("status", Kind.STATE, "What can be done with it now.", State()),
        ("active", Kind.STATE, "Whether it is enabled.", State()),
        ("categories", Kind.STRING, "The category's tag.", Column("category")),
        ("category_ids", Kind.STRING, "The category's tag.", Column("category")),
        ("created_date", Kind.INSTANT, "When it was created.", Column("created_at")),
        ("created_at", Kind.INSTANT, "When it was created.", Column("created_at")),
        ("updated_at", Kind.INSTANT, "When it was last updated.", Column("updated_at")),
        ("start_date", Kind.INSTANT, "From when on it is valid.", Column("start_date")),
        ("expiration_date", Kind.INSTANT, "Until when it is valid.", Column("expiration_date")),
        ("validity_timeframe", Kind.JSON, "Its periods of validity.", Column("validity_timeframe")),
        ("validity_day_of_week", Kind.INTEGER, "Days on which it is valid.", JsonList("validity_day_of_week")),
    )
)

CAMPAIGN = Exportable(
    name="campaign",
    title="Campaigns",
    table="campaigns",
    key="id",
    fields=_FIELDS,
    default_fields=(),
    orders=("created_at", "updated_at"),
    default_order="-created_at",
    documents=(("metadata.", "metadata"),),
    deleted="deleted_at",
)
"""Kept out of `catalog.objects`, which lists what can be exported."""
