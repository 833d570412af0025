"""Pending points over HTTP: promised by an earning rule, listed, changed, activated by hand and by the duty, canceled."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.clock import MS_PER_DAY
from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.web.asking import refused
from tests.web.redeeming import RULES, balance, check_books, member, movements, ok, programme


@pytest.fixture(autouse=True)
def books(system: System, api: TestClient) -> Any:
    """After every test here the ledger holds together."""
    yield
    check_books(system)


def promising(api: TestClient, days: int = 7, **more: Any) -> str:
    """A member whose paid orders promise 10 points each; the card's code."""
    programme(api, rules=RULES)
    rule = {
        "event": "order.paid",
        "loyalty": {"type": "FIXED", "points": 10},
        "source": {"banner": "ten"},
        "pending_points": {"period_type": "DAY", "period_value": days},
        **more,
    }
    ok(api.post("/v1/loyalties/Points/earning-rules", json=[rule]))
    return member(api)


def pay(api: TestClient, name: str) -> dict[str, Any]:
    """Pay an order and return what it promised."""
    body = {"source_id": name, "amount": 100, "status": "PAID", "customer": {"source_id": "ann"}}
    order = ok(api.post("/v1/orders", json=body))
    listed = ok(api.get("/v1/loyalties/Points/pending-points?limit=100"))["data"]
    return next(each for each in listed if each["order_id"] == order["id"])


def test_a_promise_is_listed_and_not_spendable(api: TestClient) -> None:
    code = promising(api)
    found = pay(api, "o-1")
    assert found["id"].startswith("lopp_")
    assert (found["points"], found["activates_at"]) == (10, "2024-10-16")
    assert found["details"]["earning_rule"]["source"] == {"banner": "ten"}
    card = ok(api.get(f"/v1/vouchers/{code}"))["loyalty_card"]
    assert (card["balance"], card["pending_points"]) == (0, 10)
    of_member = ok(api.get(f"/v1/loyalties/members/{code}/pending-points"))
    assert of_member == ok(api.get(f"/v1/loyalties/Points/members/{code}/pending-points"))
    assert of_member == {"object": "list", "data_ref": "data", "data": [found], "has_more": False}


def test_lists_are_walked_by_the_last_id_seen(api: TestClient) -> None:
    promising(api)
    ids = sorted(pay(api, f"o-{no}")["id"] for no in range(5))
    seen: list[str] = []
    page: dict[str, Any] = {"has_more": True}
    while page["has_more"]:
        after = f"&starting_after_id={seen[-1]}" if seen else ""
        page = ok(api.get(f"/v1/loyalties/Points/pending-points?limit=2&order=id{after}"))
        seen += [each["id"] for each in page["data"]]
    assert seen == ids
    refused(api.get("/v1/loyalties/Points/pending-points?starting_after_id=lopp_no"), 400, "invalid_query_params")


def test_activation_by_hand(api: TestClient) -> None:
    code = promising(api)
    found = pay(api, "o-1")
    path = f"/v1/loyalties/members/{code}/pending-points/{found['id']}"
    answer = ok(api.post(f"{path}/activate"))
    assert (answer["points"], answer["total"], answer["balance"], answer["operation_type"]) == (10, 10, 10, "MANUAL")
    (movement,) = movements(api, code)
    assert movement["type"] == "PENDING_POINTS_ACTIVATION"
    assert movement["details"]["pending_points"] == {"id": found["id"], "details": found["details"]}
    assert ok(api.get(f"/v1/loyalties/members/{code}/pending-points"))["data"] == []
    for call in ("activate", "cancel"):
        refused(api.post(f"{path}/{call}"), 400, "invalid_pending_points_state")
    refused(api.post(f"{path}/balance", json={"points": 1}), 400, "invalid_pending_points_state")
    assert balance(api, code) == 10


def test_adjusting_and_canceling(api: TestClient) -> None:
    code = promising(api)
    found, other = pay(api, "o-1"), pay(api, "o-2")
    path = f"/v1/loyalties/members/{code}/pending-points/{found['id']}"
    answer = ok(api.post(f"{path}/balance", json={"points": 5}))
    assert (answer["points"], answer["total"], answer["object"]) == (5, 25, "balance")
    assert ok(api.post(f"{path}/balance", json={"points": -12}))["total"] == 13
    refused(api.post(f"{path}/balance", json={"points": -4}), 400, "loyalty_card_points_exceeded")
    refused(api.post(f"{path}/balance", json={"points": 0}), 400, "invalid_amount")
    refused(api.post(f"{path}/balance", json={"points": 2**63}), 400, "invalid_amount")
    assert api.post(f"/v1/loyalties/members/{code}/pending-points/{other['id']}/cancel").status_code == 204
    assert ok(api.get(f"/v1/vouchers/{code}"))["loyalty_card"]["pending_points"] == 3
    assert movements(api, code) == []


def test_on_its_day_a_promise_is_kept_once(api: TestClient, system: System, clock: FakeClock) -> None:
    code = promising(api, days=2)
    pay(api, "o-1")
    clock.advance_ms(MS_PER_DAY)
    pay(api, "o-2")
    assert system.services.pending_points.run_due() == 0
    clock.advance_ms(MS_PER_DAY)
    assert [system.services.pending_points.run_due() for _ in range(2)] == [1, 0]
    clock.advance_ms(300 * MS_PER_DAY)
    assert [system.services.pending_points.run_due() for _ in range(2)] == [1, 0]
    found = movements(api, code)
    assert [each["source"] for each in found] == ["Automation"] * 3
    assert [each["type"] for each in found] == [
        "PENDING_POINTS_ACTIVATION", "POINTS_EXPIRATION", "PENDING_POINTS_ACTIVATION",
    ]  # fmt: skip


def test_points_live_from_their_activation_on_by_their_rules(api: TestClient, system: System, clock: FakeClock) -> None:
    code = promising(api, expiration_rules={"period_type": "MONTH", "period_value": 1})
    pay(api, "o-1")
    clock.advance_ms(40 * MS_PER_DAY)
    system.services.pending_points.run_due()
    (bucket,) = ok(api.get(f"/v1/loyalties/Points/members/{code}/points-expiration"))["data"]
    assert bucket["expires_at"] == "2024-12-18"


def test_a_promise_to_a_removed_card_is_canceled(api: TestClient, system: System, clock: FakeClock) -> None:
    code = promising(api)
    pay(api, "o-1")
    assert api.delete(f"/v1/vouchers/{code}").status_code == 204
    clock.advance_ms(30 * MS_PER_DAY)
    assert [system.services.pending_points.run_due() for _ in range(2)] == [0, 0]
    assert ok(api.get("/v1/loyalties/Points/pending-points"))["data"] == []


@pytest.mark.parametrize("call", ["activate", "cancel", "balance"])
def test_pending_points_of_another_card_are_not_found(api: TestClient, stranger: TestClient, call: str) -> None:
    code = promising(api)
    found, bob = pay(api, "o-1"), member(api, "bob")
    for client, card, pending in (
        (api, bob, found["id"]), (api, code, "lopp_no"), (api, "nobody", found["id"]), (stranger, code, found["id"]),
    ):  # fmt: skip
        answer = client.post(f"/v1/loyalties/members/{card}/pending-points/{pending}/{call}", json={"points": 1})
        refused(answer, 404, "not_found")
