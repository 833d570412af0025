"""Redemptions over HTTP: gift, loyalty and discount vouchers, alone and stacked; failed ones; look-ups and lists."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.web.asking import OFF, make, refused
from tests.web.redeeming import (
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


def test_a_gift_card_pays_an_order(api: TestClient) -> None:
    card = make(api, "GIFT")
    found = ok(redeem(api, "GIFT", order={"source_id": "o-1", "amount": 3000}, customer={"source_id": "ann"},
                      metadata={"till": 7}))  # fmt: skip
    (one,) = found["redemptions"]
    assert found["inapplicable_redeemables"] == found["skipped_redeemables"] == []
    assert "parent_redemption" not in found
    order = found["order"]
    assert (order["status"], order["amount"], order["total_amount"]) == ("PAID", 3000, 0)
    assert (order["discount_amount"], order["total_applied_discount_amount"]) == (3000, 3000)
    assert order["redemptions"] == {
        one["id"]: {
            "date": "2024-10-09T09:16:32.521Z",
            "related_object_type": "voucher",
            "related_object_id": card["id"],
            "related_object_parent_id": None,
        }
    }
    assert one["id"].startswith("r_")
    assert one["customer"]["source_id"] == "ann"
    assert one["voucher"]["gift"]["balance"] == 7000
    assert one["voucher"]["redemption"]["redeemed_quantity"] == 1
    assert one["order"] == order
    shown = {name: one[name] for name in ("object", "date", "amount", "result", "status", "metadata", "gift")}
    assert shown == {
        "object": "redemption",
        "date": "2024-10-09T09:16:32.521Z",
        "amount": 3000,
        "result": "SUCCESS",
        "status": "SUCCEEDED",
        "metadata": {"till": 7},
        "gift": {"amount": 3000},
    }
    assert one["channel"] == {"channel_id": api.headers["X-App-Id"], "channel_type": "API"}
    assert (one["related_object_type"], one["related_object_id"]) == ("voucher", card["id"])
    (movement,) = movements(api, "GIFT")
    assert (movement["type"], movement["source"], movement["source_id"]) == ("CREDITS_REDEMPTION", None, None)
    details = movement["details"]
    assert details["order"] == {"id": order["id"], "source_id": "o-1"}
    assert details["redemption"] == {"id": one["id"]}
    assert (details["balance"]["amount"], details["balance"]["balance"], details["balance"]["total"]) == (
        -3000,
        7000,
        10000,
    )


def test_without_a_number_of_credits_a_card_gives_what_the_order_needs_or_all_it_has(api: TestClient) -> None:
    make(api, "SMALL", gift={"amount": 400})
    found = ok(redeem(api, "SMALL", order={"amount": 1000}))
    assert (found["order"]["total_amount"], balance(api, "SMALL")) == (600, 0)


def test_credits_can_be_spent_without_an_order(api: TestClient) -> None:
    make(api, "GIFT")
    body = {"redeemables": [{"object": "voucher", "id": "GIFT", "gift": {"credits": 250}}]}
    found = ok(api.post("/v1/redemptions", json=body))
    assert "order" not in found and "order" not in found["redemptions"][0]
    assert balance(api, "GIFT") == 9750
    assert "order" not in movements(api, "GIFT")[0]["details"]


def test_a_voucher_may_be_named_by_its_id(api: TestClient) -> None:
    card = make(api, "GIFT")
    ok(redeem(api, card["id"], order={"amount": 10}))
    assert balance(api, "GIFT") == 9990


def test_a_discount_voucher_takes_off_the_order_and_counts(api: TestClient) -> None:
    make(api, "OFF", **OFF, redemption={"quantity": 1})
    found = ok(redeem(api, "OFF", order={"items": [{"product_id": "p", "quantity": 3, "price": 1500}]}))
    assert (found["order"]["amount"], found["order"]["total_amount"]) == (4500, 2500)
    assert found["redemptions"][0]["amount"] is None
    refused(redeem(api, "OFF", order={"amount": 4500}), 400, "quantity_exceeded")
    assert ok(api.get("/v1/vouchers/OFF"))["redemption"]["redeemed_quantity"] == 1
    assert movements(api, "OFF") == []


def test_a_discount_on_an_order_that_exists_adds_to_its_discounts(api: TestClient) -> None:
    make(api, "OFF", **OFF)
    order = ok(api.post("/v1/orders", json={"source_id": "o", "amount": 9000, "discount_amount": 500}))
    found = ok(redeem(api, "OFF", order={"id": order["id"]}))
    assert (found["order"]["discount_amount"], found["order"]["total_amount"]) == (2500, 6500)
    assert found["order"]["applied_discount_amount"] == 2000


def test_points_pay_an_order(api: TestClient) -> None:
    programme(api, points=500)
    code = member(api)
    reward_id = coin_reward(api, ratio=1, points=10)
    body = {"redeemables": [{"object": "voucher", "id": code, "reward": {"id": reward_id}}], "order": {"amount": 2000}}
    (one,) = ok(api.post("/v1/redemptions", json=body))["redemptions"]
    assert (one["amount"], one["loyalty_card"], one["order"]["total_amount"]) == (200, {"points": 200}, 0)
    assert (one["reward"]["id"], one["reward"]["type"], one["reward"]["object"]) == (reward_id, "COIN", "reward")
    (movement,) = movements(api, code)
    assert (movement["type"], movement["source"]) == ("POINTS_REDEMPTION", None)
    assert movement["details"]["reward"] == {"id": reward_id, "name": "Pay"}
    assert movement["details"]["order"]["id"] == one["order"]["id"]


def test_a_stack_is_redeemed_in_order_under_one_parent(api: TestClient) -> None:
    programme(api, points=500)
    code, reward_id = member(api), coin_reward(api)
    make(api, "OFF", **OFF)
    make(api, "GIFT", gift={"amount": 1000})
    asked = [
        {"object": "voucher", "id": "OFF"},
        {"object": "voucher", "id": "GIFT"},
        {"object": "voucher", "id": code, "reward": {"id": reward_id, "points": 5}},
    ]
    body = {"redeemables": asked, "order": {"source_id": "o", "amount": 10_000}, "customer": "ann"}
    found = ok(api.post("/v1/redemptions", json=body))
    parent = found["parent_redemption"]
    assert [each["voucher"]["code"] for each in found["redemptions"]] == ["OFF", "GIFT", code]
    assert {each["redemption"] for each in found["redemptions"]} == {parent["id"]}
    assert (parent["related_object_type"], parent["related_object_id"]) == ("redemption", parent["id"])
    assert "voucher" not in parent and parent["amount"] is None
    assert found["order"]["total_amount"] == 10_000 - 2000 - 1000 - 500
    linked = found["order"]["redemptions"]
    assert linked[parent["id"]]["stacked"] == [each["id"] for each in found["redemptions"]]
    summary = ok(api.get("/v1/customers/ann"))["summary"]
    assert (summary["redemptions"]["total_succeeded"], summary["orders"]["total_count"]) == (3, 1)
    assert summary["redemptions"]["gift"]["redeemed_amount"] == 1000
    assert summary["redemptions"]["loyalty_card"]["redeemed_points"] == 5
    assert ok(api.get(f"/v1/redemptions/{parent['id']}"))["id"] == parent["id"]


def test_one_refusal_leaves_the_stack_undone_and_one_failed_redemption(api: TestClient, system: System) -> None:
    make(api, "GOOD")
    make(api, "BAD", gift={"amount": 0})
    ok(api.post("/v1/customers", json={"source_id": "ann"}))
    before = row_counts(system)
    answer = redeem(api, "GOOD", "BAD", order={"source_id": "o", "amount": 100_000}, customer="ann")
    body = refused(answer, 400, "gift_amount_exceeded")
    assert (body["resource_type"], body["resource_id"]) == ("voucher", "BAD")
    after = row_counts(system)
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {"redemptions": 1}
    (failed,) = ok(api.get("/v1/redemptions?result=FAILURE"))["redemptions"]
    assert failed["id"].startswith("rf_")
    assert (failed["result"], failed["status"], failed["failure_code"]) == ("FAILURE", "FAILED", "gift_amount_exceeded")
    assert failed["voucher"]["code"] == "BAD" and failed["customer"]["source_id"] == "ann"
    summary = ok(api.get("/v1/customers/ann"))["summary"]["redemptions"]
    assert (summary["total_redeemed"], summary["total_failed"], summary["total_succeeded"]) == (1, 1, 0)


def test_a_failure_makes_and_changes_no_customer(api: TestClient, system: System) -> None:
    make(api, "GIFT", active=False)
    refused(
        redeem(api, "GIFT", order={"amount": 10}, customer={"source_id": "new", "name": "N"}), 400, "voucher_disabled"
    )
    assert row_counts(system)["customers"] == 0
    assert ok(api.get("/v1/redemptions"))["redemptions"][0]["customer_id"] is None


@pytest.mark.parametrize(
    ("said", "redeemer", "buyer"),
    [
        ({"customer": {"source_id": "bob"}}, "bob", "bob"),
        ({"tracking_id": "bob"}, "bob", "bob"),
        ({"order": {"customer": {"source_id": "bob"}}}, "bob", "bob"),
        ({"order": {"customer": {"name": "Nobody we know"}}}, None, None),
        ({"customer": {"source_id": "bob"}, "order": {"customer": {"source_id": "eve"}}}, "bob", "eve"),
        ({"order": {"source_id": "ours"}}, "owner", "owner"),
        ({}, "holder", "holder"),
    ],
)
def test_who_redeems_and_whose_order_it_is(
    api: TestClient, said: dict[str, Any], redeemer: str | None, buyer: str | None
) -> None:
    programme(api, points=100)
    code, reward_id = member(api, "holder"), coin_reward(api)
    ok(api.post("/v1/orders", json={"source_id": "ours", "amount": 100, "customer": {"source_id": "owner"}}))
    asked = [{"object": "voucher", "id": code, "reward": {"id": reward_id}}]
    order = {"amount": 100, **said.get("order", {})}
    found = ok(api.post("/v1/redemptions", json={"redeemables": asked, **said, "order": order}))
    assert found["redemptions"][0]["customer"]["source_id"] == redeemer
    assert ok(api.get(f"/v1/customers/{found['order']['customer_id']}"))["source_id"] == buyer
    everyone = ok(api.get("/v1/customers?limit=100"))["customers"]
    assert len(everyone) == len({"holder", "owner", redeemer, buyer})


def test_the_same_key_redeems_once_and_fails_once(api: TestClient, system: System) -> None:
    make(api, "GIFT", gift={"amount": 100})
    body = {"redeemables": [{"object": "voucher", "id": "GIFT", "gift": {"credits": 60}}]}
    first = api.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "a"})
    again = api.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "a"})
    assert ok(first) == ok(again)
    for _ in range(2):
        refused(api.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "b"}), 400, "gift_amount_exceeded")
    assert (balance(api, "GIFT"), row_counts(system)["redemptions"]) == (40, 2)


def test_the_older_call_for_one_voucher(api: TestClient) -> None:
    make(api, "GIFT")
    one = ok(api.post("/v1/vouchers/GIFT/redemption?tracking_id=ann", json={"order": {"amount": 500}}))
    assert (one["object"], one["amount"], one["customer"]["source_id"]) == ("redemption", 500, "ann")
    listed = ok(api.get("/v1/vouchers/GIFT/redemption"))
    assert (listed["quantity"], listed["redeemed_quantity"], listed["total"]) == (None, 1, 1)
    assert listed["redemption_entries"][0]["id"] == one["id"]
    url = ok(api.get("/v1/vouchers/GIFT"))["redemption"]["url"]
    assert ok(api.get(url))["redemptions"][0]["id"] == one["id"]


def test_a_paid_order_earns_points_of_what_is_left_to_pay(api: TestClient) -> None:
    programme(api)
    code = member(api)
    rule = {
        "event": "order.paid",
        "loyalty": {
            "type": "PROPORTIONAL",
            "calculation_type": "ORDER_TOTAL_AMOUNT",
            "order": {"total_amount": {"every": 100, "points": 1}},
        },
        "source": {"banner": "1 for 1"},
    }
    ok(api.post("/v1/loyalties/Points/earning-rules", json=[rule]))
    make(api, "OFF", **OFF)
    ok(redeem(api, "OFF", order={"amount": 5000}, customer="ann"))
    assert balance(api, code) == 30
    assert movements(api, code)[0]["type"] == "POINTS_ACCRUAL"


def test_a_reward_that_costs_points_is_counted_and_runs_out(api: TestClient) -> None:
    programme(api, points=100)
    code = member(api)
    reward_id = material_reward(api, 30, stock=2)
    path = f"/v1/loyalties/members/{code}/redemption"
    one = ok(api.post(path, json={"reward": {"id": reward_id}}))
    assert (one["amount"], one["reward"]["type"], one["customer"]["source_id"]) == (30, "MATERIAL", "ann")
    ok(api.post(f"/v1/loyalties/Points/members/{code}/redemption", json={"reward": {"id": reward_id}}))
    refused(api.post(path, json={"reward": {"id": reward_id}}), 400, "quantity_exceeded", "out of stock")
    assert ok(api.get(f"/v1/rewards/{reward_id}"))["redeemed"] == 2
    assert balance(api, code) == 40


@pytest.mark.parametrize("kind", ["GIFT_VOUCHERS", "DISCOUNT_COUPONS"])
def test_a_reward_gives_a_voucher_of_a_campaign_and_tops_it_up_the_next_time(api: TestClient, kind: str) -> None:
    programme(api, points=100)
    code = member(api)
    template = {"type": "GIFT_VOUCHER", "gift": {"amount": 5}} if kind == "GIFT_VOUCHERS" else OFF
    ok(api.post("/v1/campaigns", json={"name": "Given", "campaign_type": kind, "voucher": template}))
    reward = ok(api.post("/v1/rewards", json={"name": "V", "parameters": {"campaign": {"id": "Given", "balance": 20}}}))
    price = {"campaign": "Points", "parameters": {"loyalty": {"points": 10}}}
    ok(api.post(f"/v1/rewards/{reward['id']}/assignments", json=price))
    path, body = f"/v1/loyalties/members/{code}/redemption", {"reward": {"id": reward["id"]}}
    first = ok(api.post(path, json=body))["reward"]["voucher"]
    second = ok(api.post(path, json=body))["reward"]["voucher"]
    holder = ok(api.get("/v1/customers/ann"))["id"]
    assert first["holder_id"] == second["holder_id"] == holder
    if kind == "GIFT_VOUCHERS":
        assert first["code"] == second["code"]
        assert balance(api, first["code"]) == 45
    else:
        assert first["code"] != second["code"]
    assert balance(api, code) == 80


def test_lists_are_filtered_ordered_and_paged(api: TestClient, clock: FakeClock) -> None:
    make(api, "A")
    make(api, "B", gift={"amount": 5})
    for code, who in (("A", "ann"), ("B", "bob"), ("A", "bob")):
        clock.advance_ms(1000)
        redeem(api, code, order={"amount": 5}, customer=who)
    clock.advance_ms(1000)
    redeem(api, "B", order={"amount": 5}, customer="ann")

    def codes(query: str) -> list[str]:
        return [each["voucher"]["code"] for each in ok(api.get(f"/v1/redemptions?{query}"))["redemptions"]]

    assert codes("") == ["B", "A", "B", "A"]
    assert codes("order=created_at") == ["A", "B", "A", "B"]
    assert codes("order=voucher_code&limit=3") == ["A", "A", "B"]
    assert codes("limit=2&page=2") == ["B", "A"]
    assert codes("result=FAILURE") == ["B"]
    assert codes("result=FAILURE&result=SUCCESS&customer=ann") == ["B", "A"]
    assert codes("customer=" + ok(api.get("/v1/customers/bob"))["id"]) == ["A", "B"]
    assert codes("created_at[after]=2024-10-09T09:16:35Z") == ["B", "A"]
    assert codes("created_at[before]=2024-10-09T09:16:34Z") == ["A"]
    assert codes("filters[voucher_code][conditions][$is]=A") == ["A", "A"]
    assert ok(api.get("/v1/redemptions?limit=1"))["total"] == 4
    refused(api.get("/v1/redemptions?page=100"), 400, "invalid_query_params")
    refused(api.get("/v1/redemptions?order=amount"), 400, "invalid_query_params")


def test_another_project_sees_and_redeems_nothing_of_ours(api: TestClient, stranger: TestClient) -> None:
    make(api, "GIFT")
    found = ok(redeem(api, "GIFT", order={"amount": 5}))["redemptions"][0]
    refused(redeem(stranger, "GIFT", order={"amount": 5}), 404, "not_found")
    refused(stranger.get(f"/v1/redemptions/{found['id']}"), 404, "not_found")
    refused(stranger.post(f"/v1/redemptions/{found['id']}/rollback"), 404, "not_found")
    assert ok(stranger.get("/v1/redemptions"))["total"] == 0


def test_a_removed_voucher_stays_known_by_its_code(api: TestClient) -> None:
    make(api, "GIFT")
    found = ok(redeem(api, "GIFT", order={"amount": 5}))["redemptions"][0]
    assert api.delete("/v1/vouchers/GIFT").status_code == 204
    assert ok(api.get(f"/v1/redemptions/{found['id']}"))["voucher"]["code"] == "GIFT"


def test_an_order_whose_customer_was_deleted_can_still_be_redeemed_for(api: TestClient) -> None:
    make(api, "GIFT")
    bought = {"order": {"source_id": "o-1", "amount": 3000}, "customer": {"source_id": "ann"}}
    first = ok(api.post("/v1/redemptions", json={**bought, "redeemables": [asked_of("GIFT", 1000)]}))
    assert api.delete("/v1/customers/ann").status_code == 204
    again = ok(
        api.post("/v1/redemptions", json={"order": {"source_id": "o-1"}, "redeemables": [asked_of("GIFT", 500)]})
    )
    assert again["order"]["total_amount"] == 1500
    assert again["redemptions"][0]["customer_id"] == first["redemptions"][0]["customer_id"]


def asked_of(code: str, credits: int) -> dict[str, Any]:
    return {"object": "voucher", "id": code, "gift": {"credits": credits}}
