"""Movements are append-only, and the database says so itself."""

from __future__ import annotations

_SQLITE_UPDATE = """
CREATE TRIGGER movements_no_update BEFORE UPDATE ON movements
BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END
"""
_SQLITE_DELETE = """
CREATE TRIGGER movements_no_delete BEFORE DELETE ON movements
BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END
"""
_POSTGRESQL_FUNCTION = """
CREATE FUNCTION movements_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'movements are append-only'; END $$
"""
_POSTGRESQL_CHANGE = """
CREATE TRIGGER movements_no_change BEFORE UPDATE OR DELETE ON movements
FOR EACH ROW EXECUTE FUNCTION movements_are_append_only()
"""

APPEND_ONLY = {
    "sqlite": (_SQLITE_UPDATE, _SQLITE_DELETE),
    "postgresql": (_POSTGRESQL_FUNCTION, _POSTGRESQL_CHANGE),
}
"""Statements by dialect, run by the migration that makes the table."""
