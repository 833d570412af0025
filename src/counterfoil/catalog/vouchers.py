"""Vouchers: discount coupons, gift cards and loyalty cards.

Fields and definitions: seed 002 (Vouchers) and facts 1.3; titles, orders, filters: facts 1.3 and 1.7.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field, Join
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import AnyOf, Child, Choice, Column, FirstOf, JsonAt, JsonList, Nothing, State

_DISCOUNT = "DISCOUNT_VOUCHER"
_GIFT = "GIFT_VOUCHER"
_LOYALTY = "LOYALTY_CARD"
_TYPE = Column("type")


def _discount(key: str) -> JsonAt:
    return JsonAt("discount", (key,))


_VALUE = Choice(
    _TYPE,
    (
        (
            _DISCOUNT,
            Choice(
                _discount("type"),
                (
                    ("AMOUNT", _discount("amount_off")),
                    ("PERCENT", _discount("percent_off")),
                    ("UNIT", _discount("unit_off")),
                    ("FIXED", _discount("fixed_amount")),
                ),
            ),
        ),
        (_GIFT, Column("balance")),
        (_LOYALTY, Column("balance")),
    ),
)
_FORMULA = FirstOf(
    tuple(_discount(f"{unit}_formula") for unit in ("amount_off", "percent_off", "unit_off", "fixed_amount"))
)
_PUBLISHED_TO = Child("publications", "customer_id", (("voucher_id", "id"),))

_FIELDS = (
    Field("code", Kind.STRING, "Code", "Unique voucher code.", Column("code")),
    Field("voucher_type", Kind.STRING, "Voucher Type", "DISCOUNT_VOUCHER, GIFT_VOUCHER or LOYALTY_CARD.", _TYPE),
    Field(
        "value",
        Kind.DECIMAL,
        "Value",
        "Discount: amount, percent or units; gift card: amount left to spend; loyalty card: usable points.",
        _VALUE,
        filterable=False,
    ),
    Field("formula", Kind.STRING, "Formula", "The discount's formula.", _FORMULA),
    Field("discount_type", Kind.STRING, "Discount Type", "AMOUNT, PERCENT, UNIT or FIXED.", _discount("type")),
    Field("campaign", Kind.STRING, "Campaign", "The campaign's name.", Column("campaign.name")),
    Field("category", Kind.STRING, "Category", "Tag of the voucher's category.", Column("category")),
    Field("start_date", Kind.INSTANT, "Start Date", "From when the voucher is active.", Column("start_date")),
    Field("expiration_date", Kind.INSTANT, "Expiration Date", "Until when it is active.", Column("expiration_date")),
    Field(
        "gift_balance",
        Kind.MONEY,
        "Gift Balance",
        "Amount left to spend.",
        Choice(_TYPE, ((_GIFT, Column("balance")),)),
    ),
    Field(
        "loyalty_balance",
        Kind.MONEY,
        "Loyalty Card Balance",
        "Available usable points.",
        Choice(_TYPE, ((_LOYALTY, Column("balance")),)),
    ),
    Field(
        "redemption_quantity",
        Kind.INTEGER,
        "Redemption Limit",
        "How many times the voucher may be redeemed.",
        Column("redemption_quantity"),
    ),
    Field("redemption_count", Kind.INTEGER, "Redemption Count", "Total redemptions.", Column("redeemed_quantity")),
    Field("active", Kind.BOOLEAN, "Active", "Whether the voucher is switched on.", Column("active")),
    Field(
        "qr_code", Kind.STRING, "QR Code", "URL of the code's QR image; none is kept here.", Nothing(), filterable=False
    ),
    Field(
        "bar_code", Kind.STRING, "Barcode", "URL of its barcode image; none is kept here.", Nothing(), filterable=False
    ),
    Field("metadata", Kind.JSON, "Metadata", "Custom voucher metadata.", Column("metadata")),
    Field("id", Kind.STRING, "ID", "Unique voucher ID.", Column("id")),
    Field(
        "is_referral_code",
        Kind.BOOLEAN,
        "Is referral code?",
        "Whether it is a referral code.",
        Column("is_referral_code"),
    ),
    Field("created_at", Kind.INSTANT, "Creation Date", "When the voucher was created.", Column("created_at")),
    Field("updated_at", Kind.INSTANT, "Last Update Date", "When it was last updated.", Column("updated_at")),
    Field(
        "validity_timeframe_interval",
        Kind.STRING,
        "Validity Timeframe Interval",
        "From one period of validity to the next, an ISO-8601 duration.",
        JsonAt("validity_timeframe", ("interval",)),
    ),
    Field(
        "validity_timeframe_duration",
        Kind.STRING,
        "Validity Timeframe Duration",
        "How long each period lasts, an ISO-8601 duration.",
        JsonAt("validity_timeframe", ("duration",)),
    ),
    Field(
        "validity_day_of_week",
        Kind.INTEGER,
        "Validity Day of Week",
        "Days of the week on which it is valid, 0 Sunday to 6.",
        JsonList("validity_day_of_week"),
    ),
    Field(
        "discount_amount_limit",
        Kind.DECIMAL,
        "Discount Amount Limit",
        "The most that a PERCENT discount takes off.",
        _discount("amount_limit"),
        filterable=False,
    ),
    Field("campaign_id", Kind.STRING, "Campaign ID", "Parent campaign ID.", Column("campaign_id")),
    Field("additional_info", Kind.STRING, "Additional Info", "Free text about the code.", Column("additional_info")),
    Field("customer_id", Kind.STRING, "Customer ID", "The customer it was published to.", Column("holder_id")),
    Field("discount_effect", Kind.STRING, "Discount Effect", "What the discount applies to.", _discount("effect")),
    Field(
        "discount_unit_type",
        Kind.STRING,
        "Discount Unit Type",
        "For UNIT discounts, the products given.",
        FirstOf((_discount("unit_type"), JsonList("discount", ("units",), "unit_type"))),
        filterable=False,
    ),
    Field(
        "discount_unit_effect",
        Kind.STRING,
        "Discount Unit Effect",
        "For UNIT discounts, ADD_MANY_ITEMS, ADD_MISSING_ITEMS or ADD_NEW_ITEMS.",
        Choice(
            _discount("type"),
            (("UNIT", FirstOf((JsonList("discount", ("units",), "effect"), _discount("effect")))),),
        ),
        filterable=False,
    ),
    Field(
        "validation_rules_id",
        Kind.STRING,
        "Validation Rules ID",
        "Rules assigned to the voucher; none are kept here.",
        Nothing(),
        filterable=False,
    ),
    Field(
        "customer_source_id", Kind.STRING, "Customer Source ID", "The customer's own ID.", Column("holder.source_id")
    ),
)

_FILTERS = tuple(
    Field(name, kind, name, definition, source, exported=False)
    for name, kind, definition, source in (
        ("type", Kind.STRING, "The voucher's type.", _TYPE),
        ("created_date", Kind.INSTANT, "When the voucher was created.", Column("created_at")),
        ("redemption_status", Kind.STATE, "What can be done with the voucher now.", State()),
        ("categories", Kind.STRING, "The category's tag.", Column("category")),
        ("category_ids", Kind.STRING, "The category's tag.", Column("category")),
        ("vouchers", Kind.STRING, "The voucher, by code or ID.", AnyOf((Column("code"), Column("id")))),
        ("holder_id", Kind.STRING, "The customer who holds it.", Column("holder_id")),
        ("published_for_customer_id", Kind.STRING, "Customers it was published to.", _PUBLISHED_TO),
        ("validity_timeframe", Kind.JSON, "Its periods of validity.", Column("validity_timeframe")),
        ("gift.balance", Kind.MONEY, "Amount left to spend.", Choice(_TYPE, ((_GIFT, Column("balance")),))),
        ("gift.amount", Kind.MONEY, "All credits ever granted.", Choice(_TYPE, ((_GIFT, Column("total")),))),
        ("loyalty_card.balance", Kind.MONEY, "Usable points.", Choice(_TYPE, ((_LOYALTY, Column("balance")),))),
        ("loyalty_card.points", Kind.MONEY, "All points ever granted.", Choice(_TYPE, ((_LOYALTY, Column("total")),))),
        ("redemption.quantity", Kind.INTEGER, "Redemption limit.", Column("redemption_quantity")),
        ("redemption.redeemed_quantity", Kind.INTEGER, "Total redemptions.", Column("redeemed_quantity")),
        ("redemption.redeemed_amount", Kind.MONEY, "Credits spent.", Choice(_TYPE, ((_GIFT, Column("redeemed")),))),
        ("redemption.redeemed_points", Kind.MONEY, "Points spent.", Choice(_TYPE, ((_LOYALTY, Column("redeemed")),))),
        ("publish.count", Kind.INTEGER, "How often it was published.", Column("publications_count")),
    )
)

VOUCHER = Exportable(
    name="voucher",
    title="Vouchers",
    table="vouchers",
    key="id",
    fields=_FIELDS + _FILTERS,
    default_fields=("code", "voucher_type", "value", "discount_type"),
    orders=("created_at", "updated_at", "code"),
    default_order="created_at",
    joins=(
        Join("campaign", "campaigns", (("id", "campaign_id"),)),
        Join("holder", "customers", (("id", "holder_id"),)),
    ),
    documents=(("metadata.", "metadata"),),
    deleted="deleted_at",
)
