"""The one schema, in SQLAlchemy Core; migrations are proven to produce exactly this on both databases."""

from __future__ import annotations

from counterfoil.db.schema.base import JsonText, metadata
from counterfoil.db.schema.cards import buckets, campaigns, movements, pending_points, vouchers
from counterfoil.db.schema.postings import postings
from counterfoil.db.schema.shop import (
    customers,
    earning_rules,
    orders,
    products,
    publications,
    redemptions,
    reward_assignments,
    rewards,
    skus,
)
from counterfoil.db.schema.tenancy import access_tokens, api_keys, counters, idempotency_keys, projects
from counterfoil.db.schema.work import (
    async_actions,
    duties,
    export_parts,
    exports,
    manifests,
    segments,
)

__all__ = [
    "JsonText",
    "access_tokens",
    "api_keys",
    "async_actions",
    "buckets",
    "campaigns",
    "counters",
    "customers",
    "duties",
    "earning_rules",
    "export_parts",
    "exports",
    "idempotency_keys",
    "manifests",
    "metadata",
    "movements",
    "orders",
    "pending_points",
    "postings",
    "products",
    "projects",
    "publications",
    "redemptions",
    "reward_assignments",
    "rewards",
    "segments",
    "skus",
    "vouchers",
]
