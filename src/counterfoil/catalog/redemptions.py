"""Redemptions and their rollbacks, failed ones too.

Fields and definitions: seed 002 (Redemptions) and facts 1.3; titles, orders, filters: facts 1.3 and 1.7.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field, Join
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import AnyOf, Column, JsonAt

_FIELDS = (
    Field("id", Kind.STRING, "ID", "Unique redemption ID.", Column("id")),
    Field("object", Kind.STRING, "Object", "redemption or redemption_rollback.", Column("object")),
    Field("date", Kind.INSTANT, "Date", "When the voucher was redeemed.", Column("date")),
    Field("voucher_code", Kind.STRING, "Voucher code", "The code redeemed.", Column("voucher_code")),
    Field("campaign", Kind.STRING, "Campaign", "The voucher's campaign, by name.", Column("campaign")),
    Field(
        "promotion_tier_id", Kind.STRING, "Promotion Tier", "The promotion tier, if any.", Column("promotion_tier_id")
    ),
    Field("customer_id", Kind.STRING, "Customer ID", "The redeeming customer.", Column("customer_id")),
    Field(
        "customer_source_id", Kind.STRING, "Customer Source ID", "The customer's own ID.", Column("customer.source_id")
    ),
    Field("customer_name", Kind.STRING, "Customer Name", "The customer's name.", Column("customer.name")),
    Field("tracking_id", Kind.STRING, "Tracking ID", "How an anonymous customer is tracked.", Column("tracking_id")),
    Field("order_id", Kind.STRING, "Order ID", "The order redeemed for.", Column("order_id")),
    Field("order_amount", Kind.MONEY, "Order Amount", "Order amount before all discounts.", Column("order_amount")),
    Field("gift_amount", Kind.MONEY, "Gift Amount", "Gift credits used.", Column("gift_amount")),
    Field("loyalty_points", Kind.MONEY, "Loyalty Points", "Points used.", Column("loyalty_points")),
    Field("result", Kind.STRING, "Result", "SUCCESS or FAILURE.", Column("result")),
    Field("failure_code", Kind.STRING, "Failure Code", "Why it failed, as a word.", Column("failure_code")),
    Field(
        "failure_message", Kind.STRING, "Failure Message", "Why it failed, as a sentence.", Column("failure_message")
    ),
    Field("metadata", Kind.JSON, "Metadata", "Custom redemption metadata.", Column("metadata")),
)

_FILTERS = tuple(
    Field(name, kind, name, definition, source, exported=False)
    for name, kind, definition, source in (
        ("created_at", Kind.INSTANT, "When it was written down.", Column("created_at")),
        ("updated_at", Kind.INSTANT, "When it was last updated.", Column("updated_at")),
        ("campaign_name", Kind.STRING, "The campaign's name.", Column("campaign")),
        ("campaign_id", Kind.STRING, "The campaign's ID.", Column("campaign_id")),
        ("voucher_id", Kind.STRING, "The voucher's ID.", Column("voucher_id")),
        ("voucher", Kind.STRING, "The voucher, by code or ID.", AnyOf((Column("voucher_code"), Column("voucher_id")))),
        ("customer", Kind.STRING, "The customer, by ID or own ID.", AnyOf((Column("customer_id"), Column("customer.source_id")))),
        ("related_object", Kind.STRING, "What was redeemed, by kind or ID.", AnyOf((Column("related_object_type"), Column("related_object_id")))),
        ("related_object_type", Kind.STRING, "The kind of what was redeemed.", Column("related_object_type")),
        ("related_object_id", Kind.STRING, "The ID of what was redeemed.", Column("related_object_id")),
        ("related_object_parent_id", Kind.STRING, "Its campaign.", Column("related_object_parent_id")),
        ("parent_redemption_id", Kind.STRING, "The redemption of several at once it is part of.", Column("parent_id")),
        ("redemption_id", Kind.STRING, "For rollbacks, the redemption undone.", Column("redemption_id")),
        ("status", Kind.STRING, "SUCCEEDED, FAILED or ROLLED_BACK.", Column("status")),
        ("amount", Kind.MONEY, "Signed amount redeemed.", Column("amount")),
        ("reward_id", Kind.STRING, "The reward given.", Column("reward_id")),
        ("user_login", Kind.STRING, "The dashboard user who redeemed.", JsonAt("channel", ("user_login",))),
        ("channel_id", Kind.STRING, "The channel it came through.", JsonAt("channel", ("channel_id",))),
        ("channel_type", Kind.STRING, "The kind of that channel.", JsonAt("channel", ("channel_type",))),
    )
)  # fmt: skip

REDEMPTION = Exportable(
    name="redemption",
    title="Redemptions",
    table="redemptions",
    key="id",
    fields=_FIELDS + _FILTERS,
    default_fields=("id", "object", "voucher_code", "customer_id", "date", "result"),
    orders=("id", "voucher_code", "tracking_id", "customer_id", "created_at"),
    default_order="created_at",
    joins=(Join("customer", "customers", (("id", "customer_id"),)),),
    documents=(("metadata.", "metadata"),),
)
