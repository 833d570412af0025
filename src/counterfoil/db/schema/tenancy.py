"""Projects (the tenants), their keys, tokens and counters, and remembered answers to repeated writes."""

from __future__ import annotations

import sqlalchemy as sa

from counterfoil.db.schema.base import BigId, document, instant, metadata, project_key

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("public_id", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    document("settings"),
    # Signs download links; every server of a shared database needs the same one, so it cannot be hashed.
    sa.Column("link_secret", sa.Text, nullable=False),
    instant("created_at", nullable=False),
)

# movement_seq is the last seq given; its row's lock is what makes seq gap-free and commit-ordered.
counters = sa.Table(
    "counters",
    metadata,
    project_key(),
    sa.Column("movement_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("campaign_iid", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("manifest_no", sa.BigInteger, nullable=False, server_default="0"),
)

# kind 'app' is an id and token pair sent in headers; kind 'bearer' is one token (Altcraft), app_id NULL.
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", BigId, primary_key=True),
    sa.Column("project_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("app_id", sa.Text, unique=True),
    sa.Column("token_hash", sa.Text, nullable=False, index=True),
    document("scopes"),
    instant("created_at", nullable=False),
    instant("revoked_at"),
    sa.CheckConstraint("kind in ('app', 'bearer')", name="kind"),
)

access_tokens = sa.Table(
    "access_tokens",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column("project_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("key_id", sa.BigInteger, nullable=False, index=True),
    document("scopes"),
    instant("created_at", nullable=False),
    instant("expires_at", nullable=False),
)

# The row is written in the transaction of the write it belongs to, so a remembered answer is a committed one.
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    project_key(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.Text, nullable=False),
    document("answer"),
    instant("created_at", nullable=False),
)
