"""Bring a database to the schema this code needs, or say how far it is from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from counterfoil.db.engine import Database
from counterfoil.db.schema import metadata
from counterfoil.errors import CounterfoilError, Misconfigured

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


def migrate(database: Database, to: str = "head") -> SchemaState:
    """Run the migrations that are missing, all or none of them; safe to call from many processes at once.

    Raises Misconfigured when the database is ahead of this code, or holds tables that somebody else made.
    """
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            # A large table takes as long as it takes, and others wait for their turn as long.
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        state = _state(connection)
        if not state.known:
            raise _ahead(state)
        if state.at is None:
            _require_no_tables(connection)
        if not state.current:
            command.upgrade(_config(connection), to)
        return _state(connection)


def prepare(database: Database) -> None:
    """Make the schema in an empty database; one that has a schema is left alone and must have the one needed.

    A server never migrates what is there: others may run the older code on it (decision 0020). Raises Misconfigured.
    """
    state = schema_state(database)
    if state.at is None:
        migrate(database)
    else:
        _require(state)


def schema_state(database: Database) -> SchemaState:
    """Where the database stands."""
    with database.read() as connection:
        return _state(connection)


def require_current(database: Database) -> None:
    """Raise Misconfigured, with what to do, unless the schema is the one this code needs."""
    _require(schema_state(database))


def advice(state: SchemaState) -> str | None:
    """What is wrong with the schema and what to do about it, or None."""
    if state.current:
        return None
    if not state.known:
        return (
            f"The database is at schema {state.at}, which is newer than this version of Counterfoil knows (it needs "
            f"{state.head}); run the newer version, or restore a backup made before the database was migrated"
        )
    return (
        f"The database is at schema {state.at or 'none'}, this version of Counterfoil needs {state.head}; stop the "
        "servers and workers that run the older version, back up, and run `counterfoil doctor --migrate`"
    )


def _require(state: SchemaState) -> None:
    found = advice(state)
    if found is not None:
        raise Misconfigured("schema_behind" if state.known else "schema_ahead", found)


def _ahead(state: SchemaState) -> CounterfoilError:
    return Misconfigured("schema_ahead", advice(state) or "")


def _require_no_tables(connection: Connection) -> None:
    taken = sorted(set(sa.inspect(connection).get_table_names()) & set(metadata.tables))
    if taken:
        raise Misconfigured(
            "schema_foreign",
            f"The database has no Counterfoil schema, but tables of its names ({', '.join(taken[:3])}, …); give "
            "Counterfoil a database of its own",
        )


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def _state(connection: Connection) -> SchemaState:
    head = _scripts().get_current_head()
    assert head is not None
    at = MigrationContext.configure(connection).get_current_revision()
    known = at is None or any(script.revision == at for script in _scripts().walk_revisions())
    return SchemaState(at, head, known)
