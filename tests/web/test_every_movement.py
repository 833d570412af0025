"""Each operation of a shop over HTTP, and each of the documented movement types in an export that follows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.clock import MS_PER_DAY
from counterfoil.compose import System
from counterfoil.domain.movements import HIDDEN_TYPES, MovementType
from tests.fakes import FakeClock
from tests.waiting import until
from tests.wired import House

pytestmark = pytest.mark.slow

FIELDS = [
    *("id", "type", "source_id", "reason", "balance", "amount", "created_at"),
    *("voucher_id", "source", "details", "related_transaction_id"),
]


def post(api: TestClient, path: str, body: Any, **headers: str) -> Any:
    answer = api.post(path, json=body, headers=headers)
    assert answer.status_code < 300, (path, answer.text)
    return answer.json()


def exported(system: System, api: TestClient, path: str) -> dict[str, list[dict[str, str]]]:
    """Ask, wait, download; the rows by type."""
    made = post(api, path, {"parameters": {"fields": FIELDS, "order": "created_at"}})

    def done() -> dict[str, Any] | None:
        export = api.get(f"/v1/exports/{made['id']}").json()
        assert export["status"] != "ERROR", export
        return export if export["status"] == "DONE" else None

    content = api.get(until(done, "the export to be done")["result"]["url"]).text
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(content, newline="")):
        rows.setdefault(row["type"], []).append(row)
    return rows


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own, with its worker."""
    with closing(House(tmp_path_factory.mktemp("running"))) as built:
        built.system.workers.start()
        yield built


def a_years_business(api: TestClient, clock: FakeClock, system: System) -> None:
    rules = {"period_type": "MONTH", "period_value": 1}
    card = {"type": "LOYALTY_CARD", "loyalty_card": {"points": 0, "expiration_rules": rules}}
    post(api, "/v1/campaigns", {"name": "Points", "campaign_type": "LOYALTY_PROGRAM", "voucher": card})
    gift = {"type": "GIFT_VOUCHER", "gift": {"amount": 10_000}}
    post(api, "/v1/campaigns", {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": gift})
    rule = {"event": "order.paid", "loyalty": {"type": "FIXED", "points": 250}, "source": {"banner": "Every order"}}
    post(api, "/v1/loyalties/Points/earning-rules", [rule])
    for name in ("ANN", "BOB"):
        post(api, f"/v1/campaigns/Points/vouchers/{name}", {})
        post(api, "/v1/loyalties/Points/members", {"voucher": name, "customer": {"source_id": name.lower()}})
    post(api, "/v1/campaigns/Gifts/vouchers/GIFT", {})

    by_hand = {"reason": 'Apology, "sincere"', "source_id": "8638"}
    channel = {"X-Voucherify-Channel": "back-office"}
    post(api, "/v1/loyalties/members/ANN/balance", {"points": 100, **by_hand}, **channel)
    post(api, "/v1/loyalties/members/ANN/balance", {"points": -40, **by_hand}, **channel)
    post(api, "/v1/orders", {"source_id": "o-1", "amount": 100, "status": "PAID", "customer": {"source_id": "ann"}})
    transfer = [{"code": "ANN", "points": 30, "reason": "For Bob", "source_id": "t-1"}]
    post(api, "/v1/loyalties/Points/members/BOB/transfers", transfer)
    reward = post(api, "/v1/rewards", {"name": "Mug", "type": "MATERIAL", "parameters": {"product": {"id": "prod_1"}}})
    assignment = {"campaign": "Points", "parameters": {"loyalty": {"points": 50}}}
    post(api, f"/v1/rewards/{reward['id']}/assignments", assignment)
    redeemed = post(api, "/v1/loyalties/Points/members/ANN/redemption", {"reward": {"id": reward["id"]}})
    post(api, f"/v1/redemptions/{redeemed['id']}/rollback", {"reason": "Out of mugs"})

    post(api, "/v1/vouchers/GIFT/balance", {"amount": 500, **by_hand}, **channel)
    post(api, "/v1/vouchers/GIFT/balance", {"amount": -200, **by_hand}, **channel)
    gift_item = {"object": "voucher", "id": "GIFT", "gift": {"credits": 700}}
    paid = post(api, "/v1/redemptions", {"redeemables": [gift_item], "order": {"amount": 700}})
    post(api, f"/v1/redemptions/{paid['redemptions'][0]['id']}/rollback", {})

    clock.advance_ms(90 * MS_PER_DAY)
    assert system.services.expiry.run_due() >= 1
    assert system.services.expiry.run_due() == 0


def test_every_documented_type_comes_out_of_an_operation(system: System, api: TestClient, clock: FakeClock) -> None:
    a_years_business(api, clock, system)
    points = exported(system, api, "/v1/campaigns/Points/transactions/export")
    gifts = exported(system, api, "/v1/campaigns/Gifts/transactions/export")
    both = points | gifts
    pending = {MovementType.PENDING_POINTS_ACTIVATION}  # has a test of its own: it takes a rule that promises points
    assert set(both) == {str(kind) for kind in MovementType} - HIDDEN_TYPES - pending

    for kind in ("POINTS_ADDITION", "POINTS_REMOVAL", "CREDITS_ADDITION", "CREDITS_REMOVAL"):
        (row,) = both[kind]
        assert (row["source"], row["source_id"], row["reason"]) == ("back-office", "8638", 'Apology, "sincere"')
    for kind in ("POINTS_REDEMPTION", "POINTS_REFUND", "CREDITS_REDEMPTION", "CREDITS_REFUND", "POINTS_EXPIRATION"):
        assert all(row["source_id"] == row["reason"] == "" for row in both[kind])
    assert {row["source"] for kind in ("POINTS_ACCRUAL", "POINTS_EXPIRATION") for row in both[kind]} == {"Automation"}

    (out,), (into,) = both["POINTS_TRANSFER_OUT"], both["POINTS_TRANSFER_IN"]
    assert out["related_transaction_id"] == into["id"] and into["related_transaction_id"] == out["id"]
    assert (out["reason"], out["source_id"], into["reason"], into["source_id"]) == ("For Bob", "t-1", "For Bob", "")

    named = {
        "POINTS_ACCRUAL": {"order", "event", "earning_rule"},
        "POINTS_TRANSFER_OUT": {"destination_voucher"},
        "POINTS_TRANSFER_IN": {"source_voucher"},
        "POINTS_REDEMPTION": {"redemption", "reward"},
        "POINTS_REFUND": {"redemption", "reward", "rollback"},
        "CREDITS_REDEMPTION": {"order", "redemption"},
        "CREDITS_REFUND": {"order", "redemption", "rollback"},
    }
    for kind, rows in both.items():
        for row in rows:
            details = json.loads(row["details"])
            about = details["balance"]
            assert about["balance"] == int(row["balance"])
            assert about.get("points", about.get("amount")) == int(row["amount"])
            assert named.get(kind, set()) <= set(details), (kind, details)
    # All points have expired; of the money 500 came by hand, 200 went, and what was paid came back.
    assert sum(int(row["amount"]) for rows in points.values() for row in rows) == 0
    assert sum(int(row["amount"]) for rows in gifts.values() for row in rows) == 300
