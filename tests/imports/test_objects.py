"""Vouchers, customers, orders, campaigns and points buckets that come in: what fits, what is known, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.db import summaries
from counterfoil.db.schema import buckets, campaigns, customers, orders, vouchers
from counterfoil.db.unit import Unit
from counterfoil.domain import cards
from counterfoil.domain.cards import Origin
from counterfoil.domain.imports import unplaced_bucket_id
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.customers import CustomerService
from counterfoil.services.vouchers import VoucherService
from tests.databases import sqlite_ledger
from tests.fakes import FakeClock
from tests.imports.world import House, bring_in, house_on, write_csv, write_jsonl

DAY_MS = 86_400_000


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with sqlite_ledger(tmp_path) as database, house_on(database, FakeClock()) as house:
        yield house


def bring(house: House, tmp_path: Path, name: str, header: str, *rows: str, **options: Any) -> list[tuple[int, str]]:
    """Import rows of a kind of object; what was refused."""
    report, refused = bring_in(house, name, write_csv(tmp_path / f"{name}.csv", header, *rows), **options)
    assert report.rows == report.imported + report.known + report.refused
    return [(each.line, each.reason) for each in refused]


def counts(house: House, tmp_path: Path, name: str, header: str, *rows: str, **options: Any) -> tuple[int, int, int]:
    """(imported, known, refused)"""
    report, _ = bring_in(house, name, write_csv(tmp_path / f"{name}.csv", header, *rows), **options)
    return report.imported, report.known, report.refused


# -- vouchers ----------------------------------------------------------------------------------------------------------

VOUCHER = "id,code,voucher_type,value,discount_type"


def test_cards_begin_with_the_balance_of_the_file(house: House, tmp_path: Path) -> None:
    header = "ID,Code,Voucher Type,Value,Creation Date,Redemption Count,Active"
    rows = (
        "v1,G,GIFT_VOUCHER,2000.50,2023-01-02T03:04:05.678Z,3,FALSE",
        "v2,L,LOYALTY_CARD,70,,,",
        ",N,GIFT_VOUCHER,0,,,",
    )
    assert bring(house, tmp_path, "voucher", header, *rows, decimals=2) == []
    gift, card = house.card("v1"), house.card("v2")
    assert (gift["balance"], gift["total"], gift["redeemed_quantity"], gift["active"]) == (200_050, 200_050, 3, False)
    assert gift["created_at"] == 1_672_628_645_678
    assert gift["gift_effect"] == "APPLY_TO_ORDER"
    opened = {each["voucher_id"]: each for each in house.movements()}
    assert {each["type"] for each in opened.values()} == {"OPENING_BALANCE"}
    assert (opened["v1"]["created_at"], opened["v1"]["recorded_at"]) == (gift["created_at"], FakeClock.START_MS)
    assert card["created_at"] == FakeClock.START_MS
    [bucket] = house.rows(sa.select(buckets))
    assert (bucket["voucher_id"], bucket["points"], bucket["expires_on"]) == ("v2", 70, None)
    house.check()
    assert counts(house, tmp_path, "voucher", header, *rows, decimals=2) == (0, 3, 0)


def test_a_discount_is_put_together_out_of_its_columns(house: House, tmp_path: Path) -> None:
    header = (
        "code,voucher_type,discount_type,value,formula,discount_amount_limit,discount_effect,discount_unit_type,"
        "discount_unit_effect,validity_timeframe_interval,validity_timeframe_duration,validity_day_of_week,redemption_quantity"
    )
    rows = (
        'A,DISCOUNT_VOUCHER,PERCENT,12.5,,500,APPLY_TO_ITEMS,,,P1D,PT2H,"1,2",7',
        "B,DISCOUNT_VOUCHER,AMOUNT,1050,AMOUNT*2,,,,,,,,",
        "C,DISCOUNT_VOUCHER,UNIT,2,,,ADD_MISSING_ITEMS,prod_1,ADD_MISSING_ITEMS,,,,",
        'D,DISCOUNT_VOUCHER,UNIT,1,,,,"prod_1,prod_2","ADD_NEW_ITEMS,ADD_MANY_ITEMS",,,,',
        "E,DISCOUNT_VOUCHER,FIXED,5,,,,,,,,,",
    )
    assert bring(house, tmp_path, "voucher", header, *rows) == []
    stored = {row["code"]: row for row in house.rows(sa.select(vouchers))}
    assert stored["A"]["discount"] == {
        "type": "PERCENT", "percent_off": 12.5, "amount_limit": 500, "effect": "APPLY_TO_ITEMS",
    }  # fmt: skip
    assert stored["A"]["validity_timeframe"] == {"interval": "P1D", "duration": "PT2H"}
    assert (stored["A"]["validity_day_of_week"], stored["A"]["redemption_quantity"]) == ([1, 2], 7)
    assert stored["B"]["discount"] == {"type": "AMOUNT", "amount_off": 1050, "amount_off_formula": "AMOUNT*2"}
    assert stored["C"]["discount"] == {
        "type": "UNIT", "unit_off": 2, "effect": "ADD_MISSING_ITEMS", "unit_type": "prod_1",
    }  # fmt: skip
    assert stored["D"]["discount"]["units"] == [
        {"unit_type": "prod_1", "effect": "ADD_NEW_ITEMS"}, {"unit_type": "prod_2", "effect": "ADD_MANY_ITEMS"},
    ]  # fmt: skip
    assert stored["E"]["discount"] == {"type": "FIXED", "fixed_amount": 5}
    assert counts(house, tmp_path, "voucher", header, *rows) == (0, 5, 0)


BAD_VOUCHERS = [
    ("v1,,GIFT_VOUCHER,1,", "code is empty"),
    ("v1,A,,1,", "voucher_type is empty"),
    ("v1,A,GIFT,1,", "voucher_type must be one of DISCOUNT_VOUCHER, GIFT_VOUCHER, LOYALTY_CARD, and is 'GIFT'"),
    ("v1,A,GIFT_VOUCHER,-5,", "value must not be below 0, and is '-5'"),
    ("v1,A,GIFT_VOUCHER,5.00,", "value must be a whole number"),
    ("v1,A,LOYALTY_CARD,many,", "value must be a whole number"),
    ("v1,A,DISCOUNT_VOUCHER,5,", "discount_type is empty"),
    ("v1,A,DISCOUNT_VOUCHER,,PERCENT", "Property .discount must have required property 'percent_off'"),
    ("v1,A,DISCOUNT_VOUCHER,101,PERCENT", "Property .discount.percent_off must be <= 100"),
    ("v1,A,DISCOUNT_VOUCHER,ten,AMOUNT", "value must be a number, and is 'ten'"),
    ("v1, A,GIFT_VOUCHER,5,", "A code has 1 to 256 printable characters, none of them a blank at its ends"),
    ("v0,B,GIFT_VOUCHER,5,", "the voucher is there already, with another code ('TAKEN', and here 'B')"),
    ("v1,TAKEN,GIFT_VOUCHER,5,", "the voucher v0 has this code already"),
    ("v0,TAKEN,LOYALTY_CARD,5,", "the voucher is there already, with another type"),
    ("v0,TAKEN,GIFT_VOUCHER,6,", "the voucher is there already, with a balance of 5, and here it is 6"),
    ("vx,GONE,GIFT_VOUCHER,6,", "a voucher with this id was here and was removed"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_VOUCHERS, ids=[reason[:30] for _, reason in BAD_VOUCHERS])
def test_vouchers_that_are_refused(house: House, tmp_path: Path, line: str, reason: str) -> None:
    taken = ("v0,TAKEN,GIFT_VOUCHER,5,", "vx,GONE,GIFT_VOUCHER,5,")
    assert bring(house, tmp_path, "voucher", VOUCHER, *taken) == []
    VoucherService(house.core).delete(house.caller, "GONE")
    found = bring(house, tmp_path, "voucher", VOUCHER, "v2,OK1,GIFT_VOUCHER,1,", line, "v3,OK2,LOYALTY_CARD,2,")
    assert [number for number, _ in found] == [3]
    assert found[0][1].startswith(reason)
    assert (house.card("v2")["balance"], house.card("v3")["balance"]) == (1, 2)
    house.check()


def test_the_same_voucher_twice_in_a_file(house: House, tmp_path: Path) -> None:
    rows = (
        "v1,A,GIFT_VOUCHER,1,",
        "v1,A,GIFT_VOUCHER,1,",
        "v2,A,GIFT_VOUCHER,1,",
        "v1,B,GIFT_VOUCHER,1,",
        "v4,D,GIFT_VOUCHER,1,",
    )
    told = "the same row stands in line 2, with other content"
    assert bring(house, tmp_path, "voucher", VOUCHER, *rows) == [(4, told), (5, told)]
    assert counts(house, tmp_path, "voucher", VOUCHER, *rows[:2]) == (0, 2, 0)


def test_balances_that_contradict_each_other(house: House, tmp_path: Path) -> None:
    header = "id,code,voucher_type,value,gift_balance,loyalty_balance"
    rows = ("v1,A,GIFT_VOUCHER,5,6,", "v2,B,GIFT_VOUCHER,5,5,", "v3,C,LOYALTY_CARD,,,7", "v4,D,LOYALTY_CARD,1,,7")
    assert bring(house, tmp_path, "voucher", header, *rows) == [
        (2, "gift_balance is 6, and value is 5"), (5, "loyalty_balance is 7, and value is 1"),
    ]  # fmt: skip
    assert (house.card("v2")["balance"], house.card("v3")["balance"]) == (5, 7)


def test_campaigns_of_vouchers(house: House, tmp_path: Path) -> None:
    made = CampaignService(house.core, lambda: None).create(
        house.caller, {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 9}}}
    )
    header = "id,code,voucher_type,campaign,campaign_id"
    rows = (
        "v1,A,GIFT_VOUCHER,Gifts,", f"v2,B,GIFT_VOUCHER,,{made['id']}", "v3,C,LOYALTY_CARD,Gifts,", "v4,D,GIFT_VOUCHER,Other,",
        f"v5,E,GIFT_VOUCHER,Wrong,{made['id']}", "v6,F,GIFT_VOUCHER,Gifts,camp_elsewhere", "v7,G,LOYALTY_CARD,Points,camp_points",
    )  # fmt: skip
    told = bring(house, tmp_path, "voucher", header, *rows)
    assert told == [
        (4, "a voucher of type LOYALTY_CARD cannot belong to a GIFT_VOUCHERS campaign"),
        (5, "there is no campaign Other: import it first, or let it be made with --make-campaigns"),
        (6, f"campaign is Wrong, and {made['id']} is named Gifts"),
        (7, "there is no campaign camp_elsewhere: import it first, or let it be made with --make-campaigns"),
        (8, "there is no campaign camp_points: import it first, or let it be made with --make-campaigns"),
    ]
    assert bring(house, tmp_path, "voucher", header, *rows, make_campaigns=True) == [
        told[0], told[2], (7, f"campaign {made['id']} has the name Gifts already"),
    ]  # fmt: skip
    stored = {row["name"]: row for row in house.rows(sa.select(campaigns))}
    assert {name: row["vouchers_count"] for name, row in stored.items()} == {"Gifts": 2, "Other": 1, "Points": 1}
    assert (stored["Points"]["id"], stored["Points"]["campaign_type"]) == ("camp_points", "LOYALTY_PROGRAM")
    assert stored["Other"]["iid"] not in (stored["Gifts"]["iid"], stored["Points"]["iid"])
    only = bring(
        house, tmp_path, "voucher", header, "v8,H,GIFT_VOUCHER,,", "v9,I,GIFT_VOUCHER,Other,", campaign="Gifts"
    )
    assert only == [(3, "campaign is Other, and not Gifts")]
    assert house.card("v8")["campaign_id"] == made["id"]


def test_holders_of_vouchers(house: House, tmp_path: Path) -> None:
    assert bring(house, tmp_path, "customer", "id,source_id", "cust_1,a", "cust_2,b") == []
    header = "id,code,voucher_type,customer_id,customer_source_id"
    rows = (
        "v1,A,GIFT_VOUCHER,cust_1,a", "v2,B,GIFT_VOUCHER,,b", "v3,C,GIFT_VOUCHER,cust_1,b", "v4,D,GIFT_VOUCHER,cust_9,",
        "v5,E,GIFT_VOUCHER,,z", "v6,F,GIFT_VOUCHER,cust_1,not known",
    )  # fmt: skip
    assert bring(house, tmp_path, "voucher", header, *rows) == [
        (4, "customer_id is cust_1, and customer_source_id is that of cust_2"),
        (5, "there is no customer cust_9: import it first"),
        (6, "there is no customer with source_id z: import it first"),
    ]
    assert [house.card(card)["holder_id"] for card in ("v1", "v2", "v6")] == ["cust_1", "cust_2", "cust_1"]


def test_vouchers_that_changed_since_are_not_overwritten(house: House, tmp_path: Path) -> None:
    header = "id,code,voucher_type,value,active,category,metadata.a"
    assert bring(house, tmp_path, "voucher", header, "v1,A,GIFT_VOUCHER,5,true,x,1") == []
    VoucherService(house.core).update(house.caller, "A", {"category": "y"})
    assert bring(house, tmp_path, "voucher", header, "v1,A,GIFT_VOUCHER,5,true,x,1") == [
        (2, "the voucher is there already, with another category ('y', and here 'x')")
    ]
    assert bring(house, tmp_path, "voucher", header, "v1,A,GIFT_VOUCHER,5,true,y,2")[0][1].startswith(
        "the voucher is there already, with another metadata"
    )
    # What the file leaves out is not compared.
    assert counts(house, tmp_path, "voucher", "id,code,voucher_type", "v1,A,GIFT_VOUCHER") == (0, 1, 0)


def test_a_card_without_movements_is_settled_afterwards(house: House, tmp_path: Path) -> None:
    rows = ("v1,A,GIFT_VOUCHER,5,", "v2,B,LOYALTY_CARD,7,")
    assert counts(house, tmp_path, "voucher", VOUCHER, *rows, movements_follow=True) == (2, 0, 0)
    assert house.movements() == []
    assert counts(house, tmp_path, "voucher", VOUCHER, *rows, movements_follow=True) == (0, 2, 0)
    assert counts(house, tmp_path, "voucher", VOUCHER, *rows) == (2, 0, 0)
    assert counts(house, tmp_path, "voucher", VOUCHER, *rows) == (0, 2, 0)
    assert [house.card(card)["balance"] for card in ("v1", "v2")] == [5, 7]
    house.check()


# -- points buckets ----------------------------------------------------------------------------------------------------

BUCKET = "id,campaign_id,voucher_id,points,status,expires_at"


def held(house: House) -> dict[str, tuple[int, str | None, str]]:
    rows = house.rows(sa.select(buckets).where(buckets.c.project_id == house.project_id))
    return {row["id"]: (row["points"], row["expires_on"], row["status"]) for row in rows}


def test_buckets_take_the_points_that_are_unplaced(house: House, tmp_path: Path) -> None:
    bring(house, tmp_path, "voucher", VOUCHER, "l1,L,LOYALTY_CARD,100,", "l2,M,LOYALTY_CARD,10,")
    rows = ("b1,,l1,30,ACTIVE,2025-01-31", "b2,,l1,20,,", "b3,,l1,55,EXPIRED,2023-01-31", "b4,,l1,0,ACTIVE,2025-02-28")
    assert bring(house, tmp_path, "points_expiration", BUCKET, *rows, batch_rows=2) == []
    assert held(house) == {
        "b1": (30, "2025-01-31", "ACTIVE"), "b2": (20, None, "ACTIVE"), "b3": (55, "2023-01-31", "EXPIRED"),
        "b4": (0, "2025-02-28", "ACTIVE"), unplaced_bucket_id("l1"): (50, None, "ACTIVE"),
        unplaced_bucket_id("l2"): (10, None, "ACTIVE"),
    }  # fmt: skip
    house.check()
    assert counts(house, tmp_path, "points_expiration", BUCKET, *rows) == (0, 4, 0)
    assert bring(house, tmp_path, "points_expiration", BUCKET, "b5,,l1,50,ACTIVE,2025-03-31") == []
    assert unplaced_bucket_id("l1") not in held(house)
    house.check()
    # Spending takes what expires first, as ever.
    house.write(lambda unit: unit.post(*cards.redeem(unit.card("L"), 40, {}, Origin())))
    assert held(house)["b1"][0] == 0
    assert held(house)["b5"][0] == 40
    house.check()


def test_due_points_expire_when_the_card_is_touched(house: House, tmp_path: Path) -> None:
    bring(house, tmp_path, "voucher", VOUCHER, "l1,L,LOYALTY_CARD,100,")
    assert bring(house, tmp_path, "points_expiration", BUCKET, "b1,,l1,30,ACTIVE,2024-01-31") == []
    house.write(lambda unit: unit.card("L") and None)
    assert held(house)["b1"] == (30, "2024-01-31", "EXPIRED")
    assert house.card("l1")["balance"] == 70
    house.check()


BAD_BUCKETS = [
    (",,l1,1,ACTIVE,", "id is empty"),
    ("b,,,1,ACTIVE,", "voucher_id is empty"),
    ("b,,l1,,ACTIVE,", "points is empty"),
    ("b,,l1,1.5,ACTIVE,", "points must be a whole number"),
    ("b,,l1,-1,ACTIVE,", "points must not be below 0"),
    ("b,,l1,1,INACTIVE,", "status must be ACTIVE or EXPIRED, and is 'INACTIVE'"),
    ("b,,l1,1,EXPIRED,", "an EXPIRED bucket needs the day it expired on"),
    ("b,,l1,1,ACTIVE,31.01.2025", "expires_at must be an ISO-8601 date, and is '31.01.2025'"),
    ("b,,l1,6,ACTIVE,2025-01-31", "the card has only 5 points whose expiry is not known yet"),
    ("b,,l9,1,ACTIVE,", "there is no card l9 in this project: import its voucher first"),
    ("b,,g1,1,ACTIVE,", "voucher g1 is a GIFT_VOUCHER, which has no points"),
    ("b,camp_x,l2,1,ACTIVE,", "campaign_id is camp_x, and the card belongs to camp_p"),
    ("b0,,l1,6,ACTIVE,2025-01-31", "the bucket is there already, with another points (5, and here 6)"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_BUCKETS, ids=[reason[:30] for _, reason in BAD_BUCKETS])
def test_buckets_that_are_refused(house: House, tmp_path: Path, line: str, reason: str) -> None:
    header = "id,code,voucher_type,value,campaign_id"
    rows = ("l1,L,LOYALTY_CARD,10,", "g1,G,GIFT_VOUCHER,10,", "l2,M,LOYALTY_CARD,9,camp_p")
    assert bring(house, tmp_path, "voucher", header, *rows, make_campaigns=True) == []
    assert bring(house, tmp_path, "points_expiration", BUCKET, "b0,,l1,5,ACTIVE,2025-01-31") == []
    found = bring(house, tmp_path, "points_expiration", BUCKET, line, "b9,,l2,9,,")
    assert [number for number, _ in found] == [2]
    assert found[0][1].startswith(reason)
    assert set(held(house)) == {"b0", "b9", unplaced_bucket_id("l1")}
    house.check()


# -- customers ---------------------------------------------------------------------------------------------------------


def test_customers_with_their_own_ids(house: House, tmp_path: Path) -> None:
    header = "ID,Source ID,Name,Birthdate,Address City,Metadata vip,Creation Date,Orders Total Amount,Loyalty Points"
    rows = ('cust_1,a,"Zoë ""Z""\nO",1990-01-02,Łódź,yes,2020-01-01T00:00:00Z,999,5', ",b,,,,,,,", "cust_3,,,,,,,,")
    assert bring(house, tmp_path, "customer", header, *rows) == []
    first = CustomerService(house.core).get(house.caller, "a")
    assert (first["id"], first["name"], first["birthdate"]) == ("cust_1", 'Zoë "Z"\nO', "1990-01-02")
    assert (first["metadata"], first["created_at"], first["updated_at"]) == ({"vip": "yes"}, 1_577_836_800_000, None)
    # Sums are worked out from what is here, never taken over.
    assert (first["orders_total_amount"], first["loyalty_points"]) == (0, 0)
    assert bring(house, tmp_path, "customer", header, *rows) == []
    assert counts(house, tmp_path, "customer", header, *rows) == (0, 3, 0)
    with house.core.read() as connection:
        assert summaries.summaries(connection, 1) == summaries.counted(connection, 1)


def test_customers_that_are_refused(house: House, tmp_path: Path) -> None:
    header = "id,source_id,name,birthdate,created_at"
    assert bring(house, tmp_path, "customer", header, "cust_1,a,A,,", "cust_2,b,B,,", "cust_3,,C,,") == []
    CustomerService(house.core).delete(house.caller, "cust_3")
    assert bring(
        house, tmp_path, "customer", header, ",,Nobody,,", "cust_1,a,Other,,", "cust_9,b,,,", "cust_3,,C,,",
        "cust_4,d,,soon,", "cust_5,e,,,never", "cust_1,z,A,,", "cust_6,f,F,,", "cust_6,g,F,,",
    ) == [
        (2, "a customer needs an id or a source_id"),
        (3, "the customer is there already, with another name ('A', and here 'Other')"),
        (4, "customer cust_2 has this source_id already"),
        (5, "a customer with this id was here and was removed"),
        (6, "birthdate must be an ISO-8601 date, and is 'soon'"),
        (7, "created_at must be an ISO-8601 instant, and is 'never'"),
        (8, "the same row stands in line 3, with other content"),
        (10, "the same row stands in line 9, with other content"),
    ]  # fmt: skip
    assert len(house.rows(sa.select(customers))) == 4


# -- orders ------------------------------------------------------------------------------------------------------------


def test_orders_and_the_sums_of_their_customers(house: House, tmp_path: Path) -> None:
    bring(house, tmp_path, "customer", "id,source_id,updated_at", "cust_1,a,2021-01-01", "cust_2,b,")
    header = "id,source_id,status,total_amount,customer_id,created_at,amount,metadata"
    rows = (
        'ord_1,o1,PAID,7.00,cust_1,2024-01-01,8,"{""a"":1}"', "ord_2,,FULFILLED,5,cust_1,2024-03-01,,",
        "ord_3,o3,CREATED,99,cust_1,2024-06-01,,", "ord_4,o4,PAID,1.5,,2024-01-01,,", "ord_5,o5,PAID,,cust_2,2024-02-01,,",
    )  # fmt: skip
    assert bring(house, tmp_path, "order", header, *rows, decimals=2, batch_rows=2) == []
    stored = {row["id"]: row for row in house.rows(sa.select(orders))}
    assert (stored["ord_1"]["total_amount"], stored["ord_1"]["amount"], stored["ord_4"]["total_amount"]) == (
        700,
        800,
        150,
    )
    assert (stored["ord_1"]["metadata"], stored["ord_5"]["total_amount"]) == ({"a": 1}, None)
    assert [stored[f"ord_{no}"]["accrued"] for no in range(1, 6)] == [True, True, False, True, True]
    buyer = CustomerService(house.core).get(house.caller, "a")
    assert (buyer["orders_total_amount"], buyer["orders_total_count"], buyer["orders_last_order_amount"]) == (
        1200,
        2,
        500,
    )
    assert buyer["updated_at"] == 1_609_459_200_000
    with house.core.read() as connection:
        assert summaries.summaries(connection, 1) == summaries.counted(connection, 1)
    assert counts(house, tmp_path, "order", header, *rows, decimals=2) == (0, 5, 0)
    with house.core.read() as connection:
        assert summaries.summaries(connection, 1) == summaries.counted(connection, 1)


def test_orders_that_are_refused(house: House, tmp_path: Path) -> None:
    bring(house, tmp_path, "customer", "id", "cust_1", "cust_2")
    most = 2**53 - 1
    header = "id,source_id,status,total_amount,customer_id,referrer_id"
    assert bring(house, tmp_path, "order", header, f"ord_1,o1,PAID,{most - 5},cust_1,") == []
    with house.core.database.write() as connection:
        nearly = customers.update().where(customers.c.id == "cust_2").values(orders_total_amount=2**62 - 5)
        connection.execute(nearly)
    assert bring(
        house, tmp_path, "order", header, ",,PAID,1,,", "ord_2,,,1,,", "ord_3,,LOST,1,,", "ord_4,,PAID,-1,,", "ord_5,,PAID,x,,",
        "ord_6,,PAID,1,cust_9,", "ord_7,,PAID,1,,cust_8", "ord_8,o1,PAID,1,,", "ord_1,o1,PAID,3,cust_1,",
        "ord_9,,PAID,3,cust_1,", f"ord_10,,PAID,{most + 1},cust_1,", "ord_11,,PAID,3,cust_2,cust_1",
        "ord_12,,PAID,3,cust_2,",
    ) == [
        (2, "an order needs an id or a source_id"),
        (3, "status is empty"),
        (4, "status must be one of CREATED, PAID, CANCELED, FULFILLED, and is 'LOST'"),
        (5, "total_amount must not be below 0, and is '-1'"),
        (6, "total_amount must be a whole number, and is 'x'"),
        (7, "there is no customer cust_9 (customer_id): import it first"),
        (8, "there is no customer cust_8 (referrer_id): import it first"),
        (9, "order ord_1 has this source_id already"),
        (10, "the same row stands in line 9, with other content"),
        (12, f"total_amount must lie between -{most} and {most}, and is '{most + 1}'"),
        (14, f"the orders of customer cust_2 add up to more than {2**62}"),
    ]  # fmt: skip
    with house.core.read() as connection:
        assert summaries.summaries(connection, 1)["cust_1"] == summaries.counted(connection, 1)["cust_1"]


# -- campaigns ---------------------------------------------------------------------------------------------------------

PROGRAMME = {
    "id": "camp_l", "name": "Points", "campaign_type": "LOYALTY_PROGRAM", "type": "AUTO_UPDATE", "active": False,
    "voucher": {
        "type": "LOYALTY_CARD", "loyalty_card": {"points": 5, "expiration_rules": {"period_type": "MONTH", "period_value": 3}},
        "redemption": {"quantity": None}, "code_config": {"length": 8, "prefix": "P-"},
    },
    "start_date": "2024-01-01T00:00:00Z", "created_at": "2023-05-06T07:08:09.010Z", "metadata": {"a": [1]},
    "vouchers_count": 12, "creation_status": "DONE", "object": "campaign", "protected": False, "category": None,
}  # fmt: skip


def test_campaigns_as_the_api_lists_them(house: House, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "c.jsonl", PROGRAMME, {"name": "Tiers", "campaign_type": "PROMOTION"})
    report, refused = bring_in(house, "campaign", path)
    assert refused == []
    assert report.imported == 2
    made = CampaignService(house.core, lambda: None).get(house.caller, "Points")
    assert (made["id"], made["active"], made["created_at"]) == ("camp_l", False, 1_683_356_889_010)
    assert (made["vouchers_count"], made["currency_eid"], made["currency_iid"]) == (0, "points", made["iid"])
    assert made["voucher"]["code_config"]["prefix"] == "P-"
    again, refused = bring_in(house, "campaign", path)
    assert (again.known, refused) == (2, [])
    made = CampaignService(house.core, lambda: None).add_voucher(house.caller, "camp_l", {"code": "NEW"})
    assert made["balance"] == 5


def test_campaigns_that_are_refused(house: House, tmp_path: Path) -> None:
    bring_in(house, "campaign", write_jsonl(tmp_path / "a.jsonl", PROGRAMME))
    gifts = {"name": "G", "campaign_type": "GIFT_VOUCHERS"}
    path = write_jsonl(
        tmp_path / "b.jsonl", gifts, gifts | {"campaign_type": "LOTTERY"}, gifts | {"voucher": {"gift": {"amount": -1}}},
        gifts | {"voucher": {"gift": 5}}, gifts | {"type": "SOMETIMES"}, PROGRAMME | {"name": "Other"},
        PROGRAMME | {"id": "camp_z"}, PROGRAMME | {"id": "camp_y", "name": ""}, gifts | {"voucher": []},
    )  # fmt: skip
    report, refused = bring_in(house, "campaign", path, batch_rows=1)
    assert (report.imported, report.refused) == (0, 9)
    reasons = [each.reason for each in refused]
    assert reasons[0] == "Property 'voucher' is required for GIFT_VOUCHERS campaign"
    assert reasons[1].startswith("campaign_type must be one of")
    assert reasons[2] == "Amount has to be a valid positive number"
    assert reasons[3].startswith("voucher is not a template")
    assert reasons[4].startswith("type must be one of")
    assert reasons[5] == "the campaign is there already, with another name ('Points', and here 'Other')"
    assert reasons[6] == "campaign camp_l has this name already"
    assert reasons[7] == "name is empty"
    assert reasons[8] == "voucher must be a JSON object, and is '[]'"


def test_points_given_later_follow_the_imported_programme(house: House, tmp_path: Path) -> None:
    """What comes in is a real programme: its cards go on earning by its rules."""
    bring_in(house, "campaign", write_jsonl(tmp_path / "c.jsonl", PROGRAMME | {"active": True}))
    header = "id,code,voucher_type,value,campaign"
    assert bring(house, tmp_path, "voucher", header, "l1,L,LOYALTY_CARD,40,Points") == []

    def work(unit: Unit) -> None:
        unit.post(*cards.accrue(unit.card("L"), 9, {}, "2025-01-09", unit.now_ms))

    house.write(work)
    assert {points for points, _, _ in held(house).values()} == {40, 9}
    house.check()
