"""The vendor's own npm client (@voucherify/sdk 2.9.0), unchanged: the story of a shop and its exports."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from counterfoil.catalog.objects import exportable
from tests.e2e.server import Server

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("clients")]

STORY = Path(__file__).parent / "node" / "story.js"


def test_the_story_of_a_shop(server: Server, keys: dict[str, str]) -> None:
    command = ["node", str(STORY), server.url, keys["app_id"], keys["app_token"]]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["published"] is True and told["legacy"] == "SUCCESS"
    assert told["refused"]["code"] == 400 and told["refused"]["key"] == "voucher_disabled"
    assert told["refused"]["request_id"].startswith("v-")
    # Newest first; the redemption's order was paid as well, and earned its points.
    kinds = ["ACCRUAL", "TRANSFER_OUT", "REMOVAL", "ADDITION", "ACCRUAL"]
    assert told["listed"] == [f"POINTS_{kind}" for kind in kinds]
    assert told["balance"] == 5400
    assert told["card"]["status"] == "SCHEDULED" and told["card"]["type"].startswith("text/plain")
    assert told["card"]["lines"] == [
        "type,amount,balance",
        "CREDITS_ADDITION,1000,6000",
        "CREDITS_REMOVAL,-500,5500",
        "CREDITS_REDEMPTION,-700,4800",
        "CREDITS_REFUND,700,5500",
        "CREDITS_REDEMPTION,-100,5400",
    ]
    assert told["member"]["lines"] == [
        "type,amount,balance",
        "POINTS_ACCRUAL,250,250",
        "POINTS_ADDITION,100,350",
        "POINTS_REMOVAL,-30,320",
        "POINTS_TRANSFER_OUT,-20,300",
        "POINTS_ACCRUAL,7,307",
    ]
    assert told["vouchers"]["lines"][0] == "code,voucher_type" and len(told["vouchers"]["lines"]) == 5
    assert (told["total"], told["left"]) == (3, 2)
    for kind, seen in told["each"].items():
        made = {name: seen["made"][name] for name in ("object", "status", "exported_object", "parameters", "result")}
        assert made == {
            "object": "export",
            "status": "SCHEDULED",
            "exported_object": kind,
            "parameters": {},
            "result": None,
        }
        assert seen["header"] == ",".join(exportable(kind).default_fields) and seen["type"].startswith("text/plain")
        assert seen["rows"] == seen["result"]["rows"] and (seen["rows"] > 0) == (kind not in {"product", "sku"})
        assert (seen["listed"], seen["gone"]) == (True, 404)
    assert len(told["each"]) == 9
