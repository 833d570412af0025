"""Publications in the database, and the vouchers that wait to be published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.exportables import EVERYTHING, Rows, matching_rows
from counterfoil.db.expressions import bytewise
from counterfoil.db.schema import customers, publications, vouchers
from counterfoil.plan.request import Filter

Row = dict[str, Any]
"""A publication: every column of the table. vouchers_id: every voucher given; voucher_code: their codes, comma-joined."""

ORDERS = ("id", "voucher_code", "tracking_id", "customer_id", "created_at", "channel")

_of_project = publications.c.project_id == sa.bindparam("project")
_rows = sa.select(*publications.c)
_by_source_id = _rows.where(_of_project, publications.c.source_id == sa.bindparam("source_id"))
_joined = (
    _rows.where(
        _of_project,
        publications.c.customer_id == sa.bindparam("customer"),
        publications.c.campaign_id == sa.bindparam("campaign"),
        publications.c.result == "SUCCESS",
    )
    .order_by(publications.c.created_at, publications.c.id)
    .limit(1)
)
_of_voucher = (
    _rows.where(
        _of_project,
        publications.c.customer_id == sa.bindparam("customer"),
        publications.c.voucher_id == sa.bindparam("voucher"),
        publications.c.result == "SUCCESS",
    )
    .order_by(publications.c.created_at, publications.c.id)
    .limit(1)
)
_held = (
    sa.select(vouchers.c.id)
    .where(
        vouchers.c.project_id == sa.bindparam("project"),
        vouchers.c.holder_id == sa.bindparam("customer"),
        vouchers.c.campaign_id == sa.bindparam("campaign"),
        vouchers.c.deleted_at.is_(None),
    )
    .order_by(vouchers.c.created_at, vouchers.c.id)
    .limit(1)
)
# The conditions of the index ix_vouchers_free, word for word, so that the published ones are never looked at.
_free = (
    sa.select(vouchers.c.id)
    .where(
        vouchers.c.project_id == sa.bindparam("project"),
        vouchers.c.campaign_id == sa.bindparam("campaign"),
        vouchers.c.holder_id.is_(None),
        vouchers.c.publications_count == sa.literal_column("0"),
        vouchers.c.deleted_at.is_(None),
        vouchers.c.active,
        sa.or_(vouchers.c.expiration_date.is_(None), vouchers.c.expiration_date >= sa.bindparam("now")),
    )
    .order_by(vouchers.c.created_at, vouchers.c.id)
    .limit(sa.bindparam("count"))
)


@dataclass(frozen=True, slots=True)
class PublicationQuery:
    """Which publications to list. order: one of ORDERS, with a dash for descending. filter: resolved.

    campaign: a name. customer: an id or source id. voucher: a code. voucher_type: as vouchers have it. Everything that
    is None does not matter.
    """

    limit: int = 10
    page: int = 1
    order: str = "-created_at"
    campaign: str | None = None
    customer: str | None = None
    voucher: str | None = None
    result: str | None = None
    voucher_type: str | None = None
    is_referral_code: bool | None = None
    source_id: str | None = None
    filter: Filter = EVERYTHING


def publication_by_source_id(connection: Connection, project_id: int, source_id: str) -> Row | None:
    """The publication with that source id, or None."""
    return _one(connection, _by_source_id, {"project": project_id, "source_id": source_id})


def first_in_campaign(connection: Connection, project_id: int, customer_id: str, campaign_id: str) -> Row | None:
    """The first publication that gave the customer a voucher of the campaign, or None."""
    return _one(connection, _joined, {"project": project_id, "customer": customer_id, "campaign": campaign_id})


def first_of_voucher(connection: Connection, project_id: int, customer_id: str, voucher_id: str) -> Row | None:
    """The first publication that gave the customer that voucher alone, or None."""
    return _one(connection, _of_voucher, {"project": project_id, "customer": customer_id, "voucher": voucher_id})


def held_voucher_id(connection: Connection, project_id: int, customer_id: str, campaign_id: str) -> str | None:
    """The id of the oldest live voucher of the campaign that the customer holds, or None."""
    values = {"project": project_id, "customer": customer_id, "campaign": campaign_id}
    return connection.execute(_held, values).scalar_one_or_none()


def free_voucher_ids(connection: Connection, project_id: int, campaign_id: str, count: int, now_ms: int) -> list[str]:
    """Up to `count` ids of the campaign's vouchers that wait to be published, oldest first.

    They stay free only under the project's lock.
    """
    values = {"project": project_id, "campaign": campaign_id, "count": count, "now": now_ms}
    return list(connection.execute(_free, values).scalars())


def insert_publication(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new publication."""
    connection.execute(publications.insert(), row)


def list_publications(connection: Connection, project_id: int, query: PublicationQuery) -> tuple[list[Row], int]:
    """A page of the publications asked for, and how many there are in all."""
    tests = [matching_rows("publication", Rows(project_id, filter=query.filter)), *_conditions(project_id, query)]
    name = query.order.removeprefix("-")
    column: Any = publications.c[name] if name == "created_at" else bytewise(publications.c[name])
    if query.order.startswith("-"):
        ordered = (sa.desc(column).nulls_last(), publications.c.id.desc())
    else:
        ordered = (sa.asc(column).nulls_first(), publications.c.id.asc())
    page = _rows.where(*tests).order_by(*ordered).limit(query.limit).offset((query.page - 1) * query.limit)
    total = connection.execute(sa.select(sa.func.count()).select_from(publications).where(*tests)).scalar_one()
    return [dict(row) for row in connection.execute(page).mappings()], int(total)


def _conditions(project_id: int, query: PublicationQuery) -> list[sa.ColumnElement[bool]]:
    exact = {
        "campaign": query.campaign,
        "result": query.result,
        "voucher_type": query.voucher_type,
        "is_referral_code": query.is_referral_code,
        "source_id": query.source_id,
        "voucher_code": query.voucher,
    }
    found: list[sa.ColumnElement[bool]] = [
        publications.c[name] == value for name, value in exact.items() if value is not None
    ]
    if query.customer is not None:
        known = sa.select(customers.c.id).where(
            customers.c.project_id == project_id,
            customers.c.source_id == query.customer,
            customers.c.deleted_at.is_(None),
        )
        found.append(sa.or_(publications.c.customer_id == query.customer, publications.c.customer_id.in_(known)))
    return found


def _one(connection: Connection, statement: sa.Select[Any], values: Mapping[str, Any]) -> Row | None:
    row = connection.execute(statement, values).mappings().one_or_none()
    return None if row is None else dict(row)
