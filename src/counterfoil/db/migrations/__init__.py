"""Alembic migrations, one line for both databases."""
