"""A ledger goes out as files and comes back in somewhere else: the same ids, balances and times, the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.db import summaries
from tests.databases import postgres_ledger, sqlite_ledger
from tests.fakes import FakeClock
from tests.imports.world import CARDS, DOINGS, House, do, export, furnish, house_on
from tests.services import PostgresServer

doings = st.lists(
    st.tuples(
        st.sampled_from(DOINGS),
        st.integers(0, CARDS - 1),
        st.integers(1, 400),
        st.sampled_from([0, 0, 0, 1, 40]),
    ),
    max_size=40,
)
EVERYTHING = [
    ("add", 0, 300, 0), ("redeem", 0, 120, 0), ("refund", 0, 120, 1), ("accrue", 1, 90, 0), ("redeem", 1, 60, 40),
    ("transfer", 3, 50, 0), ("accrue", 5, 10, 200), ("remove", 5, 10, 0), ("add", 1, 5, 0), ("order", 0, 77, 0),
]  # fmt: skip
OWN = ("id", "source_id", "name", "address_city", "metadata", "created_at", "updated_at", "orders_total_amount")
"""What a customer's file says that is not worked out from redemptions, which no file brings in."""


@contextmanager
def two_houses() -> Iterator[tuple[House, House]]:
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        clock = FakeClock()
        with (
            sqlite_ledger(Path(first), projects=1) as old,
            sqlite_ledger(Path(second)) as new,
            house_on(old, clock) as source,
            house_on(new, clock, project=2) as target,
        ):
            yield source, target


def carry_over(source: House, target: House, folder: Path, ending: str = "csv", style: str = "names") -> None:
    """Everything that can be exported, in the order the guide names."""
    for name in ("customer", "voucher", "voucher_transactions", "points_expiration", "order"):
        export(source, name, folder / f"{name}.{ending}", style=style)
    steps = (
        ("customer", {}),
        ("voucher", {"make_campaigns": True, "movements_follow": True}),
        ("voucher_transactions", {}),
        ("voucher", {}),
        ("points_expiration", {}),
        ("order", {}),
    )
    for name, options in steps:
        report = target.bring(name, folder / f"{name}.{ending}", batch_rows=5, **options)
        assert report.first == [], name
        assert report.imported + report.known == report.rows


def check_same(source: House, target: House, folder: Path) -> None:
    for name in ("voucher_transactions", "voucher", "order", "points_expiration"):
        before = export(source, name, folder / f"before-{name}.csv")
        assert export(target, name, folder / f"after-{name}.csv") == before, name
    before = export(source, "customer", folder / "before.csv", fields=OWN)
    assert export(target, "customer", folder / "after.csv", fields=OWN) == before
    target.check()
    with target.core.read() as connection:
        stored = summaries.summaries(connection, target.project_id)
        assert stored == summaries.counted(connection, target.project_id)


@pytest.mark.slow
@given(doings)
@settings(max_examples=25)
def test_any_ledger_comes_back(done: list[tuple[str, int, int, int]]) -> None:
    with two_houses() as (source, target), TemporaryDirectory() as folder:
        furnish(source)
        do(source, done)
        target.clock.advance_ms(1_000)
        carry_over(source, target, Path(folder))
        check_same(source, target, Path(folder))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("style", ["names", "titles"])
def test_every_format_and_header(tmp_path: Path, ending: str, style: str) -> None:
    with two_houses() as (source, target):
        furnish(source)
        do(source, EVERYTHING)
        target.clock.advance_ms(1_000)
        carry_over(source, target, tmp_path, ending, style)
        check_same(source, target, tmp_path)


def test_again_changes_nothing(tmp_path: Path) -> None:
    with two_houses() as (source, target):
        furnish(source)
        do(source, EVERYTHING)
        target.clock.advance_ms(1_000)
        carry_over(source, target, tmp_path)
        before = target.movements()
        for name in ("customer", "voucher", "voucher_transactions", "points_expiration", "order"):
            report = target.bring(name, tmp_path / f"{name}.csv", batch_rows=3)
            assert (report.imported, report.refused) == (0, 0), report
            assert report.known == report.rows > 0
        assert target.movements() == before
        check_same(source, target, tmp_path)


@pytest.mark.postgres
def test_postgresql_takes_the_same_files(tmp_path: Path, postgres_server: PostgresServer) -> None:
    clock = FakeClock()
    with (
        sqlite_ledger(tmp_path, projects=1) as old,
        postgres_ledger(postgres_server) as new,
        house_on(old, clock) as source,
        house_on(new, clock, project=2) as target,
    ):
        furnish(source)
        do(source, EVERYTHING)
        clock.advance_ms(1_000)
        carry_over(source, target, tmp_path)
        check_same(source, target, tmp_path)
        report = target.bring("voucher_transactions", tmp_path / "voucher_transactions.csv")
        assert (report.imported, report.known) == (0, report.rows)
