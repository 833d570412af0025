"""The summary columns of customers: counts of redemptions, sums of orders.

Every writer tells what it did in its own transaction; `recount` works all of it out anew from the rows, and the two
must always agree. What a customer holds now is not kept here: db.customers sums the cards.

* A redemption is counted for the customer who made it, held card or not. The parent of a stack (related_object_type
  `redemption`) stands for its children and is not counted itself. total_redeemed and total_rolled_back are attempts:
  failed plus succeeded (seed 002).
* gift_redeemed_amount and loyalty_redeemed_points are what was spent less what rollbacks gave back.
* An order counts while it is PAID or FULFILLED, with its total_amount (after discounts). The last order is the one with
  the latest created_at, among those of one millisecond the dearest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import customers, orders, redemptions
from counterfoil.db.unit import Unit
from counterfoil.domain.money import SUM_MAX, checked
from counterfoil.domain.orders import COUNTED, spent

Summary = dict[str, int | None]

REDEMPTION_COLUMNS = (
    "redemptions_total_redeemed",
    "redemptions_total_failed",
    "redemptions_total_succeeded",
    "redemptions_total_rolled_back",
    "redemptions_total_rollback_failed",
    "redemptions_total_rollback_succeeded",
    "gift_redeemed_amount",
    "loyalty_redeemed_points",
)
ORDER_COLUMNS = ("orders_total_amount", "orders_total_count", "orders_last_order_amount", "orders_last_order_date")
_COLUMNS = REDEMPTION_COLUMNS + ORDER_COLUMNS

_customer = sa.and_(
    customers.c.project_id == sa.bindparam("b_project"), customers.c.id == sa.bindparam("b_customer")
)  # fmt: skip
_won = sa.bindparam("b_won", type_=sa.BigInteger)
_at = sa.bindparam("b_at", type_=sa.BigInteger)
_later = sa.or_(
    customers.c.orders_last_order_date.is_(None),
    customers.c.orders_last_order_date < _at,
    sa.and_(customers.c.orders_last_order_date == _at, customers.c.orders_last_order_amount < _won),
)
_sums = {
    "orders_total_amount": customers.c.orders_total_amount + _won,
    "orders_total_count": customers.c.orders_total_count + sa.bindparam("b_more", type_=sa.BigInteger),
    "updated_at": sa.bindparam("b_now"),
}
# An order more: it is the last one or it is not.
_one_more = (
    customers.update()
    .where(_customer)
    .values(
        **_sums,
        orders_last_order_amount=sa.case((_later, _won), else_=customers.c.orders_last_order_amount),
        orders_last_order_date=sa.case((_later, _at), else_=customers.c.orders_last_order_date),
    )
    .returning(customers.c.orders_total_amount)
)


def _of_latest(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return (
        sa.select(column)
        .where(
            orders.c.project_id == sa.bindparam("b_project"),
            orders.c.customer_id == sa.bindparam("b_customer"),
            orders.c.status.in_(COUNTED),
        )
        .order_by(orders.c.created_at.desc(), sa.func.coalesce(orders.c.total_amount, 0).desc())
        .limit(1)
        .scalar_subquery()
    )


# Any other change: the last one is looked up.
_changed = (
    customers.update()
    .where(_customer)
    .values(
        **_sums,
        orders_last_order_amount=sa.func.coalesce(_of_latest(orders.c.total_amount), 0),
        orders_last_order_date=_of_latest(orders.c.created_at),
    )
    .returning(customers.c.orders_total_amount)
)

# Many orders more of the past: nothing is said of when the customer was last changed.
_brought = sa.bindparam("b_amount", type_=sa.BigInteger)
_many_more = (
    customers.update()
    .where(_customer)
    .values(
        orders_total_amount=customers.c.orders_total_amount + _brought,
        orders_total_count=_sums["orders_total_count"],
        orders_last_order_amount=sa.case((_later, _won), else_=customers.c.orders_last_order_amount),
        orders_last_order_date=sa.case((_later, _at), else_=customers.c.orders_last_order_date),
    )
)


@dataclass(frozen=True, slots=True)
class OrdersBrought:
    """Counted orders that came in for a customer: their number and sum, and the last one's instant (ms) and amount."""

    count: int
    amount: int
    last_at: int
    last_amount: int

    def with_order(self, amount: int, at: int) -> OrdersBrought:
        """One order more; of two at the same instant the dearer one is the last."""
        last_at, last_amount = max((self.last_at, self.last_amount), (at, amount))
        return OrdersBrought(self.count + 1, self.amount + amount, last_at, last_amount)


def orders_brought(connection: Connection, project_id: int, brought: Mapping[str, OrdersBrought]) -> None:
    """Count new orders for customers, by id. The caller has seen to it that the sums stay within SUM_MAX."""
    rows = [
        {
            "b_project": project_id, "b_customer": customer_id, "b_amount": orders.amount, "b_more": orders.count,
            "b_at": orders.last_at, "b_won": orders.last_amount,
        }
        for customer_id, orders in brought.items()
    ]  # fmt: skip
    if rows:
        connection.execute(_many_more, rows)


def redeemed(unit: Unit, customer_id: str | None, *, succeeded: bool, credits: int = 0, points: int = 0) -> None:
    """Count one redemption, made or failed, and what it spent (>= 0); nothing without a customer."""
    _attempt(unit, customer_id, "redeemed", "failed" if not succeeded else "succeeded", credits, points)


def rolled_back(unit: Unit, customer_id: str | None, *, succeeded: bool, credits: int = 0, points: int = 0) -> None:
    """Count one rollback, made or failed, and what it gave back (>= 0); nothing without a customer."""
    kind = "rollback_succeeded" if succeeded else "rollback_failed"
    _attempt(unit, customer_id, "rolled_back", kind, -credits, -points)


def _attempt(unit: Unit, customer_id: str | None, whole: str, part: str, credits: int, points: int) -> None:
    if customer_id is not None:
        bump(
            unit,
            customer_id,
            **{f"redemptions_total_{whole}": 1, f"redemptions_total_{part}": 1},
            gift_redeemed_amount=credits,
            loyalty_redeemed_points=points,
        )


def bump(unit: Unit, customer_id: str, **deltas: int) -> None:
    """Add to columns of REDEMPTION_COLUMNS; zeros are passed over."""
    assert deltas.keys() <= set(REDEMPTION_COLUMNS), deltas
    values: dict[str, Any] = {name: customers.c[name] + delta for name, delta in deltas.items() if delta}
    if values:
        _set(unit, customer_id, values)


def orders_changed(unit: Unit, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    """Bring the summaries of an order's customers up to date, given its row before and after (None: not there).

    The row must have been written already. Raises InvalidInput when a customer's sum grows beyond what is added up.
    """
    concerned = {row["customer_id"] for row in (before, after) if row is not None and row["customer_id"] is not None}
    for customer_id in sorted(concerned):
        (lost, fewer), (won, more) = spent(before, customer_id), spent(after, customer_id)
        if (lost, fewer) == (won, more):
            continue
        values: dict[str, Any] = {
            "b_project": unit.project_id,
            "b_customer": customer_id,
            "b_won": won - lost,
            "b_more": more - fewer,
            "b_now": unit.now_ms,
        }
        if before is None and after is not None:
            statement, values["b_at"] = _one_more, after["created_at"]
        else:
            statement = _changed
        total = unit.sql.execute(statement, values).scalar_one_or_none()
        if total is not None:
            checked(total, most=SUM_MAX)


def _set(unit: Unit, customer_id: str, values: Mapping[str, Any]) -> None:
    unit.sql.execute(
        customers.update()
        .where(customers.c.project_id == unit.project_id, customers.c.id == customer_id)
        .values(**values, updated_at=unit.now_ms)
    )


def summaries(connection: Connection, project_id: int) -> dict[str, Summary]:
    """The summaries as stored, by customer id."""
    statement = sa.select(customers.c.id, *(customers.c[name] for name in _COLUMNS)).where(
        customers.c.project_id == project_id
    )
    return _by_customer(connection, statement)


def counted(connection: Connection, project_id: int) -> dict[str, Summary]:
    """The summaries as the project's redemptions and orders say, by customer id: what `summaries` must equal."""
    return _by_customer(connection, _truth(project_id))


def recount(connection: Connection, project_id: int) -> int:
    """Store what `counted` says wherever the stored summaries differ; returns how many customers that were."""
    truth = _truth(project_id).subquery("truth")
    differs = sa.or_(*(customers.c[name].is_distinct_from(truth.c[name]) for name in _COLUMNS))
    statement = (
        customers.update()
        .where(customers.c.project_id == project_id, customers.c.id == truth.c.id, differs)
        .values({name: truth.c[name] for name in _COLUMNS})
    )
    return connection.execute(statement).rowcount


def _truth(project_id: int) -> sa.Select[Any]:
    """Each customer's id and every summary column, worked out from the rows."""
    made, bought, last = _redemption_sums(project_id), _order_sums(project_id), _last_orders(project_id)
    counts = [sa.func.coalesce(made.c[name], 0).label(name) for name in REDEMPTION_COLUMNS]
    counts += [sa.func.coalesce(bought.c[name], 0).label(name) for name in ORDER_COLUMNS[:2]]
    latest = (
        sa.func.coalesce(last.c.total_amount, 0).label(ORDER_COLUMNS[2]),
        last.c.created_at.label(ORDER_COLUMNS[3]),
    )
    owner = customers.alias("owner")
    sources = (
        owner.outerjoin(made, made.c.customer_id == owner.c.id)
        .outerjoin(bought, bought.c.customer_id == owner.c.id)
        .outerjoin(last, sa.and_(last.c.customer_id == owner.c.id, last.c.place == 1))
    )
    return sa.select(owner.c.id, *counts, *latest).select_from(sources).where(owner.c.project_id == project_id)


def _redemption_sums(project_id: int) -> sa.Subquery:
    made, won = redemptions.c.object == "redemption", redemptions.c.result == "SUCCESS"
    moved = sa.case((~won, 0), (made, 1), else_=-1)

    def times(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((sa.and_(*conditions), 1), else_=0))

    def spent_of(column: sa.Column[int]) -> sa.ColumnElement[int]:
        return sa.func.sum(moved * sa.func.abs(sa.func.coalesce(column, 0)))

    sums = (
        times(made),
        times(made, ~won),
        times(made, won),
        times(~made),
        times(~made, ~won),
        times(~made, won),
        spent_of(redemptions.c.gift_amount),
        spent_of(redemptions.c.loyalty_points),
    )
    named = (each.label(name) for name, each in zip(REDEMPTION_COLUMNS, sums, strict=True))
    return (
        sa.select(redemptions.c.customer_id, *named)
        .where(
            redemptions.c.project_id == project_id,
            redemptions.c.customer_id.is_not(None),
            sa.func.coalesce(redemptions.c.related_object_type, "") != "redemption",
        )
        .group_by(redemptions.c.customer_id)
        .subquery("made")
    )


def _order_sums(project_id: int) -> sa.Subquery:
    total, count = ORDER_COLUMNS[:2]
    return (
        sa.select(
            orders.c.customer_id,
            sa.func.sum(sa.func.coalesce(orders.c.total_amount, 0)).label(total),
            sa.func.count().label(count),
        )
        .where(orders.c.project_id == project_id, orders.c.status.in_(COUNTED))
        .group_by(orders.c.customer_id)
        .subquery("bought")
    )


def _last_orders(project_id: int) -> sa.Subquery:
    dearest = sa.func.coalesce(orders.c.total_amount, 0).desc()
    place = sa.func.row_number().over(partition_by=orders.c.customer_id, order_by=(orders.c.created_at.desc(), dearest))
    return (
        sa.select(orders.c.customer_id, orders.c.total_amount, orders.c.created_at, place.label("place"))
        .where(orders.c.project_id == project_id, orders.c.status.in_(COUNTED))
        .subquery("last")
    )


def _by_customer(connection: Connection, statement: sa.Select[Any]) -> dict[str, Summary]:
    # PostgreSQL sums BIGINTs into NUMERIC, so each number becomes a plain integer here.
    return {
        row["id"]: {name: None if row[name] is None else int(row[name]) for name in _COLUMNS}
        for row in connection.execute(statement).mappings()
    }
