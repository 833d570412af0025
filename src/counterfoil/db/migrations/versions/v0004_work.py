"""Exports with their parts and manifests, archive segments, duties, async actions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""
    _exports()
    _export_parts()
    _manifests()
    _segments()
    _duties()
    _async_actions()


def _exports() -> None:
    op.create_table(
        "exports",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="API", nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("request", sa.Text()),
        sa.Column("echo", sa.Text()),
        sa.Column("seq_max", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("available_at", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("rows_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows_total", sa.BigInteger()),
        sa.Column("path", sa.Text()),
        sa.Column("executor", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column("file_expires_at", sa.BigInteger()),
        sa.CheckConstraint(
            "(finished_at is not null) = (status in ('DONE', 'ERROR', 'CANCELED', 'EXPIRED'))",
            name=op.f("ck_exports_finished_when_final"),
        ),
        sa.CheckConstraint(
            "(status = 'IN_PROGRESS') = (lease_owner is not null)", name=op.f("ck_exports_leased_while_running")
        ),
        sa.CheckConstraint(
            "(status in ('DONE', 'EXPIRED')) = (result is not null)", name=op.f("ck_exports_result_when_done")
        ),
        sa.CheckConstraint(
            "status in ('SCHEDULED', 'IN_PROGRESS', 'DONE', 'ERROR', 'CANCELED', 'EXPIRED')",
            name=op.f("ck_exports_status"),
        ),
        sa.CheckConstraint("(lease_owner is null) = (lease_until is null)", name=op.f("ck_exports_lease_whole")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_exports")),
    )
    op.create_index("ix_exports_project_id_created_at", "exports", ["project_id", "created_at"])
    op.create_index("ix_exports_status_available_at", "exports", ["status", "available_at"])


def _export_parts() -> None:
    op.create_table(
        "export_parts",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("export_id", sa.Text(), nullable=False),
        sa.Column("part_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task_hash", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("sums", sa.Text()),
        sa.PrimaryKeyConstraint("project_id", "export_id", "part_no", name=op.f("pk_export_parts")),
    )


def _manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("export_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.Text()),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "no", name=op.f("pk_manifests")),
        sa.UniqueConstraint("project_id", "export_id", name=op.f("uq_manifests_project_id_export_id")),
    )


def _segments() -> None:
    op.create_table(
        "segments",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seq_from", sa.BigInteger(), nullable=False),
        sa.Column("seq_to", sa.BigInteger(), nullable=False),
        sa.Column("created_from", sa.BigInteger(), nullable=False),
        sa.Column("created_to", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("stats", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger()),
        sa.CheckConstraint("status in ('LIVE', 'RETIRED')", name=op.f("ck_segments_status")),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_segments")),
    )
    op.create_index("ix_segments_project_id_status_seq_from", "segments", ["project_id", "status", "seq_from"])


def _duties() -> None:
    op.create_table(
        "duties",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("last_done_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_duties")),
    )


def _async_actions() -> None:
    op.create_table(
        "async_actions",
        sa.Column("project_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("operation_status", sa.Text()),
        sa.Column("payload", sa.Text()),
        sa.Column("checkpoint", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column("progress", sa.Integer(), server_default="0", nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.CheckConstraint(
            "status in ('ENQUEUED', 'IN_PROGRESS', 'DONE', 'FAILED')", name=op.f("ck_async_actions_status")
        ),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_async_actions")),
    )
    op.create_index("ix_async_actions_status_created_at", "async_actions", ["status", "created_at"])
