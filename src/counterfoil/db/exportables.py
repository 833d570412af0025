"""From rows of the catalogue to SQL: every exportable object as a select of its fields, derived from their sources.

Columns come in their inner form: instants as BIGINT ms, dates as ISO text, amounts as integers, booleans, JSON as the
text it is kept in. `dataplane.schema` says which Arrow type each has and builds batches of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause, TableValuedAlias

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import exportable
from counterfoil.catalog.sources import (
    AnyOf,
    Average,
    Child,
    ChildSum,
    Choice,
    Column,
    Difference,
    FirstOf,
    JsonAt,
    JsonList,
    Nothing,
    Source,
    State,
    joins_of,
)
from counterfoil.db.expressions import bytewise, json_elements, json_joined, json_text
from counterfoil.db.filters import FieldValues, Many, Scalar, StateParts, Test, compile_filter
from counterfoil.db.schema import metadata
from counterfoil.plan.request import Filter, Order

Tables = Mapping[str, FromClause]
"""The object's own table under "", its joined tables under their names."""

_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.INTEGER: sa.BigInteger(),
    Kind.MONEY: sa.BigInteger(),
    Kind.INSTANT: sa.BigInteger(),
    Kind.BOOLEAN: sa.Boolean(),
}


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of an object: those of the project that pass both resolved filters, and nothing hidden or deleted.

    For movements also: seq_from <= seq <= seq_to, created_from <= created_at < created_to (ms), and only those behind
    the cursor (created_at, seq) in the order. None means no bound.
    """

    project_id: int
    scope: Filter = EVERYTHING
    filter: Filter = EVERYTHING
    seq_from: int | None = None
    seq_to: int | None = None
    created_from: int | None = None
    created_to: int | None = None
    cursor: tuple[int, int] | None = None


def select_object(
    object_name: str, fields: Sequence[str], rows: Rows, *, order: Order | None = None, limit: int | None = None
) -> sa.Select[Any]:
    """The rows of an object as a select with one column per field, in that order and labelled with its name.

    fields: checked names, members of documents (`metadata.NAME`) included; read the columns by position, since a
    database may cut long labels. order: None for no order. Joins only what fields, filters and order need.
    """
    about = exportable(object_name)
    picked = [_field(about, name) for name in fields]
    tables = tables_of(about, [*fields, *_filtered(rows), *([order.field] if order else [])])
    statement = sa.select(*(projection(field, tables).label(field.name) for field in picked))
    statement = statement.select_from(_joined(about, tables)).where(*row_tests(about, rows, tables, order))
    if order is not None:
        statement = statement.order_by(*ordering(about, order, tables))
    return statement if limit is None else statement.limit(limit)


def count_object(object_name: str, rows: Rows) -> sa.Select[int]:
    """How many rows `select_object` would give."""
    about = exportable(object_name)
    tables = tables_of(about, _filtered(rows))
    statement = sa.select(sa.func.count()).select_from(_joined(about, tables))
    return statement.where(*row_tests(about, rows, tables, None))


def matching_rows(object_name: str, rows: Rows) -> Test:
    """The same rows as a test on the object's own table, for statements that select other columns of it."""
    about = exportable(object_name)
    tables = tables_of(about, _filtered(rows))
    if len(tables) == 1:
        return sa.and_(*row_tests(about, rows, tables, None))
    own = tables[""].alias()
    key = own.c[about.key]
    inner = tables_of(about, _filtered(rows), own=own)
    found = sa.select(key).select_from(_joined(about, inner)).where(*row_tests(about, rows, inner, None))
    outer = tables[""]
    return sa.and_(outer.c["project_id"] == rows.project_id, outer.c[about.key].in_(found))


def tables_of(about: Exportable, names: Iterable[str], *, own: FromClause | None = None) -> dict[str, FromClause]:
    """The object's own table and those that the named fields need besides. own: another stand-in for its own table."""
    needed = {join for name in names for join in joins_of(_field(about, name).source)}
    tables: dict[str, FromClause] = {"": metadata.tables[about.table] if own is None else own}
    for join in about.joins:
        if join.name in needed:
            tables[join.name] = metadata.tables[join.table].alias(f"its_{join.name}")
    return tables


def row_tests(about: Exportable, rows: Rows, tables: Tables, order: Order | None) -> list[Test]:
    """Every condition on the object's rows. order matters to the cursor only."""
    own = tables[""]
    tests: list[Test] = [own.c["project_id"] == rows.project_id]
    tests += [own.c[column] != value for column, value in about.hidden]
    if about.deleted is not None:
        tests.append(own.c[about.deleted].is_(None))
    if rows.seq_from is not None:
        tests.append(own.c["seq"] >= rows.seq_from)
    if rows.seq_to is not None:
        tests.append(own.c["seq"] <= rows.seq_to)
    if rows.created_from is not None:
        tests.append(own.c["created_at"] >= rows.created_from)
    if rows.created_to is not None:
        tests.append(own.c["created_at"] < rows.created_to)
    if rows.cursor is not None:
        tests.append(_behind(rows.cursor, own, descending=order is not None and order.descending))
    for asked in (rows.scope, rows.filter):
        if asked.fields:
            tests.append(compile_filter(asked, about, field_values(about, asked, tables)))
    return tests


def field_values(about: Exportable, asked: Filter, tables: Tables) -> FieldValues:
    """What `compile_filter` needs: the expression of every field that the filter names."""
    return {each.field: filter_value(_field(about, each.field), tables) for each in asked.fields}


def ordering(about: Exportable, order: Order, tables: Tables) -> list[ColumnElement[Any]]:
    """The order with its tie-break. Unknown values come first, and last when descending; text goes by its bytes."""
    field = _field(about, order.field)
    value = projection(field, tables)
    column = bytewise(value) if isinstance(value.type, sa.String) else value
    ties = tables[""].c[about.key]
    keys: list[ColumnElement[Any]] = [bytewise(ties) if isinstance(ties.type, sa.String) else ties]
    if order.field == about.key:
        return [keys[0].desc() if order.descending else keys[0].asc()]
    directed = column.desc() if order.descending else column.asc()
    if getattr(value, "nullable", True):
        directed = directed.nulls_last() if order.descending else directed.nulls_first()
    return [directed, keys[0].desc() if order.descending else keys[0].asc()]


def projection(field: Field, tables: Tables) -> ColumnElement[Any]:
    """The field as one column in its inner form."""
    return _value(field.source, field.kind, tables)


def filter_value(field: Field, tables: Tables) -> ColumnElement[Any] | Many | StateParts:
    """The field as filters see it: one value, several, or the parts that decide a state."""
    source, own = field.source, tables[""]
    if field.kind is Kind.ANY:
        assert isinstance(source, JsonAt)
        return _elements(lambda: json_elements(_column(source.path, tables), source.keys[0]))
    match source:
        case State():
            return _state_parts(own)
        case JsonList(path, keys, item):
            key = keys[0] if keys else None
            return _elements(lambda: json_elements(_column(path, tables), key, item), field.kind)
        case AnyOf(sources):
            return _any_of([_value(each, field.kind, tables) for each in sources])
        case Child(table, column, on):
            return _children(metadata.tables[table], column, on, own)
        case _:
            return projection(field, tables)


def metadata_names(connection: Connection, object_name: str, project_id: int) -> tuple[str, ...]:
    """Names of the metadata properties that the object's rows have in this project, sorted. Reads every row once."""
    about = exportable(object_name)
    column = dict(about.documents).get("metadata.")
    if column is None:
        return ()
    own = metadata.tables[about.table]
    document = sa.type_coerce(own.c[column], sa.Text)
    if connection.dialect.name == "sqlite":
        keys = sa.func.json_each(document).table_valued(sa.column("key", sa.Text), name="members")
        key = keys.c.key
    else:
        cast = sa.cast(document, sa.JSON)
        sound = sa.case((sa.func.json_typeof(cast) == "object", cast))
        keys = sa.func.json_object_keys(sound).table_valued(sa.column("key", sa.Text), name="members").render_derived()
        key = keys.c.key
    statement = sa.select(key).distinct().select_from(own.join(keys, sa.true()))
    tests = row_tests(about, Rows(project_id), {"": own}, None)
    found = connection.execute(statement.where(document.is_not(None), *tests)).scalars()
    return tuple(sorted(name for name in found if name and "\0" not in name))


def _field(about: Exportable, name: str) -> Field:
    field = about.field(name)
    assert field is not None, name
    return field


def _filtered(rows: Rows) -> list[str]:
    return [each.field for asked in (rows.scope, rows.filter) for each in asked.fields]


def _joined(about: Exportable, tables: Tables) -> FromClause:
    own = joined = tables[""]
    for join in about.joins:
        if join.name in tables:
            other = tables[join.name]
            on = [other.c[theirs] == own.c[ours] for theirs, ours in join.on]
            joined = joined.outerjoin(other, sa.and_(other.c["project_id"] == own.c["project_id"], *on))
    return joined


def _behind(cursor: tuple[int, int], own: FromClause, *, descending: bool) -> Test:
    created_at, seq = own.c["created_at"], own.c["seq"]
    if descending:
        return sa.or_(created_at < cursor[0], sa.and_(created_at == cursor[0], seq < cursor[1]))
    return sa.or_(created_at > cursor[0], sa.and_(created_at == cursor[0], seq > cursor[1]))


def _column(path: str, tables: Tables) -> ColumnElement[Any]:
    table, _, name = path.rpartition(".")
    return tables[table].c[name]


def _value(source: Source, kind: Kind, tables: Tables) -> ColumnElement[Any]:
    """One source as one column of the kind's type."""
    match source:
        case Column(path):
            return _typed(_column(path, tables), kind)
        case JsonAt(path, keys):
            return _typed(json_text(_column(path, tables), *keys), kind)
        case JsonList(path, keys, item):
            return json_joined(_column(path, tables), keys[0] if keys else None, item)
        case Nothing():
            return sa.cast(sa.null(), _TYPES.get(kind, sa.Text()))
        case AnyOf() | Child() | State():
            raise AssertionError(f"{source} is for filters only")
        case _:
            return _computed(source, kind, tables)


def _computed(
    source: Choice | FirstOf | Difference | Average | ChildSum, kind: Kind, tables: Tables
) -> ColumnElement[Any]:
    match source:
        case Choice(by, cases):
            chosen = _value(by, Kind.STRING, tables)
            return sa.case(*((chosen == word, _value(case, kind, tables)) for word, case in cases))
        case FirstOf(sources):
            return sa.func.coalesce(*(_value(each, kind, tables) for each in sources))
        case Difference(left, right):
            return _value(left, kind, tables) - _value(right, kind, tables)
        case Average(total, count):
            return _average(_value(total, kind, tables), _value(count, kind, tables))
        case ChildSum():
            return _sum(source, tables[""])


def _typed(column: ColumnElement[Any], kind: Kind) -> ColumnElement[Any]:
    if kind in {Kind.JSON, Kind.STRING, Kind.DATE, Kind.ANY}:
        return (
            column
            if isinstance(column, sa.Column) and type(column.type) is sa.Text
            else sa.type_coerce(column, sa.Text)
        )
    if kind is Kind.DECIMAL:
        return column if isinstance(column.type, sa.Text) else sa.cast(column, sa.Text)
    return sa.cast(column, _TYPES[kind]) if isinstance(column.type, sa.Text) else column


def _average(total: ColumnElement[Any], count: ColumnElement[Any]) -> ColumnElement[int]:
    whole, rest = total // count, total % count
    half_up = sa.case((rest * 2 >= count, 1), else_=0)
    return sa.case((count > 0, whole + half_up), else_=0)


def _sum(source: ChildSum, own: FromClause) -> ColumnElement[int]:
    child = metadata.tables[source.table].alias()
    tests = [child.c["project_id"] == own.c["project_id"], *(child.c[their] == own.c[our] for their, our in source.on)]
    tests += [child.c[column] == value for column, value in source.where]
    if source.deleted is not None:
        tests.append(child.c[source.deleted].is_(None))
    total = sa.select(sa.func.coalesce(sa.func.sum(child.c[source.column]), 0)).select_from(child).where(*tests)
    return sa.cast(total.correlate(own).scalar_subquery(), sa.BigInteger)


def _elements(make: Callable[[], TableValuedAlias], kind: Kind = Kind.ANY) -> Many:
    """The elements of a JSON array. A fresh table for each use, since each stands in its own subquery."""

    def any_of(passes: Callable[[Scalar], Test]) -> Test:
        each = make()
        typed = kind is not Kind.ANY
        value = each.c.number if kind in {Kind.INTEGER, Kind.MONEY} else each.c.text
        scalar = Scalar(value) if typed else Scalar(value, each.c.kind, each.c.number)
        return sa.exists(sa.select(sa.literal_column("1")).select_from(each).where(passes(scalar)))

    counted = make()
    return Many(any_of, sa.select(sa.func.count()).select_from(counted).scalar_subquery())


def _any_of(columns: Sequence[ColumnElement[Any]]) -> Many:
    def any_of(passes: Callable[[Scalar], Test]) -> Test:
        return sa.or_(*(sa.and_(column.is_not(None), passes(Scalar(column))) for column in columns))

    known: list[ColumnElement[int]] = [sa.case((column.is_not(None), 1), else_=0) for column in columns]
    size = known[0]
    for each in known[1:]:
        size = size + each
    return Many(any_of, size)


def _children(table: FromClause, column: str, on: Sequence[tuple[str, str]], own: FromClause) -> Many:
    def theirs() -> tuple[FromClause, ColumnElement[bool], ColumnElement[Any]]:
        child = table.alias()
        same = [child.c[their] == own.c[our] for their, our in on]
        return child, sa.and_(child.c["project_id"] == own.c["project_id"], *same), child.c[column]

    def any_of(passes: Callable[[Scalar], Test]) -> Test:
        child, mine, value = theirs()
        found = (
            sa.select(sa.literal_column("1")).select_from(child).where(mine, value.is_not(None), passes(Scalar(value)))
        )
        return sa.exists(found.correlate(own))

    child, mine, value = theirs()
    counted = sa.select(sa.func.count()).select_from(child).where(mine, value.is_not(None))
    return Many(any_of, counted.correlate(own).scalar_subquery())


def _state_parts(own: FromClause) -> StateParts:
    return StateParts(
        active=own.c["active"],
        start_date=own.c["start_date"],
        expiration_date=own.c["expiration_date"],
        quantity=own.c["redemption_quantity"],
        redeemed=own.c["redeemed_quantity"],
        balance=own.c["balance"],
        type=own.c["type"],
    )
