"""Campaigns, vouchers (the cards among them carry a balance), points buckets, and the movements themselves."""

from __future__ import annotations

import sqlalchemy as sa

from counterfoil.db.schema.base import amount, document, flag, instant, metadata, project_key, text_id

# iid and the currency_ columns are how the Altcraft dialect names a loyalty programme and its points.
# vouchers_count is how many live vouchers the campaign has; generation_id is the async action that last made or changed some.
campaigns = sa.Table(
    "campaigns",
    metadata,
    project_key(),
    text_id(),
    sa.Column("iid", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("campaign_type", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    document("voucher"),
    document("metadata"),
    flag("active", default=True),
    flag("auto_join", default=False),
    flag("join_once", default=True),
    flag("use_voucher_metadata_schema", default=False),
    sa.Column("category", sa.Text),
    instant("start_date"),
    instant("expiration_date"),
    document("validity_timeframe"),
    document("validity_day_of_week"),
    sa.Column("activity_duration_after_publishing", sa.Text),
    sa.Column("generation_id", sa.Text),
    sa.Column("vouchers_count", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("currency_iid", sa.BigInteger),
    sa.Column("currency_eid", sa.Text),
    sa.Column("currency_scale", sa.Integer, nullable=False, server_default="0"),
    instant("created_at", nullable=False),
    instant("updated_at"),
    instant("deleted_at"),
    sa.UniqueConstraint("project_id", "iid"),
)
sa.Index(
    "uq_campaigns_project_id_name",
    campaigns.c.project_id,
    campaigns.c.name,
    unique=True,
    sqlite_where=campaigns.c.deleted_at.is_(None),
    postgresql_where=campaigns.c.deleted_at.is_(None),
)

# For cards: balance is spendable now; total is all that was ever granted net of manual removals; and
# balance = total - redeemed - expired, always (points moved by transfer change total on both sides).
vouchers = sa.Table(
    "vouchers",
    metadata,
    project_key(),
    text_id(),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("campaign_id", sa.Text),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("category", sa.Text),
    document("discount"),
    sa.Column("gift_effect", sa.Text),
    amount("balance"),
    amount("total"),
    amount("subtracted"),
    amount("redeemed"),
    amount("expired"),
    instant("start_date"),
    instant("expiration_date"),
    document("validity_timeframe"),
    document("validity_day_of_week"),
    flag("active", default=True),
    sa.Column("additional_info", sa.Text),
    document("metadata"),
    sa.Column("holder_id", sa.Text),
    flag("is_referral_code", default=False),
    sa.Column("redemption_quantity", sa.BigInteger),
    sa.Column("redeemed_quantity", sa.BigInteger, nullable=False, server_default="0", default=0),
    sa.Column("publications_count", sa.BigInteger, nullable=False, server_default="0", default=0),
    instant("created_at", nullable=False),
    instant("updated_at"),
    instant("deleted_at"),
    sa.Index("ix_vouchers_project_id_campaign_id", "project_id", "campaign_id", "created_at"),
    sa.Index("ix_vouchers_project_id_holder_id", "project_id", "holder_id"),
    sa.CheckConstraint("balance >= 0", name="balance_not_negative"),
    sa.CheckConstraint("balance = total - redeemed - expired", name="balance_adds_up"),
)
sa.Index(
    "uq_vouchers_project_id_code",
    vouchers.c.project_id,
    vouchers.c.code,
    unique=True,
    sqlite_where=vouchers.c.deleted_at.is_(None),
    postgresql_where=vouchers.c.deleted_at.is_(None),
)
# The vouchers that wait to be published, so that a campaign's next one is found at once however many are taken.
_FREE = sa.and_(
    vouchers.c.holder_id.is_(None),
    vouchers.c.publications_count == sa.literal_column("0"),
    vouchers.c.deleted_at.is_(None),
)
sa.Index(
    "ix_vouchers_free",
    vouchers.c.project_id,
    vouchers.c.campaign_id,
    vouchers.c.created_at,
    vouchers.c.id,
    sqlite_where=_FREE,
    postgresql_where=_FREE,
)

# The list of vouchers, newest first: in this order without a sort, counted without a look at the table.
sa.Index(
    "ix_vouchers_project_id_created_at_id",
    vouchers.c.project_id,
    vouchers.c.created_at,
    vouchers.c.id,
    sqlite_where=vouchers.c.deleted_at.is_(None),
    postgresql_where=vouchers.c.deleted_at.is_(None),
)

# A lot of points with one expiry. expires_on is the last day of use (ISO date), NULL for never; points is what is left.
buckets = sa.Table(
    "buckets",
    metadata,
    project_key(),
    text_id(),
    sa.Column("voucher_id", sa.Text, nullable=False),
    sa.Column("campaign_id", sa.Text),
    amount("points"),
    sa.Column("expires_on", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    instant("created_at", nullable=False),
    instant("updated_at"),
    sa.Index("ix_buckets_project_id_voucher_id", "project_id", "voucher_id"),
    sa.Index("ix_buckets_project_id_status_expires_on", "project_id", "status", "expires_on"),
    sa.CheckConstraint("points >= 0", name="points_not_negative"),
    sa.CheckConstraint("status in ('ACTIVE', 'EXPIRED')", name="status"),
)

# Append-only, by trigger. created_at may be back-dated by imports; recorded_at and seq never are.
# lots is our own record of which buckets the movement touched: [[bucket id, points], …].
movements = sa.Table(
    "movements",
    metadata,
    project_key(),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("voucher_id", sa.Text, nullable=False),
    sa.Column("campaign_id", sa.Text),
    sa.Column("customer_id", sa.Text),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("balance", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text),
    sa.Column("source_id", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("details", sa.Text),
    sa.Column("related_transaction_id", sa.Text),
    sa.Column("lots", sa.Text),
    instant("created_at", nullable=False),
    instant("recorded_at", nullable=False),
    sa.Index("uq_movements_project_id_id", "project_id", "id", unique=True),
    sa.Index("ix_movements_project_id_voucher_id_seq", "project_id", "voucher_id", "seq"),
    # A campaign's list is a page from the end: without this, a second on a million rows (and 6 % more inserts a second).
    sa.Index("ix_movements_project_id_campaign_id_seq", "project_id", "campaign_id", "seq"),
)

# Points promised but not yet spendable; they become a PENDING_POINTS_ACTIVATION movement on activation.
pending_points = sa.Table(
    "pending_points",
    metadata,
    project_key(),
    text_id(),
    sa.Column("voucher_id", sa.Text, nullable=False),
    sa.Column("campaign_id", sa.Text),
    sa.Column("customer_id", sa.Text),
    amount("points"),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("activates_on", sa.Text),
    sa.Column("expires_on", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("source_id", sa.Text),
    sa.Column("reason", sa.Text),
    document("details"),
    instant("created_at", nullable=False),
    instant("updated_at"),
    sa.Index("ix_pending_points_project_id_voucher_id", "project_id", "voucher_id"),
    sa.Index("ix_pending_points_project_id_status_activates_on", "project_id", "status", "activates_on"),
    sa.CheckConstraint("status in ('PENDING', 'ACTIVATED', 'CANCELED')", name="status"),
)
