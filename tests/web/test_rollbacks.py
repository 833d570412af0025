"""Rollbacks over HTTP: of one redemption and of a stack; what is refused; what a later expiry or removal changes."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.clock import MS_PER_DAY
from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.web.asking import OFF, make, refused
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
    redeem,
    row_counts,
)


@pytest.fixture(autouse=True)
def books(system: System, api: TestClient) -> Any:
    """After every test here the ledger holds together."""
    yield
    check_books(system)


def test_a_gift_redemption_is_undone(api: TestClient) -> None:
    make(api, "GIFT", redemption={"quantity": 1})
    one = ok(redeem(api, "GIFT", order={"source_id": "o", "amount": 3000}, customer="ann"))["redemptions"][0]
    body = {"reason": "broken", "tracking_id": "t", "metadata": {"till": 1}, "customer": {"name": "Ann"}}
    undone = ok(api.post(f"/v1/redemptions/{one['id']}/rollback", json=body))
    assert undone["id"].startswith("rr_")
    assert (undone["object"], undone["redemption"], undone["reason"]) == ("redemption_rollback", one["id"], "broken")
    assert (undone["amount"], undone["gift"], undone["tracking_id"]) == (-3000, {"amount": -3000}, "t")
    assert (undone["result"], undone["status"]) == ("SUCCESS", "SUCCEEDED")
    assert (undone["order"]["status"], undone["customer"]["name"]) == ("CANCELED", "Ann")
    assert undone["order"]["redemptions"][one["id"]]["rollback_id"] == undone["id"]
    assert (balance(api, "GIFT"), undone["voucher"]["redemption"]["redeemed_quantity"]) == (10000, 0)
    refund = movements(api, "GIFT")[-1]
    assert (refund["type"], refund["source"]) == ("CREDITS_REFUND", None)
    assert list(refund["details"]) == ["balance", "order", "redemption", "rollback"]
    assert refund["details"]["rollback"] == {"id": undone["id"]}
    assert ok(api.get(f"/v1/redemptions/{one['id']}"))["status"] == "ROLLED_BACK"
    ok(redeem(api, "GIFT", order={"amount": 1}))
    summary = ok(api.get("/v1/customers/ann"))["summary"]
    assert summary["redemptions"]["total_rollback_succeeded"] == 1
    assert (summary["redemptions"]["gift"]["redeemed_amount"], summary["orders"]["total_count"]) == (0, 0)


def test_reason_and_tracking_id_may_stand_in_the_query(api: TestClient) -> None:
    make(api, "GIFT")
    one = ok(redeem(api, "GIFT", order={"amount": 1}))["redemptions"][0]
    undone = ok(api.post(f"/v1/redemptions/{one['id']}/rollback?reason=why&tracking_id=t"))
    assert (undone["reason"], undone["tracking_id"]) == ("why", "t")


def test_a_second_rollback_is_refused_and_kept_as_failed(api: TestClient) -> None:
    make(api, "GIFT")
    one = ok(redeem(api, "GIFT", order={"amount": 30}, customer="ann"))["redemptions"][0]
    ok(api.post(f"/v1/redemptions/{one['id']}/rollback"))
    refused(api.post(f"/v1/redemptions/{one['id']}/rollback"), 400, "already_rolled_back")
    (failed,) = ok(api.get("/v1/redemptions?result=FAILURE"))["redemptions"]
    assert failed["id"].startswith("rrf_")
    assert (failed["object"], failed["failure_code"]) == ("redemption_rollback", "already_rolled_back")
    assert balance(api, "GIFT") == 10000
    assert ok(api.get("/v1/customers/ann"))["summary"]["redemptions"]["total_rollback_failed"] == 1


def test_after_three_months_it_is_too_late(api: TestClient, clock: FakeClock) -> None:
    make(api, "GIFT")
    ids = [ok(redeem(api, "GIFT", order={"amount": 30}))["redemptions"][0]["id"] for _ in range(2)]
    clock.advance_ms(92 * MS_PER_DAY - 1)
    ok(api.post(f"/v1/redemptions/{ids[0]}/rollback"))
    clock.advance_ms(1)
    refused(api.post(f"/v1/redemptions/{ids[1]}/rollback"), 400, "invalid_redemption", "92 days")
    assert balance(api, "GIFT") == 9970


def test_points_go_back_to_their_buckets(api: TestClient) -> None:
    programme(api, points=50, rules=RULES)
    code, reward_id = member(api), material_reward(api, 60)
    soon = {"points": 40, "expiration_type": "CUSTOM_DATE", "expiration_date": "2024-10-20"}
    ok(api.post(f"/v1/loyalties/members/{code}/balance", json=soon))
    path = f"/v1/loyalties/Points/members/{code}/points-expiration"
    before = [(each["bucket"]["total_points"], each["expires_at"]) for each in ok(api.get(path))["data"]]
    one = ok(api.post(f"/v1/loyalties/members/{code}/redemption", json={"reward": {"id": reward_id}}))
    spent = [(each["bucket"]["total_points"], each["expires_at"]) for each in ok(api.get(path))["data"]]
    assert (before, spent) == ([(40, "2024-10-20"), (50, "2025-01-31")], [(0, "2024-10-20"), (30, "2025-01-31")])
    undone = ok(api.post(f"/v1/redemptions/{one['id']}/rollback"))
    assert [(each["bucket"]["total_points"], each["expires_at"]) for each in ok(api.get(path))["data"]] == before
    assert (undone["amount"], undone["loyalty_card"], undone["reward"]["id"]) == (-60, {"points": -60}, reward_id)
    assert ok(api.get(f"/v1/rewards/{reward_id}"))["redeemed"] == 0
    details = movements(api, code)[-1]["details"]
    assert list(details) == ["balance", "redemption", "rollback", "reward"]


def test_points_whose_day_has_passed_come_back_as_if_granted_today(api: TestClient, clock: FakeClock) -> None:
    programme(api, rules=RULES)
    code, reward_id = member(api), material_reward(api, 40)
    soon = {"points": 40, "expiration_type": "CUSTOM_DATE", "expiration_date": "2024-10-20"}
    ok(api.post(f"/v1/loyalties/members/{code}/balance", json=soon))
    one = ok(api.post(f"/v1/loyalties/members/{code}/redemption", json={"reward": {"id": reward_id}}))
    clock.advance_ms(30 * MS_PER_DAY)
    ok(api.post(f"/v1/redemptions/{one['id']}/rollback"))
    (bucket,) = ok(api.get(f"/v1/loyalties/Points/members/{code}/points-expiration"))["data"]
    assert (bucket["bucket"]["total_points"], bucket["expires_at"]) == (40, "2025-02-28")


def test_a_stack_is_undone_as_a_whole(api: TestClient) -> None:
    programme(api, points=500)
    code, reward_id = member(api), coin_reward(api)
    make(api, "OFF", **OFF)
    make(api, "GIFT")
    asked = [
        {"object": "voucher", "id": "OFF"},
        {"object": "voucher", "id": code, "reward": {"id": reward_id, "points": 5}},
        {"object": "voucher", "id": "GIFT"},
    ]
    body = {"redeemables": asked, "order": {"source_id": "o", "amount": 10_000}, "customer": "ann"}
    found = ok(api.post("/v1/redemptions", json=body))
    parent, children = found["parent_redemption"], found["redemptions"]
    refused(api.post(f"/v1/redemptions/{children[0]['id']}/rollback"), 400, "invalid_redemption", parent["id"])
    refused(api.post(f"/v1/redemptions/{parent['id']}/rollback"), 400, "invalid_redemption")
    refused(api.post(f"/v1/redemptions/{children[0]['id']}/rollbacks"), 400, "invalid_redemption_parent")
    undone = ok(api.post(f"/v1/redemptions/{parent['id']}/rollbacks", json={"reason": "no"}))
    assert [each["redemption"] for each in undone["rollbacks"]] == [each["id"] for each in children]
    assert [each["amount"] for each in undone["rollbacks"]] == [None, -5, -7500]
    assert undone["parent_rollback"]["redemption"] == parent["id"]
    entry = undone["order"]["redemptions"][parent["id"]]
    assert entry["rollback_stacked"] == [each["id"] for each in undone["rollbacks"]]
    assert (undone["order"]["status"], balance(api, "GIFT"), balance(api, code)) == ("CANCELED", 10000, 500)
    refused(api.post(f"/v1/redemptions/{parent['id']}/rollbacks"), 400, "already_rolled_back")


@pytest.mark.parametrize("which", ["unknown", "failed", "rollback"])
def test_what_can_never_be_rolled_back(api: TestClient, system: System, which: str) -> None:
    make(api, "GIFT")
    one = ok(redeem(api, "GIFT", order={"amount": 30}))["redemptions"][0]
    target = "r_none"
    if which == "failed":
        redeem(api, "GIFT", order={"amount": 30}, customer={"id": "nobody"})
        refused(
            api.post("/v1/vouchers/GIFT/redemption", json={"gift": {"credits": 99999}}), 400, "gift_amount_exceeded"
        )
        target = ok(api.get("/v1/redemptions?result=FAILURE"))["redemptions"][0]["id"]
    elif which == "rollback":
        target = ok(api.post(f"/v1/redemptions/{one['id']}/rollback"))["id"]
    before = row_counts(system)
    for path, key in (("rollback", "invalid_redemption"), ("rollbacks", "invalid_redemption_parent")):
        status, key = (404, "not_found") if which == "unknown" else (400, key)
        refused(api.post(f"/v1/redemptions/{target}/{path}"), status, key)
    assert row_counts(system) == before


@pytest.mark.parametrize("end", ["disabled", "expired", "removed"])
def test_a_card_that_cannot_be_used_any_more_still_gets_its_refund(api: TestClient, clock: FakeClock, end: str) -> None:
    make(api, "GIFT", expiration_date="2024-10-10")
    one = ok(redeem(api, "GIFT", order={"amount": 30}))["redemptions"][0]
    if end == "disabled":
        ok(api.post("/v1/vouchers/GIFT/disable"))
    elif end == "expired":
        clock.advance_ms(5 * MS_PER_DAY)
    else:
        api.delete("/v1/vouchers/GIFT")
    assert ok(api.post(f"/v1/redemptions/{one['id']}/rollback"))["amount"] == -30
    if end != "removed":
        assert balance(api, "GIFT") == 10000
