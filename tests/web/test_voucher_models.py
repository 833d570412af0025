"""Campaigns, vouchers and actions as the vendor's own Python models read them, which refuse what they do not expect."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from tests.web.asking import GIFT, OFF, held_card
from tests.web.test_campaigns import CLUB, COUPONS, GIFTS, LISTS

pytestmark = pytest.mark.clients


def read(module: str, body: Any) -> Any:
    """The body through a model of the client; the model's class is named like its module."""
    name = "".join(word.capitalize() for word in module.split("_"))
    return getattr(import_module(f"voucherify.models.{module}"), name).from_dict(body)


@pytest.mark.filterwarnings("default")  # the client's own use of pydantic warns
def test_every_answer_passes_the_clients_models(api: TestClient, system: System) -> None:
    for body in (CLUB, COUPONS, GIFTS, {"name": "P", "campaign_type": "PROMOTION"}):
        dates = {"start_date": "2024-01-01", "validity_timeframe": {"interval": "P2D", "duration": "P1D"}}
        made = api.post(LISTS, json={**body, **dates, "vouchers_count": 0 if body["name"] == "P" else 1}).json()
        assert read("campaigns_create_response_body", made).id == made["id"]
        assert read("campaigns_get_response_body", api.get(f"{LISTS}/{made['id']}").json()).name == body["name"]
        assert read("campaigns_update_response_body", api.put(f"{LISTS}/{made['id']}", json={"category": "c"}).json())
    assert len(read("campaigns_list_response_body", api.get(LISTS).json()).campaigns) == 4
    many = api.post(f"{LISTS}/Gifts/vouchers?vouchers_count=2").json()
    assert read("campaigns_vouchers_create_combined_response_body", many).async_action_id == many["async_action_id"]
    one = api.post(f"{LISTS}/Gifts/vouchers/OWN").json()
    assert read("campaigns_vouchers_create_response_body", one).code == "OWN"
    assert read("campaigns_import_create_response_body", api.post(f"{LISTS}/Gifts/import", json=[{"code": "I"}]).json())
    for code, body in (("A", GIFT), ("B", OFF), ("C", {"type": "LOYALTY_CARD", "loyalty_card": {"points": 5}})):
        assert read("vouchers_create_response_body", api.post(f"/v1/vouchers/{code}", json=body).json())
        assert read("vouchers_get_response_body", api.get(f"/v1/vouchers/{code}").json()).code == code
        assert read(
            "vouchers_update_response_body", api.put(f"/v1/vouchers/{code}", json={"metadata": {"a": 1}}).json()
        )
        assert read("vouchers_disable_response_body", api.post(f"/v1/vouchers/{code}/disable").json()).active is False
        assert read("vouchers_enable_response_body", api.post(f"/v1/vouchers/{code}/enable").json()).active is True
    held_card(system, "CARD", api.get(f"{LISTS}/Club").json()["id"])
    for code, kind in (("A", "gift_voucher"), ("CARD", "loyalty_card")):
        done = api.post(f"/v1/vouchers/{code}/balance", json={"amount": 5}).json()
        assert read("vouchers_balance_update_response_body", done).type == kind
    imported = api.post("/v1/vouchers/import", json=[{"code": "D", **GIFT}, {"code": "E"}]).json()
    assert read("vouchers_import_create_response_body", imported).async_action_id == imported["async_action_id"]
    assert read("campaigns_delete_response_body", api.delete(f"{LISTS}/Coupons").json()).async_action_id
    for _ in range(2):
        actions = read("async_actions_list_response_body", api.get("/v1/async-actions").json()).async_actions
        assert len(actions) == 4
        for action in actions:
            assert (
                read("async_action_get_response_body", api.get(f"/v1/async-actions/{action.id}").json()).id == action.id
            )
        system.services.actions.run_due()
    listed = api.get("/v1/vouchers?limit=100").json()
    assert len(read("vouchers_list_response_body", listed).vouchers) == listed["total"] == 11
