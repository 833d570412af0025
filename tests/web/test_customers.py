"""Customers over HTTP: make or update, look up, list, walk, change, erase; each wrong request refused, nothing written."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from tests.fakes import FakeClock

BOB = {
    "source_id": "source_123",
    "name": "Bob Smith",
    "description": "A frequent customer",
    "email": "bob.smith@email.com",
    "phone": "+1 933 222 3333",
    "address": {
        "city": "New York",
        "country": "United States",
        "line_1": "123 Main St.",
        "line_2": "APT 3 BLG 4",
        "postal_code": "10001",
        "state": "NY",
    },
    "metadata": {"lang": "en", "test": True},
    "birthdate": "2022-01-01",
}
NO_SUMMARY = {
    "redemptions": {
        "total_redeemed": 0,
        "total_failed": 0,
        "total_succeeded": 0,
        "total_rolled_back": 0,
        "total_rollback_failed": 0,
        "total_rollback_succeeded": 0,
        "gift": {"redeemed_amount": 0, "amount_to_go": 0},
        "loyalty_card": {"redeemed_points": 0, "points_to_go": 0},
    },
    "orders": {"total_amount": 0, "total_count": 0, "average_amount": 0, "last_order_amount": 0},
}


def made(api: TestClient, **said: Any) -> dict[str, Any]:
    answer = api.post("/v1/customers", json=said)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(api: TestClient, query: str = "") -> list[str]:
    answer = api.get(f"/v1/customers?limit=100&{query}")
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["customers"]]


def test_the_vendors_example_comes_back_as_the_vendor_prints_it(api: TestClient) -> None:
    found = made(api, **BOB)
    assert found.pop("id").startswith("cust_")
    assert found == {
        **BOB,
        "summary": NO_SUMMARY,
        "loyalty": {"points": 0, "referred_customers": 0, "campaigns": {}},
        "referrals": {"total": 0, "campaigns": []},
        "system_metadata": {},
        "created_at": "2024-10-09T09:16:32.521Z",
        "object": "customer",
    }


def test_a_bare_customer_has_a_null_address_and_no_metadata(api: TestClient) -> None:
    found = made(api)
    assert found["address"] is None and found["source_id"] is None
    assert not found.keys() & {"metadata", "name", "email", "phone", "birthdate", "updated_at"}


def test_posting_again_updates_by_source_id_and_by_id(api: TestClient, clock: FakeClock) -> None:
    first = made(api, **BOB)
    clock.advance_ms(1000)
    second = made(api, source_id="source_123", name="Robert", metadata={"vip": 1}, address={"city": "Boston"})
    assert second["id"] == first["id"] and second["name"] == "Robert"
    assert second["email"] == BOB["email"]
    assert second["metadata"] == {"lang": "en", "test": True, "vip": 1}
    assert second["address"] == {**BOB["address"], "city": "Boston"}
    assert second["created_at"] == first["created_at"] and second["updated_at"] == "2024-10-09T09:16:33.521Z"
    third = made(api, id=first["id"], source_id="ignored", phone="7")
    assert third["id"] == first["id"] and third["source_id"] == "source_123" and third["phone"] == "7"
    assert len(ids(api)) == 1


def test_saying_the_same_again_changes_nothing(api: TestClient, clock: FakeClock) -> None:
    first = made(api, **BOB)
    clock.advance_ms(1000)
    assert made(api, **BOB) == first


def test_null_is_not_said_and_empty_text_takes_away(api: TestClient) -> None:
    made(api, **BOB)
    # What the vendor's Python client sends for a customer of whom only the name is given.
    nothing = dict.fromkeys(("description", "email", "phone", "birthday", "birthdate", "address", "metadata", "id"))
    found = made(api, source_id="source_123", name="Bob", **nothing)
    assert (
        found["email"] == BOB["email"] and found["address"] == BOB["address"] and found["metadata"] == BOB["metadata"]
    )
    found = made(api, source_id="source_123", email="", address={"line_2": ""})
    assert "email" not in found and "line_2" not in found["address"]


def test_an_instant_counts_as_its_date(api: TestClient) -> None:
    assert made(api, birthdate="1990-05-17T23:30:00-02:00")["birthdate"] == "1990-05-18"


@pytest.mark.parametrize("name", ["plain", "with/slash/and more", "ütf€8", "100% sure", "x?y#z"])
def test_a_customer_is_found_by_source_id_whatever_its_letters(api: TestClient, name: str) -> None:
    customer = made(api, source_id=name)
    path = f"/v1/customers/{quote(name, safe='')}"
    assert api.get(path).json()["id"] == customer["id"]
    assert api.put(path, json={"name": "New"}).json()["name"] == "New"
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_an_id_comes_before_a_source_id_that_looks_like_it(api: TestClient) -> None:
    first = made(api, source_id="one")
    other = made(api, source_id=first["id"])
    assert api.get(f"/v1/customers/{first['id']}").json()["source_id"] == "one"
    assert other["id"] != first["id"]


def test_put_changes_what_it_says_and_never_the_source_id(api: TestClient) -> None:
    first = made(api, **BOB)
    answer = api.put(
        f"/v1/customers/{first['id']}", json={"source_id": "other", "name": "B", "metadata": {"lang": "de"}}
    )
    assert answer.status_code == 200
    found = answer.json()
    assert (found["source_id"], found["name"]) == ("source_123", "B")
    assert found["metadata"] == {"lang": "de", "test": True}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_unknown_customer_is_the_vendors_404(api: TestClient, method: str) -> None:
    answer = api.request(method, "/v1/customers/cust_none", json={"name": "x"} if method == "PUT" else None)
    body = answer.json()
    assert answer.status_code == 404 and body.pop("request_id").startswith("v-")
    assert body == {
        "code": 404,
        "key": "not_found",
        "message": "Resource not found",
        "details": "Cannot find customer with id cust_none",
        "resource_id": "cust_none",
        "resource_type": "customer",
    }


def test_an_unknown_id_in_a_body_is_404_and_makes_nobody(api: TestClient) -> None:
    assert api.post("/v1/customers", json={"id": "cust_none", "source_id": "s"}).status_code == 404
    assert ids(api) == []


def test_deleting_erases_the_profile_and_frees_the_source_id(api: TestClient) -> None:
    first = made(api, **BOB)
    assert api.delete("/v1/customers/source_123").status_code == 204
    assert api.delete("/v1/customers/source_123").status_code == 404
    assert ids(api) == [] and api.get("/v1/customers").json()["total"] == 0
    again = made(api, source_id="source_123")
    assert again["id"] != first["id"] and "name" not in again


def test_a_permanent_deletion_leaves_a_receipt(api: TestClient) -> None:
    first = made(api, **BOB)
    receipt = api.post(f"/v1/customers/{first['id']}/permanent-deletion", json={}).json()
    assert receipt.pop("id").startswith("del_")
    assert receipt["data_json"].pop("customer") == 1 and set(receipt.pop("data_json").values()) == {0}
    assert receipt == {
        "created_at": "2024-10-09T09:16:32.521Z",
        "related_object_id": first["id"],
        "related_object": "customer",
        "status": "DONE",
        "object": "pernament_deletion",
    }
    assert api.get(f"/v1/customers/{first['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"name": 5}, "Property .name must be string"),
        ({"metadata": [1]}, "Property .metadata must be object"),
        ({"address": "here"}, "Property .address must be object"),
        ({"address": {"city": 1}}, "Property .address.city must be string"),
        ({"birthdate": "soon"}, "Property .birthdate cannot be recognized as a ISO-8601 compliant date"),
        ({"birthdate": "2023-02-30"}, "Property .birthdate cannot be recognized as a ISO-8601 compliant date"),
        ({"source_id": 7}, "Property .source_id must be string"),
        ({"name": "a\0b"}, "Property .name must hold no NUL and no broken characters"),
        ({"metadata": {"k": {"deep": "\ud800"}}}, "Property .metadata must hold no NUL and no broken characters"),
        ([], "Payload must be object"),
    ],
)
def test_a_wrong_body_is_refused_in_the_vendors_words(api: TestClient, body: Any, details: str) -> None:
    answer = api.post("/v1/customers", content=json.dumps(body), headers={"content-type": "application/json"})
    told = answer.json()
    assert answer.status_code == 400, answer.text
    assert (told["key"], told["message"], told["details"]) == ("invalid_payload", "Invalid payload", details)
    assert ids(api) == []


def test_lists_are_newest_first_and_paged(api: TestClient, clock: FakeClock) -> None:
    made_ids: list[str] = []
    for number in range(5):
        made_ids.append(made(api, source_id=f"s{number}")["id"])
        clock.advance_ms(10)
    body = api.get("/v1/customers?limit=2&page=2").json()
    assert [each["id"] for each in body["customers"]] == [made_ids[2], made_ids[1]]
    assert (body["object"], body["data_ref"], body["total"]) == ("list", "customers", 5)
    assert "has_more" not in body
    assert ids(api, "order=created_at") == made_ids
    assert ids(api, "order=source_id") == made_ids
    assert ids(api, "order=-source_id") == made_ids[::-1]
    api.put("/v1/customers/s1", json={"name": "changed"})
    assert ids(api, "order=-updated_at")[0] == made_ids[1]
    assert ids(api, "order=updated_at")[-1] == made_ids[1]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "page=0",
        "page=100",
        "order=name",
        "created_at[after]=yesterday",
        "starting_after=x",
        "filters[nothing][conditions][$is]=1",
        "filters[name][conditions][$gt]=1",
        "filters[name",
    ],
)
def test_a_wrong_list_query_is_400(api: TestClient, query: str) -> None:
    answer = api.get(f"/v1/customers?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == 400 and answer.json()["request_id"].startswith("v-")


def test_lists_narrow_by_every_documented_parameter(api: TestClient, clock: FakeClock) -> None:
    bob = made(api, **BOB)["id"]
    clock.advance_ms(1000)
    jane = made(api, source_id="jane", name="Jane", email="jane@email.com", address={"city": "Kraków"})["id"]
    assert ids(api, "email=jane@email.com") == [jane]
    assert ids(api, "city=Kraków") == [jane]
    assert ids(api, "name=Bob%20Smith") == [bob]
    assert ids(api, "email=&city=") == [jane, bob]
    moment = "2024-10-09T09:16:32.521Z"
    assert ids(api, f"created_at[after]={moment}") == [jane]
    assert ids(api, f"created_at%5Bbefore%5D={moment}") == []
    assert ids(api, "created_at[before]=2024-10-09T09:16:33Z") == [bob]
    clock.advance_ms(1000)
    api.put("/v1/customers/jane", json={"name": "J"})
    assert ids(api, "updated_at[after]=2024-10-09T09:16:34Z") == [jane]
    assert ids(api, "updated_at[before]=2024-10-09T09:16:34Z") == []
    assert api.get("/v1/customers?segment_id=seg_1").json()["resource_type"] == "segment"


def test_lists_narrow_by_filters(api: TestClient) -> None:
    bob = made(api, **BOB)["id"]
    jane = made(api, source_id="jane", name="Jane", metadata={"lang": "pl", "age": 40})["id"]
    assert ids(api, "filters[metadata.lang][conditions][$is]=pl") == [jane]
    assert ids(api, "filters[metadata.age][conditions][$more_than]=39") == [jane]
    assert set(ids(api, "filters[name][conditions][$in][0]=Jane&filters[name][conditions][$in][1]=Bob Smith")) == {
        bob,
        jane,
    }
    assert ids(api, "filters[name][conditions][$in]=['Jane', 'x']&filters[email]=None&filters[junction]=AND") == [jane]
    either = "filters[name][conditions][$is]=Jane&filters[address_city][conditions][$is]=New York&filters[junction]=OR"
    assert set(ids(api, either)) == {bob, jane}
    assert ids(api, "filters[loyalty_points][conditions][$more_than]=0") == []
    assert set(ids(api, "filters=None")) == {bob, jane}


@pytest.mark.parametrize(("order", "start"), [("created_at", "1970-01-01T00:00:00Z"), (None, "2200-01-01T00:00:00Z")])
def test_a_walk_meets_everybody_once_even_those_of_one_moment(
    api: TestClient, clock: FakeClock, order: str | None, start: str
) -> None:
    everybody: list[str] = []
    for crowd in (1, 4, 2, 3):
        everybody += [made(api)["id"] for _ in range(crowd)]
        clock.advance_ms(7)
    met: list[str] = []
    cursor = start
    for _ in range(len(everybody)):
        query = {"limit": 2, "starting_after": cursor} | ({"order": order} if order else {})
        body = api.get("/v1/customers", params=query).json()
        met += [each["id"] for each in body["customers"]]
        moments = [each["created_at"] for each in body["customers"]]
        cursor = max(moments) if order else min(moments)
        if not body["has_more"]:
            break
    assert sorted(met) == sorted(everybody)


def test_an_idempotency_key_answers_the_first_result(api: TestClient) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = api.post("/v1/customers", json={"name": "A"}, headers=headers).json()
    assert api.post("/v1/customers", json={"name": "A"}, headers=headers).json() == first
    other = api.post("/v1/customers", json={"name": "B"}, headers=headers)
    assert (other.status_code, other.json()["key"]) == (409, "idempotency_key_reused")
    assert len(ids(api)) == 1


def test_projects_never_see_each_others_customers(api: TestClient, stranger: TestClient) -> None:
    mine = made(api, **BOB)
    theirs = made(stranger, source_id="source_123", name="Somebody else")
    assert theirs["id"] != mine["id"]
    assert stranger.get(f"/v1/customers/{mine['id']}").status_code == 404
    assert stranger.put(f"/v1/customers/{mine['id']}", json={"name": "x"}).status_code == 404
    assert stranger.delete(f"/v1/customers/{mine['id']}").status_code == 404
    assert stranger.post("/v1/customers", json={"id": mine["id"]}).status_code == 404
    assert ids(stranger) == [theirs["id"]]
    assert api.get("/v1/customers/source_123").json()["name"] == "Bob Smith"
