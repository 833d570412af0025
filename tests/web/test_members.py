"""Loyalty programmes and their members over HTTP: joining, points by hand, transfers, expiry, rewards to choose from."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.web.asking import make, refused
from tests.web.redeeming import (
    RULES,
    balance,
    check_books,
    coin_reward,
    material_reward,
    member,
    movements,
    ok,
    programme,
    row_counts,
)


@pytest.fixture(autouse=True)
def books(system: System, api: TestClient) -> Any:
    """After every test here the ledger holds together."""
    yield
    check_books(system)


def add(api: TestClient, code: str, points: int, **body: Any) -> Any:
    return api.post(f"/v1/loyalties/members/{code}/balance", json={"points": points, **body})


def buckets(api: TestClient, code: str) -> list[tuple[int, str | None]]:
    found = ok(api.get(f"/v1/loyalties/Points/members/{code}/points-expiration"))["data"]
    return [(each["bucket"]["total_points"], each.get("expires_at")) for each in found]


def test_programmes_are_campaigns_under_a_path_of_their_own(api: TestClient) -> None:
    made = programme(api)
    gifts = {"type": "GIFT_VOUCHER", "gift": {"amount": 5}}
    ok(api.post("/v1/campaigns", json={"name": "G", "campaign_type": "GIFT_VOUCHERS", "voucher": gifts}))
    assert made["campaign_type"] == "LOYALTY_PROGRAM"
    assert ok(api.get(f"/v1/loyalties/{made['id']}")) == ok(api.get("/v1/loyalties/Points")) == made
    listed = ok(api.get("/v1/loyalties"))
    assert (listed["data_ref"], listed["total"], listed["campaigns"][0]["id"]) == ("campaigns", 1, made["id"])
    assert ok(api.put("/v1/loyalties/Points", json={"description": "new"}))["description"] == "new"
    for method in ("get", "put", "delete"):
        refused(getattr(api, method)("/v1/loyalties/G"), 404, "not_found")
    body = {"name": "X", "campaign_type": "GIFT_VOUCHERS", "voucher": gifts}
    refused(api.post("/v1/loyalties", json=body), 400, "invalid_payload", "LOYALTY_PROGRAM")
    deleted = api.delete("/v1/loyalties/Points")
    assert (deleted.status_code, list(deleted.json())) == (200, ["async_action_id"])
    refused(api.get("/v1/loyalties/Points"), 404, "not_found")


def test_a_customer_joins_and_gets_a_card_with_its_first_points(api: TestClient) -> None:
    made = programme(api, points=25, rules=RULES)
    body = {"customer": {"source_id": "ann", "name": "Ann"}, "metadata": {"shop": 3}}
    card = ok(api.post(f"/v1/loyalties/{made['id']}/members", json=body))
    holder = ok(api.get("/v1/customers/ann"))
    assert (card["type"], card["campaign"], card["holder_id"]) == ("LOYALTY_CARD", "Points", holder["id"])
    assert (card["loyalty_card"]["balance"], card["loyalty_card"]["next_expiration_date"]) == (25, "2025-01-31")
    (published,) = ok(api.get("/v1/publications"))["publications"]
    assert (published["metadata"], published["customer"]["name"]) == ({"shop": 3}, "Ann")
    assert ok(api.get(f"/v1/loyalties/members/{card['code']}"))["id"] == card["id"]
    assert ok(api.get(f"/v1/loyalties/Points/members/{card['id']}"))["id"] == card["id"]
    assert movements(api, card["code"]) == []
    refused(api.post("/v1/loyalties/Points/members", json=body), 400, "voucher_cannot_be_published")


def test_a_named_card_is_given_once(api: TestClient) -> None:
    programme(api)
    ok(api.post("/v1/campaigns/Points/vouchers/CARD-1", json={}))
    card = ok(api.post("/v1/loyalties/Points/members", json={"customer": "ann", "voucher": "CARD-1"}))
    assert (card["code"], card["publish"]["count"]) == ("CARD-1", 1)
    again = api.post("/v1/loyalties/Points/members", json={"customer": "bob", "voucher": "CARD-1"})
    refused(again, 400, "voucher_already_published")


def test_members_are_listed_and_are_this_programmes_alone(api: TestClient, stranger: TestClient) -> None:
    programme(api)
    programme(api, "Other")
    ann, bob = member(api, "ann"), member(api, "bob")
    other = member(api, "ann", "Other")
    listed = ok(api.get("/v1/loyalties/Points/members?order=created_at"))
    assert (listed["data_ref"], listed["total"]) == ("vouchers", 2)
    assert {each["code"] for each in listed["vouchers"]} == {ann, bob}
    assert ok(api.get("/v1/loyalties/Points/members?customer=bob"))["vouchers"][0]["code"] == bob
    refused(api.get(f"/v1/loyalties/Points/members/{other}"), 404, "not_found")
    refused(stranger.get(f"/v1/loyalties/members/{ann}"), 404, "not_found")
    refused(stranger.post(f"/v1/loyalties/members/{ann}/balance", json={"points": 1}), 404, "not_found")
    refused(api.post("/v1/loyalties/Points/members", json={"customer": "eve", "voucher": other}), 404, "not_found")


def test_points_are_added_and_removed_by_hand(api: TestClient) -> None:
    programme(api, rules=RULES)
    code = member(api)
    answer = ok(api.post(f"/v1/loyalties/Points/members/{code}/balance",
                         json={"points": 50, "reason": "sorry", "source_id": "t-1"},
                         headers={"X-Voucherify-Channel": "shop-app"}))  # fmt: skip
    card = ok(api.get(f"/v1/vouchers/{code}"))
    assert answer == {
        "type": "loyalty_card",
        "total": 50,
        "points": 50,
        "object": "balance",
        "balance": 50,
        "operation_type": "MANUAL",
        "related_object": {"id": card["id"], "type": "voucher"},
    }
    assert ok(add(api, code, -20))["balance"] == 30
    first, second = movements(api, code)
    assert (first["type"], first["source"], first["source_id"], first["reason"]) == (
        "POINTS_ADDITION", "shop-app", "t-1", "sorry",
    )  # fmt: skip
    assert (second["type"], second["source"], second["details"]["balance"]["points"]) == ("POINTS_REMOVAL", "API", -20)
    assert ok(api.get(f"/v1/vouchers/{code}"))["loyalty_card"]["subtracted_points"] == 20
    assert second["details"]["balance"]["total"] == 30


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ({}, "2025-01-31"),
        ({"expiration_type": "PROGRAM_RULES"}, "2025-01-31"),
        ({"expiration_type": "NON_EXPIRING"}, None),
        ({"expiration_type": "CUSTOM_DATE", "expiration_date": "2024-10-09"}, "2024-10-09"),
        ({"expiration_type": "CUSTOM_DATE", "expiration_date": "2026-02-03T23:59:59Z"}, "2026-02-03"),
        ({"expiration_date": "2026-02-03"}, "2026-02-03"),
        ({"expiration_type": None, "expiration_date": None}, "2025-01-31"),
    ],
)
def test_added_points_expire_as_the_caller_says(api: TestClient, said: dict[str, Any], day: str | None) -> None:
    programme(api, rules=RULES)
    code = member(api)
    ok(add(api, code, 5, **said))
    assert buckets(api, code) == [(5, day)]


@pytest.mark.parametrize(
    ("said", "key", "details"),
    [
        ({"expiration_type": "CUSTOM_DATE", "expiration_date": "2024-10-08"}, "invalid_expiration_date", "in the past"),
        ({"expiration_type": "CUSTOM_DATE"}, "invalid_expiration_date", "needed"),
        (
            {"expiration_type": "CUSTOM_DATE", "expiration_date": "soon"},
            "invalid_payload",
            "Property .expiration_date cannot be recognized as a ISO-8601 compliant date",
        ),
        ({"expiration_type": "SOMETIME"}, "invalid_payload", "CUSTOM_DATE"),
    ],
)
def test_an_expiry_that_cannot_be_is_refused(api: TestClient, said: dict[str, Any], key: str, details: str) -> None:
    programme(api, rules=RULES)
    code = member(api)
    refused(add(api, code, 5, **said), 400, key, details)
    assert balance(api, code) == 0


def test_spent_out_buckets_stay_and_expired_ones_go(api: TestClient, system: System, clock: FakeClock) -> None:
    programme(api)
    code = member(api)
    for day in ("2024-10-10", "2024-10-20", "2024-10-30"):
        ok(add(api, code, 10, expiration_type="CUSTOM_DATE", expiration_date=day))
    ok(add(api, code, -10))
    assert buckets(api, code) == [(0, "2024-10-10"), (10, "2024-10-20"), (10, "2024-10-30")]
    clock.advance_ms(12 * 86_400_000)
    assert buckets(api, code) == [(10, "2024-10-30")]
    found = ok(api.get(f"/v1/loyalties/Points/members/{code}/points-expiration?limit=1"))
    assert (found["total"], found["data"][0]["object"], found["data_ref"]) == (1, "loyalty_points_bucket", "data")
    assert found["data"][0]["id"].startswith("lopb_")
    assert system.services.expiry.run_due() == 1
    assert balance(api, code) == 10


def test_points_move_between_cards_and_take_the_receiving_programmes_expiry(api: TestClient) -> None:
    programme(api, points=100)
    programme(api, "Gold", rules=RULES)
    ann, bob, gold = member(api, "ann"), member(api, "bob"), member(api, "ann", "Gold")
    body = [
        {"code": ann, "points": 30, "reason": "for gold", "source_id": "t-1"},
        {"code": bob, "points": 20},
    ]
    card = ok(api.post(f"/v1/loyalties/Gold/members/{gold}/transfers", json=body))
    assert (card["code"], card["loyalty_card"]["balance"], card["loyalty_card"]["next_expiration_date"]) == (
        gold, 50, "2025-01-31",
    )  # fmt: skip
    assert (balance(api, ann), balance(api, bob)) == (70, 80)
    (out,), received = movements(api, ann), movements(api, gold)
    assert (out["type"], out["source"], out["source_id"], out["reason"]) == (
        "POINTS_TRANSFER_OUT", "API", "t-1", "for gold",
    )  # fmt: skip
    into = received[0]
    assert (into["type"], into["source_id"], into["reason"]) == ("POINTS_TRANSFER_IN", None, "for gold")
    assert (out["related_transaction_id"], into["related_transaction_id"]) == (into["id"], out["id"])
    destination = out["details"]["destination_voucher"]
    assert (destination["code"], destination["campaign"], destination["loyalty_card"]["balance"]) == (gold, "Gold", 30)
    assert into["details"]["source_voucher"]["loyalty_card"]["balance"] == 70
    assert out["details"]["balance"]["total"] == 70


def test_a_transfer_is_all_or_nothing(api: TestClient, system: System) -> None:
    programme(api, points=100)
    ann, bob, eve = (member(api, name) for name in ("ann", "bob", "eve"))
    before = row_counts(system)
    for second, status, key in (
        ({"code": bob, "points": 101}, 400, "loyalty_card_points_exceeded"),
        ({"code": ann, "points": 1}, 400, "invalid_payload"),
        ({"code": "nobody", "points": 1}, 404, "not_found"),
        ({"code": bob, "points": 0}, 400, "invalid_amount"),
        ({"code": bob, "points": -5}, 400, "invalid_amount"),
        ({"code": bob, "points": 1.5}, 400, "invalid_payload"),
    ):
        body = [{"code": eve, "points": 10}, second]
        refused(api.post(f"/v1/loyalties/Points/members/{ann}/transfers", json=body), status, key)
    refused(api.post(f"/v1/loyalties/Points/members/{ann}/transfers", json=[]), 400, "invalid_payload", "fewer than 1")
    assert row_counts(system) == before
    assert [balance(api, code) for code in (ann, bob, eve)] == [100, 100, 100]


def test_a_transfer_from_a_card_to_itself_is_refused_in_words(api: TestClient) -> None:
    programme(api, points=100)
    ann = member(api)
    answer = api.post(f"/v1/loyalties/Points/members/{ann}/transfers", json=[{"code": ann, "points": 1}])
    refused(answer, 400, "invalid_payload", "A card cannot transfer points to itself")


def test_the_python_client_gets_a_receiving_card_it_can_read(api: TestClient) -> None:
    programme(api, points=100)
    ann, bob = member(api, "ann"), member(api, "bob")
    path, body = f"/v1/loyalties/Points/members/{ann}/transfers", [{"code": bob, "points": 1}]
    card = ok(api.post(path, json=body, headers={"X-Voucherify-Channel": "Python-SDK"}))
    assert (card["active"], card["validity_timeframe"], card["validity_day_of_week"]) == ("true", {}, [])
    assert ok(api.post(path, json=body))["active"] is True


@pytest.mark.parametrize("trouble", ["no holder", "disabled", "expired", "gift card", "unknown"])
def test_cards_whose_points_cannot_be_changed(api: TestClient, clock: FakeClock, trouble: str) -> None:
    programme(api, points=100)
    code, receiver = member(api), member(api, "bob")
    status, key = 400, "invalid_add_balance_params"
    if trouble == "no holder":
        code = ok(api.post("/v1/campaigns/Points/vouchers", json={}))["code"]
    elif trouble == "disabled":
        ok(api.post(f"/v1/vouchers/{code}/disable"))
        key = "voucher_disabled"
    elif trouble == "expired":
        ok(api.put(f"/v1/vouchers/{code}", json={"expiration_date": "2024-10-10"}))
        clock.advance_ms(3 * 86_400_000)
        key = "voucher_expired"
    elif trouble == "gift card":
        code, status, key = make(api, "GIFT")["code"], 404, "not_found"
    else:
        code, status, key = "nobody", 404, "not_found"
    refused(add(api, code, 5), status, key)
    refused(add(api, code, -5), status, key)
    transfer = api.post(f"/v1/loyalties/Points/members/{receiver}/transfers", json=[{"code": code, "points": 1}])
    refused(transfer, status, key)


def test_a_removed_card_is_not_found_by_its_id_either(api: TestClient) -> None:
    programme(api, points=100)
    code = member(api)
    card = ok(api.get(f"/v1/vouchers/{code}"))
    assert api.delete(f"/v1/vouchers/{code}").status_code == 204
    for name in (code, card["id"]):
        refused(add(api, name, 5), 404, "not_found")


def test_what_a_member_can_choose_from(api: TestClient) -> None:
    programme(api, points=100)
    code = member(api)
    cheap, dear = material_reward(api, 100), material_reward(api, 101)
    pay = coin_reward(api)
    found = ok(api.get(f"/v1/loyalties/members/{code}/rewards"))
    assert {each["reward"]["id"] for each in found["data"]} == {cheap, dear, pay}
    affordable = ok(api.get(f"/v1/loyalties/members/{code}/rewards?affordable_only=true"))
    assert {each["reward"]["id"] for each in affordable["data"]} == {cheap, pay}
    prices = {each["reward"]["id"]: each["assignment"]["parameters"]["loyalty"]["points"] for each in found["data"]}
    assert (prices[cheap], prices[pay]) == (100, 0)
