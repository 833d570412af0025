"""Requests about redemptions and members that many tests make."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db import summaries
from counterfoil.db.schema import metadata
from tests.ledger.truth import ledger_faults

RULES = {"period_type": "MONTH", "period_value": 3, "rounding_type": "END_OF_MONTH"}


def ok(answer: Any, status: int = 200) -> Any:
    """The answer's JSON, after asserting its status."""
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def programme(api: TestClient, name: str = "Points", points: int = 0, rules: Any = None) -> dict[str, Any]:
    """A loyalty programme whose cards start with `points`."""
    card = {"points": points, "expiration_rules": rules}
    voucher = {"type": "LOYALTY_CARD", "loyalty_card": card}
    return ok(api.post("/v1/loyalties", json={"name": name, "voucher": voucher}))


def member(api: TestClient, customer: str = "ann", campaign: str = "Points") -> str:
    """The code of a new member's card."""
    return ok(api.post(f"/v1/loyalties/{campaign}/members", json={"customer": {"source_id": customer}}))["code"]


def coin_reward(api: TestClient, campaign: str = "Points", ratio: float = 1, points: int = 1) -> str:
    """The id of a reward that pays orders, offered by the programme."""
    body = {"name": "Pay", "parameters": {"coin": {"exchange_ratio": ratio, "points_ratio": points}}}
    reward_id = ok(api.post("/v1/rewards", json=body))["id"]
    ok(api.post(f"/v1/loyalties/{campaign}/rewards", json=[{"reward": reward_id}]))
    return reward_id


def material_reward(api: TestClient, price: int, campaign: str = "Points", **more: Any) -> str:
    """The id of a thing that costs points, offered by the programme."""
    body = {"name": "Mug", "parameters": {"product": {"id": "prod_mug"}}, **more}
    reward_id = ok(api.post("/v1/rewards", json=body))["id"]
    assigned = [{"reward": reward_id, "parameters": {"loyalty": {"points": price}}}]
    ok(api.post(f"/v1/loyalties/{campaign}/rewards", json=assigned))
    return reward_id


def redeem(api: TestClient, *codes: str, **body: Any) -> Any:
    """The answer to redeeming vouchers by their codes, nothing else said of them."""
    redeemables = [{"object": "voucher", "id": code} for code in codes]
    return api.post("/v1/redemptions", json={"redeemables": redeemables, **body})


def balance(api: TestClient, code: str) -> int:
    """What a card holds."""
    found = ok(api.get(f"/v1/vouchers/{code}"))
    return (found["gift"] or found["loyalty_card"])["balance"]


def movements(api: TestClient, code: str, path: str = "/v1/vouchers") -> list[dict[str, Any]]:
    """Every transaction of a card, oldest first."""
    return ok(api.get(f"{path}/{code}/transactions?limit=100&order=id"))["data"]


def row_counts(system: System) -> dict[str, int]:
    """How many rows each table has, and the movement counter, to see that nothing was written."""
    with system.core.read() as connection:
        counts = {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }
        seqs = connection.execute(sa.select(metadata.tables["counters"].c.movement_seq)).scalars().all()
    return counts | {"seq": sum(seqs)}


def check_books(system: System, project_id: int = 1) -> None:
    """Assert that the ledger holds together and that summaries are what a recount gives."""
    with system.core.read() as connection:
        assert ledger_faults(connection, project_id) == []
        assert summaries.summaries(connection, project_id) == summaries.counted(connection, project_id)
