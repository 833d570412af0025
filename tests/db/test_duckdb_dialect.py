"""DuckDB reads segments with the very expressions that the databases get."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.catalog.objects import exportable
from counterfoil.db.duckdb_dialect import rendered
from counterfoil.db.exportables import Rows, ordering, projection, row_tests
from counterfoil.db.schema import metadata
from counterfoil.plan.filters import resolve
from counterfoil.plan.matching import matches
from counterfoil.plan.request import Filter, Order
from tests.db.catalogue_world import NOW_MS, build, interpret, model_row, rows_of
from tests.db.filter_draws import filters

WORLD = build(seed=5)
ABOUT = exportable("voucher_transactions")
MOVEMENTS = metadata.tables["movements"]
SEGMENT = sa.table("segment", *(sa.column(each.name, each.type) for each in MOVEMENTS.columns))


def arrow_of(rows: list[dict[str, Any]]) -> pa.Table:
    types = {
        column.name: pa.int64() if isinstance(column.type, sa.BigInteger) else pa.string()
        for column in MOVEMENTS.columns
    }
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()})


def run(statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
    text, parameters = rendered(statement)
    with duckdb.connect() as connection:
        connection.register("segment", arrow_of(WORLD["movements"]))
        return connection.execute(text, parameters).fetchall()


@pytest.mark.slow
@settings(max_examples=60)
@given(filters(ABOUT), st.booleans())
def test_filters_find_on_duckdb_what_plain_python_finds(asked: Filter, descending: bool) -> None:
    resolved = resolve(asked, ABOUT, now_ms=NOW_MS)
    names = {each.field for each in resolved.fields}
    tables = {"": SEGMENT}
    order = Order("created_at", descending)
    rows = Rows(1, filter=resolved, seq_to=30)
    statement = sa.select(SEGMENT.c.seq).where(*row_tests(ABOUT, rows, tables, order))
    found = run(statement.order_by(*ordering(ABOUT, order, tables)))
    wanted = [
        row
        for row in rows_of(WORLD, ABOUT)
        if row["seq"] <= 30 and matches(resolved, ABOUT, model_row(ABOUT, row, WORLD, names))
    ]
    wanted.sort(key=lambda row: (row["created_at"], row["seq"]), reverse=descending)
    assert [each[0] for each in found] == [row["seq"] for row in wanted]


def test_fields_are_projected_alike() -> None:
    about = exportable("movement")
    fields = [
        field for field in about.fields if field.exported and not field.name.startswith(("voucher_c", "voucher_t"))
    ]
    fields = [field for field in fields if field.name not in {"campaign", "customer_source_id"}]
    statement = sa.select(*(projection(field, {"": SEGMENT}).label(field.name) for field in fields))
    found = run(statement.where(SEGMENT.c.project_id == 1).order_by(SEGMENT.c.seq))
    rows = sorted(rows_of(WORLD, about), key=lambda row: row["seq"])
    assert [list(each) for each in found] == [[interpret(field, about, row, WORLD) for field in fields] for row in rows]
