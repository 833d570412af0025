"""Lists of redemptions, movements, buckets, promises and rewards give the same pages on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from counterfoil.db import buckets, movements, pending_points, rewards
from counterfoil.db import redemptions as redemption_rows
from counterfoil.db.engine import Database
from counterfoil.db.movements import MovementQuery
from counterfoil.db.pending_points import PendingQuery
from counterfoil.db.redemptions import ORDERS, RedemptionQuery
from counterfoil.db.schema import buckets as bucket_table
from counterfoil.db.schema import customers, reward_assignments, vouchers
from counterfoil.db.schema import movements as movement_table
from counterfoil.db.schema import pending_points as pending_table
from counterfoil.db.schema import rewards as reward_table
from counterfoil.plan.request import Condition, FieldFilter, Filter
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer

# Names whose order differs between bytes and a language's dictionary.
CODES = ("a", "B", "Ä", "aa", "A-1", "_", "Z")


def fill(database: Database) -> None:
    """Redemptions of seven vouchers, 21 movements, and a few of everything else, in two projects."""
    with database.write() as connection:
        for project in (1, 2):
            row = {"project_id": project, "created_at": 0}
            connection.execute(customers.insert(), {**row, "id": "cust_1", "source_id": "ann"})
            connection.execute(
                vouchers.insert(), [{**row, "id": f"v_{c}", "code": c, "type": "LOYALTY_CARD"} for c in CODES]
            )
            made = redemption_rows.empty_row(project, 0) | {
                "object": "redemption",
                "result": "SUCCESS",
                "status": "SUCCEEDED",
            }
            redemption_rows.insert_redemptions(
                connection,
                [
                    made
                    | {
                        "id": f"r_{no:02d}",
                        "voucher_id": f"v_{code}",
                        "voucher_code": code,
                        "created_at": no // 2,
                        "tracking_id": code if no % 2 else None,
                        "customer_id": "cust_1" if no % 3 else None,
                        "campaign": "Club" if no % 2 else None,
                        "result": "FAILURE" if no == 4 else "SUCCESS",
                    }
                    for no, code in enumerate(CODES)
                ],
            )
            moved = {**row, "type": "POINTS_ADDITION", "amount": 1, "recorded_at": 0, "details": "{}"}
            connection.execute(
                movement_table.insert(),
                [
                    {**moved, "seq": seq, "id": f"vtx_{seq:02d}", "voucher_id": f"v_{CODES[seq % 7]}", "balance": seq,
                     "campaign_id": "camp_1" if seq % 2 else None,
                     "type": "OPENING_BALANCE" if seq < 8 else "POINTS_ADDITION"}
                    for seq in range(1, 22)
                ],
            )  # fmt: skip
            days = (None, "2024-10-09", "2024-10-08", "2025-01-01", "2024-12-31")
            connection.execute(
                bucket_table.insert(),
                [
                    {**row, "id": f"lopb_{no}", "voucher_id": "v_a", "points": no, "expires_on": day,
                     "status": "EXPIRED" if no == 4 else "ACTIVE"}
                    for no, day in enumerate(days)
                ],
            )  # fmt: skip
            connection.execute(
                pending_table.insert(),
                [
                    {**row, "id": f"lopp_{code}", "voucher_id": "v_a" if code < "a" else "v_B", "points": 5,
                     "campaign_id": "camp_1", "status": "CANCELED" if code == "Z" else "PENDING",
                     "activates_on": f"2024-10-0{no + 1}"}
                    for no, code in enumerate(CODES)
                ],
            )  # fmt: skip
            connection.execute(
                reward_table.insert(),
                [{**row, "id": f"rew_{no}", "name": "x", "type": "COIN", "created_at": no // 2} for no in range(5)],
            )
            connection.execute(
                reward_assignments.insert(),
                [{**row, "id": f"rewa_{no}", "reward_id": f"rew_{no}", "campaign_id": f"camp_{no % 2}"} for no in range(5)],
            )  # fmt: skip


@dataclass
class Lists:
    """One project's lists by their ids."""

    database: Database

    def redemptions(self, **asked: Any) -> tuple[list[str], int]:
        with self.database.read() as connection:
            rows, total = redemption_rows.list_redemptions(connection, 1, RedemptionQuery(**asked))
            return [row["id"][2:] for row in rows], total

    def movements(self, **asked: Any) -> tuple[list[int], bool]:
        with self.database.read() as connection:
            rows, more = movements.list_movements(connection, 1, MovementQuery(**asked))
            return [row["seq"] for row in rows], more

    def pending(self, **asked: Any) -> tuple[list[str], bool]:
        with self.database.read() as connection:
            rows, more = pending_points.list_pending(connection, 1, PendingQuery(**asked))
            return [row["id"][5:] for row in rows], more


class Contract:
    """What must hold on every database."""

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            ("created_at", ["00", "01", "02", "03", "04", "05", "06"]),
            ("-created_at", ["06", "05", "04", "03", "02", "01", "00"]),
            ("id", ["00", "01", "02", "03", "04", "05", "06"]),
            ("voucher_code", ["04", "01", "06", "05", "00", "03", "02"]),
            ("-voucher_code", ["02", "03", "00", "05", "06", "01", "04"]),
            ("tracking_id", ["00", "02", "04", "06", "01", "05", "03"]),
            ("-tracking_id", ["03", "05", "01", "06", "04", "02", "00"]),
            ("customer_id", ["00", "03", "06", "01", "02", "04", "05"]),
        ],
    )
    def test_redemptions_are_ordered_by_bytes_with_the_unknown_first(
        self, lists: Lists, order: str, expected: list[str]
    ) -> None:
        assert lists.redemptions(order=order) == (expected, 7)
        pages = [lists.redemptions(order=order, limit=3, page=page)[0] for page in (1, 2, 3)]
        assert pages == [expected[:3], expected[3:6], expected[6:]]
        assert order.removeprefix("-") in ORDERS

    def test_redemptions_are_filtered(self, lists: Lists) -> None:
        assert lists.redemptions(results=("FAILURE",)) == (["04"], 1)
        assert lists.redemptions(campaign="Club", order="id") == (["01", "03", "05"], 3)
        by_id, by_source_id = lists.redemptions(customer="cust_1"), lists.redemptions(customer="ann")
        assert by_id == by_source_id == (["05", "04", "02", "01"], 4)
        assert lists.redemptions(created_after=1, created_before=3, order="id") == (["04", "05"], 2)
        assert lists.redemptions(voucher_id="v_Z") == (["06"], 1)
        asked = Filter("and", (FieldFilter("voucher_code", (Condition("in", ("a", "aa")),)),))
        assert lists.redemptions(filter=asked) == (["03", "00"], 2)
        assert lists.redemptions(customer="nobody") == ([], 0)

    def test_movements_hide_opening_balances_and_go_by_seq(self, lists: Lists) -> None:
        assert lists.movements(limit=3) == ([21, 20, 19], True)
        assert lists.movements(limit=100, descending=False) == (list(range(8, 22)), False)
        assert lists.movements(voucher_id="v_a") == ([21, 14], False)
        assert lists.movements(campaign_id="camp_1", limit=2, after_seq=15) == ([13, 11], True)
        assert lists.movements(voucher_id="v_B", descending=False, after_seq=8) == ([15], False)
        asked = Filter("and", (FieldFilter("voucher_id", (Condition("in", ("v_a",)),)),))
        assert lists.movements(campaign_id="camp_1", filter=asked) == ([21], False)
        with lists.database.read() as connection:
            found = movements.movement_by_id(connection, 1, "vtx_08")
            assert found is not None
            assert found["seq"] == 8
            assert movements.movement_by_id(connection, 1, "vtx_07") is None

    def test_buckets_that_can_be_spent_soonest_first(self, lists: Lists) -> None:
        with lists.database.read() as connection:
            rows, total = buckets.list_active(connection, 1, "v_a", "2024-10-09", 10, 1)
            assert ([row["id"] for row in rows], total) == (["lopb_1", "lopb_3", "lopb_0"], 3)
            rows, total = buckets.list_active(connection, 1, "v_a", "2024-10-09", 2, 2)
            assert ([row["id"] for row in rows], total) == (["lopb_0"], 3)
            assert buckets.cards_with_due(connection, 1, "2024-10-09", 5) == ["v_a"]
            assert buckets.cards_with_due(connection, 1, "2024-10-08", 5) == []

    def test_promises(self, lists: Lists) -> None:
        assert lists.pending(campaign_id="camp_1", limit=3) == (["Ä", "aa", "a"], True)
        assert lists.pending(campaign_id="camp_1", after_id="lopp_a") == (["_", "B", "A-1"], False)
        assert lists.pending(voucher_id="v_a", descending=False) == (["A-1", "B", "_"], False)
        with lists.database.read() as connection:
            assert pending_points.pending_sum(connection, 1, "v_B") == 15
            assert pending_points.due_ids(connection, 1, "2024-10-03", 2) == ["lopp_a", "lopp_B"]
            assert len(pending_points.due_ids(connection, 1, "2024-10-30", 50)) == 6

    def test_rewards_and_what_offers_them(self, lists: Lists) -> None:
        with lists.database.read() as connection:
            rows, total = rewards.list_rewards(connection, 1, 3, 1)
            assert ([row["id"] for row in rows], total) == (["rew_4", "rew_3", "rew_2"], 5)
            rows, total = rewards.list_rewards(connection, 1, 10, 1, assigned_to="camp_1")
            assert ([row["id"] for row in rows], total) == (["rew_3", "rew_1"], 2)
            rows, total = rewards.list_assignments(connection, 1, 10, 1, campaign_id="camp_0")
            assert ([row["id"] for row in rows], total) == (["rewa_4", "rewa_2", "rewa_0"], 3)
            assert rewards.find_assignment(connection, 1, reward_id="rew_1", campaign_id="camp_0") is None


@pytest.fixture(scope="module")
def sqlite_lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lists]:
    folder: Path = tmp_path_factory.mktemp("lists")
    with sqlite_ledger(folder) as database:
        fill(database)
        yield Lists(database)


@pytest.fixture(scope="module")
def postgres_lists(postgres_server: PostgresServer) -> Iterator[Lists]:
    with postgres_ledger(postgres_server) as database:
        fill(database)
        yield Lists(database)


class TestOnSqlite(Contract):
    @pytest.fixture
    def lists(self, sqlite_lists: Lists) -> Lists:
        return sqlite_lists


class TestOnPostgres(Contract):
    @pytest.fixture
    def lists(self, postgres_lists: Lists) -> Lists:
        return postgres_lists
