"""Campaigns over HTTP: the vendor's paths, objects and errors, and vouchers made in the background."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import async_actions, campaigns, movements, vouchers
from tests.fakes import FakeClock
from tests.web.asking import OFF, all_refused, refused, rows, total

NOW = "2024-10-09T09:16:32.521Z"
CHARSET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
GIFTS = {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 500}}}
CLUB = {"name": "Club", "campaign_type": "LOYALTY_PROGRAM", "voucher": {"loyalty_card": {"points": 10}}}
COUPONS = {"name": "Coupons", "campaign_type": "DISCOUNT_COUPONS", "voucher": {"discount": OFF["discount"]}}
LISTS = "/v1/campaigns"


def found(api: TestClient, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A new campaign."""
    answer = api.post(LISTS, json={**body, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def work(system: System) -> None:
    """Do what waits in the background."""
    system.services.actions.run_due()


def codes(api: TestClient, query: str = "") -> list[str]:
    """The codes of all vouchers, in order."""
    return [voucher["code"] for voucher in api.get(f"/v1/vouchers?order=code&limit=100&{query}").json()["vouchers"]]


# -- making -----------------------------------------------------------------------------------------------------------


def test_the_campaign_object_is_the_vendors(api: TestClient) -> None:
    rules = {"period_type": "MONTH", "period_value": 3, "rounding_type": "END_OF_QUARTER"}
    body = {
        "name": "Club 1",
        "description": "about",
        "campaign_type": "LOYALTY_PROGRAM",
        "type": "STATIC",
        "voucher": {
            "type": "LOYALTY_CARD",
            "loyalty_card": {"points": 10, "expiration_rules": rules},
            "redemption": {"quantity": 4},
            "code_config": {"pattern": "CLUB-###"},
        },
        "start_date": "2024-01-01",
        "expiration_date": "2030-01-01",
        "validity_timeframe": {"interval": "P2D", "duration": "P1D"},
        "validity_day_of_week": [1],
        "activity_duration_after_publishing": "P24D",
        "category": "vip",
        "metadata": {"a": None, "ü": [1]},
        "auto_join": True,
        "join_once": False,
        "use_voucher_metadata_schema": True,
        "points_currency": {"eid": "stars", "scale": 1},
        "unknown": 1,
    }
    campaign = api.post(f"{LISTS}/", json=body).json()
    assert campaign["id"].startswith("camp_") and len(campaign["id"]) == 29
    assert campaign == {
        "id": campaign["id"],
        "name": "Club 1",
        "description": "about",
        "campaign_type": "LOYALTY_PROGRAM",
        "type": "STATIC",
        "voucher": {
            "type": "LOYALTY_CARD",
            "loyalty_card": {"points": 10, "expiration_rules": rules},
            "redemption": {"quantity": 4},
            "code_config": {"length": 3, "charset": CHARSET, "pattern": "CLUB-###", "prefix": "", "postfix": ""},
            "is_referral_code": False,
        },
        "auto_join": True,
        "join_once": True,
        "use_voucher_metadata_schema": True,
        "start_date": "2024-01-01T00:00:00.000Z",
        "expiration_date": "2030-01-01T00:00:00.000Z",
        "validity_timeframe": {"interval": "P2D", "duration": "P1D"},
        "validity_day_of_week": [1],
        "activity_duration_after_publishing": "P24D",
        "vouchers_count": 0,
        "active": True,
        "metadata": {"a": None, "ü": [1]},
        "created_at": NOW,
        "category": "vip",
        "category_id": None,
        "categories": [],
        "creation_status": "DONE",
        "vouchers_generation_status": "DONE",
        "protected": False,
        "validation_rules_assignments": {"object": "list", "data_ref": "data", "data": [], "total": 0},
        "object": "campaign",
        "loyalty_program_id": 1,
        "points_currency": {"iid": 1, "eid": "stars", "scale": 1},
    }
    assert api.get(f"{LISTS}/{campaign['id']}").json() == api.get(f"{LISTS}/Club%201").json() == campaign


def test_keys_that_were_never_said_are_left_out(api: TestClient) -> None:
    campaign = found(api, COUPONS)
    optional = {
        "description", "start_date", "expiration_date", "validity_timeframe", "validity_day_of_week", "category",
        "activity_duration_after_publishing", "updated_at", "loyalty_program_id", "points_currency",
    }  # fmt: skip
    assert not optional & campaign.keys()
    assert campaign["voucher"]["code_config"]["pattern"] == "########"


def test_campaigns_are_numbered_per_project(api: TestClient, stranger: TestClient) -> None:
    assert found(api, COUPONS)["name"] == "Coupons"
    assert found(api, GIFTS)["points_currency"] == {"iid": 2, "eid": "gifts", "scale": 2}
    assert found(api, CLUB)["loyalty_program_id"] == 3
    assert found(stranger, CLUB)["loyalty_program_id"] == 1


def test_promotions_and_referrals(api: TestClient) -> None:
    promotion = found(api, {"name": "P", "campaign_type": "PROMOTION"})
    assert "voucher" not in promotion
    assert promotion["promotion"]["tiers"] == []
    referral = found(api, {**COUPONS, "name": "R", "campaign_type": "REFERRAL_PROGRAM"}, vouchers_count=1)
    assert referral["voucher"]["is_referral_code"] is True
    assert api.get("/v1/vouchers").json()["vouchers"][0]["is_referral_code"] is True


BAD_CAMPAIGNS: list[tuple[Any, str, str]] = [
    ({}, "invalid_payload", "must have required property 'name'"),
    (None, "invalid_payload", "must be an object"),
    ({"name": "A"}, "invalid_payload", "must have required property 'campaign_type'"),
    ({**GIFTS, "name": ""}, "invalid_payload", "Property .name must NOT have fewer than 1 characters"),
    ({**GIFTS, "name": 5}, "invalid_payload", "Property .name must be string"),
    ({**GIFTS, "name": "\0"}, "invalid_payload", "Property .name must hold no NUL"),
    ({**GIFTS, "campaign_type": "X"}, "invalid_payload", "Property .campaign_type should be equal to one of"),
    ({**GIFTS, "type": "BULK"}, "invalid_payload", "Property .type should be equal to one of"),
    ({**GIFTS, "voucher": None}, "invalid_campaign", "Property 'voucher' is required for GIFT_VOUCHERS campaign"),
    ({**GIFTS, "voucher": {}}, "invalid_campaign", "Property 'gift' is required for GIFT_VOUCHERS campaign"),
    ({**COUPONS, "voucher": {}}, "invalid_campaign", "Property 'discount' is required for DISCOUNT_COUPONS campaign"),
    ({**GIFTS, "voucher": {"gift": {"amount": "5"}}}, "invalid_payload", "Property .voucher.gift.amount must be integer"),
    ({**GIFTS, "voucher": {"gift": {"amount": -5}}}, "invalid_amount", "valid positive number"),
    ({**GIFTS, "voucher": {"gift": {"amount": 5}, "type": "LOYALTY_CARD"}}, "invalid_campaign", "[ GIFT_VOUCHER ]"),
    ({**GIFTS, "vouchers_count": -1}, "invalid_payload", "Property .vouchers_count must be >= 0"),
    ({**GIFTS, "vouchers_count": 10**7}, "invalid_payload", "Property .vouchers_count must be <= 1000000"),
    ({**GIFTS, "vouchers_count": "9"}, "invalid_payload", "Property .vouchers_count must be integer"),
    ({**GIFTS, "type": "STANDALONE", "vouchers_count": 2}, "invalid_campaign", "STANDALONE"),
    ({"name": "P", "campaign_type": "PROMOTION", "vouchers_count": 1}, "invalid_campaign", "PROMOTION"),
    ({**GIFTS, "start_date": "2025-01-02", "expiration_date": "2025-01-01"}, "invalid_campaign", "must not be earlier"),
    ({**GIFTS, "start_date": "x"}, "invalid_payload", "Property .start_date cannot be recognized as a ISO-8601"),
    ({**GIFTS, "points_currency": {"scale": 10}}, "invalid_payload", "Property .points_currency.scale must be <= 9"),
    ({**GIFTS, "points_currency": {"eid": ""}}, "invalid_payload", "Property .points_currency.eid must NOT have fewer"),
    ({**GIFTS, "metadata": "x"}, "invalid_payload", "Property .metadata must be object"),
]  # fmt: skip


def test_what_cannot_be_a_campaign_is_refused_and_nothing_is_written(api: TestClient, system: System) -> None:
    all_refused(lambda body: api.post(LISTS, json=body), BAD_CAMPAIGNS)
    assert rows(system, campaigns, "id") == rows(system, vouchers, "id") == rows(system, async_actions, "id") == []


def test_expiration_rules_are_checked_when_the_programme_is_made(api: TestClient, system: System) -> None:
    cases: list[tuple[Any, str]] = [
        ({"period_type": "YEAR"}, ".period_type"),
        ({"period_type": "MONTH"}, "whole number"),
        ({"period_type": "MONTH", "period_value": 0}, "whole number"),
        ({"period_type": "MONTH", "period_value": "3"}, "whole number"),
        ({"period_type": "MONTH", "period_value": 1, "rounding_type": "UP"}, ".rounding_type"),
        ({"period_type": "MONTH", "period_value": 1, "rounding_type": "PARTICULAR_MONTH"}, "whole number"),
        ({"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": 13, "fixed_day": 1}, "whole number"),
    ]

    def send(rules: Any) -> Any:
        return api.post(LISTS, json={**CLUB, "voucher": {"loyalty_card": {"points": 1, "expiration_rules": rules}}})

    all_refused(send, [(sent, "invalid_payload", details) for sent, details in cases])
    assert rows(system, campaigns, "id") == []


def test_a_taken_name_is_a_duplicate_in_the_vendors_words(api: TestClient, stranger: TestClient) -> None:
    first = found(api, GIFTS)
    body = refused(api.post(LISTS, json={**COUPONS, "name": "Gifts"}), 409, "duplicate_found")
    assert body["details"] == "Duplicated campaign exists with name Gifts"
    assert (body["message"], body["resource_type"], body["resource_id"]) == (
        "Duplicated resource found", "campaign", "Gifts",
    )  # fmt: skip
    assert found(stranger, GIFTS)["id"] != first["id"]


# -- vouchers ---------------------------------------------------------------------------------------------------------


def test_a_few_vouchers_are_there_at_once(api: TestClient, system: System) -> None:
    campaign = found(api, GIFTS, vouchers_count=100)
    assert (campaign["vouchers_count"], campaign["creation_status"]) == (100, "DONE")
    assert total(api, "/v1/vouchers?campaign=Gifts") == 100
    assert sum(amount for (amount,) in rows(system, movements, "amount")) == 50_000


def test_many_vouchers_are_made_in_the_background(api: TestClient, system: System) -> None:
    template = {"gift": {"amount": 500}, "code_config": {"charset": "0123456789", "pattern": "G-###"}}
    campaign = found(api, GIFTS, voucher=template, vouchers_count=1000)
    progress = ("IN_PROGRESS", "IN_PROGRESS", 0)
    assert (campaign["creation_status"], campaign["vouchers_generation_status"], campaign["vouchers_count"]) == progress
    assert total(api, f"{LISTS}?campaign_status=IN_PROGRESS") == 1
    work(system)
    campaign = api.get(f"{LISTS}/Gifts").json()
    assert (campaign["creation_status"], campaign["vouchers_generation_status"]) == ("DONE", "DONE")
    assert campaign["vouchers_count"] == total(api, "/v1/vouchers?campaign=Gifts") == 1000
    assert total(api, f"{LISTS}?campaign_status=IN_PROGRESS") == 0
    assert total(api, f"{LISTS}?campaign_status=DONE") == 1
    (action,) = api.get("/v1/async-actions").json()["async_actions"]
    action = api.get(f"/v1/async-actions/{action['id']}").json()
    assert (action["type"], action["result"]) == (
        "CAMPAIGN.VOUCHERS_GENERATE", {"message": "Generated 1000 vouchers.", "done_count": 1000},
    )  # fmt: skip


def test_more_vouchers_than_codes_are_refused_before_any_is_made(api: TestClient, system: System) -> None:
    template = {"gift": {"amount": 500}, "code_config": {"charset": "01", "length": 3}}
    answer = api.post(LISTS, json={**GIFTS, "voucher": template, "vouchers_count": 9})
    refused(answer, 400, "invalid_code_config", "allows only 8 codes")
    assert rows(system, campaigns, "id") == []
    assert found(api, GIFTS, voucher=template, vouchers_count=8)["vouchers_count"] == 8
    refused(api.post(f"{LISTS}/Gifts/vouchers"), 400, "invalid_code_config", "too few of them are free")


def test_making_vouchers_that_runs_out_of_codes_fails_and_says_so(api: TestClient, system: System) -> None:
    template = {"gift": {"amount": 500}, "code_config": {"charset": "0123456789", "length": 3}}
    for name in ("First", "Second"):
        found(api, GIFTS, name=name, voucher=template, vouchers_count=600)
    work(system)
    statuses = [campaign["creation_status"] for campaign in api.get(LISTS).json()["campaigns"]]
    assert sorted(statuses) == ["DONE", "FAILED"]
    assert total(api, f"{LISTS}?campaign_status=FAILED") == 1
    actions = [
        api.get(f"/v1/async-actions/{a['id']}").json() for a in api.get("/v1/async-actions").json()["async_actions"]
    ]
    (failed,) = [action for action in actions if action["status"] == "FAILED"]
    assert failed["operation_status"] == "FAILED"
    assert "allows 1000 codes and too few of them are free" in failed["result"]["message"]
    # Batches before the one that failed stay.
    assert total(api) == sum(campaign["vouchers_count"] for campaign in api.get(LISTS).json()["campaigns"]) <= 1000


def test_one_more_voucher_takes_after_the_campaign(api: TestClient) -> None:
    found(api, GIFTS, category="c", expiration_date="2030-01-01")
    voucher = api.post(f"{LISTS}/Gifts/vouchers").json()
    assert (voucher["object"], voucher["campaign"], voucher["category"]) == ("voucher", "Gifts", "c")
    assert (voucher["gift"]["balance"], voucher["expiration_date"]) == (500, "2030-01-01T00:00:00.000Z")
    own = {"category": "d", "redemption": {"quantity": 2}, "metadata": {"a": 1}, "code_config": {"prefix": "own-"}}
    voucher = api.post(f"{LISTS}/Gifts/vouchers?vouchers_count=1", json={**own, "additional_info": "i"}).json()
    assert voucher["code"].startswith("own-")
    assert (voucher["category"], voucher["redemption"]["quantity"], voucher["metadata"]) == ("d", 2, {"a": 1})
    assert voucher["additional_info"] == "i"
    assert api.get(f"{LISTS}/Gifts").json()["vouchers_count"] == 2


def test_more_vouchers_come_by_an_async_action(api: TestClient, system: System, clock: FakeClock) -> None:
    found(api, GIFTS)
    clock.advance_ms(1)
    answer = api.post(f"{LISTS}/Gifts/vouchers?vouchers_count=3", json={"category": "d"})
    assert answer.status_code == 202
    assert answer.json().keys() == {"async_action_id"}
    campaign = api.get(f"{LISTS}/Gifts").json()
    assert (campaign["creation_status"], campaign["vouchers_generation_status"]) == ("DONE", "IN_PROGRESS")
    work(system)
    assert total(api, "/v1/vouchers?category=d&campaign=Gifts") == 3
    assert api.get(f"{LISTS}/Gifts").json()["vouchers_generation_status"] == "DONE"


def test_a_voucher_with_a_code_of_ones_own(api: TestClient) -> None:
    found(api, GIFTS)
    for code in ("SUMMER%2024", "A%2FB", "%C3%BC"):
        voucher = api.post(f"{LISTS}/Gifts/vouchers/{code}/", json={"start_date": "2025-01-01"}).json()
        assert (voucher["campaign"], voucher["start_date"]) == ("Gifts", "2025-01-01T00:00:00.000Z")
        assert api.get(f"/v1/vouchers/{code}").json() == voucher
        again = api.post(f"{LISTS}/Gifts/vouchers/{code}")
        body = refused(again, 409, "duplicate_found", "Duplicated voucher exists with id")
        assert (body["resource_type"], body["resource_id"]) == ("voucher", voucher["code"])
    assert api.get(f"{LISTS}/Gifts").json()["vouchers_count"] == 3


def test_a_standalone_campaign_takes_given_codes_only(api: TestClient) -> None:
    campaign = found(api, GIFTS, type="STANDALONE", vouchers_count=1)
    assert (campaign["vouchers_count"], campaign["join_once"]) == (1, False)
    words = "You can not generate vouchers for STANDALONE type campaign."
    for answer in (
        api.post(f"{LISTS}/Gifts/vouchers"),
        api.post(f"{LISTS}/Gifts/vouchers?vouchers_count=2"),
        api.post("/v1/vouchers", json={"campaign": "Gifts"}),
    ):
        refused(answer, 400, "invalid_campaign", words)
    assert api.post("/v1/vouchers/MINE", json={"campaign": "Gifts"}).status_code == 200
    assert total(api) == 2


def test_vouchers_that_cannot_be_are_refused_and_nothing_is_written(api: TestClient, system: System) -> None:
    found(api, GIFTS, expiration_date="2030-01-01")
    cases: list[tuple[Any, str, str]] = [
        (("?vouchers_count=0", None), "invalid_query_params", "Property .vouchers_count must be >= 1"),
        (("?vouchers_count=x", None), "invalid_query_params", "Property .vouchers_count must be integer"),
        (("?vouchers_count=1000001", None), "invalid_query_params", "Property .vouchers_count must be <= 1000000"),
        (("", {"code_config": {"pattern": "X"}}), "invalid_code_config", "at least one #"),
        (("?vouchers_count=3", {"code_config": {"charset": "0", "length": 1}}), "invalid_code_config", "only 1 codes"),
        (("", {"expiration_date": "x"}), "invalid_payload", ".expiration_date"),
        (("?vouchers_count=2", {"start_date": "2031-01-01"}), "invalid_voucher", "must not be earlier"),
        (("/%20x", {}), "invalid_voucher", "printable characters"),
    ]
    all_refused(lambda asked: api.post(f"{LISTS}/Gifts/vouchers{asked[0]}", json=asked[1]), cases)
    assert rows(system, vouchers, "id") == rows(system, async_actions, "id") == []


def test_an_import_into_a_campaign(api: TestClient, system: System) -> None:
    found(api, GIFTS, category="c")
    items = [{"code": "A"}, {"code": "B", "gift": {"amount": 7}, "category": "d"}, {"code": "C", **OFF}]
    answer = api.post(f"{LISTS}/Gifts/import", json=items)
    assert answer.status_code == 202
    work(system)
    action = api.get(f"/v1/async-actions/{answer.json()['async_action_id']}").json()
    assert (action["type"], action["result"]["done_count"]) == ("CAMPAIGN.VOUCHERS_IMPORT", 2)
    assert action["result"]["failed"] == [
        {"code": "C", "reason": "Vouchers of campaign Gifts are of type GIFT_VOUCHER"}
    ]
    made = {
        v["code"]: (v["campaign"], v["category"], v["gift"]["balance"])
        for v in api.get("/v1/vouchers").json()["vouchers"]
    }
    assert made == {"A": ("Gifts", "c", 500), "B": ("Gifts", "d", 7)}
    refused(api.post(f"{LISTS}/Gifts/import", json=[{"code": "X"}, {"code": "X"}]), 400, "duplicate_key")
    refused(api.post(f"{LISTS}/None/import", json=[{"code": "X"}]), 404, "not_found", "campaign with id None")
    found(api, {"name": "P", "campaign_type": "PROMOTION"})
    refused(api.post(f"{LISTS}/P/import", json=[{"code": "X"}]), 400, "invalid_campaign", "PROMOTION")
