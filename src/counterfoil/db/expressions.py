"""SQL that the engines spell differently: members and elements of JSON text, calendar parts, byte order, positions.

Each construct means the same on SQLite, PostgreSQL and (what concerns movements) DuckDB. JSON columns hold text; they
are read here and never decoded by the driver.
"""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import TableValuedAlias

Part = Literal["month", "day", "weekday"]


class bytewise(FunctionElement[str]):
    """Text that compares and sorts by its UTF-8 bytes, whatever the database's collation is."""

    type = sa.Text()
    name = "bytewise"
    inherit_cache = True


@compiles(bytewise)
def _bytewise(element: bytewise, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(bytewise, "postgresql")
def _bytewise_postgresql(element: bytewise, compiler: SQLCompiler, **kw: Any) -> str:
    return f'({compiler.process(element.clauses, **kw)} COLLATE "C")'


class position_in(FunctionElement[int]):
    """Where the second text begins in the first, from 1; 0 when nowhere."""

    type = sa.Integer()
    name = "position_in"
    inherit_cache = True


@compiles(position_in)
def _position_in(element: position_in, compiler: SQLCompiler, **kw: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kw)})"


@compiles(position_in, "sqlite")
def _position_in_sqlite(element: position_in, compiler: SQLCompiler, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


class calendar_part(FunctionElement[int]):
    """The UTC month, day of the month, or day of the week (0 Sunday) of an instant in ms."""

    type = sa.Integer()
    name = "calendar_part"
    inherit_cache = False  # the part is no clause

    def __init__(self, instant_ms: ColumnElement[Any], part: Part) -> None:
        super().__init__(instant_ms)
        self.part = part


_SQLITE_PARTS = {"month": "%m", "day": "%d", "weekday": "%w"}
_EXTRACTED = {"month": "MONTH", "day": "DAY", "weekday": "DOW"}


@compiles(calendar_part, "sqlite")
def _calendar_part_sqlite(element: calendar_part, compiler: SQLCompiler, **kw: Any) -> str:
    # Floor division by hand: SQLite's own goes towards zero, which is another day before 1970.
    ms = compiler.process(element.clauses, **kw)
    seconds = f"(({ms}) / 1000 - (({ms}) % 1000 < 0))"
    return f"CAST(strftime('{_SQLITE_PARTS[element.part]}', {seconds}, 'unixepoch') AS INTEGER)"


@compiles(calendar_part, "postgresql")
def _calendar_part_postgresql(element: calendar_part, compiler: SQLCompiler, **kw: Any) -> str:
    ms = compiler.process(element.clauses, **kw)
    at = f"(TIMESTAMP '1970-01-01' + ({ms}) * INTERVAL '1 millisecond')"
    return f"CAST(EXTRACT({_EXTRACTED[element.part]} FROM {at}) AS INTEGER)"


@compiles(calendar_part, "duckdb")
def _calendar_part_duckdb(element: calendar_part, compiler: SQLCompiler, **kw: Any) -> str:
    return f"EXTRACT({_EXTRACTED[element.part]} FROM epoch_ms({compiler.process(element.clauses, **kw)}))"


class _member(FunctionElement[str]):
    type = sa.Text()
    name = "json_member"
    inherit_cache = True


def json_text(document: ColumnElement[Any], *keys: str) -> ColumnElement[str]:
    """A member of a JSON document as text: text unquoted, anything else as it is written; NULL when absent or null.

    keys: the names to go down by; at least one.
    """
    text = sa.type_coerce(document, sa.Text)
    if len(keys) == 1 and not _plain(keys[0]):
        return _odd_member(text, sa.literal(keys[0]))
    path = "$" + "".join(f'."{key}"' for key in keys)
    return _member(text, sa.literal(path), *(sa.literal(key) for key in keys))


def _plain(key: str) -> bool:
    """Whether SQLite's JSON paths can name it."""
    return key.isprintable() and '"' not in key and "\\" not in key


@compiles(_member, "sqlite")
def _member_sqlite(element: _member, compiler: SQLCompiler, **kw: Any) -> str:
    document, path = (compiler.process(each, **kw) for each in list(element.clauses)[:2])
    return (
        f"CASE json_type({document}, {path}) WHEN 'text' THEN json_extract({document}, {path}) "
        f"WHEN 'null' THEN NULL ELSE ({document} -> {path}) END"
    )


@compiles(_member, "postgresql")
def _member_postgresql(element: _member, compiler: SQLCompiler, **kw: Any) -> str:
    document, _, *keys = element.clauses
    steps = [compiler.process(each, **kw) for each in keys]
    way = "".join(f" -> {step}" for step in steps[:-1])
    return f"(CAST({compiler.process(document, **kw)} AS JSON){way} ->> {steps[-1]})"


class _odd_member(FunctionElement[str]):
    """A member whose name SQLite's paths cannot spell, found by looking at every name."""

    type = sa.Text()
    name = "json_odd_member"
    inherit_cache = True


@compiles(_odd_member, "sqlite")
def _odd_member_sqlite(element: _odd_member, compiler: SQLCompiler, **kw: Any) -> str:
    document, key = (compiler.process(each, **kw) for each in element.clauses)
    return f"(SELECT {_SQLITE_TEXT.format('m')} FROM json_each({document}) AS m WHERE m.key = {key})"


@compiles(_odd_member, "postgresql")
def _odd_member_postgresql(element: _odd_member, compiler: SQLCompiler, **kw: Any) -> str:
    document, key = (compiler.process(each, **kw) for each in element.clauses)
    return f"(CAST({document} AS JSON) ->> {key})"


_SQLITE_TEXT = "CASE {0}.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST({0}.value AS TEXT) END"


class _elements(FunctionElement[Any]):
    """Rows (n, kind, text, number) of the scalars at a place of a JSON document; nulls are no elements."""

    name = "json_elements"
    inherit_cache = False  # whether there is a key and an item is no clause

    def __init__(self, document: ColumnElement[Any], key: str | None, item: str | None) -> None:
        clauses = [sa.type_coerce(document, sa.Text)]
        clauses += [sa.literal(each) for each in (key, item) if each is not None]
        super().__init__(*clauses)
        self.has_key = key is not None
        self.has_item = item is not None

    def spelled(self, compiler: SQLCompiler, **kw: Any) -> tuple[str, str, str]:
        """The SQL of document, key and item, empty where there is none."""
        document, *rest = [compiler.process(each, **kw) for each in self.clauses]
        key = rest.pop(0) if self.has_key else ""
        return document, key, rest.pop(0) if self.has_item else ""


def json_elements(document: ColumnElement[Any], key: str | None = None, item: str | None = None) -> TableValuedAlias:
    """The elements of an array in a JSON document, as a table: n, kind, text, number.

    key: the member that is the array, or None for the whole document; a scalar in its place is an array of one.
    item: the member of each element that counts, or None for the elements themselves. kind: `text`, `number`,
    `boolean` or `other` (arrays, objects); number is NULL unless it is one. JSON nulls are left out.
    """
    return _elements(document, key, item).table_valued(
        sa.column("n", sa.BigInteger),
        sa.column("kind", sa.Text),
        sa.column("text", sa.Text),
        sa.column("number", sa.Double),
    )


@compiles(_elements, "sqlite")
def _elements_sqlite(element: _elements, compiler: SQLCompiler, **kw: Any) -> str:
    document, key, item = element.spelled(compiler, **kw)
    if key:
        place = f"json_each({document}) AS p"
        array = (
            "CASE p.type WHEN 'array' THEN p.value WHEN 'object' THEN '[' || p.value || ']' WHEN 'null' THEN '[]' "
            "WHEN 'true' THEN '[true]' WHEN 'false' THEN '[false]' ELSE json_array(p.value) END"
        )
    else:
        place = f"(SELECT {document} AS value) AS p"
        array = "CASE json_type(p.value) WHEN 'array' THEN p.value ELSE '[' || p.value || ']' END"
    where = f" WHERE p.key = {key}" if key else ""
    rows = f"SELECT e.key, e.type, e.value FROM {place}, json_each({array}) AS e{where}"
    if item:
        inner = f"CASE WHEN o.type = 'object' THEN o.value END, '$.' || json_quote({item})"
        rows = f"SELECT o.key, json_type({inner}) AS type, json_extract({inner}) AS value FROM ({rows}) AS o"
    return (
        "(SELECT e.key AS n, CASE e.type WHEN 'text' THEN 'text' WHEN 'true' THEN 'boolean' WHEN 'false' THEN "
        "'boolean' WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number' ELSE 'other' END AS kind, "
        f"{_SQLITE_TEXT.format('e')} AS text, CASE WHEN e.type IN ('integer', 'real') THEN e.value END AS number "
        f"FROM ({rows}) AS e WHERE e.type <> 'null')"
    )


@compiles(_elements, "postgresql")
def _elements_postgresql(element: _elements, compiler: SQLCompiler, **kw: Any) -> str:
    document, key, item = element.spelled(compiler, **kw)
    place = f"CAST({document} AS JSONB)" + (f" -> {key}" if key else "")
    rows = f"SELECT a.v, a.n FROM jsonb_path_query({place}, 'lax $[*]') WITH ORDINALITY AS a(v, n)"
    if item:
        rows = f"SELECT o.v -> {item} AS v, o.n FROM ({rows}) AS o"
    return (
        "(SELECT e.n, CASE jsonb_typeof(e.v) WHEN 'string' THEN 'text' WHEN 'boolean' THEN 'boolean' WHEN 'number' "
        "THEN 'number' ELSE 'other' END AS kind, e.v #>> '{}' AS text, CASE WHEN jsonb_typeof(e.v) = 'number' THEN "
        f"CAST(e.v #>> '{{}}' AS NUMERIC) END AS number FROM ({rows}) AS e WHERE jsonb_typeof(e.v) <> 'null')"
    )


class _joined(FunctionElement[str]):
    type = sa.Text()
    name = "json_joined"
    inherit_cache = True


def json_joined(document: ColumnElement[Any], key: str | None = None, item: str | None = None) -> ColumnElement[str]:
    """The elements of `json_elements`, comma-joined in their order into one text; NULL when there are none."""
    return _joined(_elements(document, key, item))


@compiles(_joined, "sqlite")
def _joined_sqlite(element: _joined, compiler: SQLCompiler, **kw: Any) -> str:
    rows = compiler.process(element.clauses, **kw)
    return f"(SELECT group_concat(j.text, ',') FROM (SELECT text FROM {rows} ORDER BY n) AS j)"


@compiles(_joined, "postgresql")
def _joined_postgresql(element: _joined, compiler: SQLCompiler, **kw: Any) -> str:
    rows = compiler.process(element.clauses, **kw)
    return f"(SELECT string_agg(j.text, ',' ORDER BY j.n) FROM {rows} AS j)"
