"""Movements of cards: the vendor's voucher_transactions, and our own fuller view of the same rows.

Fields, definitions, defaults: seed 000 and seed 002 (Gift Card Transactions, Loyalty Card Transactions); titles:
facts 1.7; orders and filters: facts 1.3.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field, Join
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import Column, Difference, Nothing

_FIELDS = (
    Field("id", Kind.STRING, "ID", "Unique transaction ID.", Column("id")),
    Field("campaign_id", Kind.STRING, "Campaign ID", "Parent campaign ID.", Column("campaign_id")),
    Field("voucher_id", Kind.STRING, "Voucher ID", "Unique voucher ID.", Column("voucher_id")),
    Field("type", Kind.STRING, "Type", "Transaction type.", Column("type")),
    Field("source_id", Kind.STRING, "Source ID", "The caller's own ID, of manual operations.", Column("source_id")),
    Field("reason", Kind.STRING, "Reason", "The reason given, of manual operations.", Column("reason")),
    Field("source", Kind.STRING, "Source", "Channel through which the transaction was initiated.", Column("source")),
    Field("balance", Kind.MONEY, "Balance", "The card's balance after the transaction.", Column("balance")),
    Field("amount", Kind.MONEY, "Amount", "The change of the balance; negative when it falls.", Column("amount")),
    Field(
        "related_transaction_id",
        Kind.STRING,
        "Related transaction ID",
        "The transaction on the other card of a points transfer.",
        Column("related_transaction_id"),
    ),
    Field("created_at", Kind.INSTANT, "Creation date", "When the transaction was created.", Column("created_at")),
    Field("details", Kind.JSON, "Details", "More about the transaction, as a JSON object.", Column("details")),
)

# Decision 0005: seed 002 lists a status among the defaults, transactions have none, so the column stands and is empty.
_STATUS = Field(
    "status", Kind.STRING, "Status", "Always empty: a transaction is final.", Nothing(), listed=False, filterable=False
)

VOUCHER_TRANSACTIONS = Exportable(
    name="voucher_transactions",
    title="Transactions",
    table="movements",
    key="seq",
    fields=(*_FIELDS, _STATUS),
    default_fields=("id", "type", "source_id", "status", "reason", "source", "balance", "amount", "created_at"),
    orders=("created_at",),
    default_order="created_at",
    hidden=(("type", "OPENING_BALANCE"),),
)

MOVEMENT = Exportable(
    name="movement",
    title="Movements",
    table="movements",
    key="seq",
    fields=(
        Field("seq", Kind.INTEGER, "Seq", "The movement's number in its project.", Column("seq")),
        *_FIELDS,
        Field("customer_id", Kind.STRING, "Customer ID", "The card's holder at that time.", Column("customer_id")),
        Field(
            "balance_before",
            Kind.MONEY,
            "Balance before",
            "The card's balance before the transaction.",
            Difference(Column("balance"), Column("amount")),
            filterable=False,
        ),
        Field("recorded_at", Kind.INSTANT, "Recording date", "When the ledger wrote it down.", Column("recorded_at")),
        Field("lots", Kind.JSON, "Lots", "The points buckets it touched.", Column("lots")),
        Field("voucher_code", Kind.STRING, "Voucher Code", "The card's code.", Column("voucher.code")),
        Field("voucher_type", Kind.STRING, "Voucher Type", "The card's type.", Column("voucher.type")),
        Field("campaign", Kind.STRING, "Campaign", "The campaign's name.", Column("campaign.name")),
        Field(
            "customer_source_id",
            Kind.STRING,
            "Customer Source ID",
            "The holder's own ID.",
            Column("customer.source_id"),
        ),
    ),
    default_fields=(
        *("seq", "id", "voucher_id", "campaign_id", "customer_id", "type", "amount", "balance"),
        *("source", "source_id", "reason", "related_transaction_id", "created_at", "recorded_at", "details"),
    ),
    orders=("created_at",),
    default_order="created_at",
    joins=(
        Join("voucher", "vouchers", (("id", "voucher_id"),)),
        Join("campaign", "campaigns", (("id", "campaign_id"),)),
        Join("customer", "customers", (("id", "customer_id"),)),
    ),
)
