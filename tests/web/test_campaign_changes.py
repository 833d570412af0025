"""Campaigns over HTTP, changed, switched, listed and removed; and that tenants never see each other."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import async_actions, movements, vouchers
from tests.fakes import FakeClock
from tests.web.asking import OFF, all_refused, refused, rows, total
from tests.web.test_campaigns import CLUB, COUPONS, GIFTS, LISTS, codes, found, work

DAY_MS = 86_400_000


def test_an_update_changes_what_it_says(api: TestClient, clock: FakeClock) -> None:
    before = found(api, GIFTS, metadata={"a": 1, "b": 2, "c": 3}, start_date="2024-01-01")
    clock.advance_ms(1000)
    body = {
        "description": "d", "category": "c", "expiration_date": "2030-01-01", "metadata": {"b": 5}, "start_date": None,
        "unset_metadata_fields": ["c"], "type": "STATIC", "auto_join": True, "join_once": False,
        "gift": {"amount": 9}, "activity_duration_after_publishing": "P1D",
        "name": "Other", "campaign_type": "PROMOTION", "active": False, "vouchers_count": 5, "unknown": 1,
    }  # fmt: skip
    after = api.put(f"{LISTS}/Gifts", json=body).json()
    expected = {
        "description": "d", "category": "c", "expiration_date": "2030-01-01T00:00:00.000Z", "metadata": {"a": 1, "b": 5},
        "type": "STATIC", "auto_join": True, "join_once": False, "activity_duration_after_publishing": "P1D",
        "updated_at": "2024-10-09T09:16:33.521Z",
        "voucher": {**before["voucher"], "gift": {"amount": 9, "effect": "APPLY_TO_ORDER"}},
    }  # fmt: skip
    assert after == before | expected
    assert api.get(f"{LISTS}/Gifts").json() == after
    assert api.post(f"{LISTS}/Gifts/vouchers").json()["gift"]["balance"] == 9


def test_an_update_of_nothing_changes_nothing_but_its_time(api: TestClient) -> None:
    before = found(api, GIFTS)
    for body in (b"", b"null", b"{}"):
        answer = api.put(f"{LISTS}/Gifts", content=body, headers={"content-type": "application/json"})
        assert answer.json() == before | {"updated_at": before["created_at"]}


def test_an_update_that_cannot_be_changes_nothing(api: TestClient) -> None:
    before = found(api, COUPONS, start_date="2024-01-01")
    cases: list[tuple[Any, str, str]] = [
        ({"expiration_date": "x"}, "invalid_payload", ""),
        ({"expiration_date": "2000-01-01"}, "invalid_campaign", ""),
        ({"type": "BULK"}, "invalid_payload", ""),
        ({"metadata": []}, "invalid_payload", ""),
        ({"discount": {"type": "PERCENT", "percent_off": 1}}, "invalid_campaign", ""),
        ({"discount": {"amount_off": -1}}, "invalid_voucher", ""),
        ([], "invalid_payload", ""),
    ]
    all_refused(lambda body: api.put(f"{LISTS}/Coupons", json=body), cases)
    assert api.get(f"{LISTS}/Coupons").json() == before


@pytest.mark.parametrize("count", [3, 101])
def test_an_update_reaches_vouchers_that_nobody_has_yet(api: TestClient, system: System, count: int) -> None:
    found(api, COUPONS, vouchers_count=count)
    work(system)
    taken = codes(api)[:3]
    with system.core.database.write() as connection:
        for code, values in zip(
            taken, ({"publications_count": 1}, {"redeemed_quantity": 1}, {"holder_id": "cust_1"}), strict=True
        ):
            connection.execute(sa.update(vouchers).where(vouchers.c.code == code).values(**values))
    api.post("/v1/vouchers", json={**OFF, "category": "other"})
    change = {"discount": {"amount_off": 1}, "category": "new", "expiration_date": "2030-01-01"}
    after = api.put(f"{LISTS}/Coupons", json=change).json()
    assert after["creation_status"] == ("DONE" if count == 3 else "MODIFYING")
    work(system)
    assert api.get(f"{LISTS}/Coupons").json()["creation_status"] == "DONE"
    assert total(api, "/v1/vouchers?category=new") == count - 3
    changed = {v["discount"]["amount_off"] for v in api.get("/v1/vouchers?category=new").json()["vouchers"]}
    assert changed == ({1} if count > 3 else set())
    assert {api.get(f"/v1/vouchers/{code}").json()["discount"]["amount_off"] for code in taken} == {2000}


def test_an_update_never_changes_a_balance(api: TestClient, system: System) -> None:
    found(api, GIFTS, vouchers_count=2)
    before = rows(system, movements, "id")
    api.put(f"{LISTS}/Gifts", json={"gift": {"amount": 1, "effect": "APPLY_TO_ITEMS"}})
    gifts = [voucher["gift"] for voucher in api.get("/v1/vouchers").json()["vouchers"]]
    assert [(gift["balance"], gift["effect"]) for gift in gifts] == [(500, "APPLY_TO_ITEMS")] * 2
    assert rows(system, movements, "id") == before


def test_a_campaign_is_switched_with_any_body_or_none(api: TestClient) -> None:
    found(api, GIFTS)
    for body in (b"", b"null", b"{}"):
        for path, active in (("disable", False), ("enable/", True)):
            answer = api.post(f"{LISTS}/Gifts/{path}", content=body, headers={"content-type": "application/json"})
            assert (answer.status_code, answer.json()) == (200, {})
            assert api.get(f"{LISTS}/Gifts").json()["active"] is active


@pytest.mark.parametrize("query", ["", "?force=true"])
def test_a_removed_campaign_is_gone_and_takes_its_vouchers_along(api: TestClient, system: System, query: str) -> None:
    campaign = found(api, GIFTS, vouchers_count=5)
    api.post("/v1/vouchers/KEPT", json=OFF)
    answer = api.delete(f"{LISTS}/Gifts{query}")
    assert answer.status_code == 202
    action_id = answer.json()["async_action_id"]
    assert api.get(f"/v1/async-actions/{action_id}").json()["status"] == "ENQUEUED"
    for name in ("Gifts", campaign["id"]):
        refused(api.get(f"{LISTS}/{name}"), 404, "not_found", f"Cannot find campaign with id {name}")
        refused(api.delete(f"{LISTS}/{name}"), 404, "not_found")
        refused(api.post(f"{LISTS}/{name}/vouchers"), 404, "not_found")
    work(system)
    action = api.get(f"/v1/async-actions/{action_id}").json()
    assert (action["type"], action["status"]) == ("CAMPAIGN.VOUCHERS_DELETE", "DONE")
    assert action["result"] == {"message": "Deleted 5 vouchers.", "done_count": 5}
    assert codes(api) == ["KEPT"]
    assert len(rows(system, movements, "id")) == 5
    assert found(api, GIFTS)["loyalty_program_id"] == 2


def test_any_name_works_percent_encoded(api: TestClient) -> None:
    for decoded in ("Summer/Winter", "a b", "żółw", "50%", "a+b"):
        found(api, GIFTS, name=decoded)
        one = f"{LISTS}/{quote(decoded, safe='')}"
        assert api.get(one).json()["name"] == decoded
        assert api.put(f"{one}/", json={"category": "c"}).json()["category"] == "c"
        assert api.post(f"{one}/disable").json() == {}
        assert api.post(f"{one}/vouchers").json()["campaign"] == decoded
        assert api.delete(one).status_code == 202


def test_the_list_is_the_vendors_envelope(api: TestClient, clock: FakeClock) -> None:
    for body in (GIFTS, CLUB, COUPONS):
        found(api, body)
        clock.advance_ms(1)
    answer = api.get(f"{LISTS}/?limit=2").json()
    assert (answer["object"], answer["data_ref"], answer["total"]) == ("list", "campaigns", 3)
    assert answer["campaigns"] == [api.get(f"{LISTS}/{name}").json() for name in ("Coupons", "Club")]
    assert [c["name"] for c in api.get(f"{LISTS}?limit=2&page=2").json()["campaigns"]] == ["Gifts"]


def test_the_list_takes_every_parameter(api: TestClient, clock: FakeClock) -> None:
    for name, body in (
        ("A", GIFTS),
        ("B", {**CLUB, "start_date": "2030-01-01"}),
        ("C", {**COUPONS, "campaign_type": "REFERRAL_PROGRAM", "metadata": {"tier": "gold"}}),
        ("D", {**COUPONS, "category": "x", "type": "STATIC", "validity_day_of_week": [0, 3]}),
        ("E", {"campaign_type": "PROMOTION", "name": "x"}),
    ):
        found(api, body, name=name)
        clock.advance_ms(DAY_MS)
    api.post(f"{LISTS}/B/disable")
    campaign_id = api.get(f"{LISTS}/C").json()["id"]
    cases = {
        "order=created_at": "ABCDE",
        "order=-updated_at": "BEDCA",
        "order=updated_at": "ACDEB",
        "campaign_type=LOYALTY_PROGRAM": "B",
        "is_referral_code=true": "C",
        "is_referral_code=false": "EDBA",
        "campaign_status=DONE": "EDCBA",
        "campaign_status=DRAFT": "",
        "expand=category": "EDCBA",
        "filters[campaigns][conditions][$is]=A": "A",
        "filters[campaigns][conditions][$starts_with]=D": "D",
        f"filters[campaigns_id][conditions][$in][0]={campaign_id}": "C",
        "filters[campaign_status][conditions][$is]=DONE&filters[campaigns][conditions][$is]=B": "B",
        "filters[active][conditions][$disabled]=": "B",
        "filters[status][conditions][$active]=": "EDCA",
        "filters[is_referral_code][conditions][$is]=TRUE": "C",
        "filters[voucher_type][conditions][$is]=GIFT_VOUCHER": "A",
        "filters[type][conditions][$is]=STATIC": "D",
        "filters[categories][conditions][$has_value]=": "D",
        "filters[created_date][conditions][$after]=2024-10-12": "ED",
        "filters[start_date][conditions][$has_value]=": "B",
        "filters[validity_day_of_week][conditions][$is]=3": "D",
        "filters[metadata.tier][conditions][$is]=gold": "C",
        "filters[type][conditions][$is]=STATIC&filters[campaigns][conditions][$is]=A&filters[junction]=or": "DA",
    }
    got = {}
    for query in cases:
        answer = api.get(f"{LISTS}?{query}")
        assert answer.status_code == 200, (query, answer.text)
        got[query] = "".join(campaign["name"] for campaign in answer.json()["campaigns"])
        assert answer.json()["total"] == len(got[query])
    assert got == cases


def test_a_wrong_list_parameter_is_named(api: TestClient) -> None:
    cases = [
        ("limit=0", "invalid_query_params", "Property .limit must be >= 1"),
        ("limit=101", "invalid_query_params", "Property .limit must be <= 100"),
        ("page=101", "invalid_query_params", "Property .page must be <= 100"),
        ("order=name", "invalid_query_params", "Property .order should be equal to one of the allowed values"),
        (
            "campaign_type=X",
            "invalid_query_params",
            "Property .campaign_type should be equal to one of the allowed values",
        ),
        (
            "campaign_status=X",
            "invalid_query_params",
            "Property .campaign_status should be equal to one of the allowed values",
        ),
        ("is_referral_code=x", "invalid_query_params", "Property .is_referral_code must be boolean"),
    ]
    all_refused(lambda query: api.get(f"{LISTS}?{query}"), cases)


def test_another_tenants_campaign_does_not_exist(api: TestClient, stranger: TestClient, system: System) -> None:
    before = found(api, GIFTS)
    for name in (before["name"], before["id"]):
        for method, path, body in (
            ("GET", "", None),
            ("PUT", "", {"category": "c"}),
            ("DELETE", "", None),
            ("POST", "/enable", None),
            ("POST", "/disable", None),
            ("POST", "/vouchers", None),
            ("POST", "/vouchers?vouchers_count=2", None),
            ("POST", "/vouchers/X", None),
            ("POST", "/import", [{"code": "X"}]),
        ):
            answer = stranger.request(method, f"{LISTS}/{name}{path}", json=body)
            missing = refused(answer, 404, "not_found", f"Cannot find campaign with id {name}")
            assert (missing["resource_type"], missing["resource_id"]) == ("campaign", name)
    assert api.get(f"{LISTS}/Gifts").json() == before
    assert total(stranger, LISTS) == 0
    assert rows(system, vouchers, "id") == rows(system, async_actions, "id") == []


def test_another_tenants_actions_do_not_exist(api: TestClient, stranger: TestClient, system: System) -> None:
    found(api, GIFTS)
    action_id = api.delete(f"{LISTS}/Gifts").json()["async_action_id"]
    missing = refused(stranger.get(f"/v1/async-actions/{action_id}"), 404, "not_found", action_id)
    assert missing["resource_type"] == "async_action"
    assert stranger.get("/v1/async-actions").json()["async_actions"] == []
    assert api.get(f"/v1/async-actions/{action_id}/").json()["id"] == action_id


def test_actions_are_listed_newest_first(api: TestClient, system: System, clock: FakeClock) -> None:
    found(api, GIFTS)
    asked = []
    for _ in range(3):
        asked.append(api.post(f"{LISTS}/Gifts/vouchers?vouchers_count=2").json()["async_action_id"])
        clock.advance_ms(1000)
    answer = api.get("/v1/async-actions?limit=2").json()
    assert (answer["object"], answer["data_ref"], answer["has_more"]) == ("list", "async_actions", True)
    assert [action["id"] for action in answer["async_actions"]] == asked[:0:-1]
    earlier = api.get("/v1/async-actions?end_date=2024-10-09T09:16:33.521Z").json()
    assert ([action["id"] for action in earlier["async_actions"]], earlier["has_more"]) == (asked[:1], False)
    waiting = api.get(f"/v1/async-actions/{asked[0]}").json()
    assert waiting == {
        "id": asked[0], "type": "CAMPAIGN.VOUCHERS_GENERATE", "status": "ENQUEUED", "progress": 0,
        "created_at": "2024-10-09T09:16:32.521Z", "request_id": waiting["request_id"], "object": "async_action",
    }  # fmt: skip
    work(system)
    done = api.get(f"/v1/async-actions/{asked[0]}").json()
    assert done == waiting | {
        "status": "DONE", "operation_status": "SUCCESS", "progress": 100, "processing_time": 3000,
        "updated_at": "2024-10-09T09:16:35.521Z", "result": {"message": "Generated 2 vouchers.", "done_count": 2},
    }  # fmt: skip


def test_a_wrong_parameter_of_actions_is_named(api: TestClient) -> None:
    names = {"limit=0": "limit", "limit=101": "limit", "end_date=x": "end_date"}
    cases = [(query, "invalid_query_params", f"Property .{name} ") for query, name in names.items()]
    all_refused(lambda query: api.get(f"/v1/async-actions?{query}"), cases)
