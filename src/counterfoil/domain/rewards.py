"""Rewards: what points can be spent on, and what it takes to be a good one.

Source of the shapes: Voucherify, Create Reward and Create Reward Assignment (facts 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.errors import InvalidInput

REWARD_TYPES = ("CAMPAIGN", "COIN", "MATERIAL")
_PARAMETER_OF = {"CAMPAIGN": "campaign", "COIN": "coin", "MATERIAL": "product"}
_RATIO_MAX = 10**9


def checked_parameters(parameters: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """The reward's type and its parameters as stored, from exactly one of campaign, coin and product.

    coin: {exchange_ratio: a number over 0, points_ratio: a whole number from 1, 1 when not said}; campaign: {id, balance:
    what it adds to a card}; product: {id, sku_id}. Raises InvalidInput that names what is wrong.
    """
    given = {name: part for name, part in (parameters or {}).items() if part is not None}
    named = [kind for kind, name in _PARAMETER_OF.items() if name in given]
    if len(named) != 1:
        raise _wrong("parameters", "must have exactly one of campaign, coin and product", sorted(given))
    part = given[_PARAMETER_OF[named[0]]]
    if not isinstance(part, Mapping):
        raise _wrong(f"parameters.{_PARAMETER_OF[named[0]]}", "must be object", part)
    checked = {"CAMPAIGN": _campaign, "COIN": _coin, "MATERIAL": _product}[named[0]](part)
    return named[0], {_PARAMETER_OF[named[0]]: checked}


def _coin(part: Mapping[str, Any]) -> dict[str, Any]:
    ratio: Any = part.get("exchange_ratio")
    whole: Any = part.get("points_ratio")
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < Fraction(str(ratio)) <= _RATIO_MAX:
        raise _wrong("parameters.coin.exchange_ratio", f"must be a number over 0 and at most {_RATIO_MAX}", ratio)
    # One of the vendor's clients sends this whole number as text.
    points: Any = (
        1 if whole is None else int(whole) if isinstance(whole, str) and whole.isascii() and whole.isdigit() else whole
    )
    if isinstance(points, bool) or not isinstance(points, int) or not 0 < points <= _RATIO_MAX:
        raise _wrong("parameters.coin.points_ratio", f"must be a whole number from 1 to {_RATIO_MAX}", whole)
    return {"exchange_ratio": ratio, "points_ratio": points}


def _campaign(part: Mapping[str, Any]) -> dict[str, Any]:
    balance: Any = part.get("balance")
    if not isinstance(part.get("id"), str) or not part["id"]:
        raise _wrong("parameters.campaign", "must have required property 'id'", part.get("id"))
    if balance is not None and (
        isinstance(balance, bool) or not isinstance(balance, int) or not 0 <= balance <= AMOUNT_MAX
    ):
        raise _wrong("parameters.campaign.balance", "must be a whole number from 0", balance)
    checked = {"id": part["id"]}
    return checked if balance is None else checked | {"balance": balance}


def _product(part: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("id", "sku_id"):
        if part.get(name) is not None and not isinstance(part[name], str):
            raise _wrong(f"parameters.product.{name}", "must be string", part[name])
    if not part.get("id"):
        raise _wrong("parameters.product", "must have required property 'id'", part.get("id"))
    return {name: part[name] for name in ("id", "sku_id") if part.get(name)}


def _wrong(field: str, problem: str, value: object) -> InvalidInput:
    return InvalidInput("invalid_payload", f"Property .{field} {problem}", field=field, value=value)
