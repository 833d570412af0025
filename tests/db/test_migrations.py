"""The migrations: they make exactly the schema that the code declares, all or nothing, and nobody runs beside it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from counterfoil.db.engine import Database
from counterfoil.db.migrate import migrate, prepare, require_current, schema_state
from counterfoil.db.schema import metadata, movements
from counterfoil.errors import CounterfoilError, Misconfigured
from tests.databases import POOL

REVISIONS = ("0001", "0002", "0003", "0004")
_SQLITE_TRIGGERS = sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
_POSTGRESQL_TRIGGERS = sa.text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname")


class Schema:
    """What each database below has to keep to. `empty` makes a new, empty database."""

    def test_migrations_make_what_the_code_declares(self, empty: Any) -> None:
        with empty() as migrated, empty() as declared:
            assert migrate(migrated).current
            with declared.write() as connection:
                metadata.create_all(connection)
            with migrated.read() as connection:
                options = {"compare_type": True, "compare_server_default": True}
                assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
            found, wanted = catalogue(migrated), catalogue(declared)
            assert found == wanted, "change the migration that makes the table: nothing was released yet"

    def test_movements_are_append_only(self, empty: Any) -> None:
        with empty() as database:
            migrate(database)
            row = {"project_id": 1, "seq": 1, "id": "vtx_1", "voucher_id": "v_1", "type": "POINTS_ADDITION"}
            with database.write() as connection:
                connection.execute(
                    movements.insert(), {**row, "amount": 1, "balance": 1, "created_at": 0, "recorded_at": 0}
                )
            statements = [movements.update().values(amount=2), movements.delete()]
            if not database.sqlite:
                statements.append(sa.text("TRUNCATE movements"))
            for statement in statements:
                with pytest.raises(CounterfoilError, match="append-only"), database.write() as connection:
                    connection.execute(statement)
            with database.read() as connection:
                assert connection.execute(sa.select(movements.c.amount)).scalars().all() == [1]
                triggers = connection.execute(_SQLITE_TRIGGERS if database.sqlite else _POSTGRESQL_TRIGGERS)
                assert triggers.scalars().all() == (
                    ["movements_no_delete", "movements_no_update"]
                    if database.sqlite
                    else ["movements_no_change", "movements_no_truncate"]
                )

    def test_each_step_leads_to_the_next_and_the_last_is_the_one_needed(self, empty: Any) -> None:
        with empty() as database:
            for revision in REVISIONS:
                assert migrate(database, revision).at == revision
                state = schema_state(database)
                assert (state.known, state.current) == (True, revision == REVISIONS[-1])
            assert state.head == REVISIONS[-1]

    def test_a_server_makes_the_schema_of_an_empty_database_only(self, empty: Any) -> None:
        with empty() as database:
            prepare(database)
            require_current(database)
            prepare(database)
        with empty() as database:
            migrate(database, REVISIONS[-2])
            with pytest.raises(
                Misconfigured, match=r"at schema 0003.*needs 0004.*back up, and run .counterfoil doctor --migrate"
            ) as behind:
                prepare(database)
            assert behind.value.code == "schema_behind"
            assert schema_state(database).at == REVISIONS[-2]
            assert migrate(database).current
            prepare(database)

    def test_a_database_that_is_ahead_is_left_alone(self, empty: Any) -> None:
        with empty() as database:
            migrate(database)
            with database.write() as connection:
                connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
            for door in (prepare, require_current, migrate):
                with pytest.raises(
                    Misconfigured, match=r"at schema 9999, which is newer.*run the newer version"
                ) as ahead:
                    door(database)
                assert ahead.value.code == "schema_ahead"

    def test_somebody_elses_tables_are_left_alone(self, empty: Any) -> None:
        with empty() as database:
            with database.write() as connection:
                connection.execute(sa.text("CREATE TABLE orders (no integer)"))
            with pytest.raises(Misconfigured, match=r"\(orders, …\); give Counterfoil a database of its own"):
                prepare(database)
            with database.read() as connection:
                assert sa.inspect(connection).get_table_names() == ["orders"]

    def test_a_step_that_fails_leaves_nothing_of_any(self, empty: Any) -> None:
        with empty() as database:
            migrate(database, "0001")
            with database.write() as connection:
                connection.execute(sa.text("CREATE TABLE export_parts (no integer)"))  # what 0004 trips over
            before = catalogue(database)
            with pytest.raises(CounterfoilError, match="export_parts"):
                migrate(database)
            assert catalogue(database) == before
            assert schema_state(database).at == "0001"

    def test_processes_that_start_at_once_make_it_once(self, empty: Any) -> None:
        with empty() as database:
            others = [Database(database.url.render_as_string(hide_password=False), POOL) for _ in range(4)]
            failed: list[BaseException] = []

            def start(other: Database) -> None:
                try:
                    prepare(other)
                except BaseException as error:  # noqa: BLE001  the test tells it
                    failed.append(error)

            threads = [threading.Thread(target=start, args=(other,)) for other in others]
            for thread in threads:
                thread.start()
            for thread, other in zip(threads, others, strict=True):
                thread.join()
                other.dispose()
            assert failed == []
            require_current(database)


class TestOnSqlite(Schema):
    @pytest.fixture
    def empty(self, tmp_path: Path) -> Any:
        numbers = iter(range(10))

        @contextmanager
        def make() -> Iterator[Database]:
            database = Database(f"sqlite:///{tmp_path}/{next(numbers)}.db", POOL)
            yield database
            database.dispose()

        return make


class TestOnPostgres(Schema):
    @pytest.fixture
    def empty(self, postgres_server: Any) -> Any:
        @contextmanager
        def make() -> Iterator[Database]:
            name = postgres_server.create()
            database = Database(postgres_server.url(name), POOL)
            yield database
            database.dispose()
            postgres_server.drop(name)

        return make


@pytest.mark.slow
@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["worker"], ["keys", "create", "--project", "shop"]])
def test_every_command_refuses_a_database_that_is_behind(tmp_path: Path, command: list[str]) -> None:
    database = Database(f"sqlite:///{tmp_path}/counterfoil.db", POOL)
    migrate(database, REVISIONS[0])
    database.dispose()
    ran = subprocess.run(
        [sys.executable, "-m", "counterfoil", *command, "--home", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith("counterfoil: The database is at schema 0001, this version of Counterfoil needs 0004; stop")
    assert line.endswith("run `counterfoil doctor --migrate`")


def catalogue(database: Database) -> dict[str, Any]:
    """Everything the database itself says of its tables, in an order of its own: columns, keys, checks, indexes."""
    found: dict[str, Any] = {}
    with database.read() as connection:
        inspector = sa.inspect(connection)
        for table in inspector.get_table_names():
            if table == "alembic_version":
                continue
            found[table] = {
                "columns": {
                    each["name"]: (
                        str(each["type"]),
                        each["nullable"],
                        each["default"],
                        bool(each.get("autoincrement")),
                    )
                    for each in inspector.get_columns(table)
                },
                "order": [each["name"] for each in inspector.get_columns(table)],
                "key": inspector.get_pk_constraint(table),
                "unique": _by_name(inspector.get_unique_constraints(table)),
                "checks": _by_name(inspector.get_check_constraints(table)),
                "indexes": {
                    each["name"]: (
                        each["column_names"],
                        each["unique"],
                        {name: str(value) for name, value in each.get("dialect_options", {}).items()},
                    )
                    for each in inspector.get_indexes(table)
                },
            }
    return found


def _by_name(constraints: Any) -> dict[str, Any]:
    return {each["name"]: each for each in constraints}
