"""Which way an export of campaigns takes: by the database's index while they are few movements, else by the archive."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.db.engine import Database
from counterfoil.db.movements import count_of_campaigns
from counterfoil.db.queue import Claim
from counterfoil.db.schema import movements
from counterfoil.db.segments import archive_of
from counterfoil.plan.planner import PlanLimits
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter
from counterfoil.worker.planning import ExportPlanner
from tests.archive.random_ledger import NEXT_MS, PROJECT, Archived
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer

ROWS = 200


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    folder = tmp_path_factory.mktemp("planning")
    with sqlite_ledger(folder) as database:
        yield grown(database, folder)


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    with postgres_ledger(postgres_server) as database:
        yield grown(database, tmp_path_factory.mktemp("planning"))


def grown(database: Database, folder: Path) -> Archived:
    archived = Archived.in_folder(database, folder, rows_max=60, batch_rows=16)
    archived.grow(random.Random(1), ROWS)
    archived.seal()
    return archived


def claimed(campaigns: tuple[str, ...], *, seq_max: int = ROWS, object_name: str = "voucher_transactions") -> Claim:
    asked = Filter(fields=(FieldFilter("campaign_id", (Condition("in", campaigns),)),))
    request = ExportRequest(object_name, filter=asked)
    return Claim(
        project_id=PROJECT, export_id="exp_1", attempt=1, owner="test", tries=1, dialect="voucherify",
        object=object_name, request=request, seq_max=seq_max, created_at=NEXT_MS,
    )  # fmt: skip


def counts(archived: Archived) -> dict[str, int]:
    asked = sa.select(movements.c.campaign_id, sa.func.count()).group_by(movements.c.campaign_id)
    with archived.database.read() as connection:
        rows = connection.execute(asked.where(movements.c.campaign_id.is_not(None)))
        return {str(row[0]): int(row[1]) for row in rows}


def test_sqlite_finds_few_movements_by_their_index(sqlite: Archived) -> None:
    counting_and_choosing(sqlite)


def test_postgresql_finds_few_movements_by_their_index(postgres: Archived) -> None:
    counting_and_choosing(postgres)


def counting_and_choosing(sealed: Archived) -> None:
    """Campaigns are counted no further than it matters, and read by the index up to the share."""
    every = counts(sealed)
    assert len(every) > 1
    with sealed.database.read() as connection:
        assert count_of_campaigns(connection, PROJECT, [*every], ROWS, 10_000) == sum(every.values())
        assert count_of_campaigns(connection, PROJECT, [*every], ROWS, 5) == 5
        assert count_of_campaigns(connection, PROJECT, [*every], 0, 5) == 0
        assert count_of_campaigns(connection, PROJECT + 1, [*every], ROWS, 5) == 0
    for campaign, count in every.items():
        for rows, path in ((count, "database"), (count - 1, "archive"), (0, "archive")):
            limits = PlanLimits(rows_per_task=1000, index_share=(rows + 0.5) / ROWS if rows else 0)
            found = ExportPlanner(sealed.database, limits, archive_of)(claimed((campaign,)))
            assert found.path == path, (campaign, count, rows, found.reason)
            if path == "database":
                assert found.reason == f"{count} movements of the campaigns asked for, read by their index"
                assert found.rows_estimate == count


def test_other_objects_have_no_such_index(sqlite: Archived) -> None:
    planner = ExportPlanner(sqlite.database, PlanLimits(index_share=1), archive_of)
    found = planner(claimed(("camp_1",), object_name="redemption"))
    assert found.tasks[0].reads == "rows"
