"""Movements are append-only, and the database says so itself."""

from __future__ import annotations

APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER movements_no_update BEFORE UPDATE ON movements "
        "BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END",
        "CREATE TRIGGER movements_no_delete BEFORE DELETE ON movements "
        "BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION movements_are_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'movements are append-only'; END $$",
        "CREATE TRIGGER movements_no_change BEFORE UPDATE OR DELETE ON movements "
        "FOR EACH ROW EXECUTE FUNCTION movements_are_append_only()",
    ),
}
"""Statements by dialect, run by the migration that makes the table."""
