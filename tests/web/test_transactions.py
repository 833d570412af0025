"""Transaction lists over HTTP: of vouchers, campaigns, programmes and members; pages, order, filters."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.fakes import FakeClock
from tests.web.asking import OFF, make, refused
from tests.web.redeeming import member, ok, programme

GIFTS = {
    "name": "Gifts",
    "campaign_type": "GIFT_VOUCHERS",
    "voucher": {"type": "GIFT_VOUCHER", "gift": {"amount": 100}},
}


def fill(api: TestClient, code: str, times: int) -> None:
    for amount in range(1, times + 1):
        ok(api.post(f"/v1/vouchers/{code}/balance", json={"amount": amount}))


def walk(api: TestClient, path: str, query: str = "limit=3") -> list[dict[str, Any]]:
    """Every transaction of a list, page by page."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = ok(api.get(f"{path}?{query}{after}"))
        found += page["data"]
        if not page["has_more"]:
            assert "more_starting_after" not in page
            return found
        assert page["more_starting_after"] == page["data"][-1]["id"]
        after = f"&starting_after_id={page['more_starting_after']}"


def test_pages_follow_each_other_without_gap_or_overlap(api: TestClient) -> None:
    make(api, "GIFT")
    fill(api, "GIFT", 7)
    newest_first = walk(api, "/v1/vouchers/GIFT/transactions")
    assert [each["details"]["balance"]["amount"] for each in newest_first] == [7, 6, 5, 4, 3, 2, 1]
    oldest_first = walk(api, "/v1/vouchers/GIFT/transactions", "limit=2&order=id")
    assert oldest_first == newest_first[::-1]
    assert [each["id"] for each in oldest_first] == sorted(each["id"] for each in oldest_first)
    page = ok(api.get("/v1/vouchers/GIFT/transactions?limit=7"))
    assert (page["object"], page["data_ref"], page["has_more"]) == ("list", "data", False)


def test_the_transaction_object(api: TestClient) -> None:
    card = make(api, "GIFT")
    body = {"amount": -20, "source_id": "mine", "reason": "wrong"}
    ok(api.post("/v1/vouchers/GIFT/balance", json=body))
    (found,) = walk(api, f"/v1/vouchers/{card['id']}/transactions")
    assert found.pop("id").startswith("vtx_")
    assert found == {
        "source_id": "mine",
        "voucher_id": card["id"],
        "campaign_id": None,
        "source": "API",
        "reason": "wrong",
        "type": "CREDITS_REMOVAL",
        "details": {
            "balance": {
                "type": "gift_voucher",
                "total": 9980,
                "amount": -20,
                "object": "balance",
                "balance": 9980,
                "operation_type": "MANUAL",
                "related_object": {"id": card["id"], "type": "voucher"},
            }
        },
        "related_transaction_id": None,
        "created_at": "2024-10-09T09:16:32.521Z",
    }


def test_opening_balances_are_never_shown(api: TestClient) -> None:
    make(api, "GIFT")
    assert walk(api, "/v1/vouchers/GIFT/transactions") == []


def test_campaigns_list_all_their_cards_and_discounts_have_none(api: TestClient) -> None:
    home = ok(api.post("/v1/campaigns", json=GIFTS))
    for code in ("A", "B"):
        ok(api.post(f"/v1/campaigns/Gifts/vouchers/{code}", json={}))
        fill(api, code, 2)
    make(api, "ELSEWHERE")
    fill(api, "ELSEWHERE", 1)
    found = walk(api, "/v1/campaigns/Gifts/transactions")
    assert len(found) == 4 and {each["campaign_id"] for each in found} == {home["id"]}
    assert walk(api, f"/v1/campaigns/{home['id']}/transactions") == found
    one = found[0]["voucher_id"]
    filtered = walk(api, "/v1/campaigns/Gifts/transactions", f"filters[voucher_id][conditions][$is]={one}")
    assert [each["voucher_id"] for each in filtered] == [one, one]
    both = f"filters[id][conditions][$in][0]={found[3]['id']}&filters[voucher_id][conditions][$is]={one}"
    assert len(walk(api, "/v1/campaigns/Gifts/transactions", both + "&filters[junction]=OR")) == 3
    ok(api.post("/v1/campaigns", json={"name": "Off", "campaign_type": "DISCOUNT_COUPONS", "voucher": OFF}))
    assert ok(api.get("/v1/campaigns/Off/transactions")) == {
        "object": "list",
        "data_ref": "data",
        "data": [],
        "total": 0,
    }
    make(api, "OFF", **OFF)
    assert ok(api.get("/v1/vouchers/OFF/transactions"))["data"] == []
    refused(api.get("/v1/loyalties/Gifts/transactions"), 404, "not_found")


def test_programmes_and_members(api: TestClient, clock: FakeClock) -> None:
    programme(api)
    programme(api, "Other")
    ann, bob, other = member(api, "ann"), member(api, "bob"), member(api, "ann", "Other")
    for code in (ann, bob, other):
        clock.advance_ms(1000)
        ok(api.post(f"/v1/loyalties/members/{code}/balance", json={"points": 5}))
    assert len(walk(api, "/v1/loyalties/Points/transactions")) == 2
    of_ann = walk(api, f"/v1/loyalties/members/{ann}/transactions")
    assert len(of_ann) == 1
    assert walk(api, f"/v1/loyalties/Points/members/{ann}/transactions") == of_ann
    refused(api.get(f"/v1/loyalties/Points/members/{other}/transactions"), 404, "not_found")
    since = "filters[created_at][conditions][$after]="
    assert walk(api, f"/v1/loyalties/members/{ann}/transactions", since + "2024-10-09T09:16:33Z") == of_ann
    assert walk(api, f"/v1/loyalties/members/{ann}/transactions", since + "2024-10-09T09:16:34Z") == []


def test_codes_with_slashes_have_transactions_too(api: TestClient) -> None:
    make(api, "A%2FB")
    fill(api, "A%2FB", 1)
    assert len(walk(api, "/v1/vouchers/A%2FB/transactions")) == 1


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("order=created_at", "order"),
        ("starting_after_id=vtx_none", "vtx_none"),
    ],
)
def test_wrong_pages_are_refused(api: TestClient, query: str, details: str) -> None:
    make(api, "GIFT")
    refused(api.get(f"/v1/vouchers/GIFT/transactions?{query}"), 400, "invalid_query_params", details)


def test_the_older_page_parameter_is_tolerated(api: TestClient) -> None:
    make(api, "GIFT")
    assert ok(api.get("/v1/vouchers/GIFT/transactions?page=1"))["data"] == []


def test_lists_can_be_filtered_by_the_documented_fields_only(api: TestClient) -> None:
    programme(api)
    ok(api.post("/v1/campaigns", json=GIFTS))
    answer = api.get("/v1/campaigns/Gifts/transactions?filters[amount][conditions][$is]=5")
    refused(answer, 400, "invalid_query_params", "voucher_id")
    refused(api.get(f"/v1/loyalties/members/{member(api)}/transactions?filters[voucher_id][conditions][$is]=x"), 400,
            "invalid_query_params", "created_at")  # fmt: skip


def test_another_project_sees_nothing_of_ours(api: TestClient, stranger: TestClient) -> None:
    ok(api.post("/v1/campaigns", json=GIFTS))
    ok(api.post("/v1/campaigns/Gifts/vouchers/A", json={}))
    fill(api, "A", 1)
    (ours,) = walk(api, "/v1/vouchers/A/transactions")
    refused(stranger.get("/v1/vouchers/A/transactions"), 404, "not_found")
    refused(stranger.get("/v1/campaigns/Gifts/transactions"), 404, "not_found")
    make(stranger, "A")
    answer = stranger.get(f"/v1/vouchers/A/transactions?starting_after_id={ours['id']}")
    refused(answer, 400, "invalid_query_params")


def test_a_members_activity_is_what_happened_to_their_points(api: TestClient) -> None:
    programme(api, points=10)
    ann, bob = member(api, "ann"), member(api, "bob")
    ok(api.post(f"/v1/loyalties/members/{ann}/balance", json={"points": 5}))
    ok(api.post(f"/v1/loyalties/Points/members/{ann}/transfers", json=[{"code": bob, "points": 1}]))
    found = walk(api, f"/v1/loyalties/members/{ann}/activity", "limit=1")
    assert [each["type"].rpartition(".")[2] for each in found] == ["points_transferred", "points_added"]
    assert walk(api, f"/v1/loyalties/Points/members/{ann}/activity", "order=created_at") == found[::-1]
    assert found[1]["data"]["transaction"]["details"]["balance"]["points"] == 5
