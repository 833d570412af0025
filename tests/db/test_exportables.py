"""What a select of an object's fields gives: every field of every object, in order, of the right rows only."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import OBJECTS, exportable
from counterfoil.dataplane.schema import arrow_schema, batch_of
from counterfoil.db.engine import Database
from counterfoil.db.exportables import Rows, metadata_names, select_object
from counterfoil.plan.fields import parse_order
from counterfoil.plan.filters import resolve
from counterfoil.plan.request import Condition, FieldFilter, Filter, Order
from tests.databases import postgres_ledger, sqlite_ledger
from tests.db.catalogue_world import NOW_MS, PROPERTIES, build, interpret, rows_of, store
from tests.services import PostgresServer

WORLD = build(seed=11)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def fill(database: Database) -> None:
    with database.write() as connection:
        store(WORLD, connection)


def names(about: Exportable) -> list[str]:
    members = [f"{prefix}{name}" for prefix, _ in about.documents for name in PROPERTIES]
    return [field.name for field in about.fields if field.exported] + members


def read(database: Database, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def arrow_value(kind: Kind, value: Any) -> Any:
    """What Arrow gives back for a value in its inner form."""
    if value is None:
        return None
    if kind is Kind.INSTANT:
        return EPOCH + datetime.timedelta(milliseconds=value)
    return datetime.date.fromisoformat(value) if kind is Kind.DATE else value


def test_tables_are_joined_only_when_needed() -> None:
    assert " JOIN " not in str(select_object("redemption", ["id", "customer_id"], Rows(1)))
    assert " JOIN " in str(select_object("redemption", ["id", "customer_name"], Rows(1)))
    asked = Filter("and", (FieldFilter("customer", (Condition("is", ("x",)),)),))
    resolved = resolve(asked, exportable("redemption"), now_ms=NOW_MS)
    assert " JOIN " in str(select_object("redemption", ["id"], Rows(1, filter=resolved)))
    assert " JOIN " not in str(select_object("voucher", ["id"], Rows(1), order=parse_order("-code")))


class Selects:
    """The same on every database; each of the classes below has its own `database`."""

    @pytest.mark.parametrize("name", list(OBJECTS))
    def test_every_field_has_the_value_its_source_means(self, database: Database, name: str) -> None:
        about = exportable(name)
        fields = names(about)
        found = read(database, select_object(name, [*fields, "id"], Rows(1)))
        batch = batch_of(found, arrow_schema(name, [*fields, "id"])).to_pylist()
        rows = {row["id"]: row for row in rows_of(WORLD, about)}
        assert {each["id"] for each in batch} == set(rows)
        for each in batch:
            for field_name in fields:
                field = about.field(field_name)
                assert field is not None
                wanted = interpret(field, about, rows[each["id"]], WORLD)
                kind = Kind.STRING if field.many else field.kind
                assert each[field_name] == arrow_value(kind, wanted), (field_name, each["id"])

    @pytest.mark.parametrize("name", list(OBJECTS))
    def test_orders_are_total_and_a_dash_is_their_exact_reverse(self, database: Database, name: str) -> None:
        about = exportable(name)
        for order in {*about.orders, about.default_order.removeprefix("-")}:
            up = read(database, select_object(name, ["id"], Rows(1), order=Order(order)))
            down = read(database, select_object(name, ["id"], Rows(1), order=Order(order, descending=True)))
            assert up == down[::-1]
            field = about.field(order)
            assert field is not None

            def key(row: dict[str, Any], field: Any = field) -> tuple[Any, ...]:
                value = interpret(field, about, row, WORLD)
                tie = row[about.key]
                sortable = value.encode() if isinstance(value, str) else value
                return (
                    value is not None,
                    sortable if value is not None else 0,
                    tie.encode() if isinstance(tie, str) else tie,
                )

            assert [row[0] for row in up] == [row["id"] for row in sorted(rows_of(WORLD, about), key=key)], order

    def test_a_limit_and_bounds_on_movements_hold(self, database: Database) -> None:
        rows = Rows(1, seq_from=5, seq_to=30, created_from=NOW_MS - 10**9, created_to=NOW_MS)
        found = read(database, select_object("voucher_transactions", ["id"], rows, order=Order("created_at")))
        wanted = [
            row
            for row in rows_of(WORLD, exportable("voucher_transactions"))
            if 5 <= row["seq"] <= 30 and NOW_MS - 10**9 <= row["created_at"] < NOW_MS
        ]
        wanted.sort(key=lambda row: (row["created_at"], row["seq"]))
        assert wanted
        assert [row[0] for row in found] == [row["id"] for row in wanted]
        limited = select_object("voucher_transactions", ["id"], rows, order=Order("created_at"), limit=2)
        assert read(database, limited) == found[:2]

    @pytest.mark.parametrize("descending", [False, True])
    def test_a_cursor_goes_on_exactly_where_the_order_stopped(self, database: Database, descending: bool) -> None:
        order = Order("created_at", descending)
        fields = ["id", "created_at", "seq"]
        whole = read(database, select_object("movement", fields, Rows(1), order=order))
        for at, (_, created_at, seq) in enumerate(whole):
            rest = read(database, select_object("movement", fields, Rows(1, cursor=(created_at, seq)), order=order))
            assert rest == whole[at + 1 :]

    def test_the_dialects_never_see_opening_balances(self, database: Database) -> None:
        shown = read(database, select_object("voucher_transactions", ["type"], Rows(1)))
        kept = read(database, select_object("movement", ["type"], Rows(1)))
        assert ("OPENING_BALANCE",) in kept
        assert ("OPENING_BALANCE",) not in shown
        assert len(shown) == sum(each != ("OPENING_BALANCE",) for each in kept)

    @pytest.mark.parametrize("name", list(OBJECTS))
    def test_metadata_names_are_those_of_the_rows_that_leave(self, database: Database, name: str) -> None:
        about = exportable(name)
        column = dict(about.documents).get("metadata.")
        wanted = {key for row in rows_of(WORLD, about) if column for key in row[column] or {}}
        with database.read() as connection:
            assert metadata_names(connection, name, 1) == tuple(sorted(wanted))

    def test_a_field_with_a_long_and_odd_name_is_read_by_position(self, database: Database) -> None:
        odd = 'metadata.od"d'
        fields = ["id", odd, "metadata." + "x" * 90, "metadata.a%s:b"]
        found = read(database, select_object("voucher", fields, Rows(1)))
        assert all(len(row) == 4 and row[2] is None and row[3] is None for row in found)
        assert any(row[1] is not None for row in found)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with sqlite_ledger(tmp_path_factory.mktemp("exportables")) as opened:
        fill(opened)
        yield opened


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_ledger(postgres_server) as opened:
        fill(opened)
        yield opened


class TestSQLite(Selects):
    @pytest.fixture
    def database(self, sqlite: Database) -> Database:
        return sqlite


class TestPostgreSQL(Selects):
    @pytest.fixture
    def database(self, postgres: Database) -> Database:
        return postgres
