"""Bring a database to the schema this code needs, or say how far it is from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from counterfoil.db.engine import Database
from counterfoil.errors import CounterfoilError

_FOLDER = Path(__file__).parent / "migrations"
# Any number, the same in every process: PostgreSQL's advisory lock for migrating.
_MIGRATION_LOCK = 7_620_266


@dataclass(frozen=True, slots=True)
class SchemaState:
    """at: the revision the database is at (None: empty). head: the one this code needs. known: whether `at` is ours."""

    at: str | None
    head: str
    known: bool

    @property
    def current(self) -> bool:
        """Whether the database is exactly where the code needs it."""
        return self.at == self.head


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def migrate(database: Database) -> SchemaState:
    """Run the migrations that are missing; safe to call from many processes at once."""
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        if not _state(connection).current:
            command.upgrade(_config(connection), "head")
        return _state(connection)


def schema_state(database: Database) -> SchemaState:
    """Where the database stands."""
    with database.read() as connection:
        return _state(connection)


def require_current(database: Database) -> None:
    """Raise, with what to do, unless the schema is the one this code needs."""
    state = schema_state(database)
    if state.current:
        return
    if state.at is not None and not state.known:
        raise CounterfoilError(
            "schema_ahead",
            f"The database is at schema {state.at}, which this version does not know; "
            f"install a newer Counterfoil (this one needs {state.head})",
        )
    raise CounterfoilError(
        "schema_behind",
        f"The database is at schema {state.at or 'none'}, this version needs {state.head}; "
        "run `counterfoil doctor --migrate`",
    )


def _state(connection: Connection) -> SchemaState:
    scripts = ScriptDirectory.from_config(_config())
    head = scripts.get_current_head()
    assert head is not None
    at = MigrationContext.configure(connection).get_current_revision()
    known = at is None or any(script.revision == at for script in scripts.walk_revisions())
    return SchemaState(at, head, known)
