"""Rewards over HTTP: made, changed, removed; assigned to programmes under both of the vendor's paths."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from tests.web.asking import OFF, refused
from tests.web.redeeming import material_reward, member, ok, programme, row_counts

MUG = {"name": "Mug", "parameters": {"product": {"id": "prod_1"}}}


def test_a_reward_is_made_changed_and_removed(api: TestClient) -> None:
    body = {**MUG, "stock": 5, "attributes": {"image_url": "https://x/mug.png"}, "metadata": {"size": "L"}}
    made = ok(api.post("/v1/rewards", json=body))
    assert made.pop("id").startswith("rew_")
    assert made == {
        "name": "Mug",
        "stock": 5,
        "redeemed": 0,
        "attributes": {"image_url": "https://x/mug.png"},
        "metadata": {"size": "L"},
        "type": "MATERIAL",
        "parameters": {"product": {"id": "prod_1"}},
        "created_at": "2024-10-09T09:16:32.521Z",
        "updated_at": None,
        "object": "reward",
    }
    (listed,) = ok(api.get("/v1/rewards"))["data"]
    changed = ok(api.put(f"/v1/rewards/{listed['id']}", json={"stock": 7, "metadata": {"color": "red"}}))
    assert (changed["name"], changed["stock"], changed["metadata"]) == ("Mug", 7, {"size": "L", "color": "red"})
    assert ok(api.get(f"/v1/rewards/{listed['id']}")) == changed
    refused(api.put(f"/v1/rewards/{listed['id']}", json={"parameters": {"coin": {"exchange_ratio": 1}}}), 400,
            "invalid_payload", "MATERIAL")  # fmt: skip
    assert api.delete(f"/v1/rewards/{listed['id']}").status_code == 204
    refused(api.get(f"/v1/rewards/{listed['id']}"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "details"),
    [
        ({}, 400, "name"),
        ({"name": "x"}, 400, ".parameters must have exactly one of"),
        ({"name": "x", "parameters": {"coin": {"exchange_ratio": 0}}}, 400, ".parameters.coin.exchange_ratio"),
        ({**MUG, "stock": -1}, 400, ".stock"),
        ({**MUG, "stock": 1.5}, 400, ".stock must be integer"),
        ({"name": "x", "parameters": {"campaign": {"id": "camp_none"}}}, 404, "camp_none"),
    ],
)
def test_wrong_rewards_are_refused(
    api: TestClient, system: System, body: dict[str, Any], status: int, details: str
) -> None:
    before = row_counts(system)
    refused(api.post("/v1/rewards", json=body), status, "not_found" if status == 404 else "invalid_payload", details)
    assert row_counts(system) == before


def test_stock_cannot_fall_below_what_was_redeemed(api: TestClient) -> None:
    programme(api, points=100)
    code, reward_id = member(api), material_reward(api, 1, stock=3)
    for _ in range(2):
        ok(api.post(f"/v1/loyalties/members/{code}/redemption", json={"reward": {"id": reward_id}}))
    refused(api.put(f"/v1/rewards/{reward_id}", json={"stock": 1}), 400, "invalid_payload", "cannot be lower than 2")


def test_assignments_from_the_rewards_side(api: TestClient) -> None:
    home = programme(api)
    reward = ok(api.post("/v1/rewards", json=MUG))
    path = f"/v1/rewards/{reward['id']}/assignments"
    made = ok(api.post(path, json={"campaign": "Points", "parameters": {"loyalty": {"points": 30}}}))
    assert made["id"].startswith("rewa_")
    assert (made["reward_id"], made["related_object_id"], made["related_object_type"]) == (
        reward["id"], home["id"], "campaign",
    )  # fmt: skip
    assert (made["parameters"], made["object"]) == ({"loyalty": {"points": 30}}, "reward_assignment")
    assert ok(api.get(path))["data"] == [made]
    again = api.post(path, json={"campaign": home["id"], "parameters": {"loyalty": {"points": 5}}})
    refused(again, 409, "duplicate_found")
    changed = ok(api.put(f"{path}/{made['id']}", json={"parameters": {"loyalty": {"points": 31}}}))
    assert ok(api.get(f"{path}/{made['id']}")) == changed
    assert changed["parameters"]["loyalty"]["points"] == 31
    assert api.delete(f"{path}/{made['id']}").status_code == 204
    refused(api.get(f"{path}/{made['id']}"), 404, "not_found")
    assert ok(api.get(path))["total"] == 0


def test_assignments_from_the_programmes_side(api: TestClient) -> None:
    programme(api)
    one, other = ok(api.post("/v1/rewards", json=MUG)), ok(api.post("/v1/rewards", json=MUG))
    price = {"loyalty": {"points": 3}}
    body = [{"reward": one["id"], "parameters": price}, {"reward": other["id"], "parameters": price}]
    made = ok(api.post("/v1/loyalties/Points/rewards", json=body))
    assert [each["reward_id"] for each in made] == [one["id"], other["id"]]
    for name in ("rewards", "reward-assignments"):
        assert ok(api.get(f"/v1/loyalties/Points/{name}"))["total"] == 2
        assert ok(api.get(f"/v1/loyalties/Points/{name}/{made[0]['id']}")) == made[0]
        assert ok(api.get(f"/v1/loyalties/Points/{name}?assignment_id={made[1]['id']}"))["data"] == [made[1]]
    assert ok(api.get(f"/v1/loyalties/Points/reward-assignments/{made[0]['id']}/reward"))["id"] == one["id"]
    path = f"/v1/loyalties/Points/rewards/{made[0]['id']}"
    assert ok(api.put(path, json={"parameters": {"loyalty": {"points": 9}}}))["parameters"]["loyalty"]["points"] == 9
    assert api.delete(path).status_code == 204
    refused(api.get(path), 404, "not_found")


def test_the_python_client_gets_one_assignment_as_an_object(api: TestClient) -> None:
    programme(api)
    reward = ok(api.post("/v1/rewards", json=MUG))
    body = [{"reward": reward["id"], "parameters": {"loyalty": {"points": 3}}}]
    answer = api.post("/v1/loyalties/Points/rewards", json=body, headers={"X-Voucherify-Channel": "Python-SDK"})
    assert ok(answer)["reward_id"] == reward["id"]


@pytest.mark.parametrize(
    ("points", "key"),
    [(0, "invalid_amount"), (-1, "invalid_amount"), (None, "invalid_amount"), (1.5, "invalid_payload")],
)
def test_a_price_is_a_positive_whole_number(api: TestClient, system: System, points: Any, key: str) -> None:
    programme(api)
    reward = ok(api.post("/v1/rewards", json=MUG))
    other = ok(api.post("/v1/rewards", json=MUG))
    before = row_counts(system)
    good = {"reward": other["id"], "parameters": {"loyalty": {"points": 3}}}
    body = [good, {"reward": reward["id"], "parameters": {"loyalty": {"points": points}}}]
    refused(api.post("/v1/loyalties/Points/rewards", json=body), 400, key)
    assert row_counts(system) == before


def test_rewards_are_offered_by_loyalty_programmes_of_the_same_project(api: TestClient, stranger: TestClient) -> None:
    ok(api.post("/v1/campaigns", json={"name": "Off", "campaign_type": "DISCOUNT_COUPONS", "voucher": OFF}))
    reward = ok(api.post("/v1/rewards", json=MUG))
    body = {"campaign": "Off", "parameters": {"loyalty": {"points": 3}}}
    refused(api.post(f"/v1/rewards/{reward['id']}/assignments", json=body), 404, "not_found")
    programme(stranger)
    body = {"campaign": "Points", "parameters": {"loyalty": {"points": 3}}}
    refused(stranger.post(f"/v1/rewards/{reward['id']}/assignments", json=body), 404, "not_found")


def test_a_reward_that_the_programme_does_not_offer_is_not_found(api: TestClient) -> None:
    programme(api, points=50)
    programme(api, "Other")
    code, reward_id = member(api), material_reward(api, 1, "Other")
    refused(api.post(f"/v1/loyalties/members/{code}/redemption", json={"reward": {"id": reward_id}}), 404, "not_found")
    refused(api.post(f"/v1/loyalties/members/{code}/redemption", json={}), 400, "missing_reward")
