"""Members, however they are named; their balance and the list of their transactions."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.db.schema import publications
from counterfoil.domain.campaigns import voucher_draft
from counterfoil.ids import movement_uuid
from counterfoil.services.issuing import insert_voucher
from tests.altcraft.shop import Shop, named
from tests.fakes import FakeClock

REGISTER, BALANCE, LIST = "loyalty/register_member", "loyalty/account/balance", "loyalty/account/transactions"
ACCRUE = "loyalty/accrue_points"


def customers(shop: Shop) -> list[dict[str, Any]]:
    return shop.voucherify.get("/v1/customers?limit=100").json()["customers"]


def register(shop: Shop, programme: dict[str, Any], **matching: Any) -> str:
    found = shop.call(REGISTER, loyalty_program_id=programme["loyalty_program_id"], **matching)
    assert list(found) == ["profile_id", "error", "error_text"], "the vendor has it at the top level"
    return found["profile_id"]


# -- members --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matching", "where", "value"),
    [
        ({"matching": "email", "email": "ann@example.com"}, "email", "ann@example.com"),
        ({"matching": "phone", "phone": "+7 900 000-00-00"}, "phone", "+7 900 000-00-00"),
        ({"matching": "custom", "field_name": "source_id", "field_value": "crm 7"}, "source_id", "crm 7"),
        ({"matching": "custom", "field_name": "card no", "field_value": "17"}, "metadata", {"card no": "17"}),
    ],
)
def test_whoever_is_not_known_is_made_and_becomes_a_member_once(
    shop: Shop, matching: dict[str, str], where: str, value: Any
) -> None:
    programme = shop.programme()
    profile = register(shop, programme, **matching)
    assert register(shop, programme, **matching) == profile
    (customer,) = customers(shop)
    assert (customer["id"], customer[where]) == (profile, value)
    assert shop.voucherify.get("/v1/vouchers").json()["total"] == 1
    assert shop.call(BALANCE, **named(programme), **matching)["data"]["active_balance"] == "0"
    assert shop.call(BALANCE, **named(programme), matching="profile_id", profile_id=profile)["data"]


def test_a_known_customer_keeps_what_is_known_of_them(shop: Shop) -> None:
    programme = shop.programme(points=25)
    made = shop.voucherify.post("/v1/customers", json={"source_id": "crm", "email": "ann@example.com", "metadata": {"age": 33}}).json()  # fmt: skip
    assert register(shop, programme, matching="email", email="ann@example.com") == made["id"]
    assert register(shop, programme, matching="profile_id", profile_id=made["id"]) == made["id"]
    assert register(shop, programme, matching="custom", field_name="age", field_value="33") == made["id"]
    (customer,) = customers(shop)
    assert (customer["source_id"], customer["metadata"]) == ("crm", {"age": 33})
    body = {**named(programme), "matching": "email", "email": "ann@example.com"}
    assert shop.call(BALANCE, **body)["data"] == {"total_balance": "25", "active_balance": "25"}


def test_the_date_of_registration_is_kept(shop: Shop) -> None:
    programme = shop.programme()
    register(shop, programme, matching="email", email="a@example.com", registration_date="2020-02-29T10:00:00+01:00")
    with shop.system.core.read() as connection:
        mine = publications.c.project_id == shop.caller.project_id
        (said,) = connection.execute(sa.select(publications.c["metadata"]).where(mine)).scalars()
    assert said == {"registration_date": "2020-02-29T09:00:00.000Z"}


def test_of_several_who_are_alike_the_member_is_meant(shop: Shop) -> None:
    programme = shop.programme()
    same = {"matching": "email", "email": "family@example.com"}
    ids = [
        shop.voucherify.post("/v1/customers", json={"source_id": f"s{no}", "email": "family@example.com"}).json()["id"]
        for no in range(3)
    ]
    number = programme["loyalty_program_id"]
    shop.refused(REGISTER, 409, "Several profiles have email", loyalty_program_id=number, **same)
    shop.refused(
        BALANCE, 404, "is no member of programme 1; POST /api/v1.1/loyalty/register_member", **named(programme), **same
    )
    register(shop, programme, matching="profile_id", profile_id=ids[1])
    assert register(shop, programme, **same) == ids[1]
    shop.call(ACCRUE, **named(programme), **same, amount="5")
    assert shop.export(programme).rows[0]["profile_id"] == ids[1]
    register(shop, programme, matching="profile_id", profile_id=ids[0])
    shop.refused(ACCRUE, 409, "Several profiles have email", **named(programme), **same, amount="5")


def test_of_several_cards_the_oldest_counts(shop: Shop, clock: FakeClock) -> None:
    programme = shop.programme()
    profile = register(shop, programme, matching="email", email="ann@example.com")
    (first,) = [card["code"] for card in shop.voucherify.get("/v1/vouchers").json()["vouchers"]]
    clock.advance_ms(1)
    row = shop.system.services.campaigns.get(shop.caller, programme["id"])

    def work(unit: Any) -> None:
        insert_voucher(unit, voucher_draft(row, unit.now_ms, code="SECOND", holder_id=profile))

    shop.system.core.write(shop.caller, work)
    shop.call(ACCRUE, **named(programme), matching="email", email="ann@example.com", amount="5")
    cards = {
        card["code"]: card["loyalty_card"]["balance"] for card in shop.voucherify.get("/v1/vouchers").json()["vouchers"]
    }
    assert cards == {first: 5, "SECOND": 0}


def test_a_removed_customer_is_nobody(shop: Shop) -> None:
    programme = shop.programme()
    profile = register(shop, programme, matching="email", email="ann@example.com")
    shop.voucherify.delete(f"/v1/customers/{profile}")
    shop.refused(BALANCE, 404, "no profile", **named(programme), matching="email", email="ann@example.com")
    shop.refused(BALANCE, 404, "no profile", **named(programme), matching="profile_id", profile_id=profile)


def test_wrong_registrations_make_nobody(shop: Shop) -> None:
    programme = shop.programme()
    number = programme["loyalty_program_id"]
    shop.refused(REGISTER, 404, "no profile with profile_id 'x'", loyalty_program_id=number, matching="profile_id", profile_id="x")  # fmt: skip
    shop.refused(REGISTER, 404, "no loyalty programme 9", loyalty_program_id=9, matching="email", email="a@example.com")
    shop.refused(REGISTER, 400, "registration_date", loyalty_program_id=number, matching="email", email="a@b.c", registration_date="x")  # fmt: skip
    shop.voucherify.post(f"/v1/campaigns/{programme['id']}/disable")
    shop.refused(REGISTER, 409, "is not active", loyalty_program_id=number, matching="email", email="a@example.com")
    assert customers(shop) == []


def test_the_same_person_is_a_stranger_in_another_project(shop: Shop, other: Shop) -> None:
    mine, theirs = shop.programme(), other.programme()
    ann = {"matching": "email", "email": "ann@example.com"}
    assert register(shop, mine, **ann) != register(other, theirs, **ann)
    shop.call(ACCRUE, **named(mine), **ann, amount="5")
    assert other.call(BALANCE, **named(theirs), **ann)["data"]["total_balance"] == "0"


# -- the list of transactions ---------------------------------------------------------------------------------------------


@pytest.fixture
def account(shop: Shop) -> dict[str, Any]:
    """The parameters that name an account with 25 accruals of 0.5."""
    programme = shop.programme(scale=1)
    body = {**named(programme), **shop.member(programme)}
    bob = {**named(programme), **shop.member(programme, "bob@example.com")}
    for no in range(25):
        shop.call(ACCRUE, **body, amount="0.5", transaction_eid=f"t{no}", promotion_id=no)
        if no % 5 == 0:
            shop.call(ACCRUE, **bob, amount="9")
    return body


def test_the_list_shows_what_the_export_shows(shop: Shop, account: dict[str, Any]) -> None:
    shown = shop.call(LIST, **account, limit=100)["data"]
    assert len(shown) == 25
    programme = {"loyalty_program_id": account["loyalty_program_id"], "points_currency": {"eid": "stars"}}
    profile = shown[0]["profile_id"]
    exported = [row for row in shop.export(programme).rows if row["profile_id"] == profile]
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in shown] == exported
    assert shown[3] | {} == shown[3] and type(shown[3]["promo_iid"]) is int and type(shown[3]["amount"]) is str
    assert type(shown[3]["points_currency_iid"]) is int


def test_the_list_is_walked_by_the_last_id_seen(shop: Shop, account: dict[str, Any]) -> None:
    first = shop.call(LIST, **account)["data"]
    assert len(first) == 20
    second = shop.call(LIST, **account, from_id=first[-1]["transaction_id"])["data"]
    assert [row["transaction_eid"] for row in first + second] == [f"t{no}" for no in range(25)]
    assert shop.call(LIST, **account, from_id=second[-1]["transaction_id"])["data"] == []
    (one,) = shop.call(LIST, **account, limit=1)["data"]
    assert one == first[0]


def test_the_list_in_xml_repeats_its_element(shop: Shop, account: dict[str, Any]) -> None:
    answer = shop.altcraft.post("/api/v1.1/" + LIST, json={**account, "limit": 2, "format": "xml"})
    assert answer.text.count("<data><transaction_id>") == 2 and "<promo_eid/>" in answer.text
    empty = shop.altcraft.post("/api/v1.1/" + LIST, json={**account, "from_id": movement_uuid(shop.caller.project.key, 30), "format": "xml"})  # fmt: skip
    assert empty.text.startswith("<xml><data/><error>0</error>"), empty.text


def test_wrong_lists_are_told_what_would_be_right(shop: Shop, account: dict[str, Any]) -> None:
    for limit in (0, 101, -1):
        shop.refused(LIST, 400, "limit: must be from 1 to 100", **account, limit=limit)
    bobs = movement_uuid(shop.caller.project.key, 2)
    for from_id in ("x", bobs, movement_uuid(shop.caller.project.key, 99), movement_uuid("other", 1)):
        shop.refused(LIST, 404, "no transaction of this account", **account, from_id=from_id)


def test_expiring_points_need_a_period_the_right_way_round(shop: Shop, account: dict[str, Any]) -> None:
    path, day = "loyalty/account/expiring_points", "2024-12-31T00:00:00Z"
    assert shop.call(path, **account, date_from=day, date_to=day)["data"] == {"expiring_points": "0.0"}
    shop.refused(path, 400, "date_from: is after date_to", **account, date_from="2025-01-01T00:00:00Z", date_to=day)
    shop.refused(path, 400, "date_to: is required", **account, date_from=day)


def test_tiers_are_refused_in_so_many_words(shop: Shop, account: dict[str, Any]) -> None:
    shop.refused("loyalty/account/tiers", 501, "no tiers", **account, tiers_group_id=1)
