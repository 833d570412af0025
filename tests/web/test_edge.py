"""What every request passes: credentials, size limits, broken JSON, unknown paths, health."""

from __future__ import annotations

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
