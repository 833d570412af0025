"""Campaigns, vouchers, points, and the movements, which the database itself keeps from being changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_APPEND_ONLY = {
    "sqlite": (
        """
        CREATE TRIGGER movements_no_update BEFORE UPDATE ON movements
        BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END
        """,
        """
        CREATE TRIGGER movements_no_delete BEFORE DELETE ON movements
        BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END
        """,
    ),
    "postgresql": (
        """
        CREATE FUNCTION movements_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'movements are append-only'; END $$
        """,
        """
        CREATE TRIGGER movements_no_change BEFORE UPDATE OR DELETE ON movements
        FOR EACH ROW EXECUTE FUNCTION movements_are_append_only()
        """,
        """
        CREATE TRIGGER movements_no_truncate BEFORE TRUNCATE ON movements
        FOR EACH STATEMENT EXECUTE FUNCTION movements_are_append_only()
        """,
    ),
}


def upgrade() -> None:
    """Make the tables."""
    _campaigns()
    _vouchers()
    _buckets()
    _movements()
    _pending_points()
    _postings()
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("iid", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("campaign_type", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("voucher", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("auto_join", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("join_once", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("use_voucher_metadata_schema", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("category", sa.Text()),
        sa.Column("start_date", sa.BigInteger()),
        sa.Column("expiration_date", sa.BigInteger()),
        sa.Column("validity_timeframe", sa.Text()),
        sa.Column("validity_day_of_week", sa.Text()),
        sa.Column("activity_duration_after_publishing", sa.Text()),
        sa.Column("generation_id", sa.Text()),
        sa.Column("vouchers_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("currency_iid", sa.BigInteger()),
        sa.Column("currency_eid", sa.Text()),
        sa.Column("currency_scale", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("project_id", "iid", name=op.f("uq_campaigns_project_id_iid")),
    )
    op.create_index(
        "uq_campaigns_project_id_name",
        "campaigns",
        ["project_id", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _vouchers() -> None:
    op.create_table(
        "vouchers",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("category", sa.Text()),
        sa.Column("discount", sa.Text()),
        sa.Column("gift_effect", sa.Text()),
        sa.Column("balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("subtracted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redeemed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expired", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("start_date", sa.BigInteger()),
        sa.Column("expiration_date", sa.BigInteger()),
        sa.Column("validity_timeframe", sa.Text()),
        sa.Column("validity_day_of_week", sa.Text()),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("additional_info", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("holder_id", sa.Text()),
        sa.Column("is_referral_code", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("redemption_quantity", sa.BigInteger()),
        sa.Column("redeemed_quantity", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("publications_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.CheckConstraint("balance = total - redeemed - expired", name=op.f("ck_vouchers_balance_adds_up")),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_vouchers_balance_not_negative")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_vouchers")),
    )
    op.create_index(
        "ix_vouchers_free",
        "vouchers",
        ["project_id", "campaign_id", "created_at", "id"],
        sqlite_where=sa.text("holder_id IS NULL AND publications_count = 0 AND deleted_at IS NULL"),
        postgresql_where=sa.text("holder_id IS NULL AND publications_count = 0 AND deleted_at IS NULL"),
    )
    op.create_index("ix_vouchers_project_id_campaign_id", "vouchers", ["project_id", "campaign_id", "created_at"])
    op.create_index(
        "ix_vouchers_project_id_created_at_id",
        "vouchers",
        ["project_id", "created_at", "id"],
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index("ix_vouchers_project_id_holder_id", "vouchers", ["project_id", "holder_id"])
    op.create_index(
        "uq_vouchers_project_id_code",
        "vouchers",
        ["project_id", "code"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _buckets() -> None:
    op.create_table(
        "buckets",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("voucher_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_on", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.CheckConstraint("status in ('ACTIVE', 'EXPIRED')", name=op.f("ck_buckets_status")),
        sa.CheckConstraint("points >= 0", name=op.f("ck_buckets_points_not_negative")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_buckets")),
    )
    op.create_index("ix_buckets_project_id_status_expires_on", "buckets", ["project_id", "status", "expires_on"])
    op.create_index("ix_buckets_project_id_voucher_id", "buckets", ["project_id", "voucher_id"])


def _movements() -> None:
    op.create_table(
        "movements",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("voucher_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("customer_id", sa.Text()),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("source_id", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("details", sa.Text()),
        sa.Column("related_transaction_id", sa.Text()),
        sa.Column("lots", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "seq", name=op.f("pk_movements")),
    )
    op.create_index("ix_movements_project_id_campaign_id_seq", "movements", ["project_id", "campaign_id", "seq"])
    op.create_index("ix_movements_project_id_voucher_id_seq", "movements", ["project_id", "voucher_id", "seq"])
    op.create_index("uq_movements_project_id_id", "movements", ["project_id", "id"], unique=True)


def _pending_points() -> None:
    op.create_table(
        "pending_points",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("voucher_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("customer_id", sa.Text()),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("activates_on", sa.Text()),
        sa.Column("expires_on", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("source_id", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("details", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.CheckConstraint("status in ('PENDING', 'ACTIVATED', 'CANCELED')", name=op.f("ck_pending_points_status")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_pending_points")),
    )
    op.create_index(
        "ix_pending_points_project_id_status_activates_on", "pending_points", ["project_id", "status", "activates_on"]
    )
    op.create_index("ix_pending_points_project_id_voucher_id", "pending_points", ["project_id", "voucher_id"])


def _postings() -> None:
    op.create_table(
        "postings",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("voucher_id", sa.Text(), nullable=False),
        sa.Column("eid", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("undone_because", sa.Text()),
        sa.Column("fingerprint", sa.Text()),
        sa.Column("movement_seq", sa.BigInteger()),
        sa.Column("pending_id", sa.Text()),
        sa.Column("activates_on", sa.Text()),
        sa.Column("held_until", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.CheckConstraint(
            "(status = 'UNDONE') = (undone_because is not null)", name=op.f("ck_postings_undone_with_reason")
        ),
        sa.CheckConstraint("kind in ('ACCRUAL', 'REDEMPTION')", name=op.f("ck_postings_kind")),
        sa.CheckConstraint("status <> 'HELD' or held_until is not null", name=op.f("ck_postings_held_until_when_held")),
        sa.CheckConstraint("status in ('HELD', 'DONE', 'UNDONE')", name=op.f("ck_postings_status")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_postings")),
    )
    op.create_index(
        "ix_postings_held",
        "postings",
        ["project_id", "held_until"],
        sqlite_where=sa.text("status = 'HELD'"),
        postgresql_where=sa.text("status = 'HELD'"),
    )
    op.create_index(
        "ix_postings_held_voucher_id",
        "postings",
        ["project_id", "voucher_id"],
        sqlite_where=sa.text("status = 'HELD'"),
        postgresql_where=sa.text("status = 'HELD'"),
    )
    op.create_index("ix_postings_project_id_pending_id", "postings", ["project_id", "pending_id"])
    op.create_index(
        "uq_postings_project_id_campaign_id_eid", "postings", ["project_id", "campaign_id", "eid"], unique=True
    )
    op.create_index("uq_postings_project_id_movement_seq", "postings", ["project_id", "movement_seq"], unique=True)
