"""Lists of vouchers, their import, and that tenants never see each other."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import movements
from tests.fakes import FakeClock
from tests.web.asking import GIFT, OFF, all_refused, make, refused, rows, total

DAY_MS = 86_400_000


def test_the_list_is_the_vendors_envelope(api: TestClient, clock: FakeClock) -> None:
    for code in "ABC":
        make(api, code)
        clock.advance_ms(1)
    found = api.get("/v1/vouchers/?limit=2").json()
    assert (found["object"], found["data_ref"], found["total"]) == ("list", "vouchers", 3)
    assert found["vouchers"] == [api.get(f"/v1/vouchers/{code}").json() for code in "CB"]
    assert [v["code"] for v in api.get("/v1/vouchers?limit=2&page=2").json()["vouchers"]] == ["A"]
    assert api.get("/v1/vouchers?page=99").json()["vouchers"] == []


def listed(api: TestClient, query: str) -> str:
    answer = api.get(f"/v1/vouchers?{query}")
    assert answer.status_code == 200, answer.text
    found = [voucher["code"] for voucher in answer.json()["vouchers"]]
    assert answer.json()["total"] == len(found)
    return "".join(found)


def test_the_list_takes_every_parameter(api: TestClient, clock: FakeClock) -> None:
    campaign = {"name": "Gifts & Co", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 700}}}
    campaign_id = api.post("/v1/campaigns", json=campaign).json()["id"]
    ids = []
    for code, body in (("A", {"category": "x"}), ("B", {}), ("C", {"campaign": "Gifts & Co"}), ("D", OFF)):
        ids.append(make(api, code, **body)["id"])
        clock.advance_ms(DAY_MS)
    api.put("/v1/vouchers/B", json={"metadata": {"tier": "gold"}})
    cases = {
        "order=code": "ABCD",
        "order=-code": "DCBA",
        "order=-updated_at&limit=100": "BDCA",
        "category=x": "A",
        "category=": "DCBA",
        "campaign=Gifts%20%26%20Co": "C",
        f"campaign_id={campaign_id}": "C",
        "code=B": "B",
        "customer=nobody": "",
        f"ids={ids[0]}&ids={ids[3]}": "DA",
        f"ids[]={ids[0]}&ids[]={ids[3]}": "DA",
        f"ids[0]={ids[0]},{ids[3]}": "DA",
        "created_at[after]=2024-10-09T09:16:32.521Z&created_at[before]=2024-10-12T00:00:00Z": "CB",
        "created_at%5Bbefore%5D=2024-10-10": "A",
        "updated_at[after]=2024-10-10": "B",
        "filters[code][conditions][$in][0]=A&filters[code][conditions][$in][1]=C": "CA",
        "filters[metadata.tier][conditions][$is]=gold": "B",
        "filters[type][conditions][$is]=DISCOUNT_VOUCHER&filters[code][conditions][$is]=A&filters[junction]=OR": "DA",
        "filters[gift.balance][conditions][$less_than]=20000": "CBA",
        "start_date=&end_date=&filters=None": "DCBA",
    }
    assert {query: listed(api, query) for query in cases} == cases


def test_a_wrong_list_parameter_is_named(api: TestClient) -> None:
    cases = [
        ("limit=0", "invalid_query_params", "Property .limit must be >= 1"),
        ("limit=101", "invalid_query_params", "Property .limit must be <= 100"),
        ("limit=x", "invalid_query_params", "Property .limit must be integer"),
        ("page=0", "invalid_query_params", "Property .page must be >= 1"),
        ("page=100", "invalid_query_params", "Property .page must be <= 99"),
        ("order=name", "invalid_query_params", "Property .order should be equal to one of the allowed values"),
        (
            "created_at[after]=soon",
            "invalid_query_params",
            "Property .created_at[after] cannot be recognized as a ISO-8601 compliant date",
        ),
        ("code=%00", "invalid_query_params", "Property .code must hold no NUL"),
        ("ids[]=a&ids[]=%00", "invalid_query_params", "Property .ids must hold no NUL"),
    ]
    all_refused(lambda query: api.get(f"/v1/vouchers?{query}"), cases)
    for query in ("filters[colour][conditions][$is]=x", "filters[code][conditions][$like]=x"):
        assert api.get(f"/v1/vouchers?{query}").status_code == 400


def test_an_import_makes_what_it_can_and_says_why_not_the_rest(api: TestClient, system: System) -> None:
    make(api, "TAKEN")
    items = [
        {"code": "G1", **GIFT, "metadata": {"a": 1}, "active": False, "redemption": {"quantity": 1}},
        {"code": "TAKEN", **GIFT},
        {"code": "D1", **OFF, "start_date": "2024-01-01"},
        {"code": "BAD", "type": "GIFT_VOUCHER", "gift": {"amount": "x"}},
        {"code": "WORSE", "type": "DISCOUNT_VOUCHER"},
        {"code": "NEGATIVE", "type": "GIFT_VOUCHER", "gift": {"amount": -5}},
    ]
    answer = api.post("/v1/vouchers/import", json=items)
    assert answer.status_code == 202
    action_id = answer.json()["async_action_id"]
    assert action_id.startswith("aa_")
    assert total(api) == 1
    system.services.actions.run_due()
    action = api.get(f"/v1/async-actions/{action_id}").json()
    assert (action["type"], action["status"], action["progress"]) == ("VOUCHERS.IMPORT", "DONE", 100)
    assert action["result"] == {
        "message": "2 voucher(s) imported successfully, 4 failed.",
        "failed": [
            {"code": "TAKEN", "reason": "Duplicated voucher exists with id TAKEN"},
            {"code": "BAD", "reason": "Property .gift.amount must be integer"},
            {"code": "WORSE", "reason": "Property .discount must be an object"},
            {"code": "NEGATIVE", "reason": "Amount has to be a valid positive number"},
        ],
        "done_count": 2,
        "failed_count": 4,
    }
    assert listed(api, "order=code") == "D1G1TAKEN"
    found = api.get("/v1/vouchers/G1").json()
    assert (found["gift"]["balance"], found["active"], found["metadata"]) == (10000, False, {"a": 1})


def test_a_large_import_goes_batch_by_batch(api: TestClient, system: System) -> None:
    items = [{"code": f"G{at:04}", **GIFT} for at in range(1201)]
    items[700]["code"] = " bad"
    action_id = api.post("/v1/vouchers/import", json=items).json()["async_action_id"]
    system.services.actions.run_due()
    result = api.get(f"/v1/async-actions/{action_id}").json()["result"]
    assert (result["done_count"], result["failed_count"], result["failed"][0]["code"]) == (1200, 1, " bad")
    assert total(api) == 1200
    assert len(rows(system, movements, "id")) == 1200


def test_an_import_that_cannot_be_is_refused_whole(api: TestClient) -> None:
    cases: list[tuple[Any, str, str]] = [
        ([], "missing_vouchers", "must NOT have fewer than 1 items"),
        ([{"code": "A", **GIFT}, {"code": "A", **OFF}], "duplicate_key", "Duplicate codes: A"),
        ([GIFT], "invalid_voucher", "Property [0].code is required"),
        ([{**GIFT, "code": ""}], "invalid_voucher", "Property [0].code is required"),
        ([5], "invalid_voucher", "Property [0].code is required"),
        ({"code": "A", **GIFT}, "invalid_payload", "must be array"),
    ]
    all_refused(lambda body: api.post("/v1/vouchers/import", json=body), cases)
    assert api.get("/v1/async-actions").json()["async_actions"] == []


def test_another_tenants_voucher_does_not_exist(api: TestClient, stranger: TestClient) -> None:
    before = make(api, "A")
    for name in (before["code"], before["id"]):
        for method, path, body in (
            ("GET", "", None),
            ("PUT", "", {"category": "c"}),
            ("DELETE", "", None),
            ("POST", "/enable", None),
            ("POST", "/disable", None),
            ("POST", "/balance", {"amount": 1}),
        ):
            found = refused(stranger.request(method, f"/v1/vouchers/{name}{path}", json=body), 404, "not_found")
            assert (found["resource_type"], found["resource_id"]) == ("voucher", name)
    assert api.get("/v1/vouchers/A").json() == before
    assert total(stranger) == 0
    assert make(stranger, "A")["id"] != before["id"]


def test_nobody_comes_in_without_a_key(anonymous: TestClient) -> None:
    for method, path in (
        ("GET", "/A"),
        ("POST", "/A"),
        ("PUT", "/A"),
        ("DELETE", "/A"),
        ("POST", "/A/balance"),
        ("GET", ""),
    ):
        answer = anonymous.request(method, f"/v1/vouchers{path}")
        assert answer.status_code == 401
        assert answer.json() == {"code": 401, "key": "unauthorized", "message": "Unauthorized"}
