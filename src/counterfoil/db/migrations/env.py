"""Alembic's entry: runs migrations on the connection that `db.migrate` hands over."""

from __future__ import annotations

from alembic import context

from counterfoil.db.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
context.run_migrations()
