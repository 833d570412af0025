"""Requests about vouchers that many tests make, and how they look at the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.projects import find_project
from counterfoil.db.schema import campaigns
from counterfoil.domain.campaigns import voucher_draft
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.services.core import Caller
from counterfoil.services.issuing import insert_voucher

GIFT = {"type": "GIFT_VOUCHER", "gift": {"amount": 10000}}
OFF = {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 2000}}


def make(api: TestClient, code: str, **body: Any) -> dict[str, Any]:
    """A voucher with that code (percent-encoded), a gift card unless the body says otherwise."""
    answer = api.post(f"/v1/vouchers/{code}", json={**GIFT, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Any, status: int, key: str, details: str = "") -> dict[str, Any]:
    """Assert the vendor's error object with that status, key and part of its details; returns it."""
    body = answer.json()
    assert (answer.status_code, body["code"], body["key"]) == (status, status, key), body
    assert details in body["details"], body
    assert body["request_id"].startswith("v-")
    return body


def all_refused(send: Callable[[Any], Any], cases: Iterable[tuple[Any, str, str]], status: int = 400) -> None:
    """Assert that each case (what to send, key, part of the details) is refused so; tells every one that is not."""
    wrong: list[Any] = []
    for sent, key, details in cases:
        answer = send(sent)
        body = answer.json() if answer.content else {}
        found = (answer.status_code, body.get("code"), body.get("key"))
        if found != (status, status, key) or details not in body.get("details", ""):
            wrong.append((sent, key, details, answer.status_code, body))
    assert not wrong


def total(api: TestClient, path: str = "/v1/vouchers") -> int:
    """How many there are in a list."""
    return api.get(path).json()["total"]


def rows(system: System, table: sa.Table, *names: str) -> list[tuple[Any, ...]]:
    """Columns of every row of a table, by its key."""
    with system.core.read() as connection:
        statement = sa.select(*(table.c[name] for name in names)).order_by(*table.primary_key)
        return [tuple(row) for row in connection.execute(statement)]


def shop(system: System) -> Caller:
    """The project whose keys `api` has."""
    with system.core.read() as connection:
        found = find_project(connection, "shop")
    assert found is not None
    return Caller(found)


def held_card(system: System, code: str, campaign_id: str | None = None) -> None:
    """A loyalty card with 100 points that a customer holds, as publications make them."""

    def work(unit: Any) -> None:
        draft = VoucherDraft(VoucherType.LOYALTY, code, opening=100, holder_id="cust_1")
        if campaign_id is not None:
            row = unit.sql.execute(sa.select(campaigns).where(campaigns.c.id == campaign_id)).mappings().one()
            draft = voucher_draft(row, unit.now_ms, code=code, holder_id="cust_1")
        insert_voucher(unit, draft)

    system.core.write(shop(system), work)
