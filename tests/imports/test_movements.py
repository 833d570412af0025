"""Movements of the past: each card's chain is followed row by row, and whatever breaks it is refused by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.db import bulk
from counterfoil.db.projects import get_project
from counterfoil.db.schema import buckets, movements
from counterfoil.db.unit import Unit
from counterfoil.domain import cards
from counterfoil.domain.cards import Origin
from counterfoil.domain.imports import opening_movement_id, unplaced_bucket_id
from counterfoil.errors import InvalidInput, Unavailable
from counterfoil.services.core import Caller
from counterfoil.services.imports import movements as movement_imports
from counterfoil.services.imports.report import Report
from tests.databases import postgres_ledger, sqlite_ledger
from tests.fakes import FakeClock
from tests.imports.world import House, bring_in, house_on, write_csv, write_jsonl
from tests.services import PostgresServer

VOUCHERS = (
    "id,code,voucher_type",
    "g1,G1,GIFT_VOUCHER",
    "g2,G2,GIFT_VOUCHER",
    "l1,L1,LOYALTY_CARD",
    "l2,L2,LOYALTY_CARD",
)
DISCOUNT = ("id,code,voucher_type,discount_type,value", "d1,D1,DISCOUNT_VOUCHER,PERCENT,5")
HEADER = "id,voucher_id,type,amount,balance,created_at"
FULL = (
    "ID,Type,Source ID,Reason,Balance,Amount,Creation date,Voucher ID,Campaign ID,Source,Details,Related transaction ID"
)


def row(no: int, card: str, kind: str, amount: Any, balance: Any, at: str = "2024-01-01T00:00:00.000Z") -> str:
    return f"t{no},{card},{kind},{amount},{balance},{at}"


def add(no: int, card: str, amount: int, balance: int, at: str = "2024-01-01T00:00:00.000Z") -> str:
    return row(no, card, "CREDITS_ADDITION" if card.startswith("g") else "POINTS_ADDITION", amount, balance, at)


def take(no: int, card: str, amount: int, balance: int, at: str = "2024-01-01T00:00:00.000Z") -> str:
    return row(no, card, "CREDITS_REDEMPTION" if card.startswith("g") else "POINTS_REDEMPTION", -amount, balance, at)


def prepared(house: House, tmp_path: Path) -> House:
    """Cards that wait for their movements."""
    for name, lines in (("v", VOUCHERS), ("d", DISCOUNT)):
        report = house.bring("voucher", write_csv(tmp_path / f"{name}.csv", *lines), movements_follow=True)
        assert report.first == []
    return house


def bring(house: House, tmp_path: Path, *rows: str, header: str = HEADER, **options: Any) -> list[tuple[int, str]]:
    """Import rows; what was refused."""
    report, refused = bring_in(house, "voucher_transactions", write_csv(tmp_path / "t.csv", header, *rows), **options)
    assert report.rows == report.imported + report.known + report.refused
    return [(each.line, each.reason) for each in refused]


class Contract:
    def test_a_chain_with_everything_it_says(self, house: House, tmp_path: Path) -> None:
        details = json.dumps({"balance": {"type": "gift_voucher", "total": 130, "balance": 70}})
        quoted = details.replace('"', '""')
        lines = (
            f't1,CREDITS_REDEMPTION,,,70,-30,2024-01-01T10:00:00.123Z,g1,,,"{quoted}",',
            't2,CREDITS_ADDITION,"ours, 7","said ""yes""\nand left",90,20,2024-01-02,g1,camp_x,API,,',
            "t3,POINTS_TRANSFER_OUT,,,0,-5,2024-01-03T00:00:00+02:00,l1,,,,t4",
            "t4,POINTS_TRANSFER_IN,,,5,5,2024-01-02T22:00:00Z,l2,,,,t3",
        )
        assert bring(house, tmp_path, *lines, header=FULL) == []
        rows = [dict(each) for each in house.movements()]
        shown = [
            (each["seq"], each["id"], each["voucher_id"], each["type"], each["amount"], each["balance"])
            for each in rows
        ]
        seqs = sorted(shown)
        assert [seq for seq, *_ in seqs] == [1, 2, 3, 4, 5, 6]
        assert [rest for _, *rest in seqs] == [
            [opening_movement_id("g1"), "g1", "OPENING_BALANCE", 100, 100],
            ["t1", "g1", "CREDITS_REDEMPTION", -30, 70],
            ["t2", "g1", "CREDITS_ADDITION", 20, 90],
            [opening_movement_id("l1"), "l1", "OPENING_BALANCE", 5, 5],
            ["t3", "l1", "POINTS_TRANSFER_OUT", -5, 0],
            ["t4", "l2", "POINTS_TRANSFER_IN", 5, 5],
        ]
        said = {each["id"]: each for each in rows}
        assert said["t1"]["details"] == details
        assert said["t1"]["created_at"] == 1_704_103_200_123
        assert said[opening_movement_id("g1")]["created_at"] == 1_704_103_200_123
        assert said["t2"]["source_id"] == "ours, 7"
        assert (said["t2"]["reason"], said["t2"]["source"]) == ('said "yes"\nand left', "API")
        assert said["t2"]["campaign_id"] == "camp_x"
        assert (said["t3"]["related_transaction_id"], said["t4"]["related_transaction_id"]) == ("t4", "t3")
        assert said["t3"]["created_at"] == said["t4"]["created_at"]
        assert {each["recorded_at"] for each in rows} == {FakeClock.START_MS}
        gift = house.card("g1")
        # 130 had been granted before its first movement here, so 60 of it were spent by then and 30 since.
        assert (gift["balance"], gift["total"], gift["redeemed"]) == (90, 150, 60)
        assert (house.card("l1")["total"], house.card("l1")["balance"]) == (0, 0)
        house.check()

    def test_sums_follow_from_the_types(self, house: House, tmp_path: Path) -> None:
        kinds = [
            ("POINTS_ACCRUAL", 100), ("POINTS_ADDITION", 10), ("POINTS_REMOVAL", -20), ("POINTS_REDEMPTION", -30),
            ("POINTS_REFUND", 5), ("POINTS_EXPIRATION", -7), ("POINTS_TRANSFER_OUT", -8), ("POINTS_TRANSFER_IN", 3),
            ("PENDING_POINTS_ACTIVATION", 1), ("POINTS_REDEMPTION", 0),
        ]  # fmt: skip
        lines, balance = [], 0
        for no, (kind, amount) in enumerate(kinds):
            balance += amount
            lines.append(row(no, "l1", kind, amount, balance))
        assert bring(house, tmp_path, *lines, batch_rows=3) == []
        card = house.card("l1")
        assert (card["balance"], card["total"], card["subtracted"], card["redeemed"], card["expired"]) == (
            54,
            86,
            20,
            25,
            7,
        )
        [bucket] = house.rows(sa.select(buckets))
        assert (bucket["id"], bucket["points"], bucket["expires_on"]) == (unplaced_bucket_id("l1"), 54, None)
        house.check()

    def test_a_refund_proves_the_spending_before_it(self, house: House, tmp_path: Path) -> None:
        assert bring(house, tmp_path, row(1, "g1", "CREDITS_REFUND", 40, 50), take(2, "g1", 50, 0)) == []
        card = house.card("g1")
        assert (card["balance"], card["total"], card["redeemed"]) == (0, 50, 50)
        house.check()

    def test_an_emptied_card_has_no_bucket_and_gets_one_again(self, house: House, tmp_path: Path) -> None:
        assert bring(house, tmp_path, add(1, "l1", 5, 5), take(2, "l1", 5, 0)) == []
        assert house.rows(sa.select(buckets)) == []
        assert bring(house, tmp_path, add(3, "l1", 4, 4)) == []
        house.check()

    def test_again_is_known_and_other_content_is_refused(self, house: House, tmp_path: Path) -> None:
        lines = [add(1, "g1", 10, 10), add(2, "l1", 20, 20), take(3, "g1", 4, 6), add(4, "g1", 1, 7)]
        assert bring(house, tmp_path, *lines[:3]) == []
        before = house.movements()
        assert bring(house, tmp_path, *lines[:3]) == []
        assert house.movements() == before
        changed = [add(1, "g1", 11, 11), *lines[1:]]
        assert bring(house, tmp_path, *changed, batch_rows=2) == [
            (2, "a movement with this id is there already, with another amount (10, and here 11)"),
            (5, "an earlier movement of its card was refused (line 2)"),
        ]
        assert bring(house, tmp_path, *lines) == []
        assert len(house.movements()) == 4
        house.check()

    def test_details_are_compared_by_what_they_say(self, house: House, tmp_path: Path) -> None:
        header = HEADER + ",details"
        assert bring(house, tmp_path, add(1, "g1", 1, 1) + ',"{""a"":1,""b"":2}"', header=header) == []
        assert bring(house, tmp_path, add(1, "g1", 1, 1) + ',"{""b"": 2, ""a"": 1}"', header=header) == []
        assert bring(house, tmp_path, add(1, "g1", 1, 1) + ',"{""a"":2}"', header=header) == [
            (2, "a movement with this id is there already, with other details")
        ]
        assert bring(house, tmp_path, add(1, "g1", 1, 1)) != []

    def test_the_same_row_twice_in_a_file(self, house: House, tmp_path: Path) -> None:
        lines = [add(1, "g1", 1, 1), add(1, "g1", 1, 1), add(2, "g1", 1, 2), add(2, "l1", 1, 1), add(3, "g1", 1, 3)]
        for size in (1, 5):
            found = bring(house, tmp_path, *lines, batch_rows=size)
            assert found == [
                (5, "a movement with this id is there already, with another voucher_id ('g1', and here 'l1')")
            ]
        assert len(house.movements()) == 3

    def test_a_card_that_lives_goes_on(self, house: House, tmp_path: Path) -> None:
        """Points of a bucket that expires are there already, and somebody posts between two batches."""

        def post(code: str, points: int, last_day: str | None) -> None:
            house.write(lambda unit: unit.post(*cards.add(unit.card(code), points, Origin(), last_day, unit.now_ms)))

        post("L1", 30, "2025-01-31")
        path = write_csv(tmp_path / "t.csv", HEADER, take(1, "l1", 10, 20), add(2, "l1", 5, 25), add(3, "l1", 2, 28))
        batches: list[int] = []

        def after(report: Report) -> None:
            batches.append(report.imported)
            if len(batches) == 1:
                post("L1", 1, "2025-01-31")

        _, refused = bring_in(house, "voucher_transactions", path, batch_rows=2, after=after)
        assert refused == []
        assert batches == [2, 3]
        held = {
            each["expires_on"]: each["points"]
            for each in house.rows(sa.select(buckets).where(buckets.c.voucher_id == "l1"))
        }
        assert held == {"2025-01-31": 21, None: 7}
        house.check()

    def test_another_project_has_cards_of_its_own(self, house: House, tmp_path: Path) -> None:
        with house.core.read() as connection:
            other = House(house.core, Caller(get_project(connection, 2)), house.clock)
        assert bring(other, tmp_path, add(1, "g1", 1, 1)) == [
            (2, "there is no card g1 in this project: import its voucher first (or see --removed-cards)")
        ]
        prepared(other, tmp_path)
        assert bring(house, tmp_path, add(1, "g1", 1, 1)) == []
        assert bring(other, tmp_path, add(1, "g1", 5, 5)) == []
        assert (house.card("g1")["balance"], other.card("g1")["balance"]) == (1, 5)
        assert [each["seq"] for each in other.movements()] == [1]


class TestOnSqlite(Contract):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[House]:
        with sqlite_ledger(tmp_path) as database, house_on(database, FakeClock()) as house:
            yield prepared(house, tmp_path)


@pytest.mark.postgres
class TestOnPostgres(Contract):
    @pytest.fixture
    def house(self, tmp_path: Path, postgres_server: PostgresServer) -> Iterator[House]:
        with postgres_ledger(postgres_server) as database, house_on(database, FakeClock()) as house:
            yield prepared(house, tmp_path)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with sqlite_ledger(tmp_path) as database, house_on(database, FakeClock()) as house:
        yield prepared(house, tmp_path)


KINDS = (
    "CREDITS_ADDITION, CREDITS_REMOVAL, CREDITS_REDEMPTION, CREDITS_REFUND, POINTS_ACCRUAL, POINTS_ADDITION, "
    "POINTS_REMOVAL, POINTS_REDEMPTION, POINTS_REFUND, POINTS_EXPIRATION, POINTS_TRANSFER_OUT, POINTS_TRANSFER_IN, "
    "PENDING_POINTS_ACTIVATION"
)
MOST = 2**53 - 1
BAD = [
    (",g1,CREDITS_ADDITION,1,6,2024-01-01", "id is empty"),
    ("x" * 501 + ",g1,CREDITS_ADDITION,1,6,2024-01-01", "id must have at most 500 characters"),
    ("b,,CREDITS_ADDITION,1,6,2024-01-01", "voucher_id is empty"),
    ("b,g1,,1,6,2024-01-01", "type is empty"),
    ("b,g1,GIVEN,1,6,2024-01-01", f"type is 'GIVEN'; there are {KINDS}"),
    ("b,g1,POINTS_CANCELLATION,-1,4,2024-01-01", f"type is 'POINTS_CANCELLATION'; there are {KINDS}"),
    ("b,g1,POINTS_ADDITION,1,6,2024-01-01", "its type is not one of the card's, a GIFT_VOUCHER"),
    ("b,g1,CREDITS_ADDITION,-1,4,2024-01-01", "amount -1 has the wrong sign for its type"),
    ("b,g1,CREDITS_REDEMPTION,1,6,2024-01-01", "amount 1 has the wrong sign for its type"),
    ("b,g1,CREDITS_ADDITION,,6,2024-01-01", "amount is empty"),
    ("b,g1,CREDITS_ADDITION,1.50,6,2024-01-01",
     "amount must be a whole number (of minor units, unless the file is said to have decimals), and is '1.50'"),
    ("b,g1,CREDITS_ADDITION,one,6,2024-01-01", "amount must be a whole number, and is 'one'"),
    ("b,g1,CREDITS_ADDITION,1e3,6,2024-01-01", "amount must be a whole number, and is '1e3'"),
    ("b,g1,CREDITS_ADDITION,+1,6,2024-01-01", "amount must be a whole number, and is '+1'"),
    ("b,g1,CREDITS_ADDITION,1_0,15,2024-01-01", "amount must be a whole number, and is '1_0'"),
    ("b,g1,CREDITS_ADDITION,٣,8,2024-01-01", "amount must be a whole number, and is '٣'"),
    (f"b,g1,CREDITS_ADDITION,{MOST + 1},{MOST + 6},2024-01-01", f"amount must lie between -{MOST} and {MOST}"),
    (f"b,g1,CREDITS_ADDITION,{'9' * 5000},6,2024-01-01", f"amount must lie between -{MOST} and {MOST}"),
    (f"b,g1,CREDITS_ADDITION,{MOST},{MOST},2024-01-01", f"the chain is broken: {MOST} - {MOST} is 0, and the card had 5"),
    ("b,g1,CREDITS_REDEMPTION,-6,-1,2024-01-01", "balance -1 is below 0"),
    ("b,g1,CREDITS_ADDITION,1,7,2024-01-01", "the chain is broken: 7 - 1 is 6, and the card had 5"),
    ("b,g1,CREDITS_ADDITION,1,6,", "created_at is empty"),
    ("b,g1,CREDITS_ADDITION,1,6,yesterday", "created_at must be an ISO-8601 instant, and is 'yesterday'"),
    ("b,g1,CREDITS_ADDITION,1,6,2024-02-30T00:00:00.000Z", "created_at must be an ISO-8601 instant"),
    ("b,g1,CREDITS_ADDITION,1,6,2024-W01-1T00:00:00.00Z", "created_at must be an ISO-8601 instant"),
    ("b,g1,CREDITS_ADDITION,1,6,2024-10-09T09:22:00.000Z", "created_at lies in the future"),
    ("b,nobody,CREDITS_ADDITION,1,6,2024-01-01", "there is no card nobody in this project: import its voucher first"),
    ("b,d1,CREDITS_ADDITION,1,6,2024-01-01", "voucher d1 is a discount voucher, which has no balance"),
    ("b,g2,CREDITS_ADDITION,6,5,2024-01-01", "the card would have begun with -1: 5 - 6"),
    ("b,g2,OPENING_BALANCE,6,5,2024-01-01", "an opening balance must equal the balance, and 6 is not 5"),
    ("b,g1,OPENING_BALANCE,6,11,2024-01-01", f"type is 'OPENING_BALANCE'; there are {KINDS}"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), BAD, ids=[f"{no}-{reason[:24]}" for no, (_, reason) in enumerate(BAD)])
@pytest.mark.parametrize("batch_rows", [1, 50])
def test_a_bad_row_is_refused_alone(house: House, tmp_path: Path, line: str, reason: str, batch_rows: int) -> None:
    good = [add(1, "g1", 5, 5), add(2, "l1", 9, 9)]
    found = bring(house, tmp_path, *good, line, add(3, "l1", 1, 10), batch_rows=batch_rows)
    assert [number for number, _ in found] == [4]
    assert found[0][1].startswith(reason)
    assert [each["id"] for each in house.movements()] == ["t1", "t2", "t3"]
    house.check()


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ("[1]", "details must be a JSON object, and is '[1]'"),
        ("{", "details must be a JSON object, and is '{'"),
        ('{"a": "\\u0000"}', "details must hold no NUL"),
        ('{"a": "\\ud800"}', "details must be a JSON object"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "details must be a JSON object"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "details must have at most 1048576 characters"),
    ],
    ids=["list", "broken", "nul", "surrogate", "deep", "long"],
)
def test_details_that_cannot_be(house: House, tmp_path: Path, details: str, reason: str) -> None:
    cell = '"' + details.replace('"', '""') + '"'
    [(line, told)] = bring(house, tmp_path, f"{add(1, 'g1', 1, 1)},{cell}", header=f"{HEADER},details")
    assert line == 2
    assert told.startswith(reason)
    assert house.movements() == []


def test_what_json_makes_of_amounts(house: House, tmp_path: Path) -> None:
    base = {"voucher_id": "g1", "type": "CREDITS_ADDITION", "created_at": "2024-01-01T00:00:00Z"}
    rows = [
        base | {"id": "a", "amount": 5, "balance": 5, "details": {"order": {"id": 1.50}}},
        base | {"id": "b", "amount": "2", "balance": "7"},
        base | {"id": "c", "voucher_id": "l1", "amount": 1.0, "balance": 8},
        base | {"id": "d", "voucher_id": "l2", "amount": True, "balance": 8},
        base | {"id": 5, "amount": 1, "balance": 8},
    ]
    report, refused = bring_in(house, "voucher_transactions", write_jsonl(tmp_path / "t.jsonl", *rows))
    assert report.imported == 2
    assert [(each.line, each.reason) for each in refused] == [
        (3, "amount must be a whole number, and is 1.0"), (4, "amount must be a whole number, and is True"),
        (5, "id must be text, and is 5"),
    ]  # fmt: skip
    assert house.movements()[0]["details"] == '{"order": {"id": 1.5}}'


def test_a_time_that_is_a_number_is_refused_in_json(house: House, tmp_path: Path) -> None:
    made = {
        "id": "a",
        "voucher_id": "g1",
        "type": "CREDITS_ADDITION",
        "amount": 5,
        "balance": 5,
        "created_at": 1_700_000_000,
    }
    _, refused = bring_in(house, "voucher_transactions", write_jsonl(tmp_path / "t.jsonl", made))
    assert [each.reason for each in refused] == ["created_at must be an ISO-8601 instant, and is 1700000000"]


def test_money_with_decimals_and_points_without(house: House, tmp_path: Path) -> None:
    lines = [
        row(1, "g1", "CREDITS_ADDITION", "20.00", "2020.5"), row(2, "g1", "CREDITS_REDEMPTION", "-0.01", "2020.49"),
        row(3, "l1", "POINTS_ACCRUAL", "20", "20"), row(4, "l1", "POINTS_ACCRUAL", "1.00", "21"),
        row(5, "g2", "CREDITS_ADDITION", "1.005", "2"), row(6, "g2", "CREDITS_ADDITION", "1", "1."),
        row(7, "g2", "CREDITS_ADDITION", "9" * 50, "2"),
    ]  # fmt: skip
    found = bring(house, tmp_path, *lines, decimals=2)
    assert [line for line, _ in found] == [5, 6, 7, 8]
    assert found[0][1].startswith("amount must be a whole number")
    assert found[1][1] == "amount must be an amount with at most 2 digits after the point, and is '1.005'"
    assert [(each["type"], each["amount"], each["balance"]) for each in sorted(house.movements(), key=lambda m: m["seq"])] == [
        ("OPENING_BALANCE", 200_050, 200_050), ("CREDITS_ADDITION", 2_000, 202_050), ("CREDITS_REDEMPTION", -1, 202_049),
        ("POINTS_ACCRUAL", 20, 20),
    ]  # fmt: skip


def test_a_refused_row_stops_its_card_for_the_rest_of_the_file(house: House, tmp_path: Path) -> None:
    """Else the next row would make up an opening balance, and the refused one could never come in."""
    lines = [row(1, "g1", "CREDITS_ADDITION", "x", 5), add(2, "g1", 1, 6), add(3, "l1", 1, 1), add(4, "g1", 1, 7)]
    stopped = "an earlier movement of its card was refused (line 2)"
    for size in (1, 10):
        found = bring(house, tmp_path, *lines, batch_rows=size)
        assert found[1:] == [(3, stopped), (5, stopped)]
    assert bring(house, tmp_path, add(1, "g1", 5, 5), *lines[1:]) == []
    house.check()


def test_a_broken_chain_names_the_line_of_a_row_of_several_lines(house: House, tmp_path: Path) -> None:
    header = f"{HEADER},reason"
    lines = [add(1, "g1", 1, 1) + ',"one\ntwo\nthree"', add(2, "g1", 1, 3) + ',"four\nfive"', add(3, "l1", 1, 1) + ","]
    assert bring(house, tmp_path, *lines, header=header) == [(5, "the chain is broken: 3 - 1 is 2, and the card had 1")]


def test_strict_stops_at_the_first_refused_row_and_undoes_its_batch(house: House, tmp_path: Path) -> None:
    lines = [add(no, "g1", 1, no) for no in range(1, 6)]
    lines[3] = add(4, "g1", 1, 7)
    with pytest.raises(InvalidInput) as caught:
        bring(house, tmp_path, *lines, batch_rows=3, strict=True)
    assert caught.value.message == "Line 5: the chain is broken: 7 - 1 is 6, and the card had 3"
    assert [each["id"] for each in house.movements()] == ["t1", "t2", "t3"]
    house.check()


def test_the_past_of_a_card_that_was_opened_with_its_balance(house: House, tmp_path: Path) -> None:
    house.bring("voucher", write_csv(tmp_path / "v.csv", "id,code,voucher_type,gift_balance", "g3,G3,GIFT_VOUCHER,50"))
    [(_, reason)] = bring(house, tmp_path, add(1, "g3", 5, 20))
    assert reason == (
        "the chain is broken: 20 - 5 is 15, and the card had 50 since its voucher came in (see --movements-follow)"
    )
    assert bring(house, tmp_path, add(2, "g3", 5, 55)) == []


def test_a_campaign_of_another_card(house: House, tmp_path: Path) -> None:
    voucher = "id,code,voucher_type,campaign,campaign_id\ng4,G4,GIFT_VOUCHER,Gifts,camp_a\n"
    (tmp_path / "v.csv").write_text(voucher)
    house.bring("voucher", tmp_path / "v.csv", make_campaigns=True, movements_follow=True)
    header = f"{HEADER},campaign_id"
    assert bring(house, tmp_path, add(1, "g4", 5, 5) + ",camp_b", header=header) == [
        (2, "campaign_id is camp_b, and the card belongs to camp_a")
    ]
    assert bring(house, tmp_path, add(1, "g4", 5, 5) + ",", header=header) == []
    assert house.movements()[-1]["campaign_id"] == "camp_a"


def test_cards_that_are_not_there_any_more(house: House, tmp_path: Path) -> None:
    lines = [
        add(1, "g9", 5, 15),
        add(2, "l9", 5, 5),
        row(3, "x9", "OPENING_BALANCE", 5, 5),
        take(4, "l9", 5, 0),
        take(5, "g9", 1, 14),
    ]
    assert [line for line, _ in bring(house, tmp_path, *lines)] == [2, 3, 4, 5, 6]
    assert bring(house, tmp_path, *lines, removed_cards=True, batch_rows=2) == [
        (4, "there is no card x9, and type OPENING_BALANCE does not tell what it was")
    ]
    card = house.card("g9")
    assert (card["code"], card["balance"], card["active"]) == ("g9", 14, False)
    assert card["deleted_at"] is not None
    assert bring(house, tmp_path, add(6, "g9", 1, 15)) == [(2, "voucher g9 was removed (see --removed-cards)")]
    assert bring(house, tmp_path, add(6, "g9", 1, 15), removed_cards=True) == []
    house.check()


def test_a_file_that_runs_backwards(house: House, tmp_path: Path) -> None:
    lines = [add(no, "g1", 1, no, f"2024-01-{no:02d}T00:00:00.000Z") for no in range(9, 0, -1)]
    with pytest.raises(InvalidInput) as caught:
        bring(house, tmp_path, *lines, batch_rows=4)
    assert caught.value.code == "wrong_direction"
    assert house.movements() == []
    with pytest.raises(InvalidInput):
        bring(house, tmp_path, *lines[::-1], batch_rows=4, newest_first=True)
    assert house.movements() == []
    assert bring(house, tmp_path, *lines, batch_rows=4, newest_first=True) == []
    assert [each["balance"] for each in house.movements()] == list(range(1, 10))


def test_movements_of_our_own_fuller_kind(house: House, tmp_path: Path) -> None:
    """`movement` tells the opening balances and holders too, so nothing has to be implied."""
    header = f"seq,{HEADER},customer_id,balance_before,lots,recorded_at"
    lines = [
        "7," + row(1, "l1", "OPENING_BALANCE", 50, 50) + ",cust_x,0,[],2024-01-01",
        "8," + take(2, "l1", 20, 30) + ",,50,,",
    ]
    report, refused = bring_in(house, "movement", write_csv(tmp_path / "m.csv", header, *lines))
    assert refused == []
    assert report.imported == 2
    rows = house.movements()
    assert [(each["id"], each["seq"], each["customer_id"]) for each in rows] == [("t1", 1, "cust_x"), ("t2", 2, None)]
    house.check()


def test_nothing_of_a_batch_is_left_when_the_database_refuses_it(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("database_unavailable", "gone")

    assert bring(house, tmp_path, add(1, "g1", 1, 1)) == []
    monkeypatch.setattr(bulk, "update_sums", away)
    with pytest.raises(Unavailable):
        bring(house, tmp_path, add(1, "g1", 1, 1), add(2, "g1", 1, 2))
    monkeypatch.undo()
    assert len(house.movements()) == 1
    assert bring(house, tmp_path, add(1, "g1", 1, 1), add(2, "g1", 1, 2)) == []
    house.check()


def test_the_cards_remembered_stay_few(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movement_imports, "CARDS_MAX", 1)
    monkeypatch.setattr(movement_imports, "BROKEN_MAX", 1)
    lines = [line for no in range(1, 9) for line in (add(no, "g1", 1, no), add(100 + no, "l1", 2, 2 * no))]
    assert bring(house, tmp_path, *lines, batch_rows=3) == []
    house.check()
    with pytest.raises(InvalidInput) as caught:
        bring(house, tmp_path, add(50, "g1", 1, 1), add(51, "l1", 1, 1), add(52, "l2", 1, 1), batch_rows=1)
    assert caught.value.code == "too_many_refused"


def test_movements_cannot_be_changed_afterwards(house: House, tmp_path: Path) -> None:
    assert bring(house, tmp_path, add(1, "g1", 1, 1)) == []
    with pytest.raises(Exception, match="append-only"):
        house.write(lambda unit: _update(unit))


def _update(unit: Unit) -> None:
    unit.sql.execute(movements.update().values(amount=2))
