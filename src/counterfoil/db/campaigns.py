"""Campaigns in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.catalog.campaigns import CAMPAIGN
from counterfoil.catalog.kinds import Kind
from counterfoil.db.async_actions import UNFINISHED
from counterfoil.db.exportables import EVERYTHING, filter_value
from counterfoil.db.filters import StateParts, compile_filter
from counterfoil.db.schema import async_actions, campaigns, counters
from counterfoil.db.unit import Unit
from counterfoil.errors import NotFound
from counterfoil.plan.request import Filter

Row = dict[str, Any]
"""A campaign: every column of the table, and the vendor's creation_status and vouchers_generation_status."""

_work = async_actions
_sources = campaigns.outerjoin(
    _work, (_work.c.project_id == campaigns.c.project_id) & (_work.c.id == campaigns.c.generation_id)
)
_running = _work.c.status.in_(UNFINISHED)
_generates = _work.c.type == sa.literal("CAMPAIGN.VOUCHERS_GENERATE")
# Making the campaign's first vouchers belongs to its creation; both were asked for at the same moment.
_creates = _generates & (_work.c.created_at == campaigns.c.created_at)
_creation_status = sa.case(
    (_creates & _running, "IN_PROGRESS"),
    (_creates & (_work.c.status == "FAILED"), "FAILED"),
    (sa.not_(_generates) & _running, "MODIFYING"),
    else_="DONE",
).label("creation_status")
_generation_status = sa.case(
    (_generates & _running, "IN_PROGRESS"), (_generates & (_work.c.status == "FAILED"), "FAILED"), else_="DONE"
).label("vouchers_generation_status")
_rows = sa.select(*campaigns.c, _creation_status, _generation_status).select_from(_sources)
_is_referral = campaigns.c.campaign_type == sa.literal("REFERRAL_PROGRAM")
_alive = campaigns.c.deleted_at.is_(None)
_templates = sa.select(campaigns.c.id, campaigns.c.voucher).where(
    campaigns.c.project_id == sa.bindparam("project"), campaigns.c.id.in_(sa.bindparam("ids", expanding=True))
)
_of_project = campaigns.c.project_id == sa.bindparam("project")
_by_id = _rows.where(_of_project, _alive, campaigns.c.id == sa.bindparam("name"))
_by_name = _rows.where(_of_project, _alive, campaigns.c.name == sa.bindparam("name"))


@dataclass(frozen=True, slots=True)
class CampaignQuery:
    """Which campaigns to list. order: created_at or updated_at, with a dash for descending. None does not matter.

    creation_status: as in Row. is_referral_code: whether it is a referral programme. filter: resolved, over CAMPAIGN.
    """

    limit: int = 10
    page: int = 1
    order: str = "-created_at"
    campaign_type: str | None = None
    creation_status: str | None = None
    is_referral_code: bool | None = None
    filter: Filter = EVERYTHING


def find_campaign(connection: Connection, project_id: int, name: str) -> Row | None:
    """The live campaign with that id or, when no id is like it, with that name; None when there is none."""
    for statement in (_by_id, _by_name):
        row = connection.execute(statement, {"project": project_id, "name": name}).mappings().one_or_none()
        if row is not None:
            return dict(row)
    return None


def campaign_row(source: Unit | Connection, project_id: int, name: str) -> Row:
    """The live campaign with that id or name. Raises NotFound. A Unit writes its pending balances first."""
    connection = source.sql if isinstance(source, Unit) else source
    row = find_campaign(connection, project_id, name)
    if row is None:
        raise NotFound("campaign", name)
    return row


def name_is_taken(connection: Connection, project_id: int, name: str) -> bool:
    """Whether a live campaign has that name."""
    wanted = (campaigns.c.project_id == project_id) & (campaigns.c.name == name) & _alive
    return connection.execute(sa.select(sa.literal(1)).select_from(campaigns).where(wanted)).first() is not None


def list_campaigns(connection: Connection, project_id: int, query: CampaignQuery) -> tuple[list[Row], int]:
    """A page of the live campaigns that the query asks for, and how many there are in all."""
    wanted = [campaigns.c.project_id == project_id, _alive]
    if query.campaign_type is not None:
        wanted.append(campaigns.c.campaign_type == query.campaign_type)
    if query.creation_status is not None:
        wanted.append(_creation_status.element == query.creation_status)
    if query.is_referral_code is not None:
        wanted.append(_is_referral if query.is_referral_code else sa.not_(_is_referral))
    if query.filter.fields:
        wanted.append(
            compile_filter(query.filter, CAMPAIGN, {each.field: _value(each.field) for each in query.filter.fields})
        )
    # A campaign never changed was last changed when it was made; iids settle ties, so that pages do not overlap.
    key: Any = campaigns.c.created_at
    if query.order.endswith("updated_at"):
        key = sa.func.coalesce(campaigns.c.updated_at, campaigns.c.created_at)
    direction = sa.desc if query.order.startswith("-") else sa.asc
    page = _rows.where(*wanted).order_by(direction(key), direction(campaigns.c.iid))
    page = page.limit(query.limit).offset((query.page - 1) * query.limit)
    counted = sa.select(sa.func.count()).select_from(_sources).where(*wanted)
    total = int(connection.execute(counted).scalar_one())
    return [dict(row) for row in connection.execute(page).mappings()], total


def _value(name: str) -> Any:
    field = CAMPAIGN.field(name)
    assert field is not None, name
    if name == "campaign_status":
        return _creation_status.element
    if name == "is_referral_code":
        return _is_referral
    if field.kind is Kind.STATE:
        # What a campaign's state depends on; the rest of a voucher's is set so that it does not matter.
        none = sa.cast(sa.null(), sa.BigInteger)
        return StateParts(
            active=campaigns.c.active, start_date=campaigns.c.start_date, expiration_date=campaigns.c.expiration_date,
            quantity=none, redeemed=sa.literal(0), balance=sa.literal(0), type=sa.literal("DISCOUNT_VOUCHER"),
        )  # fmt: skip
    return filter_value(field, {"": campaigns})


def expiration_rules(
    connection: Connection, project_id: int, campaign_ids: Iterable[str]
) -> dict[str, Mapping[str, Any] | None]:
    """By id each programme's voucher.loyalty_card.expiration_rules, as `domain.expiry.last_day` wants them, or None."""
    ids = sorted(campaign_ids)
    found = connection.execute(_templates, {"project": project_id, "ids": ids}).all()
    rules = {row.id: ((row.voucher or {}).get("loyalty_card") or {}).get("expiration_rules") for row in found}
    return dict.fromkeys(ids) | rules


def next_iid(connection: Connection, project_id: int) -> int:
    """The next number of a campaign in its project, from 1; takes the project's lock."""
    statement = (
        counters.update()
        .where(counters.c.project_id == project_id)
        .values(campaign_iid=counters.c.campaign_iid + 1)
        .returning(counters.c.campaign_iid)
    )
    return int(connection.execute(statement).scalar_one())


def insert_campaign(connection: Connection, row: Mapping[str, Any]) -> None:
    """A new campaign."""
    connection.execute(campaigns.insert(), row)


def update_campaign(connection: Connection, project_id: int, campaign_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of one campaign."""
    connection.execute(
        campaigns.update().where(campaigns.c.project_id == project_id, campaigns.c.id == campaign_id).values(**values)
    )


def add_to_count(connection: Connection, project_id: int, campaign_id: str, count: int) -> None:
    """Change vouchers_count by `count`, which is negative for deletions."""
    connection.execute(
        campaigns.update()
        .where(campaigns.c.project_id == project_id, campaigns.c.id == campaign_id)
        .values(vouchers_count=campaigns.c.vouchers_count + count)
    )
