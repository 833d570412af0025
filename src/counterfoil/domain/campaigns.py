"""Campaigns: what kinds there are, what makes a good one, and how its template becomes a voucher.

Source of the rules: Voucherify, Create Campaign, Update Campaign and the campaign object (facts 3.5).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from counterfoil.clock import iso_date
from counterfoil.domain import expiry
from counterfoil.domain.codes import CodeShape, code_shape
from counterfoil.domain.vouchers import (
    VoucherDraft,
    VoucherType,
    check_discount,
    check_gift_effect,
    check_opening,
    check_period,
)
from counterfoil.errors import InvalidInput

AUTO_UPDATE = "AUTO_UPDATE"
STATIC = "STATIC"
STANDALONE = "STANDALONE"
GROWTH_TYPES = (AUTO_UPDATE, STATIC, STANDALONE)
"""The vendor's `type`: whether more vouchers can be drawn; a standalone campaign has vouchers with given codes only."""


_PLAIN = (
    "description", "category", "start_date", "expiration_date", "validity_timeframe", "validity_day_of_week",
    "activity_duration_after_publishing",
)  # fmt: skip
_CHANGEABLE = (*_PLAIN, "auto_join")
# What vouchers take from their campaign and follow it in, until they are published or redeemed.
_INHERITED = ("category", "start_date", "expiration_date", "validity_timeframe", "validity_day_of_week")
_TEMPLATE_EXTRAS = ("metadata", "start_date", "expiration_date")
_RULES = ("period_type", "period_value", "rounding_type", "rounding_value", "fixed_month", "fixed_day")


class CampaignType(StrEnum):
    """What a campaign gives out."""

    LOYALTY = "LOYALTY_PROGRAM"
    GIFT = "GIFT_VOUCHERS"
    DISCOUNT = "DISCOUNT_COUPONS"
    PROMOTION = "PROMOTION"
    REFERRAL = "REFERRAL_PROGRAM"

    @property
    def voucher_types(self) -> tuple[VoucherType, ...]:
        """The vouchers it may have, the usual one first; a promotion has none."""
        return _VOUCHER_TYPES[self]

    @property
    def has_currency(self) -> bool:
        """Whether its vouchers are cards, so that their balances are counted in something."""
        return self in (CampaignType.LOYALTY, CampaignType.GIFT)


_VOUCHER_TYPES: Mapping[CampaignType, tuple[VoucherType, ...]] = {
    CampaignType.LOYALTY: (VoucherType.LOYALTY,),
    CampaignType.GIFT: (VoucherType.GIFT,),
    CampaignType.DISCOUNT: (VoucherType.DISCOUNT,),
    CampaignType.PROMOTION: (),
    CampaignType.REFERRAL: (VoucherType.DISCOUNT, VoucherType.GIFT),
}


def new_campaign(given: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a new campaign, checked; without ids and times, and with currency_eid and currency_scale as given.

    given: values by column, only those that were said; `voucher` as `checked_template` takes it; `name` and
    `campaign_type` must be there. Raises InvalidInput.
    """
    kind = CampaignType(given["campaign_type"])
    growth = given.get("type", AUTO_UPDATE)
    check_period(given.get("start_date"), given.get("expiration_date"), "invalid_campaign")
    columns: dict[str, Any] = {name: given.get(name) for name in _PLAIN}
    columns |= {
        "name": given["name"],
        "campaign_type": kind.value,
        "type": growth,
        "voucher": checked_template(kind, given.get("voucher")),
        "metadata": given.get("metadata") or {},
        "auto_join": given.get("auto_join", False),
        "join_once": _join_once(kind, growth, given.get("join_once", True)),
        "use_voucher_metadata_schema": given.get("use_voucher_metadata_schema", False),
        "active": True,
    }
    if kind.has_currency:
        columns["currency_eid"] = given.get("currency_eid") or slug(given["name"])
        columns["currency_scale"] = given.get("currency_scale", 2 if kind is CampaignType.GIFT else 0)
    else:
        columns |= {"currency_eid": None, "currency_scale": 0}
    return columns


def check_count(columns: Mapping[str, Any], count: int) -> None:
    """Raise InvalidInput unless the campaign (its columns) can get `count` vouchers with drawn codes when it is made."""
    if not count:
        return
    if columns["voucher"] is None:
        raise _no_vouchers(columns)
    if columns["type"] == STANDALONE and count > 1:
        raise InvalidInput("invalid_campaign", "A STANDALONE campaign starts with at most 1 voucher",
                           field="vouchers_count", value=count)  # fmt: skip
    check_capacity(template_shape(columns), count)


def check_capacity(shape: CodeShape, count: int) -> None:
    """Raise InvalidInput when there are fewer than `count` different codes."""
    if shape.capacity < count:
        raise InvalidInput("invalid_code_config", f"The code configuration allows only {shape.capacity} codes; use a longer "
                           "pattern or a larger charset", field="code_config", value=shape.pattern)  # fmt: skip


def checked_template(kind: CampaignType, said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The campaign's voucher template in the form it is kept in; None for a promotion.

    said: {type, gift{amount, effect} | loyalty_card{points, expiration_rules} | discount, redemption{quantity},
    code_config, metadata, start_date, expiration_date (ms)}. Raises InvalidInput (invalid_campaign and others).
    """
    if not kind.voucher_types:
        return None
    if said is None:
        if kind is not CampaignType.LOYALTY:
            raise _required("voucher", kind)
        said = {}
    voucher_type = _voucher_type(kind, said)
    template: dict[str, Any] = {"type": voucher_type.value}
    if voucher_type is VoucherType.GIFT:
        template["gift"] = _gift(said.get("gift"), kind)
    elif voucher_type is VoucherType.LOYALTY:
        template["loyalty_card"] = _loyalty_card(said.get("loyalty_card"))
    else:
        if not said.get("discount"):
            raise _required("discount", kind)
        template["discount"] = check_discount(said["discount"], "voucher.discount")
    template["redemption"] = {"quantity": (said.get("redemption") or {}).get("quantity")}
    shape = code_shape(said.get("code_config"), "voucher.code_config")
    template["code_config"] = {
        "length": shape.pattern.count("#"), "charset": shape.charset, "pattern": shape.pattern,
        "prefix": shape.prefix, "postfix": shape.postfix,
    }  # fmt: skip
    check_period(said.get("start_date"), said.get("expiration_date"), "invalid_campaign")
    return template | {name: said[name] for name in _TEMPLATE_EXTRAS if said.get(name) is not None}


def changed_campaign(row: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(columns of the campaign to set, columns to set on its vouchers that are not published or redeemed yet).

    row: the campaign. given: values by column, only those that were said, and `discount`, `gift`, `loyalty_card` for its
    template, `unset_metadata_fields`. Amounts and points count for vouchers made from now on; balances never change
    (Voucherify: Update Campaign). Raises InvalidInput.
    """
    kind = CampaignType(row["campaign_type"])
    columns = {name: given[name] for name in _CHANGEABLE if name in given}
    start = columns.get("start_date", row["start_date"])
    check_period(start, columns.get("expiration_date", row["expiration_date"]), "invalid_campaign")
    if row["type"] != STANDALONE and given.get("type") in (AUTO_UPDATE, STATIC):
        columns["type"] = given["type"]
    if "join_once" in given:
        columns["join_once"] = _join_once(kind, row["type"], given["join_once"])
    unset = given.get("unset_metadata_fields") or ()
    if "metadata" in given or unset:
        merged = {**(row["metadata"] or {}), **(given.get("metadata") or {})}
        columns["metadata"] = {name: value for name, value in merged.items() if name not in unset}
    template, affected = _changed_template(row, given, kind)
    if template != row["voucher"]:
        columns["voucher"] = template
    return columns, affected | {name: columns[name] for name in _INHERITED if name in columns}


def _changed_template(
    row: Mapping[str, Any], given: Mapping[str, Any], kind: CampaignType
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    if row["voucher"] is None:
        return None, {}
    template = dict(row["voucher"])
    affected: dict[str, Any] = {}
    if given.get("discount") and "discount" in template:
        before = template["discount"].get("type")
        if given["discount"].get("type", before) != before:
            raise InvalidInput("invalid_campaign", "It is not possible to change Voucher discount type",
                               field="discount.type", value=given["discount"].get("type"))  # fmt: skip
        affected["discount"] = template["discount"] = check_discount({"type": before, **given["discount"]})
    if given.get("gift") and "gift" in template:
        template["gift"] = _gift({**template["gift"], **given["gift"]}, kind)
        affected["gift_effect"] = template["gift"]["effect"]
    if given.get("loyalty_card") and "loyalty_card" in template:
        template["loyalty_card"] = _loyalty_card({**template["loyalty_card"], **given["loyalty_card"]})
    return template, affected


def _voucher_type(kind: CampaignType, said: Mapping[str, Any]) -> VoucherType:
    usual = VoucherType.GIFT if said.get("gift") and VoucherType.GIFT in kind.voucher_types else kind.voucher_types[0]
    voucher_type = VoucherType(said["type"]) if said.get("type") else usual
    if voucher_type not in kind.voucher_types:
        raise InvalidInput("invalid_campaign", f"Vouchers of type {voucher_type} cannot belong to {kind} campaign",
                           field="voucher.type", value=voucher_type.value, allowed=kind.voucher_types)  # fmt: skip
    return voucher_type


def _gift(said: Mapping[str, Any] | None, kind: CampaignType) -> dict[str, Any]:
    if not said or said.get("amount") is None:
        raise _required("gift", kind)
    amount = check_opening(said["amount"], "voucher.gift.amount")
    return {"amount": amount, "effect": check_gift_effect(said.get("effect"), "voucher.gift.effect")}


def _loyalty_card(said: Mapping[str, Any] | None) -> dict[str, Any]:
    said = said or {}
    card: dict[str, Any] = {"points": check_opening(said.get("points") or 0, "voucher.loyalty_card.points")}
    rules = said.get("expiration_rules")
    if rules:
        expiry.check_rules(rules, "voucher.loyalty_card.expiration_rules")
        card["expiration_rules"] = {name: rules[name] for name in _RULES if rules.get(name) is not None}
    return card


def _join_once(kind: CampaignType, growth: str, asked: bool) -> bool:
    # The vendor forces both: always true for loyalty programmes, always false for standalone campaigns.
    return kind is CampaignType.LOYALTY or (growth != STANDALONE and asked)


def _required(name: str, kind: CampaignType) -> InvalidInput:
    return InvalidInput("invalid_campaign", f"Property '{name}' is required for {kind} campaign", field=name)


def _no_vouchers(campaign: Mapping[str, Any]) -> InvalidInput:
    return InvalidInput("invalid_campaign", f"You can not generate vouchers for {campaign['campaign_type']} campaign.",
                        field="campaign", value=campaign["name"])  # fmt: skip


def slug(name: str) -> str:
    """A name as an identifier: `Bonus Points 2024` is `bonus_points_2024`; `currency` when no letter is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "currency"


def template_shape(campaign: Mapping[str, Any]) -> CodeShape:
    """What the campaign's drawn codes look like."""
    return code_shape((campaign["voucher"] or {}).get("code_config"), "voucher.code_config")


def voucher_draft(
    campaign: Mapping[str, Any], granted_at: int, *, code: str | None = None, holder_id: str | None = None
) -> VoucherDraft:
    """A voucher as the campaign's template has it, for the caller to change with `dataclasses.replace` and insert.

    campaign: a row of the campaigns table. granted_at: ms; the day from which points' last day of use counts.
    code: None draws one of the template's shape.
    """
    template: Mapping[str, Any] = campaign["voucher"] or {}
    draft = VoucherDraft(
        type=VoucherType(template["type"]),
        code=code,
        shape=template_shape(campaign),
        campaign_id=campaign["id"],
        campaign=campaign["name"],
        category=campaign["category"],
        start_date=_first(template.get("start_date"), campaign["start_date"]),
        expiration_date=_first(template.get("expiration_date"), campaign["expiration_date"]),
        validity_timeframe=_first(template.get("validity_timeframe"), campaign["validity_timeframe"]),
        validity_day_of_week=_days(_first(template.get("validity_day_of_week"), campaign["validity_day_of_week"])),
        metadata=template.get("metadata"),
        holder_id=holder_id,
        is_referral_code=campaign["campaign_type"] == CampaignType.REFERRAL,
        quantity=(template.get("redemption") or {}).get("quantity"),
    )
    if draft.type is VoucherType.GIFT:
        gift = template.get("gift") or {}
        return replace(draft, opening=gift.get("amount") or 0, gift_effect=gift.get("effect"))
    if draft.type is VoucherType.LOYALTY:
        card = template.get("loyalty_card") or {}
        last_day = expiry.last_day(card.get("expiration_rules"), iso_date(granted_at))
        return replace(draft, opening=card.get("points") or 0, opening_expires_on=last_day)
    return replace(draft, discount=template.get("discount"))


def template_of(campaign: Mapping[str, Any], granted_at: int, *, drawn: bool) -> VoucherDraft:
    """The draft of one more voucher of the campaign. drawn: its code is to be drawn, not given.

    Raises InvalidInput (invalid_campaign) for a promotion, which has no vouchers, and for a standalone campaign that is
    asked for drawn codes (Voucherify: Create Voucher, 400).
    """
    if campaign["voucher"] is None:
        raise _no_vouchers(campaign)
    if drawn and campaign["type"] == STANDALONE:
        raise InvalidInput("invalid_campaign", "You can not generate vouchers for STANDALONE type campaign.",
                           field="campaign", value=campaign["name"])  # fmt: skip
    return voucher_draft(campaign, granted_at)


def _first(own: Any, inherited: Any) -> Any:
    return inherited if own is None else own


def _days(days: Any) -> tuple[int, ...] | None:
    return None if days is None else tuple(days)
