"""Every route of Voucherify's dialect, asked with another project's key: it finds nothing, says nothing, changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import metadata
from tests.web.asking import shop as caller_of_shop
from tests.web.every_write import EVERY_WRITE, Shop

SAYS_NOTHING_OF_OTHERS = {
    # Made anew in the asking project, whatever others call theirs.
    "POST /v1/vouchers/{code}",
}


def reads(app: FastAPI) -> list[str]:
    """The path of every route that reads."""
    return [path for path, each in app.openapi()["paths"].items() if "get" in each and path.startswith("/v1/")]


def everything(shop: Shop) -> dict[str, str]:
    """One of each thing that a path can name, by the path's word for it."""
    programme, member, reward = shop.spending()
    below = f"/v1/loyalties/{programme}"
    rule = shop.do(f"{below}/earning-rules", [{"event": "order.paid", "loyalty": {"type": "FIXED", "points": 3},
        "source": {"banner": "Three"}, "pending_points": {"period_type": "DAY", "period_value": 5}}])[0]["id"]  # fmt: skip
    holder = shop.do(f"/v1/vouchers/{member}", method="GET")["holder_id"]
    order = shop.do("/v1/orders", {"status": "PAID", "amount": 1000, "customer": {"id": holder}})["id"]
    pending = shop.do(f"/v1/loyalties/members/{member}/pending-points", method="GET")["data"][0]["id"]
    return {
        "campaign_id": programme,
        "name": programme,
        "code": member,
        "member_id": member,
        "customer_id": holder,
        "order_id": order,
        "rule_id": rule,
        "reward_id": reward,
        "assignment_id": shop.do(f"{below}/rewards", method="GET")["data"][0]["id"],
        "redemption_id": shop.redemption(),
        "pending_points_id": pending,
        "export_id": shop.export(),
        "action_id": shop.do("/v1/vouchers/import", [{"code": shop.name("I"), "type": "GIFT_VOUCHER",
            "gift": {"amount": 5}}])["async_action_id"],
    }  # fmt: skip


def kept(system: System) -> dict[str, list[Any]]:
    """Every row of the shop's project."""
    project = caller_of_shop(system).project_id
    with system.core.read() as connection:
        return {
            name: sorted(map(repr, connection.execute(sa.select(table).where(table.c.project_id == project))))
            for name, table in metadata.tables.items()
            if "project_id" in table.c
        }


def listed(found: Any) -> Iterator[Any]:
    """What an answer lists."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "total" or isinstance(value, list):
                yield value


def test_reads_find_nothing_of_another_project(system: System, api: TestClient, stranger: TestClient) -> None:
    app: Any = api.app
    things = everything(Shop(api))
    leaks: list[Any] = []
    paths = [path for path in reads(app) if path != "/v1/publications/create" and not path.endswith("/manifest")]
    assert len(paths) > 40
    for path in paths:
        url = re.sub(r"\{(\w+)\}", lambda match: things[match[1]], path)
        mine, theirs = api.get(url), stranger.get(url)
        assert mine.status_code == 200, (path, mine.text)
        found = any(listed(theirs.json())) if theirs.status_code == 200 else theirs.status_code != 404
        told = [thing for thing in things.values() if thing in theirs.text and thing not in url]
        if found or told or ("{" in path and theirs.status_code == 200 and "total" not in theirs.json()):
            leaks.append((path, theirs.status_code, theirs.text))
    assert not leaks


@pytest.mark.parametrize("route", [route for route in EVERY_WRITE if "{" in route])
def test_writes_change_nothing_of_another_project(
    system: System, api: TestClient, stranger: TestClient, route: str
) -> None:
    asked = EVERY_WRITE[route](Shop(api))
    before = kept(system)
    answer = asked.send(stranger)
    if route not in SAYS_NOTHING_OF_OTHERS:
        assert (answer.status_code, answer.json()["key"]) == (404, "not_found"), answer.text
    assert kept(system) == before


@pytest.mark.parametrize("route", ["POST /v1/redemptions", "POST /v1/publications", "GET /v1/publications/create"])
def test_a_body_that_names_anothers_voucher_finds_none(
    system: System, api: TestClient, stranger: TestClient, route: str
) -> None:
    asked = EVERY_WRITE[route](Shop(api))
    before = kept(system)
    assert asked.send(stranger).status_code == 404
    assert kept(system) == before
