"""One filter, two readings: the compiled SQL on each database and plain Python on the same rows agree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import OBJECTS, exportable
from counterfoil.catalog.operators import RESOLVED, operators_of
from counterfoil.db.engine import Database
from counterfoil.db.exportables import Rows, count_object, matching_rows, select_object
from counterfoil.db.schema import metadata
from counterfoil.plan.filters import resolve
from counterfoil.plan.matching import matches
from counterfoil.plan.request import FieldFilter, Filter
from tests.databases import postgres_ledger, sqlite_ledger
from tests.db.catalogue_world import NOW_MS, World, build, model_row, rows_of, store
from tests.db.filter_draws import condition_of, filters, names_of
from tests.services import PostgresServer

WORLD = build()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with sqlite_ledger(tmp_path_factory.mktemp("filters")) as database:
        with database.write() as connection:
            store(WORLD, connection)
        yield database


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_ledger(postgres_server) as database:
        with database.write() as connection:
            store(WORLD, connection)
        yield database


def agree(database: Database, name: str, asked: Filter, world: World = WORLD) -> int:
    """Assert that database and model find the same rows; returns how many."""
    about = exportable(name)
    resolved = resolve(asked, about, now_ms=NOW_MS)
    assert {each.operator for field in resolved.fields for each in field.conditions} <= RESOLVED
    names = {field.field for field in resolved.fields}
    wanted = {
        row["id"] for row in rows_of(world, about) if matches(resolved, about, model_row(about, row, world, names))
    }
    rows, own = Rows(1, filter=resolved), metadata.tables[about.table]
    with database.read() as connection:
        found = set(connection.execute(select_object(name, ["id"], rows)).scalars())
        tested = sa.select(own.c.id).where(matching_rows(name, rows))
        assert set(connection.execute(tested).scalars()) == found
        assert connection.execute(count_object(name, rows)).scalar_one() == len(wanted)
    assert found == wanted, resolved
    return len(found)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("name", [each for each in OBJECTS if each not in {"sku", "movement"}])
def test_sqlite_agrees_with_plain_python(sqlite: Database, name: str, data: st.DataObject) -> None:
    agree(sqlite, name, data.draw(filters(exportable(name))))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("name", list(OBJECTS))
def test_postgresql_agrees_with_plain_python(postgres: Database, name: str, data: st.DataObject) -> None:
    agree(postgres, name, data.draw(filters(exportable(name))))


def representatives() -> list[tuple[str, str]]:
    """One field, with its object, for each form that a field's source and kind can take together."""
    found: dict[tuple[type, Kind], tuple[str, str]] = {}
    for name, about in OBJECTS.items():
        for field_name in names_of(about):
            field = about.field(field_name)
            assert field is not None
            found.setdefault((type(field.source), field.kind), (name, field_name))
    return list(found.values())


def run_each_operator(database: Database, name: str, field_name: str) -> None:
    field = exportable(name).field(field_name)
    assert field is not None

    @settings(max_examples=2, phases=[Phase.generate], derandomize=True)
    @given(st.data())
    def each_operator(data: st.DataObject) -> None:
        for operator in operators_of(field.kind, many=field.many):
            asked = data.draw(condition_of(field, operator))
            agree(database, name, Filter("and", (FieldFilter(field_name, (asked,)),)))

    each_operator()


@pytest.mark.parametrize(("name", "field_name"), representatives())
def test_every_operator_on_every_kind_of_field_sqlite(sqlite: Database, name: str, field_name: str) -> None:
    run_each_operator(sqlite, name, field_name)


@pytest.mark.parametrize(("name", "field_name"), representatives())
def test_every_operator_on_every_kind_of_field_postgresql(postgres: Database, name: str, field_name: str) -> None:
    run_each_operator(postgres, name, field_name)
