"""What it takes to be a good reward."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.domain.rewards import checked_parameters
from counterfoil.errors import InvalidInput


@pytest.mark.parametrize(
    ("given", "kind", "stored"),
    [
        ({"coin": {"exchange_ratio": 0.5}}, "COIN", {"coin": {"exchange_ratio": 0.5, "points_ratio": 1}}),
        (
            {"coin": {"exchange_ratio": 2, "points_ratio": "10"}, "product": None},
            "COIN",
            {"coin": {"exchange_ratio": 2, "points_ratio": 10}},
        ),
        (
            {"campaign": {"id": "camp_1", "balance": 100, "x": 1}},
            "CAMPAIGN",
            {"campaign": {"id": "camp_1", "balance": 100}},
        ),
        ({"product": {"id": "prod_1", "sku_id": None}}, "MATERIAL", {"product": {"id": "prod_1"}}),
    ],
)
def test_the_type_follows_from_the_parameters(given: dict[str, Any], kind: str, stored: dict[str, Any]) -> None:
    assert checked_parameters(given) == (kind, stored)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (None, "parameters"),
        ({}, "parameters"),
        ({"coin": {"exchange_ratio": 1}, "product": {"id": "p"}}, "parameters"),
        ({"coin": 5}, "parameters.coin"),
        ({"coin": {}}, "parameters.coin.exchange_ratio"),
        ({"coin": {"exchange_ratio": 0}}, "parameters.coin.exchange_ratio"),
        ({"coin": {"exchange_ratio": -1}}, "parameters.coin.exchange_ratio"),
        ({"coin": {"exchange_ratio": True}}, "parameters.coin.exchange_ratio"),
        ({"coin": {"exchange_ratio": 1, "points_ratio": 0}}, "parameters.coin.points_ratio"),
        ({"coin": {"exchange_ratio": 1, "points_ratio": 1.5}}, "parameters.coin.points_ratio"),
        ({"coin": {"exchange_ratio": 1, "points_ratio": "ten"}}, "parameters.coin.points_ratio"),
        ({"campaign": {}}, "parameters.campaign"),
        ({"campaign": {"id": "c", "balance": -1}}, "parameters.campaign.balance"),
        ({"campaign": {"id": "c", "balance": 1.5}}, "parameters.campaign.balance"),
        ({"product": {}}, "parameters.product"),
        ({"product": {"id": "p", "sku_id": 3}}, "parameters.product.sku_id"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any] | None, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_parameters(given)
    assert caught.value.field == field
