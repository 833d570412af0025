"""Postings: accruals and redemptions that can still be spoken of by an id of the caller's or as temporary ones."""

from __future__ import annotations

import sqlalchemy as sa

from counterfoil.db.schema.base import amount, instant, metadata, project_key, text_id

# One row for an accrual or redemption that was asked for with an eid, holds for a time only, was promised for later, or
# was undone. movement_seq is the movement it led to, pending_id the promise that leads there; fingerprint is what was
# asked, so that a repeated request is known. A HELD redemption has taken its points already, a HELD accrual is a promise.
postings = sa.Table(
    "postings",
    metadata,
    project_key(),
    text_id(),
    sa.Column("campaign_id", sa.Text),
    sa.Column("voucher_id", sa.Text, nullable=False),
    sa.Column("eid", sa.Text),
    sa.Column("kind", sa.Text, nullable=False),
    amount("points"),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("undone_because", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("movement_seq", sa.BigInteger),
    sa.Column("pending_id", sa.Text),
    sa.Column("activates_on", sa.Text),
    instant("held_until"),
    instant("created_at", nullable=False),
    instant("updated_at"),
    sa.Index("uq_postings_project_id_campaign_id_eid", "project_id", "campaign_id", "eid", unique=True),
    sa.Index("uq_postings_project_id_movement_seq", "project_id", "movement_seq", unique=True),
    sa.Index("ix_postings_project_id_pending_id", "project_id", "pending_id"),
    sa.CheckConstraint("kind in ('ACCRUAL', 'REDEMPTION')", name="kind"),
    sa.CheckConstraint("status in ('HELD', 'DONE', 'UNDONE')", name="status"),
    sa.CheckConstraint("(status = 'UNDONE') = (undone_because is not null)", name="undone_with_reason"),
    sa.CheckConstraint("status <> 'HELD' or held_until is not null", name="held_until_when_held"),
)
IS_HELD = postings.c.status == sa.literal_column("'HELD'")
"""The condition of the indexes over what is held, word for word."""

sa.Index(
    "ix_postings_held",
    postings.c.project_id,
    postings.c.held_until,
    sqlite_where=IS_HELD,
    postgresql_where=IS_HELD,
)
sa.Index(
    "ix_postings_held_voucher_id",
    postings.c.project_id,
    postings.c.voucher_id,
    sqlite_where=IS_HELD,
    postgresql_where=IS_HELD,
)
