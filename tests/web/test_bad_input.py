"""Wrong requests about balances, over HTTP: the vendor's error keys, and not one row written besides what is kept on purpose.

Each case is asked of a small shop; row counts of every table and the movement counter are compared before and after.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.clock import MS_PER_DAY
from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.web.asking import GIFT, OFF, make, refused
from tests.web.redeeming import balance, check_books, coin_reward, material_reward, member, ok, programme, row_counts


@dataclass
class Shop:
    """A gift card of 10000, members ann and bob with 100 points each, a discount, rewards, pending points."""

    api: TestClient
    ann: str
    bob: str
    coin: str
    mug: str
    pending: str


@pytest.fixture
def shop(system: System, api: TestClient) -> Iterator[Shop]:
    make(api, "GIFT")
    make(api, "OFF", **OFF)
    programme(api, points=100)
    programme(api, "Waiting")
    rule = {"event": "order.paid", "loyalty": {"type": "FIXED", "points": 10}, "source": {"banner": "b"}}
    rule["pending_points"] = {"period_type": "DAY", "period_value": 5}
    ok(api.post("/v1/loyalties/Waiting/earning-rules", json=[rule]))
    waiting = member(api, "ann", "Waiting")
    ok(api.post("/v1/orders", json={"amount": 5, "status": "PAID", "customer": {"source_id": "ann"}}))
    pending = ok(api.get(f"/v1/loyalties/members/{waiting}/pending-points"))["data"][0]["id"]
    yield Shop(
        api, member(api, "ann"), member(api, "bob"), coin_reward(api), material_reward(api, 40),
        f"/v1/loyalties/members/{waiting}/pending-points/{pending}/balance",
    )  # fmt: skip
    check_books(system)


Ask = Callable[[Shop, Any], Any]
"""Asks something with an amount in it."""

ASKS: dict[str, Ask] = {
    "credits by hand": lambda s, n: s.api.post("/v1/vouchers/GIFT/balance", json={"amount": n}),
    "points by hand": lambda s, n: s.api.post(f"/v1/loyalties/members/{s.ann}/balance", json={"points": n}),
    "points by hand, programme named": lambda s, n: s.api.post(
        f"/v1/loyalties/Points/members/{s.ann}/balance", json={"points": n}
    ),
    "transfer": lambda s, n: s.api.post(
        f"/v1/loyalties/Points/members/{s.ann}/transfers", json=[{"code": s.bob, "points": n}]
    ),
    "gift redemption": lambda s, n: s.api.post(
        "/v1/redemptions", json={"redeemables": [{"object": "voucher", "id": "GIFT", "gift": {"credits": n}}]}
    ),
    "gift redemption, older call": lambda s, n: s.api.post(
        "/v1/vouchers/GIFT/redemption", json={"gift": {"credits": n}}
    ),
    "points for an order": lambda s, n: s.api.post(
        f"/v1/loyalties/members/{s.ann}/redemption",
        json={"reward": {"id": s.coin, "points": n}, "order": {"amount": 100_000_000}},
    ),
    "pending points": lambda s, n: s.api.post(s.pending, json={"points": n}),
}

NOT_WHOLE: list[Any] = [1.5, "5", "", "ten", True, [], [5], {}, {"amount": 5}, 1e300, -0.5]
SIGNED = {"credits by hand", "points by hand", "points by hand, programme named", "pending points"}


def unchanged(shop: Shop, system: System, ask: Callable[[], Any], key: str, status: int = 400) -> None:
    """Ask, and assert the refusal and that nothing was written."""
    before = row_counts(system)
    answer = ask()
    refused(answer, status, key)
    # A balance cannot change without a movement, and the books are checked after each test.
    assert row_counts(system) == before


def test_amounts_that_are_not_whole_numbers(shop: Shop, system: System) -> None:
    for ask, amount in itertools.product(ASKS.values(), NOT_WHOLE):
        key = "invalid_amount" if amount == 1e300 else "invalid_payload"
        unchanged(shop, system, partial(ask, shop, amount), key)


def test_zero(shop: Shop, system: System) -> None:
    for ask, zero in itertools.product(ASKS.values(), (0, 0.0, -0.0)):
        unchanged(shop, system, partial(ask, shop, zero), "invalid_amount")


def test_amounts_too_large_for_any_ledger(shop: Shop, system: System) -> None:
    for ask, amount in itertools.product(ASKS.values(), (2**53, 2**63 - 1, 2**63, 2**64, 10**40)):
        unchanged(shop, system, partial(ask, shop, amount), "invalid_amount")
    for name, amount in itertools.product(sorted(SIGNED), (-(2**53), -(2**63), -(10**40))):
        unchanged(shop, system, partial(ASKS[name], shop, amount), "invalid_amount")


def test_negative_amounts_where_only_positive_ones_make_sense(shop: Shop, system: System) -> None:
    for name, amount in itertools.product(sorted(set(ASKS) - SIGNED), (-1, -100, -(2**60))):
        unchanged(shop, system, partial(ASKS[name], shop, amount), "invalid_amount")


def test_taking_more_than_there_is(shop: Shop, system: System) -> None:
    for name in sorted(SIGNED | {"transfer"}):
        amount = 101 if name == "transfer" else -10001 if name == "credits by hand" else -101
        key = "gift_amount_exceeded" if name == "credits by hand" else "loyalty_card_points_exceeded"
        unchanged(shop, system, partial(ASKS[name], shop, amount), key)


REDEMPTIONS = {name: ask for name, ask in ASKS.items() if "redemption" in name or "order" in name}


def test_spending_more_than_there_is_is_kept_as_one_failed_redemption(shop: Shop, system: System) -> None:
    for name, ask in REDEMPTIONS.items():
        before = row_counts(system)
        refused(ask(shop, 10001), 400, "gift_amount_exceeded" if "gift" in name else "loyalty_card_points_exceeded")
        after = row_counts(system)
        assert {table: after[table] - before[table] for table in after if after[table] != before[table]} == {
            "redemptions": 1
        }


def test_opening_balances_that_cannot_be(shop: Shop, system: System) -> None:
    for amount in (-1, 2**53, 1.5, "5", 10**40):
        body = {"type": "GIFT_VOUCHER", "gift": {"amount": amount}}
        key = "invalid_payload" if amount in (1.5, "5") else "invalid_amount"
        unchanged(shop, system, lambda body=body: shop.api.post("/v1/vouchers/NEW", json=body), key)
        card = {"type": "LOYALTY_CARD", "loyalty_card": {"points": amount}}
        unchanged(shop, system, lambda card=card: shop.api.post("/v1/vouchers/NEW", json=card), key)


NOT_THERE: list[tuple[str, Any]] = [
    ("/v1/vouchers/NOBODY/balance", {"amount": 5}),
    ("/v1/loyalties/members/NOBODY/balance", {"points": 5}),
    ("/v1/loyalties/Points/members/NOBODY/balance", {"points": 5}),
    ("/v1/loyalties/Nowhere/members/{ann}/balance", {"points": 5}),
    ("/v1/loyalties/Points/members/NOBODY/transfers", [{"code": "{bob}", "points": 5}]),
    ("/v1/loyalties/Points/members/{ann}/transfers", [{"code": "NOBODY", "points": 5}]),
    ("/v1/redemptions", {"redeemables": [{"object": "voucher", "id": "NOBODY"}], "order": {"amount": 5}}),
    ("/v1/redemptions", {"redeemables": [{"object": "voucher", "id": "GIFT"}], "order": {"id": "ord_none"}}),
    (
        "/v1/redemptions",
        {
            "redeemables": [{"object": "voucher", "id": "GIFT"}],
            "order": {"amount": 5},
            "customer": {"id": "cust_no"},
        },
    ),
    ("/v1/vouchers/NOBODY/redemption", {"order": {"amount": 5}}),
    ("/v1/loyalties/members/{ann}/redemption", {"reward": {"id": "rew_none"}}),
    ("/v1/loyalties/Nowhere/members/{ann}/redemption", {"reward": {"id": "{mug}"}}),
    ("/v1/redemptions/r_none/rollback", {}),
    ("/v1/redemptions/r_none/rollbacks", {}),
]


def test_what_is_not_there(shop: Shop, system: System) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{ann}", shop.ann).replace("{bob}", shop.bob).replace("{mug}", shop.mug)
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        return [filled(each) for each in value] if isinstance(value, list) else value

    for path, body in NOT_THERE:
        asked = filled(path), filled(body)
        unchanged(shop, system, lambda asked=asked: shop.api.post(asked[0], json=asked[1]), "not_found", 404)


ASKED_WRONGLY: list[tuple[Any, str, str]] = [
    ({}, "invalid_payload", "Payload must have required property 'redeemables'"),
    ({"redeemables": []}, "invalid_payload", "must NOT have fewer than 1 items"),
    (
        {"redeemables": [{"object": "voucher", "id": f"V{no}"} for no in range(31)]},
        "invalid_payload",
        "more than 30",
    ),
    ({"redeemables": [{"object": "voucher"}]}, "invalid_payload", "required property 'id'"),
    ({"redeemables": [{"object": "promotion_tier", "id": "p"}]}, "invalid_payload", "allowed values [ voucher ]"),
    ({"redeemables": [{"object": "promotion_stack", "id": "p"}]}, "invalid_payload", "allowed values [ voucher ]"),
    ({"redeemables": "GIFT"}, "invalid_payload", "must be array"),
    (
        {"redeemables": [{"object": "voucher", "id": "GIFT"}] * 2, "order": {"amount": 5}},
        "duplicated_redeemables",
        "twice",
    ),
    ({"redeemables": [{"object": "voucher", "id": "GIFT"}]}, "missing_order", "order"),
    (
        {"redeemables": [{"object": "voucher", "id": "GIFT"}], "order": {"amount": -5}},
        "invalid_payload",
        "order.amount",
    ),
    (
        {"redeemables": [{"object": "voucher", "id": "GIFT"}], "order": {"amount": 1.5}},
        "invalid_payload",
        "integer",
    ),
    (
        {"redeemables": [{"object": "voucher", "id": "GIFT"}], "order": {"amount": 5, "status": "LOST"}},
        "invalid_payload",
        "PAID",
    ),
    ({"redeemables": [{"object": "voucher", "id": "GIFT"}], "customer": 5}, "invalid_payload", "customer"),
]


def test_redemptions_asked_wrongly(shop: Shop, system: System) -> None:
    before = row_counts(system)
    for body, key, details in ASKED_WRONGLY:
        refused(shop.api.post("/v1/redemptions", json=body), 400, key, details)
        assert row_counts(system) == before


def test_wrong_types(shop: Shop, system: System) -> None:
    """A discount voucher has no balance, a gift card is no member, a loyalty card is redeemed for a reward."""
    api = shop.api
    unchanged(shop, system, lambda: api.post("/v1/vouchers/OFF/balance", json={"amount": 5}), "invalid_voucher")
    for code in ("OFF", "GIFT"):
        path = f"/v1/loyalties/members/{code}/balance"
        unchanged(shop, system, lambda path=path: api.post(path, json={"points": 5}), "not_found", 404)
        moved = [{"code": code, "points": 5}]
        path = f"/v1/loyalties/Points/members/{shop.ann}/transfers"
        unchanged(shop, system, lambda path=path, moved=moved: api.post(path, json=moved), "not_found", 404)
    asked = {"redeemables": [{"object": "voucher", "id": shop.ann}], "order": {"amount": 5}}
    unchanged(shop, system, lambda: api.post("/v1/redemptions", json=asked), "missing_reward")
    unchanged(shop, system, lambda: api.post(f"/v1/loyalties/members/{shop.ann}/redemption", json={}), "missing_reward")


def test_a_code_that_is_taken(shop: Shop, system: System) -> None:
    before = row_counts(system)
    refused(
        shop.api.post("/v1/vouchers/GIFT", json=GIFT), 409, "duplicate_found", "Duplicated voucher exists with id GIFT"
    )
    assert row_counts(system) == before


def test_transfers_to_itself_and_across_projects(shop: Shop, stranger: TestClient, system: System) -> None:
    path = f"/v1/loyalties/Points/members/{shop.ann}/transfers"
    itself = [{"code": shop.ann, "points": 5}]
    unchanged(shop, system, lambda: shop.api.post(path, json=itself), "invalid_payload")
    programme(stranger, points=100)
    theirs = member(stranger)
    across = [{"code": theirs, "points": 5}]
    unchanged(shop, system, lambda: shop.api.post(path, json=across), "not_found", 404)
    unchanged(shop, system, lambda: stranger.post(path, json=across), "not_found", 404)


@pytest.mark.parametrize(
    ("trouble", "key"),
    [("disabled", "voucher_disabled"), ("expired", "voucher_expired"), ("not begun", "voucher_not_active")],
)
def test_cards_out_of_use(shop: Shop, system: System, clock: FakeClock, trouble: str, key: str) -> None:
    for code in ("GIFT", shop.ann, shop.bob):
        if trouble == "disabled":
            ok(shop.api.post(f"/v1/vouchers/{code}/disable"))
        else:
            dates = {"expired": {"expiration_date": "2024-10-10"}, "not begun": {"start_date": "2024-12-01"}}[trouble]
            ok(shop.api.put(f"/v1/vouchers/{code}", json=dates))
    clock.advance_ms(4 * MS_PER_DAY if trouble == "expired" else 0)
    for name in sorted(SIGNED - {"pending points"} | {"transfer"}):
        unchanged(shop, system, lambda name=name: ASKS[name](shop, 5), key)
    before = row_counts(system)["redemptions"]
    for name in REDEMPTIONS:
        refused(ASKS[name](shop, 5), 400, key)
    assert row_counts(system)["redemptions"] == before + len(REDEMPTIONS)


def test_a_switched_off_campaign(shop: Shop, system: System) -> None:
    ok(shop.api.post("/v1/campaigns/Points/disable"))
    body = {"reward": {"id": shop.mug}}
    refused(shop.api.post(f"/v1/loyalties/members/{shop.ann}/redemption", json=body), 400, "campaign_not_active")
    assert balance(shop.api, shop.ann) == 100


def test_broken_json_and_no_credentials(shop: Shop, anonymous: TestClient, system: System) -> None:
    before = row_counts(system)
    answer = shop.api.post("/v1/redemptions", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["message"]) == (400, "Invalid request payload JSON format")
    assert anonymous.post("/v1/redemptions", json={}).status_code == 401
    assert row_counts(system) == before
