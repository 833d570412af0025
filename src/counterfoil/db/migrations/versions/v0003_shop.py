"""Customers, orders, redemptions, publications, rewards, earning rules, products."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    _customers()
    _orders()
    _redemptions()
    _publications()
    _rewards()
    _reward_assignments()
    _earning_rules()
    _products()
    _skus()


def _customers() -> None:
    op.create_table(
        "customers",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("email", sa.Text()),
        sa.Column("phone", sa.Text()),
        sa.Column("birthday", sa.Text()),
        sa.Column("birthdate", sa.Text()),
        sa.Column("address_city", sa.Text()),
        sa.Column("address_state", sa.Text()),
        sa.Column("address_line_1", sa.Text()),
        sa.Column("address_line_2", sa.Text()),
        sa.Column("address_country", sa.Text()),
        sa.Column("address_postal_code", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("redemptions_total_redeemed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redemptions_total_failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redemptions_total_succeeded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redemptions_total_rolled_back", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redemptions_total_rollback_failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redemptions_total_rollback_succeeded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gift_redeemed_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("loyalty_redeemed_points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("loyalty_referred_customers", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("orders_total_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("orders_total_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("orders_last_order_amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("orders_last_order_date", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_customers")),
    )
    op.create_index("ix_customers_project_id_created_at", "customers", ["project_id", "created_at", "id"])
    op.create_index("ix_customers_project_id_email", "customers", ["project_id", "email"])
    op.create_index(
        "ix_customers_project_id_phone",
        "customers",
        ["project_id", "phone"],
        sqlite_where=sa.text("phone IS NOT NULL"),
        postgresql_where=sa.text("phone IS NOT NULL"),
    )
    op.create_index(
        "uq_customers_project_id_source_id",
        "customers",
        ["project_id", "source_id"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("initial_amount", sa.BigInteger()),
        sa.Column("discount_amount", sa.BigInteger()),
        sa.Column("items_discount_amount", sa.BigInteger()),
        sa.Column("total_discount_amount", sa.BigInteger()),
        sa.Column("applied_discount_amount", sa.BigInteger()),
        sa.Column("total_applied_discount_amount", sa.BigInteger()),
        sa.Column("total_amount", sa.BigInteger()),
        sa.Column("customer_id", sa.Text()),
        sa.Column("referrer_id", sa.Text()),
        sa.Column("items", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("redemptions", sa.Text()),
        sa.Column("accrued", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_orders")),
        sa.UniqueConstraint("project_id", "source_id", name=op.f("uq_orders_project_id_source_id")),
    )
    op.create_index("ix_orders_project_id_created_at", "orders", ["project_id", "created_at"])
    op.create_index("ix_orders_project_id_customer_id", "orders", ["project_id", "customer_id", "created_at"])


def _redemptions() -> None:
    op.create_table(
        "redemptions",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("date", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Text()),
        sa.Column("tracking_id", sa.Text()),
        sa.Column("voucher_id", sa.Text()),
        sa.Column("voucher_code", sa.Text()),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("campaign", sa.Text()),
        sa.Column("promotion_tier_id", sa.Text()),
        sa.Column("related_object_type", sa.Text()),
        sa.Column("related_object_id", sa.Text()),
        sa.Column("related_object_parent_id", sa.Text()),
        sa.Column("parent_id", sa.Text()),
        sa.Column("redemption_id", sa.Text()),
        sa.Column("order_id", sa.Text()),
        sa.Column("order_amount", sa.BigInteger()),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("gift_amount", sa.BigInteger()),
        sa.Column("loyalty_points", sa.BigInteger()),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("reward_id", sa.Text()),
        sa.Column("reward", sa.Text()),
        sa.Column("channel", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("movement_id", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.CheckConstraint("object in ('redemption', 'redemption_rollback')", name=op.f("ck_redemptions_object")),
        sa.CheckConstraint("result in ('SUCCESS', 'FAILURE')", name=op.f("ck_redemptions_result")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_redemptions")),
    )
    op.create_index("ix_redemptions_project_id_customer_id", "redemptions", ["project_id", "customer_id"])
    op.create_index("ix_redemptions_project_id_date", "redemptions", ["project_id", "date"])
    op.create_index("ix_redemptions_project_id_parent_id", "redemptions", ["project_id", "parent_id"])
    op.create_index("ix_redemptions_project_id_redemption_id", "redemptions", ["project_id", "redemption_id"])
    op.create_index("ix_redemptions_project_id_voucher_id", "redemptions", ["project_id", "voucher_id"])


def _publications() -> None:
    op.create_table(
        "publications",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text()),
        sa.Column("campaign_id", sa.Text()),
        sa.Column("campaign", sa.Text()),
        sa.Column("voucher_id", sa.Text()),
        sa.Column("voucher_code", sa.Text()),
        sa.Column("voucher_type", sa.Text()),
        sa.Column("is_referral_code", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("vouchers_id", sa.Text()),
        sa.Column("channel", sa.Text()),
        sa.Column("source_id", sa.Text()),
        sa.Column("tracking_id", sa.Text()),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("is_winner", sa.Boolean()),
        sa.Column("metadata", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_publications")),
        sa.UniqueConstraint("project_id", "source_id", name=op.f("uq_publications_project_id_source_id")),
    )
    op.create_index("ix_publications_project_id_created_at", "publications", ["project_id", "created_at"])
    op.create_index("ix_publications_project_id_customer_id", "publications", ["project_id", "customer_id"])
    op.create_index("ix_publications_project_id_voucher_code", "publications", ["project_id", "voucher_code"])


def _rewards() -> None:
    op.create_table(
        "rewards",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text()),
        sa.Column("stock", sa.BigInteger()),
        sa.Column("redeemed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attributes", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_rewards")),
    )


def _reward_assignments() -> None:
    op.create_table(
        "reward_assignments",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("reward_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_reward_assignments")),
        sa.UniqueConstraint(
            "project_id",
            "reward_id",
            "campaign_id",
            name=op.f("uq_reward_assignments_project_id_reward_id_campaign_id"),
        ),
    )


def _earning_rules() -> None:
    op.create_table(
        "earning_rules",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("loyalty", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("target", sa.Text()),
        sa.Column("pending_points", sa.Text()),
        sa.Column("expiration_rules", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("start_date", sa.BigInteger()),
        sa.Column("expiration_date", sa.BigInteger()),
        sa.Column("validity_timeframe", sa.Text()),
        sa.Column("validity_day_of_week", sa.Text()),
        sa.Column("validity_hours", sa.Text()),
        sa.Column("automation_id", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_earning_rules")),
    )
    op.create_index(op.f("ix_earning_rules_campaign_id"), "earning_rules", ["campaign_id"])


def _products() -> None:
    op.create_table(
        "products",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("price", sa.BigInteger()),
        sa.Column("attributes", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("image_url", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_products")),
        sa.UniqueConstraint("project_id", "source_id", name=op.f("uq_products_project_id_source_id")),
    )


def _skus() -> None:
    op.create_table(
        "skus",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text()),
        sa.Column("sku", sa.Text()),
        sa.Column("price", sa.BigInteger()),
        sa.Column("currency", sa.Text()),
        sa.Column("attributes", sa.Text()),
        sa.Column("metadata", sa.Text()),
        sa.Column("image_url", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_skus")),
        sa.UniqueConstraint("project_id", "source_id", name=op.f("uq_skus_project_id_source_id")),
    )
