"""Campaigns and drafts of vouchers: what is filled in, what is forced, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.domain.campaigns import (
    changed_campaign,
    check_count,
    new_campaign,
    slug,
    template_of,
    voucher_draft,
)
from counterfoil.domain.vouchers import VoucherDraft, VoucherType, draft_of
from counterfoil.errors import InvalidInput

DAY_MS = 86_400_000
OCTOBER_9 = 1_728_465_392_521
AMOUNT_OFF = {"type": "AMOUNT", "amount_off": 500}


def made(**given: Any) -> dict[str, Any]:
    return new_campaign({"name": "Campaign", **given})


def stored(**given: Any) -> dict[str, Any]:
    return {"id": "camp_1", **made(**given)}


def gift_campaign(**given: Any) -> dict[str, Any]:
    return stored(campaign_type="GIFT_VOUCHERS", voucher={"gift": {"amount": 1000}}, **given)


def test_a_gift_campaign_gets_its_defaults() -> None:
    campaign = gift_campaign()
    assert campaign["type"] == "AUTO_UPDATE"
    assert campaign["voucher"]["type"] == "GIFT_VOUCHER"
    assert campaign["voucher"]["gift"] == {"amount": 1000, "effect": "APPLY_TO_ORDER"}
    assert campaign["voucher"]["redemption"] == {"quantity": None}
    assert campaign["voucher"]["code_config"]["pattern"] == "########"
    assert (campaign["currency_eid"], campaign["currency_scale"]) == ("campaign", 2)
    assert (campaign["active"], campaign["join_once"], campaign["auto_join"]) == (True, True, False)


def test_points_have_no_digits_after_the_point_unless_said() -> None:
    assert made(campaign_type="LOYALTY_PROGRAM")["currency_scale"] == 0
    said = made(campaign_type="LOYALTY_PROGRAM", currency_eid="stars", currency_scale=1)
    assert (said["currency_eid"], said["currency_scale"]) == ("stars", 1)


def test_coupons_are_counted_in_nothing() -> None:
    campaign = made(campaign_type="DISCOUNT_COUPONS", voucher={"discount": AMOUNT_OFF}, currency_eid="stars")
    assert campaign["currency_eid"] is None


@pytest.mark.parametrize(
    ("kind", "growth", "asked", "expected"),
    [
        ("LOYALTY_PROGRAM", "AUTO_UPDATE", False, True),
        ("GIFT_VOUCHERS", "STANDALONE", True, False),
        ("GIFT_VOUCHERS", "STATIC", False, False),
        ("GIFT_VOUCHERS", "STATIC", True, True),
    ],
)
def test_join_once_is_forced_where_the_vendor_forces_it(kind: str, growth: str, asked: bool, expected: bool) -> None:
    campaign = made(campaign_type=kind, type=growth, join_once=asked, voucher={"gift": {"amount": 1}})
    assert campaign["join_once"] is expected


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"campaign_type": "GIFT_VOUCHERS"}, "invalid_campaign", "voucher"),
        ({"campaign_type": "GIFT_VOUCHERS", "voucher": {}}, "invalid_campaign", "gift"),
        ({"campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {}}}, "invalid_campaign", "gift"),
        ({"campaign_type": "REFERRAL_PROGRAM", "voucher": {}}, "invalid_campaign", "discount"),
        ({"campaign_type": "DISCOUNT_COUPONS", "voucher": {"discount": {}}}, "invalid_campaign", "discount"),
        ({"campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": -1}}}, "invalid_amount", "voucher.gift.amount"),
        ({"campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 2**63}}}, "invalid_amount", "voucher.gift.amount"),
        (
            {"campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 1, "effect": "X"}}},
            "invalid_payload",
            "voucher.gift.effect",
        ),
        (
            {"campaign_type": "GIFT_VOUCHERS", "voucher": {"type": "LOYALTY_CARD", "gift": {"amount": 1}}},
            "invalid_campaign",
            "voucher.type",
        ),
        (
            {"campaign_type": "LOYALTY_PROGRAM", "voucher": {"loyalty_card": {"expiration_rules": {"period_type": "DAY"}}}},
            "invalid_payload",
            "voucher.loyalty_card.expiration_rules.period_type",
        ),
        (
            {"campaign_type": "DISCOUNT_COUPONS", "voucher": {"discount": {"type": "PERCENT", "percent_off": 101}}},
            "invalid_voucher",
            "voucher.discount.percent_off",
        ),
        ({"campaign_type": "LOYALTY_PROGRAM", "start_date": 2, "expiration_date": 1}, "invalid_campaign", "expiration_date"),
    ],
)  # fmt: skip
def test_what_a_campaign_cannot_be_is_refused_by_name(given: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        made(**given)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_promotion_has_no_vouchers() -> None:
    campaign = stored(campaign_type="PROMOTION")
    assert campaign["voucher"] is None
    check_count(campaign, 0)
    for refusal in (lambda: check_count(campaign, 1), lambda: template_of(campaign, 0, drawn=False)):
        with pytest.raises(InvalidInput, match="PROMOTION"):
            refusal()


def test_a_standalone_campaign_has_no_more_drawn_codes_than_one() -> None:
    campaign = gift_campaign(type="STANDALONE")
    check_count(campaign, 1)
    with pytest.raises(InvalidInput, match="STANDALONE"):
        check_count(campaign, 2)
    with pytest.raises(InvalidInput, match="You can not generate vouchers for STANDALONE type campaign"):
        template_of(campaign, 0, drawn=True)
    assert template_of(campaign, 0, drawn=False).opening == 1000


def test_more_vouchers_than_codes_are_refused_before_any_is_made() -> None:
    campaign = made(
        campaign_type="GIFT_VOUCHERS", voucher={"gift": {"amount": 1}, "code_config": {"charset": "01", "length": 3}}
    )
    check_count(campaign, 8)
    with pytest.raises(InvalidInput) as refused:
        check_count(campaign, 9)
    assert refused.value.code == "invalid_code_config"


def test_a_voucher_takes_after_its_campaign() -> None:
    campaign = stored(
        campaign_type="LOYALTY_PROGRAM",
        category="vip",
        start_date=1,
        expiration_date=2,
        validity_day_of_week=[1, 2],
        voucher={
            "loyalty_card": {"points": 7, "expiration_rules": {"period_type": "MONTH", "period_value": 1, "junk": 0}},
            "redemption": {"quantity": 3},
            "metadata": {"a": 1},
            "expiration_date": 5,
        },
    )
    assert voucher_draft(campaign, OCTOBER_9, code="C", holder_id="cust_1") == VoucherDraft(
        type=VoucherType.LOYALTY, code="C", campaign_id="camp_1", campaign="Campaign", category="vip", opening=7,
        opening_expires_on="2024-11-09", start_date=1, expiration_date=5, validity_day_of_week=(1, 2),
        metadata={"a": 1}, holder_id="cust_1", quantity=3,
    )  # fmt: skip


def test_a_referral_programmes_vouchers_are_referral_codes() -> None:
    campaign = stored(campaign_type="REFERRAL_PROGRAM", voucher={"gift": {"amount": 5}})
    draft = voucher_draft(campaign, 0)
    assert (draft.type, draft.is_referral_code, draft.opening) == (VoucherType.GIFT, True, 5)


def test_changes_lay_metadata_over_what_is_there() -> None:
    row = gift_campaign(metadata={"a": 1, "b": 2, "c": 3})
    columns, affected = changed_campaign(row, {"metadata": {"b": 0}, "unset_metadata_fields": ["c", "x"]})
    assert columns == {"metadata": {"a": 1, "b": 0}}
    assert affected == {}


def test_changes_of_dates_and_effects_reach_the_vouchers_and_amounts_do_not() -> None:
    row = gift_campaign(start_date=1)
    columns, affected = changed_campaign(
        row, {"expiration_date": 9, "gift": {"amount": 5, "effect": "APPLY_TO_ITEMS"}, "name": "X", "type": "STATIC"}
    )
    assert affected == {"expiration_date": 9, "gift_effect": "APPLY_TO_ITEMS"}
    assert columns.keys() == {"expiration_date", "type", "voucher"}
    assert columns["voucher"]["gift"] == {"amount": 5, "effect": "APPLY_TO_ITEMS"}
    assert row["voucher"]["gift"]["amount"] == 1000


@pytest.mark.parametrize(
    "given",
    [
        {"discount": {"type": "PERCENT", "percent_off": 5}},
        {"expiration_date": 0},
        {"discount": {"amount_off": -1}},
    ],
)
def test_changes_that_cannot_be_are_refused(given: dict[str, Any]) -> None:
    row = stored(campaign_type="DISCOUNT_COUPONS", voucher={"discount": AMOUNT_OFF}, start_date=1)
    with pytest.raises(InvalidInput):
        changed_campaign(row, given)


def test_a_standalone_campaign_stays_one() -> None:
    assert changed_campaign(gift_campaign(type="STANDALONE"), {"type": "STATIC"}) == ({}, {})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Bonus Points 2024", "bonus_points_2024"),
        ("  Żółć -- Café ", "zoc_cafe"),
        ("Баллы", "currency"),
        ("!!!", "currency"),
    ],
)
def test_a_name_becomes_an_identifier(name: str, expected: str) -> None:
    assert slug(name) == expected


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({}, "invalid_voucher", "type"),
        ({"type": VoucherType.GIFT}, "invalid_voucher", "gift"),
        ({"type": VoucherType.GIFT, "opening": -5}, "invalid_amount", "gift.amount"),
        ({"type": VoucherType.LOYALTY, "opening": 2**70}, "invalid_amount", "loyalty_card.points"),
        ({"type": VoucherType.DISCOUNT}, "invalid_voucher", "discount"),
        ({"type": VoucherType.DISCOUNT, "discount": {"type": "FREE"}}, "invalid_payload", "discount.type"),
        ({"type": VoucherType.DISCOUNT, "discount": {"type": "AMOUNT"}}, "invalid_voucher", "discount"),
        ({"type": VoucherType.LOYALTY, "code": "a "}, "invalid_voucher", "code"),
        ({"type": VoucherType.LOYALTY, "start_date": 2, "expiration_date": 1}, "invalid_voucher", "expiration_date"),
    ],
)
def test_what_a_voucher_cannot_be_is_refused_by_name(given: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        draft_of(given)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_parts_of_another_type_do_not_stick() -> None:
    draft = draft_of({"type": VoucherType.DISCOUNT, "discount": AMOUNT_OFF, "opening": 5, "gift_effect": "X"})
    assert (draft.opening, draft.gift_effect, draft.discount) == (0, None, AMOUNT_OFF)


def test_a_campaigns_voucher_keeps_the_campaigns_type() -> None:
    template = voucher_draft(gift_campaign(), 0)
    assert draft_of({"opening": 5}, template).opening == 5
    with pytest.raises(InvalidInput, match="Vouchers of campaign Campaign are of type GIFT_VOUCHER"):
        draft_of({"type": VoucherType.LOYALTY}, template)
