"""Publications: vouchers given to customers.

Fields and definitions: seed 002 (Publications); orders and filters: facts 1.3; titles: our own after facts 1.7.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field, Join
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import AnyOf, Column

_FIELDS = (
    Field("voucher_code", Kind.STRING, "Voucher Code", "Unique voucher code.", Column("voucher_code")),
    Field("customer_id", Kind.STRING, "Customer ID", "The customer published to.", Column("customer_id")),
    Field(
        "customer_source_id", Kind.STRING, "Customer Source ID", "The customer's own ID.", Column("customer.source_id")
    ),
    Field("date", Kind.INSTANT, "Date", "When the voucher was published.", Column("created_at")),
    Field("channel", Kind.STRING, "Channel", "Publication channel.", Column("channel")),
    Field("campaign", Kind.STRING, "Campaign", "The campaign's name.", Column("campaign")),
    Field(
        "is_winner",
        Kind.BOOLEAN,
        "Is winner?",
        "Whether the customer won a draw, where there was one.",
        Column("is_winner"),
    ),
    Field("metadata", Kind.JSON, "Metadata", "Custom publication metadata.", Column("metadata")),
    # Decision 0005: seed 002 lists code among the defaults and not among the fields; it is the voucher's code.
    Field("code", Kind.STRING, "Code", "The same as voucher_code.", Column("voucher_code"), listed=False),
)

_FILTERS = tuple(
    Field(name, kind, name, definition, source, exported=False)
    for name, kind, definition, source in (
        ("id", Kind.STRING, "The publication's ID.", Column("id")),
        ("created_at", Kind.INSTANT, "When the voucher was published.", Column("created_at")),
        ("tracking_id", Kind.STRING, "How an anonymous customer is tracked.", Column("tracking_id")),
        ("customer", Kind.STRING, "The customer, by ID or own ID.", AnyOf((Column("customer_id"), Column("customer.source_id")))),
        ("voucher", Kind.STRING, "The voucher, by code or ID.", AnyOf((Column("voucher_code"), Column("voucher_id")))),
        ("failure_code", Kind.STRING, "Why it failed.", Column("failure_code")),
        ("result", Kind.STRING, "SUCCESS or FAILURE.", Column("result")),
        ("campaign_name", Kind.STRING, "The campaign's name.", Column("campaign")),
        ("campaign_id", Kind.STRING, "The campaign's ID.", Column("campaign_id")),
        ("voucher_type", Kind.STRING, "The voucher's type.", Column("voucher_type")),
        ("is_referral_code", Kind.BOOLEAN, "Whether the voucher is a referral code.", Column("is_referral_code")),
        ("parent_object_id", Kind.STRING, "The campaign's ID.", Column("campaign_id")),
        ("related_object_id", Kind.STRING, "The voucher's ID.", Column("voucher_id")),
        ("source_id", Kind.STRING, "The caller's own ID.", Column("source_id")),
    )
)  # fmt: skip

PUBLICATION = Exportable(
    name="publication",
    title="Publications",
    table="publications",
    key="id",
    fields=_FIELDS + _FILTERS,
    default_fields=("code", "customer_id", "date", "channel"),
    orders=("id", "voucher_code", "tracking_id", "customer_id", "created_at", "channel"),
    default_order="created_at",
    joins=(Join("customer", "customers", (("id", "customer_id"),)),),
    documents=(("metadata.", "metadata"),),
)
