"""Idempotency-Key on every call of Altcraft's that writes, though the vendor has no such header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from counterfoil.db.schema import metadata
from tests.altcraft.account import ACCRUE, CANCEL, COMMIT, REDEEM, ROLL_BACK, Account
from tests.altcraft.shop import ALWAYS, API, EXPORT, Shop, named, told


def _hold(account: Account) -> dict[str, Any]:
    account.accrue(transaction_eid="first")
    account.redeem("40", transaction_eid="hold", is_temp=True)
    return {"transaction_eid": "hold"}


def _spent(account: Account) -> dict[str, Any]:
    account.accrue(transaction_eid="first")
    return {"transaction_eid": "first"}


CALLS: dict[str, Callable[[Account], dict[str, Any]]] = {
    EXPORT: lambda account: {**named(account.programme), **ALWAYS},
    "loyalty/register_member": lambda account: {
        "loyalty_program_id": account.programme["loyalty_program_id"], "matching": "email", "email": "bob@example.com"
    },
    ACCRUE: lambda account: {**account.body, "amount": "5"},
    REDEEM: lambda account: {**account.body, "amount": account.accrue()["balance"]},
    "loyalty/redeem_points": lambda account: {**account.body, "amount": account.accrue()["balance"]},
    COMMIT: _hold,
    ROLL_BACK: _hold,
    CANCEL: _spent,
}  # fmt: skip
READS = {
    "tasks/status",
    *(f"loyalty/account/{name}" for name in ("balance", "expiring_points", "transactions", "tiers")),
}


def rows(shop: Shop) -> dict[str, int]:
    with shop.system.core.read() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def test_no_call_that_writes_is_left_out(app: FastAPI) -> None:
    posts = {path for path, each in app.openapi()["paths"].items() if path.startswith(API) and "post" in each}
    assert {path.removeprefix(API) for path in posts} == {*CALLS, *READS}


@pytest.mark.parametrize("path", CALLS)
def test_a_key_stands_for_one_call(shop: Shop, path: str) -> None:
    body, key = CALLS[path](Account(shop)), {"Idempotency-Key": "once"}
    first = shop.altcraft.post(API + path, json=body, headers=key)
    assert first.json()["error"] == 0, first.text
    done = rows(shop)
    again = shop.altcraft.post(API + path, json=body, headers=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    other = shop.altcraft.post(API + path, json={**body, "another": 1}, headers=key)
    told(other, 409, "This Idempotency-Key was used before")
    assert rows(shop) == done
