"""The story of a shop, told with the vendor's own Python client, unchanged, with its model validation on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import voucherify as v

from tests.clients.test_python_client import downloaded
from tests.e2e.server import Server

pytestmark = [
    pytest.mark.clients,
    pytest.mark.xdist_group("clients"),
    # The client calls its own methods under /v1/loyalties deprecated.
    pytest.mark.filterwarnings("ignore:.*/v1/loyalties:DeprecationWarning"),
]
CARD = {"type": "LOYALTY_CARD", "loyalty_card": {"points": 0}}
GIFT = {"type": "GIFT_VOUCHER", "gift": {"amount": 10000}}
ONE_A_UNIT = {
    "event": "order.paid",
    "loyalty": {
        "type": "PROPORTIONAL",
        "calculation_type": "ORDER_AMOUNT",
        "order": {"amount": {"every": 100, "points": 1}},
    },
    "source": {"banner": "One point a unit"},
}


@pytest.fixture
def api(server: Server, keys: dict[str, str]) -> Iterator[v.ApiClient]:
    """The client as its README says, pointed at the running server."""
    credentials = {"X-App-Id": keys["app_id"], "X-App-Token": keys["app_token"]}
    with v.ApiClient(v.Configuration(host=server.url, api_key=credentials)) as client:
        yield client


def campaign(api: v.ApiClient, name: str, kind: str, voucher: dict[str, Any]) -> str:
    body = {"name": name, "campaign_type": kind, "type": "AUTO_UPDATE", "voucher": voucher}
    made = v.CampaignsApi(api).create_campaign(v.CampaignsCreateRequestBody.from_dict(body))
    assert made.name == name and made.campaign_type == kind
    return str(made.id)


def redeem(api: v.ApiClient, item: dict[str, Any], amount: int) -> str:
    body = {"redeemables": [{"object": "voucher", **item}], "order": {"amount": amount}}
    made = v.RedemptionsApi(api).redeem_stacked_discounts(v.RedemptionsRedeemRequestBody.from_dict(body))
    assert [r.result for r in made.redemptions] == ["SUCCESS"]
    return str(made.redemptions[0].id)


def types_and_amounts(api: v.ApiClient, campaign_id: str) -> list[tuple[str, int]]:
    body = {"parameters": {"order": "created_at", "fields": ["type", "amount"]}}
    request = v.CampaignsTransactionsExportCreateRequestBody.from_dict(body)
    made = v.CampaignsApi(api).export_campaign_transactions(campaign_id, request)
    return [(row["type"], int(row["amount"])) for row in downloaded(api, made.id)]


def test_gift_cards(api: v.ApiClient) -> None:
    gifts = campaign(api, "Gifts", "GIFT_VOUCHERS", GIFT)
    vouchers = v.VouchersApi(api)
    v.CampaignsApi(api).add_voucher_with_specific_code_to_campaign(gifts, "GIFT-1")
    for amount in (2000, -500):
        body = v.VouchersBalanceUpdateRequestBody.from_dict({"amount": amount, "reason": "By hand"})
        answer = vouchers.update_voucher_balance("GIFT-1", body)
    assert (answer.balance, answer.total, answer.operation_type) == (11500, 11500, "MANUAL")
    redemption = redeem(api, {"id": "GIFT-1", "gift": {"credits": 700}}, 700)
    v.RedemptionsApi(api).rollback_redemption(redemption, reason="Returned")
    vouchers.disable_voucher("GIFT-1")
    with pytest.raises(v.exceptions.BadRequestException, match="voucher_disabled"):
        vouchers.update_voucher_balance("GIFT-1", body)
    vouchers.enable_voucher("GIFT-1")
    assert types_and_amounts(api, gifts) == [
        ("CREDITS_ADDITION", 2000),
        ("CREDITS_REMOVAL", -500),
        ("CREDITS_REDEMPTION", -700),
        ("CREDITS_REFUND", 700),
    ]
    assert len(vouchers.list_voucher_transactions("GIFT-1").data) == 4


def test_a_points_programme(api: v.ApiClient) -> None:
    points = campaign(api, "Points", "LOYALTY_PROGRAM", CARD)
    loyalties, customers = v.LoyaltiesApi(api), v.CustomersApi(api)
    rule = v.LoyaltiesEarningRulesCreateRequestBodyItem.from_dict(ONE_A_UNIT)
    loyalties.create_earning_rule(points, [rule])
    cards: dict[str, str] = {}
    for name in ("ann", "bob"):
        customers.create_customer(v.CustomersCreateRequestBody.from_dict({"source_id": name, "name": name.title()}))
        body = v.LoyaltiesMembersCreateRequestBody.from_dict({"customer": {"source_id": name}})
        cards[name] = str(loyalties.add_member(points, body).code)
    order = {"source_id": "order-1", "amount": 25000, "status": "PAID", "customer": {"source_id": "ann"}}
    v.OrdersApi(api).create_order(v.OrdersCreateRequestBody.from_dict(order))
    for amount in (100, -30):
        body = v.LoyaltiesMembersBalanceUpdateRequestBody.from_dict({"points": amount})
        balance = loyalties.update_loyalty_card_balance(cards["ann"], body)
    assert balance.balance == 320
    given = v.LoyaltiesTransferPoints.from_dict({"code": cards["ann"], "points": 20, "source_id": "t-1"})
    loyalties.transfer_points(points, cards["bob"], [given])

    reward_body = {"name": "Mug", "type": "MATERIAL", "parameters": {"product": {"id": "prod_mug"}}}
    reward = v.RewardsApi(api).create_reward(v.RewardsCreateRequestBody.from_dict(reward_body))
    assignment = {"campaign": points, "parameters": {"loyalty": {"points": 150}}}
    v.RewardsApi(api).create_reward_assignment(reward.id, v.RewardsAssignmentsCreateRequestBody.from_dict(assignment))
    redeemed = loyalties.redeem_reward1(
        points, cards["ann"], v.LoyaltiesMembersRedemptionRedeemRequestBody.from_dict({"reward": {"id": reward.id}})
    )
    v.RedemptionsApi(api).rollback_redemption(redeemed.id, reason="Out of mugs")
    assert types_and_amounts(api, points) == [
        ("POINTS_ACCRUAL", 250),
        ("POINTS_ADDITION", 100),
        ("POINTS_REMOVAL", -30),
        ("POINTS_TRANSFER_OUT", -20),
        ("POINTS_TRANSFER_IN", 20),
        ("POINTS_REDEMPTION", -150),
        ("POINTS_REFUND", 150),
    ]
    listed = loyalties.list_loyalty_card_transactions(cards["ann"], limit=3)
    assert [each.type for each in listed.data] == ["POINTS_REFUND", "POINTS_REDEMPTION", "POINTS_TRANSFER_OUT"]
    rest = loyalties.list_loyalty_card_transactions(cards["ann"], starting_after_id=listed.more_starting_after)
    assert [each.type for each in rest.data] == ["POINTS_REMOVAL", "POINTS_ADDITION", "POINTS_ACCRUAL"]
    assert len(loyalties.list_points_expiration(points, cards["ann"]).data) == 1
    assert customers.get_customer("ann").loyalty.points == 300
