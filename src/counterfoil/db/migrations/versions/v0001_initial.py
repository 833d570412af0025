"""The first schema."""

from __future__ import annotations

from alembic import op

from counterfoil.db.schema import metadata
from counterfoil.db.schema.triggers import APPEND_ONLY

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table, then the triggers that keep movements append-only."""
    connection = op.get_bind()
    metadata.create_all(connection)
    for statement in APPEND_ONLY[connection.dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    metadata.drop_all(op.get_bind())
