"""Asking for exports: what is accepted, what is echoed, and how each wrong request is refused with nothing queued."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.services.core import Caller


@pytest.fixture
def campaigns(system: System, api: TestClient) -> dict[str, str]:
    """Ids of a campaign of each kind, by name."""
    bodies = {
        "points": {
            "campaign_type": "LOYALTY_PROGRAM",
            "voucher": {"type": "LOYALTY_CARD", "loyalty_card": {"points": 0}},
        },
        "gifts": {"campaign_type": "GIFT_VOUCHERS", "voucher": {"type": "GIFT_VOUCHER", "gift": {"amount": 100}}},
        "codes": {
            "campaign_type": "DISCOUNT_COUPONS",
            "voucher": {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 100}},
        },
    }
    return {name: api.post("/v1/campaigns", json={"name": name, **body}).json()["id"] for name, body in bodies.items()}


def queued(system: System) -> int:
    project = system.access.ensure_project("shop")
    return system.services.exports.list(Caller(project), limit=100, page=1, order="created_at").total


def test_the_body_of_seed_000_is_accepted_and_echoed_as_printed(api: TestClient, campaigns: dict[str, str]) -> None:
    body = {
        "order": "-created_at",
        "parameters": {
            "fields": ["id", "type", "source_id", "created_at"],
            "filters": {"created_at": {"conditions": {"$after": ["2024-10-01T00:00:00.000Z"]}}},
        },
    }
    answer = api.post(f"/v1/campaigns/{campaigns['points']}/transactions/export", json=body)
    assert answer.status_code == 200
    made = answer.json()
    assert made["id"].startswith("exp_") and len(made["id"]) == 28
    assert {k: made[k] for k in ("object", "status", "channel", "exported_object", "result", "user_id")} == {
        "object": "export",
        "status": "SCHEDULED",
        "channel": "API",
        "exported_object": "voucher_transactions",
        "result": None,
        "user_id": None,
    }
    assert made["parameters"] == {
        "order": "-created_at",
        "fields": ["id", "type", "source_id", "created_at"],
        "filters": {
            "created_at": {"conditions": {"$after": ["2024-10-01T00:00:00.000Z"]}},
            "campaign_id": {"conditions": {"$in": [campaigns["points"]]}},
        },
    }


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b'{"parameters":{}}', b'{"parameters":null}'])
def test_a_body_that_says_nothing_exports_everything(
    api: TestClient, campaigns: dict[str, str], content: bytes
) -> None:
    answer = api.post(
        "/v1/campaigns/points/transactions/export", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200
    expected = {"filters": {"campaign_id": {"conditions": {"$in": [campaigns["points"]]}}}}
    assert answer.json()["parameters"] == expected


def test_a_bare_create_echoes_empty_parameters(api: TestClient) -> None:
    assert api.post("/v1/exports", json={"exported_object": "voucher"}).json()["parameters"] == {}


def test_the_python_client_is_shown_a_condition_it_accepts(api: TestClient, campaigns: dict[str, str]) -> None:
    answer = api.post(
        "/v1/campaigns/points/transactions/export", json={}, headers={"X-Voucherify-Channel": "Python-SDK"}
    )
    assert answer.json()["parameters"]["filters"] == {"campaign_id": {"conditions": {"$is": campaigns["points"]}}}


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("a field", {"parameters": {"fields": ["id", "colour"]}}, "invalid_export_fields", "Allowed fields: id, "),
    ("an order", {"parameters": {"order": "amount"}}, "invalid_payload", "Property .parameters.order should be equal to one of the allowed values [ created_at, -created_at ]"),
    ("a filter field", {"parameters": {"filters": {"colour": {"conditions": {"$is": "red"}}}}}, "invalid_payload", "Property .parameters.filters.colour should be equal to one of the allowed values [ id, "),
    ("an operator", {"parameters": {"filters": {"created_at": {"conditions": {"$gt": 1}}}}}, "invalid_payload", "condition must be one of"),
    ("an operand", {"parameters": {"filters": {"created_at": {"conditions": {"$after": "soon"}}}}}, "invalid_payload", "created_at"),
    ("a junction", {"parameters": {"filters": {"junction": "xor", "voucher_id": {"$is": "v"}}}}, "invalid_payload", "[ and, or ]"),
    ("a type", {"parameters": {"fields": "id"}}, "invalid_payload", "must be array"),
    ("a parameter", {"parameters": {"filter": {"voucher_id": {"$is": "v"}}}}, "invalid_payload", ".parameters.filter is not known"),
    ("a campaign", {"parameters": {"campaign_id": "camp_1"}}, "invalid_payload", "is for exports of vouchers"),
    ("parameters", {"parameters": []}, "invalid_payload", "must be object"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "key", "words"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_request_names_what_is_allowed_and_queues_nothing(
    system: System, api: TestClient, campaigns: dict[str, str], body: dict[str, Any], key: str, words: str
) -> None:
    answer = api.post("/v1/campaigns/points/transactions/export", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()
    assert error["code"] == 400 and error["key"] == key and words in error["details"], error
    assert queued(system) == 0


def test_objects_are_the_vendors_nine(api: TestClient) -> None:
    for name in ("movement", "points_transaction", "nothing", None, 1):
        answer = api.post("/v1/exports", json={"exported_object": name})
        assert answer.status_code == 400
    assert answer.json()["details"] == (
        "Property .exported_object should be equal to one of the allowed values [ voucher, redemption, customer, "
        "publication, order, points_expiration, voucher_transactions, product, sku ]"
    )


def test_the_python_client_is_shown_fields_it_accepts(api: TestClient) -> None:
    asked = {"exported_object": "order", "parameters": {"fields": ["id", "metadata.a", "metadata.b"]}}
    made = api.post("/v1/exports", json=asked).json()
    assert made["parameters"]["fields"] == asked["parameters"]["fields"]
    shown = api.get(f"/v1/exports/{made['id']}", headers={"X-Voucherify-Channel": "Python-SDK"}).json()
    assert shown["parameters"] == {"fields": ["id", "metadata"]}


def test_a_campaign_without_balances_is_forbidden(system: System, api: TestClient, campaigns: dict[str, str]) -> None:
    answer = api.post(f"/v1/campaigns/{campaigns['codes']}/transactions/export", json={})
    assert answer.status_code == 403
    error = answer.json()
    assert error["key"] == "forbidden" and error["message"] == "Forbidden"
    assert error["details"] == "Transactions are allowed only for loyalty or gift campaigns"
    assert queued(system) == 0


def test_an_unknown_campaign_is_not_found(system: System, api: TestClient) -> None:
    answer = api.post("/v1/campaigns/camp_none/transactions/export", json={})
    assert answer.status_code == 404
    error = answer.json()
    assert error["details"] == "Cannot find campaign with id camp_none"
    assert (error["resource_id"], error["resource_type"]) == ("camp_none", "campaign")
    assert queued(system) == 0


def test_broken_json_is_the_vendors_other_error(api: TestClient, campaigns: dict[str, str]) -> None:
    answer = api.post(
        "/v1/campaigns/points/transactions/export", content=b"{", headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json() == {
        "statusCode": 400,
        "error": "Bad Request",
        "message": "Invalid request payload JSON format",
    }


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-App-Id": "nobody", "X-App-Token": "x"}, {"Authorization": "Bearer x"}],
    ids=["none", "key", "token"],
)
def test_without_good_credentials_nothing_is_told(anonymous: TestClient, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/v1/exports"), ("GET", "/v1/exports"), ("GET", "/v1/exports/exp_x")):
        answer = anonymous.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"code": 401, "key": "unauthorized", "message": "Unauthorized"}


def test_tenants_never_see_each_others_exports(api: TestClient, stranger: TestClient) -> None:
    export_id = api.post("/v1/exports", json={"exported_object": "order"}).json()["id"]
    assert stranger.get(f"/v1/exports/{export_id}").status_code == 404
    assert stranger.get(f"/v1/exports/{export_id}/manifest").status_code == 404
    assert stranger.delete(f"/v1/exports/{export_id}").status_code == 404
    assert stranger.get("/v1/exports").json()["total"] == 0
    assert api.get("/v1/exports").json()["total"] == 1


def test_a_deleted_export_is_gone(api: TestClient) -> None:
    export_id = api.post("/v1/exports", json={"exported_object": "order"}).json()["id"]
    assert api.delete(f"/v1/exports/{export_id}").status_code == 204
    error = api.get(f"/v1/exports/{export_id}").json()
    assert error["details"] == f"Cannot find export with id {export_id}"
    assert (error["resource_id"], error["resource_type"]) == (export_id, "export")


def test_the_list_pages_and_refuses_pages_that_cannot_be(api: TestClient) -> None:
    made = [api.post("/v1/exports", json={"exported_object": "order"}).json()["id"] for _ in range(3)]
    first = api.get("/v1/exports", params={"limit": 2, "order": "created_at"}).json()
    second = api.get("/v1/exports", params={"limit": 2, "page": 2, "order": "created_at"}).json()
    assert (first["object"], first["data_ref"], first["total"]) == ("list", "exports", 3)
    assert sorted(e["id"] for e in first["exports"] + second["exports"]) == sorted(made)
    for wrong in ({"limit": 0}, {"limit": 101}, {"page": 0}, {"order": "amount"}):
        answer = api.get("/v1/exports", params=wrong)
        assert answer.status_code == 400 and answer.json()["key"] == "invalid_query_params"


def test_the_same_idempotency_key_makes_one_export(api: TestClient) -> None:
    headers = {"Idempotency-Key": "month-end"}
    first = api.post("/v1/exports", json={"exported_object": "order"}, headers=headers).json()
    again = api.post("/v1/exports", json={"exported_object": "order"}, headers=headers).json()
    other = api.post("/v1/exports", json={"exported_object": "customer"}, headers=headers)
    assert first["id"] == again["id"]
    assert other.status_code == 409 and other.json()["key"] == "idempotency_key_reused"
    assert api.get("/v1/exports").json()["total"] == 1
