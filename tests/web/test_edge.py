"""What every request passes: credentials, size limits, broken JSON, unknown paths, health."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient


def test_health_answers_ready_once_the_schema_is_there(anonymous: TestClient) -> None:
    assert anonymous.get("/health/ready").json() == {"status": "ready"}


def test_an_unknown_path_is_the_vendors_error_object(api: TestClient) -> None:
    answer = api.get("/v1/nothing-here")
    assert answer.status_code == 404
    body = answer.json()
    assert body["code"] == 404 and body["key"] == "not_found" and body["request_id"].startswith("v-")


def test_a_body_over_the_limit_is_413_in_the_vendors_other_shape(api: TestClient) -> None:
    answer = api.post(
        "/v1/exports", content=b"x" * (10 * 1024 * 1024 + 1), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.json()["statusCode"] == 413


def test_a_body_that_says_it_is_no_json_is_415_and_nothing_is_made(api: TestClient) -> None:
    # What curl -d sends when nobody tells it otherwise, and what an XML client sends.
    for kind in ("application/x-www-form-urlencoded", "text/xml; charset=utf-8"):
        answer = api.post("/v1/exports", content=b'{"exported_object": "voucher"}', headers={"content-type": kind})
        assert answer.status_code == 415
        assert answer.json() == {
            "statusCode": 415,
            "error": "Unsupported Media Type",
            "message": f"Unsupported media type {kind.partition(';')[0]}; send application/json",
        }
    assert api.get("/v1/exports").json()["total"] == 0
    for kind in ("application/json", "application/json; charset=utf-8", "application/vnd.api+json", None):
        headers = {} if kind is None else {"content-type": kind}
        answer = api.post("/v1/exports", content=b'{"exported_object": "voucher"}', headers=headers)
        assert answer.status_code == 200, kind


def test_a_method_that_a_path_has_not_is_405_with_those_it_has(api: TestClient) -> None:
    answer = api.put("/v1/exports", json={})
    assert (answer.status_code, answer.json()["key"], answer.headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, POST",
    )
    assert api.patch("/v1/exports/exp_x", json={}).headers["allow"] == "DELETE, GET, HEAD"


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "text/plain", "*/*", ""])
def test_whatever_a_caller_accepts_it_gets_json(api: TestClient, accept: str) -> None:
    answer = api.get("/v1/exports", headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_a_trailing_slash_makes_no_difference(api: TestClient) -> None:
    assert api.post("/v1/exports/", json={"exported_object": "voucher"}).status_code == 200
    assert api.post("/v1/vouchers/", json={"type": "GIFT_VOUCHER", "gift": {"amount": 1}}).status_code == 200
    assert api.get("/v1/exports/").json()["total"] == 1


def test_the_document_names_no_answer_that_is_never_sent(anonymous: TestClient) -> None:
    document = anonymous.get("/openapi.json").json()
    answers = [operation["responses"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(answers) > 100 and not [each for each in answers if "422" in each]
    assert "ValidationError" not in str(document)
