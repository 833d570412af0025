"""What every table shares: the metadata object, the column types, and the shorthand for common columns.

Instants are BIGINT milliseconds since the epoch, dates are ISO text, amounts are BIGINT minor units, JSON is text that
keeps the bytes it was given, so that both databases hold the same values and show them alike.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class JsonText(TypeDecorator[Any]):
    """A JSON document kept as text: the same bytes on SQLite and PostgreSQL, keys in the order they came."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _decode(value)


# SQLite only auto-numbers a column declared INTEGER; PostgreSQL gets 64 bits.
BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def project_key() -> sa.Column[int]:
    """The tenant, first column of every tenant's table and of its primary key."""
    return sa.Column("project_id", sa.BigInteger, primary_key=True, autoincrement=False)


def text_id() -> sa.Column[str]:
    """The public id, unique in the project."""
    return sa.Column("id", sa.Text, primary_key=True)


def instant(name: str, *, nullable: bool = True) -> sa.Column[int]:
    """An instant in milliseconds since the epoch."""
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def amount(name: str, *, nullable: bool = False) -> sa.Column[int]:
    """An amount in minor units (points or money), 0 unless said."""
    if nullable:
        return sa.Column(name, sa.BigInteger)
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0", default=0)


def document(name: str) -> sa.Column[Any]:
    """A JSON document, or NULL."""
    return sa.Column(name, JsonText)


def flag(name: str, *, default: bool) -> sa.Column[bool]:
    """A boolean that is never NULL."""
    return sa.Column(
        name,
        sa.Boolean(create_constraint=False),
        nullable=False,
        default=default,
        server_default=sa.true() if default else sa.false(),
    )
