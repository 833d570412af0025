"""OAuth as the vendor has it: tokens with fewer rights than their key, looked at, taken back, and gone in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil import settings as settings_table
from counterfoil.compose import System, build, build_app
from tests.fakes import FakeClock
from tests.web.asking import refused
from tests.web.conftest import signed_in


def grant(api: TestClient, **form: str) -> dict[str, Any]:
    answer = api.post("/v1/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(anonymous: TestClient, token: str) -> TestClient:
    return TestClient(anonymous.app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {token}"})


def test_a_token_opens_the_paths_of_its_scopes_and_no_others(api: TestClient, anonymous: TestClient) -> None:
    made = grant(api, grant_type="client_credentials", scope="exports vouchers")
    assert {name: made[name] for name in ("expires_in", "scope", "token_type")} == {
        "expires_in": 900,
        "scope": "exports vouchers",
        "token_type": "Bearer",
    }
    client = bearer(anonymous, made["access_token"])
    assert client.get("/v1/exports").status_code == 200
    assert client.post("/v1/exports", json={"exported_object": "voucher"}).status_code == 200
    assert client.get("/v1/vouchers").status_code == 200
    for method, path, scope in (
        ("GET", "/v1/campaigns", "campaigns"),
        ("POST", "/v1/campaigns/x/transactions/export", "campaigns"),
        ("POST", "/v1/loyalties/x/points-expiration/export", "loyalties"),
        ("POST", "/v1/orders/export", "orders"),
    ):
        refused(client.request(method, path), 403, "missing_required_permission", f"lacks the scope `{scope}`")
    everything = bearer(anonymous, grant(api)["access_token"])
    assert everything.get("/v1/campaigns").status_code == 200


def test_introspect_and_revoke_take_the_clients_word_and_the_standards(api: TestClient, anonymous: TestClient) -> None:
    for name in ("access_token", "token"):
        token = grant(api, scope="exports")["access_token"]
        seen = api.post("/v1/oauth/introspect", data={name: token}).json()
        assert (seen["active"], seen["scope"], seen["token_type"]) == (True, "exports", "Bearer")
        revoked = api.post("/v1/oauth/token/revoke", data={name: token})
        assert (revoked.status_code, revoked.content) == (204, b"")
        assert api.post("/v1/oauth/introspect", data={name: token}).json() == {"active": False}
        again = api.post("/v1/oauth/token/revoke", data={name: token})
        assert (again.status_code, again.content) == (404, b"")
        assert bearer(anonymous, token).get("/v1/exports").status_code == 401
    refused(api.post("/v1/oauth/introspect"), 400, "missing_parameters", "access_token")


def test_a_token_ends_by_itself(api: TestClient, anonymous: TestClient, clock: FakeClock) -> None:
    client = bearer(anonymous, grant(api, scope="exports")["access_token"])
    clock.advance_ms(899_000)
    assert client.get("/v1/exports").status_code == 200
    clock.advance_ms(2_000)
    assert client.get("/v1/exports").json() == {"code": 401, "key": "unauthorized", "message": "Unauthorized"}


@pytest.mark.parametrize(
    ("form", "key", "details"),
    [
        ({"scope": "exports nothing"}, "invalid_scope", "Invalid scope: nothing"),
        ({"scope": "exports,vouchers"}, "invalid_scope", "Invalid scope: exports,vouchers"),
        ({"grant_type": "password"}, "invalid_grant_type", "Invalid grant type: password"),
    ],
)
def test_a_wrong_wish_is_refused(api: TestClient, form: dict[str, str], key: str, details: str) -> None:
    refused(api.post("/v1/oauth/token", data=form), 400, key, details)


def test_nobody_gets_more_than_they_have(system: System, api: TestClient, anonymous: TestClient) -> None:
    token = grant(api, scope="exports")["access_token"]
    assert anonymous.post("/v1/oauth/token").status_code == 401
    assert bearer(anonymous, token).post("/v1/oauth/token").status_code == 401, "a token makes no tokens"
    keys = system.access.create_keys("shop", scopes=["exports"])
    narrow = TestClient(anonymous.app, headers={"X-App-Id": keys.app_id, "X-App-Token": keys.app_token})
    refused(narrow.post("/v1/oauth/token", data={"scope": "vouchers"}), 403, "missing_required_permission", "vouchers")
    assert grant(narrow)["scope"] == "exports"
    stranger = signed_in(system, anonymous, "other-shop")
    assert stranger.post("/v1/oauth/introspect", data={"access_token": token}).json() == {"active": False}
    assert stranger.post("/v1/oauth/token/revoke", data={"access_token": token}).status_code == 404
    assert bearer(anonymous, token).get("/v1/exports").status_code == 200


def test_rate_limits_are_told_and_kept(tmp_path: Path, clock: FakeClock) -> None:
    system = build(settings_table.load({"home": str(tmp_path), "rate_limit_per_min": 3}, {}), clock)
    with TestClient(build_app(system), raise_server_exceptions=False) as anonymous:
        api = signed_in(system, anonymous, "shop")
        token = grant(api, scope="exports")["access_token"]
        # A token counts with its key, and a refused request counts too.
        answers = [bearer(anonymous, token).get("/v1/exports"), api.get("/v1/exports/none")]
        assert [answer.status_code for answer in answers] == [200, 404]
        retry = answers[0].headers["x-rate-limit-retry"]
        assert [answer.headers["x-rate-limit-remaining"] for answer in answers] == ["1", "0"]
        over = api.get("/v1/exports")
        assert (over.status_code, over.json()["message"]) == (429, "Too many requests hit the API too quickly.")
        assert {name: over.headers[f"x-rate-limit-{name}"] for name in ("limit", "remaining", "retry")} == {
            "limit": "3",
            "remaining": "0",
            "retry": retry,
        }
        left_s = int(retry) - clock.now_ms() // 1000
        assert over.headers["retry-after"] == str(left_s) and 0 < left_s <= 60
        clock.advance_ms(left_s * 1000)
        assert api.get("/v1/exports").headers["x-rate-limit-remaining"] == "2"
    system.close()
