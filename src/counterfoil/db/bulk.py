"""Rows in bulk: what an import reads and writes a batch at a time, with the least work per row.

Statements are built by SQLAlchemy and compiled once; rows then go to the driver as tuples (SQLite) or by COPY
(PostgreSQL), and lists of ids as one value. The caller holds the project's lock, so what is read here stays true until
its transaction ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from counterfoil.db.schema import buckets, campaigns, metadata, movements, vouchers
from counterfoil.domain.buckets import Bucket
from counterfoil.domain.cards import CardKind

Values = Sequence[Any]

MOVEMENT_COLUMNS = tuple(column.name for column in movements.c)
"""The order of the values of a movement's row for `insert_rows`."""

_CARD = ("type", "campaign_id", "holder_id", "created_at", "balance", "total", "subtracted", "redeemed", "expired")
_SUMS = ("balance", "total", "subtracted", "redeemed", "expired")
MOVEMENT_CONTENT = (
    "voucher_id", "type", "amount", "balance", "created_at", "source", "source_id", "reason", "related_transaction_id",
    "details",
)  # fmt: skip
"""What two movements with the same id must share to be one and the same."""


def _among(column: sa.ColumnElement[Any], dialect_name: str) -> sa.ColumnElement[bool]:
    """Whether a column is one of the bound list `ids` (see `_list`)."""
    if dialect_name == "sqlite":
        return column.in_(sa.select(sa.func.json_each(sa.bindparam("ids")).table_valued("value").c.value))
    return column == sa.any_(sa.bindparam("ids", type_=postgresql.ARRAY(sa.Text)))


def _list(connection: Connection, values: Iterable[str]) -> Any:
    """A list as one bound value: SQLite takes it as JSON, PostgreSQL as an array."""
    listed = list(values)
    return msgspec.json.encode(listed).decode() if connection.dialect.name == "sqlite" else listed


def _rows(connection: Connection, statement: Any, project_id: int, ids: Iterable[str]) -> Sequence[Any]:
    return connection.execute(statement, {"project": project_id, "ids": _list(connection, ids)}).all()


# -- looking ----------------------------------------------------------------------------------------------------------


@cache
def _select(table_name: str, columns: tuple[str, ...], key: str, dialect_name: str, live: bool) -> sa.Select[Any]:
    table = metadata.tables[table_name]
    statement = sa.select(table.c[key], *(table.c[name] for name in columns)).where(
        table.c["project_id"] == sa.bindparam("project"), _among(table.c[key], dialect_name)
    )
    return statement.where(table.c["deleted_at"].is_(None)) if live else statement


def rows_by(
    connection: Connection, table: sa.Table, project_id: int, key: str, values: Iterable[str], columns: Sequence[str],
    *, live: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The rows of a table whose `key` column is one of the values, by key; columns by name, the key first.

    live: deleted ones are left out.
    """
    statement = _select(table.name, tuple(columns), key, connection.dialect.name, live)
    return {row[0]: row for row in _rows(connection, statement, project_id, values)}


def movements_by_id(connection: Connection, project_id: int, ids: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """The content (MOVEMENT_CONTENT) of those movements that are there, by id."""
    statement = _select(movements.name, MOVEMENT_CONTENT, "id", connection.dialect.name, live=False)
    return {row[0]: tuple(row[1:]) for row in _rows(connection, statement, project_id, ids)}


@cache
def _cards(dialect_name: str) -> sa.Select[Any]:
    mine = movements.alias("mine")
    newest = (
        sa.select(sa.func.max(mine.c.seq))
        .where(mine.c.project_id == vouchers.c.project_id, mine.c.voucher_id == vouchers.c.id)
        .scalar_subquery()
    )
    last = movements.alias("last")
    joined = vouchers.outerjoin(
        last, sa.and_(last.c.project_id == vouchers.c.project_id, last.c.seq == newest)
    )  # fmt: skip
    return (
        sa.select(
            vouchers.c.id, *(vouchers.c[name] for name in _CARD), vouchers.c.deleted_at,
            last.c.type.label("last_type"),
        )
        .select_from(joined)
        .where(vouchers.c.project_id == sa.bindparam("project"), _among(vouchers.c.id, dialect_name))
    )  # fmt: skip


def cards_by_id(connection: Connection, project_id: int, ids: Iterable[str]) -> Sequence[Any]:
    """Vouchers with these ids, removed ones too: id, the columns of a card, deleted_at, and last_type, the type of their
    last movement (None without any)."""
    return _rows(connection, _cards(connection.dialect.name), project_id, ids)


@cache
def _buckets_of(dialect_name: str) -> Any:
    table = buckets.c
    return sa.select(table.voucher_id, table.id, table.points, table.expires_on, table.status, table.created_at).where(
        table.project_id == sa.bindparam("project"), table.status == "ACTIVE", _among(table.voucher_id, dialect_name)
    )


def active_buckets(connection: Connection, project_id: int, card_ids: Iterable[str]) -> dict[str, list[Bucket]]:
    """The active buckets of cards, by card; cards without any are left out."""
    held: defaultdict[str, list[Bucket]] = defaultdict(list)
    for card_id, *rest in _rows(connection, _buckets_of(connection.dialect.name), project_id, card_ids):
        held[card_id].append(Bucket(*rest))
    return held


# -- writing ----------------------------------------------------------------------------------------------------------


@cache
def _insert(table_name: str, columns: tuple[str, ...]) -> str:
    # A table of just these columns, so that no default of the schema adds a value of its own.
    bare = sa.table(table_name, *(sa.column(name) for name in columns))
    return str(bare.insert().compile(dialect=_SQLITE))


def insert_rows(connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
    """Append rows given as values in the order of the columns, in the form the database keeps them: JSON as text."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, rows)
    else:
        _many(connection, _insert(table.name, tuple(columns)), rows)


_SQLITE = sqlite.dialect()


def _many(connection: Connection, command: str, rows: Sequence[Values]) -> None:
    driver: Any = connection.connection.driver_connection
    with _driver_errors(connection, command):
        driver.executemany(command, rows)


def _copy(connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: Any = connection.connection.driver_connection
    with _driver_errors(connection, "COPY"), driver.cursor() as cursor, cursor.copy(command) as copy:
        for row in rows:
            copy.write_row(row)


@contextmanager
def _driver_errors(connection: Connection, command: str) -> Generator[None]:
    """The driver's own errors as those that SQLAlchemy raises, so that the database translates them as all others."""
    error_class = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except error_class as error:
        raise DBAPIError.instance(command, None, error, error_class, dialect=connection.dialect) from error


_update_sums = (
    vouchers.update()
    .where(vouchers.c.project_id == sa.bindparam("b_project"), vouchers.c.id == sa.bindparam("b_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in _SUMS})
)


def _arrays(name: str, **types: sa.types.TypeEngine[Any]) -> Any:
    """Bound arrays as a table with a column each, of the same name (PostgreSQL)."""
    given = (sa.bindparam(f"b_{column}", type_=postgresql.ARRAY(kind)) for column, kind in types.items())
    return sa.func.unnest(*given).table_valued(*types, name=name).render_derived()


@cache
def _update_sums_together() -> Any:
    given = _arrays("given", id=sa.Text(), **{name: sa.BigInteger() for name in _SUMS})
    return (
        vouchers.update()
        .where(vouchers.c.project_id == sa.bindparam("b_project"), vouchers.c.id == given.c.id)
        .values({name: given.c[name] for name in _SUMS})
    )


def update_sums(connection: Connection, project_id: int, cards: Sequence[Values]) -> None:
    """Set the balance columns of cards, given as (id, balance, total, subtracted, redeemed, expired).

    Only to go with the movements that led there, in the same transaction.
    """
    if not cards:
        return
    names = ("id", *_SUMS)
    if connection.dialect.name == "postgresql":
        columns = zip(*cards, strict=True)
        values = {f"b_{name}": list(column) for name, column in zip(names, columns, strict=True)}
        connection.execute(_update_sums_together(), {"b_project": project_id, **values})
        return
    bound = _compiled(_update_sums)
    assert list(bound.positiontup or ()) == [*(f"b_{name}" for name in _SUMS), "b_project", "b_id"], bound
    _many(connection, str(bound), [(*card[1:], project_id, card[0]) for card in cards])


@cache
def _compiled(statement: Any) -> Any:
    return statement.compile(dialect=_SQLITE)


_BUCKET = (
    "project_id",
    "id",
    "voucher_id",
    "campaign_id",
    "points",
    "expires_on",
    "status",
    "created_at",
    "updated_at",
)
BUCKET_COLUMNS = _BUCKET
"""The order of the values of a bucket's row."""


@cache
def _upsert_buckets(dialect_name: str) -> Any:
    statement: Any
    if dialect_name == "postgresql":
        kinds = {name: buckets.c[name].type for name in _BUCKET}
        given = _arrays("given", **kinds)
        statement = postgresql.insert(buckets).from_select(_BUCKET, sa.select(*(given.c[name] for name in _BUCKET)))
    else:
        statement = sqlite.insert(buckets).values({name: sa.bindparam(f"b_{name}") for name in _BUCKET})
    excluded = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["project_id", "id"],
        set_={name: excluded[name] for name in ("points", "status", "updated_at")},
    )


def upsert_buckets(connection: Connection, rows: Sequence[Values]) -> None:
    """Insert buckets (BUCKET_COLUMNS), or set points and status of those that are there."""
    if not rows:
        return
    statement = _upsert_buckets(connection.dialect.name)
    if connection.dialect.name == "postgresql":
        columns = zip(*rows, strict=True)
        connection.execute(statement, {f"b_{name}": list(each) for name, each in zip(_BUCKET, columns, strict=True)})
        return
    bound = _compiled(statement)
    assert list(bound.positiontup or ()) == [f"b_{name}" for name in _BUCKET], bound
    _many(connection, str(bound), rows)


@cache
def _delete_buckets(dialect_name: str) -> Any:
    return buckets.delete().where(buckets.c.project_id == sa.bindparam("project"), _among(buckets.c.id, dialect_name))


def delete_buckets(connection: Connection, project_id: int, ids: Sequence[str]) -> None:
    """Remove buckets that hold nothing any more."""
    if ids:
        values = {"project": project_id, "ids": _list(connection, ids)}
        connection.execute(_delete_buckets(connection.dialect.name), values)


def count_vouchers(connection: Connection, more: Mapping[str, int], project_id: int) -> None:
    """Add to the vouchers_count of campaigns, by id."""
    statement = (
        campaigns.update()
        .where(campaigns.c.project_id == sa.bindparam("b_project"), campaigns.c.id == sa.bindparam("b_id"))
        .values(vouchers_count=campaigns.c.vouchers_count + sa.bindparam("b_more"))
    )
    rows = [{"b_project": project_id, "b_id": campaign_id, "b_more": count} for campaign_id, count in more.items()]
    if rows:
        connection.execute(statement, rows)


def is_card(voucher_type: str) -> bool:
    """Whether vouchers of a type carry a balance."""
    return voucher_type in _KINDS


_KINDS = frozenset(str(kind) for kind in CardKind)
