"""One running Counterfoil for all client tests, with a programme, gift cards, orders and redemptions in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.e2e.server import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real `counterfoil serve`."""
    home: Path = tmp_path_factory.mktemp("clients") / "home"
    with serving(home) as running:
        yield running


@pytest.fixture
def keys(server: Server, request: pytest.FixtureRequest) -> dict[str, str]:
    """Keys of a project of the test's own."""
    return server.keys(f"shop of {request.node.name}")


@pytest.fixture
def shop(server: Server, keys: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A shop with one of everything that can be exported; ids by name."""
    with server.client(keys) as client:
        yield build_shop(client)


def build_shop(client: httpx.Client) -> dict[str, Any]:
    """Make a loyalty programme, gift cards, a discount, a customer, an order, a publication and redemptions."""

    def post(path: str, body: Any) -> Any:
        answer = client.post(path, json=body)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    card = {"type": "LOYALTY_CARD", "loyalty_card": {"points": 0}}
    points = post("/v1/campaigns", {"name": "Points", "campaign_type": "LOYALTY_PROGRAM", "voucher": card})
    gift = {"type": "GIFT_VOUCHER", "gift": {"amount": 10_000}}
    gifts = post("/v1/campaigns", {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": gift})
    for campaign, code in ((points, "LOYAL-1"), (points, "LOYAL-2"), (gifts, "GIFT-1")):
        post(f"/v1/campaigns/{campaign['id']}/vouchers/{code}", {})
    customer = post("/v1/customers", {"source_id": "ann", "name": "Ann", "email": "ann@example.com"})
    for code, holder in (("LOYAL-1", "ann"), ("LOYAL-2", "bob")):
        post(f"/v1/loyalties/{points['id']}/members", {"voucher": code, "customer": {"source_id": holder}})
    post("/v1/loyalties/members/LOYAL-1/balance", {"points": 500, "reason": 'A "warm" welcome', "source_id": "w-1"})
    post(f"/v1/loyalties/{points['id']}/members/LOYAL-2/transfers", [{"code": "LOYAL-1", "points": 50}])
    post("/v1/publications", {"campaign": {"name": "Gifts"}, "voucher": "GIFT-1", "customer": {"source_id": "ann"}})
    order = {"amount": 3000, "status": "PAID", "customer": {"source_id": "ann"}}
    redemption = post(
        "/v1/redemptions",
        {
            "redeemables": [{"object": "voucher", "id": "GIFT-1", "gift": {"credits": 1000}}],
            "order": order,
            "customer": {"source_id": "ann"},
        },
    )
    return {
        "points": points["id"],
        "gifts": gifts["id"],
        "customer": customer["id"],
        "redemption": redemption["redemptions"][0]["id"],
    }
