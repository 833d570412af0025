"""Work done in the background: exports with their parts and manifests, archive segments, bulk imports."""

from __future__ import annotations

import sqlalchemy as sa

from counterfoil.db.schema.base import document, flag, instant, metadata, project_key, text_id

# The row is the queue, the API's resource and the pointer to the file, all at once (docs/architecture.md, queue).
# request: what was asked, dialect-neutral. echo: what the dialect shows of it. seq_max: the snapshot, fixed when asked.
# attempt only grows and fences every later write; tries is the retry budget.
exports = sa.Table(
    "exports",
    metadata,
    project_key(),
    text_id(),
    sa.Column("dialect", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False, server_default="API"),
    sa.Column("user_id", sa.Text),
    document("request"),
    document("echo"),
    sa.Column("seq_max", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    instant("created_at", nullable=False),
    instant("available_at", nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lease_owner", sa.Text),
    instant("lease_until"),
    flag("cancel_requested", default=False),
    instant("started_at"),
    instant("finished_at"),
    sa.Column("rows_done", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("rows_total", sa.BigInteger),
    sa.Column("path", sa.Text),
    sa.Column("executor", sa.Text),
    sa.Column("error_code", sa.Text),
    sa.Column("error_message", sa.Text),
    # result: {"files": [{"key", "name", "rows", "bytes", "sha256"}], "rows", "bytes", "manifest"}; set with DONE only.
    document("result"),
    instant("file_expires_at"),
    sa.Index("ix_exports_project_id_created_at", "project_id", "created_at"),
    sa.Index("ix_exports_status_available_at", "status", "available_at"),
    sa.CheckConstraint("status in ('SCHEDULED', 'IN_PROGRESS', 'DONE', 'ERROR', 'CANCELED', 'EXPIRED')", name="status"),
    sa.CheckConstraint("(status = 'IN_PROGRESS') = (lease_owner is not null)", name="leased_while_running"),
    sa.CheckConstraint("(lease_owner is null) = (lease_until is null)", name="lease_whole"),
    sa.CheckConstraint("(status in ('DONE', 'EXPIRED')) = (result is not null)", name="result_when_done"),
    sa.CheckConstraint(
        "(finished_at is not null) = (status in ('DONE', 'ERROR', 'CANCELED', 'EXPIRED'))", name="finished_when_final"
    ),
)

# Finished parts of an export's plan; a later attempt takes them over instead of doing them again.
export_parts = sa.Table(
    "export_parts",
    metadata,
    project_key(),
    sa.Column("export_id", sa.Text, primary_key=True),
    sa.Column("part_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("task_hash", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    document("sums"),
)

# Each finished export's manifest, chained: prev_hash is the hash of the project's manifest before it.
manifests = sa.Table(
    "manifests",
    metadata,
    project_key(),
    sa.Column("no", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("export_id", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text),
    sa.Column("key", sa.Text, nullable=False),
    instant("created_at", nullable=False),
    sa.UniqueConstraint("project_id", "export_id"),
)

# Columnar copies of the movements seq_from..seq_to; nothing is ever read that this table does not name as LIVE.
segments = sa.Table(
    "segments",
    metadata,
    project_key(),
    text_id(),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("level", sa.Integer, nullable=False, server_default="0"),
    sa.Column("seq_from", sa.BigInteger, nullable=False),
    sa.Column("seq_to", sa.BigInteger, nullable=False),
    instant("created_from", nullable=False),
    instant("created_to", nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    document("stats"),
    instant("created_at", nullable=False),
    instant("retired_at"),
    sa.Index("ix_segments_project_id_status_seq_from", "project_id", "status", "seq_from"),
    sa.CheckConstraint("status in ('LIVE', 'RETIRED')", name="status"),
)

# Singletons of background work (sealer, sweeper, expiry) and their leases.
duties = sa.Table(
    "duties",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("lease_owner", sa.Text),
    instant("lease_until"),
    instant("last_done_at"),
)

# The vendor's async action objects: bulk imports and generation of many vouchers. payload is what was asked, checkpoint
# how far it is; each step's work and its checkpoint share a transaction. tries counts claims since the last step.
async_actions = sa.Table(
    "async_actions",
    metadata,
    project_key(),
    text_id(),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("operation_status", sa.Text),
    document("payload"),
    document("checkpoint"),
    document("result"),
    sa.Column("progress", sa.Integer, nullable=False, server_default="0"),
    sa.Column("request_id", sa.Text),
    sa.Column("lease_owner", sa.Text),
    instant("lease_until"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    instant("created_at", nullable=False),
    instant("updated_at"),
    instant("finished_at"),
    sa.Index("ix_async_actions_status_created_at", "status", "created_at"),
    sa.CheckConstraint("status in ('ENQUEUED', 'IN_PROGRESS', 'DONE', 'FAILED')", name="status"),
)
