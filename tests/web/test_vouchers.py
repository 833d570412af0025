"""Vouchers over HTTP: the vendor's paths, objects and errors; what is refused leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import movements, vouchers
from tests.fakes import FakeClock
from tests.web.asking import GIFT, OFF, all_refused, make, refused, rows, total

NOW = "2024-10-09T09:16:32.521Z"


def test_the_gift_card_object_is_the_vendors(api: TestClient) -> None:
    body = {
        "type": "GIFT_VOUCHER",
        "gift": {"amount": 10000, "effect": "APPLY_TO_ITEMS"},
        "category": "vip",
        "start_date": "2024-01-01",
        "expiration_date": "2030-01-01T00:00:00+02:00",
        "validity_timeframe": {"interval": "P2D", "duration": "P1D"},
        "validity_day_of_week": [0, 6],
        "active": False,
        "additional_info": "info",
        "metadata": {"shop": "ü", "n": None},
        "redemption": {"quantity": 3},
        "code_config": {"length": 2},
        "unknown": 1,
    }
    found = api.post("/v1/vouchers/GIFT%201", json=body).json()
    assert found["id"].startswith("v_") and len(found["id"]) == 34
    links = {kind: {"id": found["id"], "url": f"/v1/assets/{kind}/{found['id']}"} for kind in ("qr", "barcode")}
    assert found == {
        "id": found["id"],
        "code": "GIFT 1",
        "campaign": None,
        "campaign_id": None,
        "category": "vip",
        "category_id": None,
        "categories": [],
        "type": "GIFT_VOUCHER",
        "discount": None,
        "gift": {"amount": 10000, "subtracted_amount": 0, "balance": 10000, "effect": "APPLY_TO_ITEMS"},
        "loyalty_card": None,
        "start_date": "2024-01-01T00:00:00.000Z",
        "expiration_date": "2029-12-31T22:00:00.000Z",
        "validity_timeframe": {"interval": "P2D", "duration": "P1D"},
        "validity_day_of_week": [0, 6],
        "active": False,
        "additional_info": "info",
        "metadata": {"shop": "ü", "n": None},
        "assets": links,
        "is_referral_code": False,
        "created_at": NOW,
        "updated_at": None,
        "holder_id": None,
        "validation_rules_assignments": {"object": "list", "data_ref": "data", "data": [], "total": 0},
        "redemption": {
            "quantity": 3,
            "redeemed_quantity": 0,
            "redeemed_amount": 0,
            "object": "list",
            "url": "/v1/vouchers/GIFT%201/redemptions?page=1&limit=10",
        },
        "publish": {"object": "list", "count": 0, "url": "/v1/vouchers/GIFT%201/publications?page=1&limit=10"},
        "object": "voucher",
    }
    assert api.get("/v1/vouchers/GIFT%201").json() == api.get(f"/v1/vouchers/{found['id']}").json() == found


def test_a_loyalty_card_shows_its_points(api: TestClient) -> None:
    found = api.post("/v1/vouchers", json={"type": "LOYALTY_CARD", "loyalty_card": {"points": 70}}).json()
    assert found["loyalty_card"] == {
        "points": 70,
        "balance": 70,
        "next_expiration_date": None,
        "next_expiration_points": None,
        "pending_points": 0,
        "expired_points": 0,
        "subtracted_points": 0,
    }
    assert (found["gift"], found["discount"]) == (None, None)
    assert found["redemption"]["redeemed_points"] == 0
    assert "redeemed_amount" not in found["redemption"]


def test_a_discount_voucher_has_no_balance(api: TestClient, system: System) -> None:
    found = api.post("/v1/vouchers", json=OFF).json()
    assert (found["discount"], found["gift"], found["loyalty_card"]) == (OFF["discount"], None, None)
    assert rows(system, movements, "id") == []


@pytest.mark.parametrize("path", ["/v1/vouchers", "/v1/vouchers/"])
def test_codes_are_drawn_when_none_is_given(api: TestClient, path: str) -> None:
    config = {"charset": "AB", "pattern": "X-##", "prefix": "p", "postfix": "q"}
    codes = {api.post(path, json={**GIFT, "code_config": config}).json()["code"] for _ in range(4)}
    assert codes == {f"pX-{a}{b}q" for a in "AB" for b in "AB"}
    refused(api.post(path, json={**GIFT, "code_config": config}), 400, "invalid_code_config", "too few")
    assert len(api.post(path, json=GIFT).json()["code"]) == 8
    assert api.post(path, json={**GIFT, "code": "MINE"}).json()["code"] == "MINE"


def test_explicit_nulls_count_as_absent(api: TestClient) -> None:
    nulls = dict.fromkeys(
        ("campaign", "category", "start_date", "validity_timeframe", "metadata", "active", "loyalty_card", "code"), None
    )
    found = api.post("/v1/vouchers", json={**GIFT, **nulls, "redemption": {"quantity": None}}).json()
    assert (found["active"], found["metadata"], found["start_date"]) == (True, {}, None)


def test_the_type_follows_from_the_parts(api: TestClient) -> None:
    bodies: list[Mapping[str, Any]] = [
        {"gift": GIFT["gift"]},
        {"loyalty_card": {"points": 1}},
        {"discount": OFF["discount"]},
    ]
    types = [api.post("/v1/vouchers", json=body).json()["type"] for body in bodies]
    assert types == ["GIFT_VOUCHER", "LOYALTY_CARD", "DISCOUNT_VOUCHER"]


def test_a_voucher_joins_a_campaign_and_takes_after_it(api: TestClient) -> None:
    template = {"gift": {"amount": 700}, "redemption": {"quantity": 2}}
    campaign = {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": template, "category": "c"}
    campaign_id = api.post("/v1/campaigns", json=campaign).json()["id"]
    for code, named in (
        ("A", {"campaign": "Gifts"}),
        ("B", {"campaign_id": campaign_id}),
        ("C", {"campaign": campaign_id}),
    ):
        found = api.post(f"/v1/vouchers/{code}", json=named).json()
        assert (found["campaign"], found["campaign_id"], found["category"]) == ("Gifts", campaign_id, "c")
        assert (found["gift"]["balance"], found["redemption"]["quantity"]) == (700, 2)
    own = api.post("/v1/vouchers/D", json={"campaign": "Gifts", "gift": {"amount": 5}, "category": "d"}).json()
    assert (own["gift"]["balance"], own["category"]) == (5, "d")
    assert api.get("/v1/campaigns/Gifts").json()["vouchers_count"] == 4
    wrong = {**OFF, "campaign": "Gifts"}
    refused(api.post("/v1/vouchers/E", json=wrong), 400, "invalid_voucher", "are of type GIFT_VOUCHER")
    missing = refused(api.post("/v1/vouchers/E", json={"campaign": "None such"}), 404, "not_found", "None such")
    assert missing["resource_type"] == "campaign"
    assert total(api) == 4


BAD_BODIES: list[tuple[Any, str, str]] = [
    ({}, "invalid_voucher", "Property .type is required"),
    (None, "invalid_voucher", "Property .type is required"),
    ({"type": "COUPON"}, "invalid_payload", "Property .type should be equal to one of the allowed values"),
    ({"type": "GIFT_VOUCHER"}, "invalid_voucher", "'gift' is required"),
    ({"type": "GIFT_VOUCHER", "gift": {}}, "invalid_voucher", "'gift' is required"),
    ({"type": "GIFT_VOUCHER", "gift": 5}, "invalid_payload", "Property .gift must be object"),
    ({"type": "GIFT_VOUCHER", "gift": {"amount": "5"}}, "invalid_payload", "Property .gift.amount must be integer"),
    ({"type": "GIFT_VOUCHER", "gift": {"amount": 1.5}}, "invalid_payload", "Property .gift.amount must be integer"),
    ({"type": "GIFT_VOUCHER", "gift": {"amount": True}}, "invalid_payload", "Property .gift.amount must be integer"),
    ({"type": "GIFT_VOUCHER", "gift": {"amount": -1}}, "invalid_amount", "valid positive number"),
    ({"type": "GIFT_VOUCHER", "gift": {"amount": 10**30}}, "invalid_amount", "Amount must lie between"),
    ({"type": "GIFT_VOUCHER", "gift": {"amount": 1, "effect": "X"}}, "invalid_payload", "APPLY_TO_ORDER"),
    ({"type": "LOYALTY_CARD", "loyalty_card": {"points": -1}}, "invalid_amount", "valid positive number"),
    ({"type": "DISCOUNT_VOUCHER"}, "invalid_voucher", "Property .discount must be an object"),
    ({"type": "DISCOUNT_VOUCHER", "discount": {"type": "X"}}, "invalid_payload", "[ AMOUNT, PERCENT, UNIT, FIXED ]"),
    ({"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT"}}, "invalid_voucher", "'amount_off'"),
    ({**GIFT, "start_date": "soon"}, "invalid_payload", "Property .start_date cannot be recognized as a ISO-8601"),
    ({**GIFT, "start_date": 5}, "invalid_payload", "Property .start_date cannot be recognized as a ISO-8601"),
    ({**GIFT, "start_date": "2025-01-02", "expiration_date": "2025-01-01"}, "invalid_voucher", "must not be earlier"),
    ({**GIFT, "redemption": {"quantity": -1}}, "invalid_payload", "Property .redemption.quantity must be >= 0"),
    ({**GIFT, "redemption": {"quantity": 2**60}}, "invalid_payload", "Property .redemption.quantity must be <="),
    ({**GIFT, "validity_day_of_week": [7]}, "invalid_payload", "Property .validity_day_of_week[0] must be <= 6"),
    ({**GIFT, "metadata": []}, "invalid_payload", "Property .metadata must be object"),
    ({**GIFT, "metadata": {"a": "\0"}}, "invalid_payload", "Property .metadata must hold no NUL"),
    ({**GIFT, "metadata": {"a": "\ud800"}}, "invalid_payload", "Property .metadata must hold no NUL"),
    ({**GIFT, "category": "\0"}, "invalid_payload", "Property .category must hold no NUL"),
    ({**GIFT, "active": "yes"}, "invalid_payload", "Property .active must be boolean"),
    ({**GIFT, "code_config": {"pattern": "X"}}, "invalid_code_config", "Property .code_config.pattern"),
    ({**GIFT, "code": " x"}, "invalid_voucher", "printable characters"),
    ([], "invalid_payload", "must be object"),
    ("text", "invalid_payload", "must be object"),
]  # fmt: skip


def test_what_cannot_be_a_voucher_is_refused_and_nothing_is_written(api: TestClient, system: System) -> None:
    def send(body: Any) -> Any:
        content = json.dumps(body)  # which writes half a surrogate pair as an escape, as a client may
        return api.post("/v1/vouchers", content=content, headers={"content-type": "application/json"})

    all_refused(send, BAD_BODIES)
    assert rows(system, vouchers, "id") == rows(system, movements, "id") == []


def test_broken_json_is_the_body_parsers_own_error(api: TestClient) -> None:
    answer = api.post("/v1/vouchers", content=b'{"type":', headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json() == {
        "statusCode": 400, "error": "Bad Request", "message": "Invalid request payload JSON format",
    }  # fmt: skip


def test_a_taken_code_is_a_duplicate_in_the_vendors_words(api: TestClient) -> None:
    make(api, "A")
    for answer in (api.post("/v1/vouchers/A", json=OFF), api.post("/v1/vouchers", json={**GIFT, "code": "A"})):
        body = refused(answer, 409, "duplicate_found", "Duplicated voucher exists with id A")
        assert (body["message"], body["resource_type"], body["resource_id"]) == (
            "Duplicated resource found",
            "voucher",
            "A",
        )
    assert total(api) == 1


def test_any_code_works_percent_encoded(api: TestClient) -> None:
    for path in ("50%25%20off", "%C5%BC%C3%B3%C5%82w", "SUMMER%2F24", "a+b", "..x"):
        found = make(api, path)
        one = f"/v1/vouchers/{path}"
        assert api.get(one).json()["id"] == found["id"]
        assert api.put(one, json={"category": "c"}).json()["category"] == "c"
        assert api.post(f"{one}/disable").json()["active"] is False
        assert api.post(f"{one}/enable/").json()["active"] is True
        assert api.post(f"{one}/balance", json={"amount": 1}).json()["balance"] == 10001
        assert api.delete(one).status_code == 204
        assert total(api) == 0


def test_an_update_changes_what_it_says_and_never_a_balance(api: TestClient, clock: FakeClock) -> None:
    before = make(api, "A", metadata={"a": 1, "b": 2}, start_date="2024-01-01")
    clock.advance_ms(1000)
    body = {
        "category": "c", "metadata": {"b": 3}, "expiration_date": "2025-01-01", "active": False, "additional_info": "i",
        "validity_day_of_week": [1], "start_date": None,
        "code": "B", "type": "LOYALTY_CARD", "gift": {"amount": 1, "balance": 1}, "balance": 1, "holder_id": "x",
        "redemption": {"quantity": 9}, "discount": OFF["discount"],
    }  # fmt: skip
    after = api.put("/v1/vouchers/A", json=body).json()
    expected = {
        "category": "c", "metadata": {"a": 1, "b": 3}, "expiration_date": "2025-01-01T00:00:00.000Z", "active": False,
        "additional_info": "i", "validity_day_of_week": [1], "updated_at": "2024-10-09T09:16:33.521Z",
    }  # fmt: skip
    assert after == before | expected
    assert api.get("/v1/vouchers/A").json() == after


def test_a_discount_changes_within_its_type(api: TestClient) -> None:
    make(api, "A", **OFF)
    changed = api.put("/v1/vouchers/A", json={"discount": {"amount_off": 7}}).json()
    assert changed["discount"] == {"type": "AMOUNT", "amount_off": 7}
    other = {"discount": {"type": "PERCENT", "percent_off": 5}}
    answer = api.put("/v1/vouchers/A", json=other)
    refused(answer, 400, "invalid_voucher", "It is not possible to change Voucher discount type")
    refused(api.put("/v1/vouchers/A", json={"expiration_date": "x"}), 400, "invalid_payload", ".expiration_date")
    refused(api.put("/v1/vouchers/A", json={"metadata": 5}), 400, "invalid_payload", ".metadata must be object")
    assert api.get("/v1/vouchers/A").json() == changed


def test_a_voucher_is_switched_with_any_body_or_none(api: TestClient) -> None:
    make(api, "A")
    headers = {"content-type": "application/json"}
    for body in (b"", b"null", b"{}"):
        assert api.post("/v1/vouchers/A/disable", content=body, headers=headers).json()["active"] is False
        assert api.get("/v1/vouchers/A").json()["active"] is False
        found = api.post("/v1/vouchers/A/enable", content=body, headers=headers).json()
        assert (found["active"], found["object"]) == (True, "voucher")


@pytest.mark.parametrize("query", ["", "?force=true", "?force=false"])
def test_a_removed_voucher_is_gone_and_its_ledger_stays(api: TestClient, system: System, query: str) -> None:
    first = make(api, "A")
    answer = api.delete(f"/v1/vouchers/A{query}")
    assert (answer.status_code, answer.content) == (204, b"")
    for name in ("A", first["id"]):
        refused(api.get(f"/v1/vouchers/{name}"), 404, "not_found", f"Cannot find voucher with id {name}")
        refused(api.post(f"/v1/vouchers/{name}/balance", json={"amount": 1}), 404, "not_found")
        refused(api.delete(f"/v1/vouchers/{name}"), 404, "not_found")
    assert rows(system, movements, "voucher_id", "amount") == [(first["id"], 10000)]
    assert make(api, "A")["id"] != first["id"]
