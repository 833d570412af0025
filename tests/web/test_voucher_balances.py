"""Balances of cards over HTTP: what is added and taken, what is refused, and that nothing happens twice."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import movements
from tests.web.asking import GIFT, OFF, all_refused, held_card, make, refused, rows, total


def test_credits_are_added_and_removed(api: TestClient, system: System) -> None:
    card = make(api, "A")
    added = api.post("/v1/vouchers/A/balance", json={"amount": 2500, "source_id": "8638", "reason": "goodwill"})
    assert added.json() == {
        "amount": 2500, "total": 12500, "balance": 12500, "type": "gift_voucher", "operation_type": "MANUAL",
        "object": "balance", "related_object": {"type": "voucher", "id": card["id"]},
    }  # fmt: skip
    removed = api.post(
        f"/v1/vouchers/{card['id']}/balance", json={"amount": -500}, headers={"X-Voucherify-Channel": "till 7"}
    ).json()
    assert (removed["amount"], removed["total"], removed["balance"]) == (-500, 12000, 12000)
    written = rows(system, movements, "type", "amount", "balance", "source", "source_id", "reason")
    assert written == [
        ("OPENING_BALANCE", 10000, 10000, None, None, None),
        ("CREDITS_ADDITION", 2500, 12500, "API", "8638", "goodwill"),
        ("CREDITS_REMOVAL", -500, 12000, "till 7", None, None),
    ]
    gift = api.get("/v1/vouchers/A").json()["gift"]
    assert gift == {"amount": 12500, "subtracted_amount": 500, "balance": 12000, "effect": "APPLY_TO_ORDER"}


def test_points_are_added_by_the_programmes_rules(api: TestClient, system: System) -> None:
    rules = {"period_type": "MONTH", "period_value": 2, "rounding_type": "END_OF_MONTH"}
    template = {"loyalty_card": {"points": 10, "expiration_rules": rules}}
    campaign = {"name": "Club", "campaign_type": "LOYALTY_PROGRAM", "voucher": template}
    held_card(system, "CARD", api.post("/v1/campaigns", json=campaign).json()["id"])
    done = api.post("/v1/vouchers/CARD/balance", json={"amount": 90}).json()
    assert (done["type"], done["amount"], done["total"], done["balance"]) == ("loyalty_card", 90, 100, 100)
    assert "points" not in done
    card = api.get("/v1/vouchers/CARD").json()["loyalty_card"]
    assert (card["balance"], card["next_expiration_date"], card["next_expiration_points"]) == (100, "2024-12-31", 100)
    taken = api.post("/v1/vouchers/CARD/balance", json={"amount": -30}).json()
    assert taken["balance"] == 70
    card = api.get("/v1/vouchers/CARD").json()["loyalty_card"]
    assert (card["points"], card["balance"], card["subtracted_points"]) == (100, 70, 30)
    exceeded = refused(api.post("/v1/vouchers/CARD/balance", json={"amount": -71}), 400, "loyalty_card_points_exceeded")
    assert exceeded["message"] == "loyalty card points exceeded"


BAD_BALANCES: list[tuple[Any, str, str]] = [
    ({"amount": 0}, "invalid_amount", "Amount has to be a valid positive number"),
    ({"amount": -10001}, "gift_amount_exceeded", "gift amount exceeded"),
    ({"amount": 10**30}, "invalid_amount", "Amount must lie between"),
    ({"amount": -(10**30)}, "invalid_amount", "Amount must lie between"),
    ({"amount": 2**62}, "invalid_amount", "Amount must lie between"),
    ({"amount": 1.5}, "invalid_payload", "Property .amount must be integer"),
    ({"amount": "5"}, "invalid_payload", "Property .amount must be integer"),
    ({"amount": None}, "invalid_payload", "Property .amount must be integer"),
    ({"amount": 5, "reason": 5}, "invalid_payload", "Property .reason must be string"),
    ({"amount": 5, "source_id": "\0"}, "invalid_payload", "Property .source_id must hold no NUL"),
    ({}, "invalid_payload", "must have required property 'amount'"),
    (None, "invalid_payload", "must be an object"),
]


def test_a_balance_that_cannot_change_does_not(api: TestClient, system: System) -> None:
    before = make(api, "A")
    all_refused(lambda body: api.post("/v1/vouchers/A/balance", json=body), BAD_BALANCES)
    assert api.get("/v1/vouchers/A").json() == before
    assert len(rows(system, movements, "id")) == 1


def test_a_card_that_cannot_be_used_keeps_its_balance(api: TestClient, system: System) -> None:
    for code, body, key in (
        ("A", {"active": False}, "voucher_disabled"),
        ("B", {"expiration_date": "2024-10-09T09:16:32.520Z"}, "voucher_expired"),
        ("C", {"start_date": "2024-10-09T09:16:32.522Z"}, "voucher_not_active"),
    ):
        make(api, code, **body)
        for amount in (1, -1):
            refused(api.post(f"/v1/vouchers/{code}/balance", json={"amount": amount}), 400, key)
    assert len(rows(system, movements, "id")) == 3


def test_only_cards_have_balances_and_points_need_a_holder(api: TestClient, system: System) -> None:
    make(api, "OFF", **OFF)
    make(api, "CARD", type="LOYALTY_CARD", loyalty_card={"points": 5})
    refused(api.post("/v1/vouchers/OFF/balance", json={"amount": 1}), 400, "invalid_voucher", "has no balance")
    answer = api.post("/v1/vouchers/CARD/balance", json={"amount": 1})
    refused(answer, 400, "invalid_add_balance_params", "must be assigned to a holder")
    refused(api.post("/v1/vouchers/NONE/balance", json={"amount": 1}), 404, "not_found", "voucher with id NONE")
    assert len(rows(system, movements, "id")) == 1


def test_an_idempotency_key_makes_a_balance_change_once(api: TestClient, system: System) -> None:
    make(api, "A")
    key = {"Idempotency-Key": "k1"}
    first = api.post("/v1/vouchers/A/balance", json={"amount": 5}, headers=key)
    again = api.post("/v1/vouchers/A/balance", json={"amount": 5}, headers=key)
    assert first.json() == again.json()
    assert api.get("/v1/vouchers/A").json()["gift"]["balance"] == 10005
    refused(api.post("/v1/vouchers/A/balance", json={"amount": 6}, headers=key), 409, "idempotency_key_reused")
    made = [api.post("/v1/vouchers", json=GIFT, headers={"Idempotency-Key": "k2"}).json() for _ in range(2)]
    assert made[0] == made[1]
    assert total(api) == 2
    gone = [api.delete("/v1/vouchers/A", headers={"Idempotency-Key": "k3"}).status_code for _ in range(2)]
    assert gone == [204, 204]
    assert len(rows(system, movements, "id")) == 3
