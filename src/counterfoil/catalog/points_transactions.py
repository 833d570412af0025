"""Movements of a loyalty programme's cards as Altcraft shows transactions.

Names and order: Altcraft, Transactions list (facts/altcraft 7); what its pages leave open, decision 0016: the words of
transaction_type, signed amounts, and what of a movement's details the columns behind them hold.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.shown import Shown
from counterfoil.catalog.sources import Column, Difference, Nothing

TYPE_WORDS = (
    ("POINTS_ACCRUAL", "accrual"),
    ("PENDING_POINTS_ACTIVATION", "accrual"),
    ("POINTS_ADDITION", "adjustment"),
    ("POINTS_REMOVAL", "adjustment"),
    ("POINTS_REDEMPTION", "redemption"),
    ("POINTS_REFUND", "rollback"),
    ("POINTS_EXPIRATION", "expiration"),
    ("POINTS_TRANSFER_OUT", "transfer"),
    ("POINTS_TRANSFER_IN", "transfer"),
)
"""What each type of movement is called; adjustments and transfers are told apart by the sign of the amount."""

SOURCE_WORDS = (
    ("order", "order"),
    ("reward", "reward"),
    ("source_voucher", "account"),
    ("destination_voucher", "account"),
)
"""What in a movement's details counts as its source, in this order, and what kind of thing it is."""


_PROMISE = ("pending_points", "details")
"""Where points were promised first, what led to it stands there in a movement's details."""


def _promised(*paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return (*paths, *((*_PROMISE, *path) for path in paths))


def _sources(*members: str) -> tuple[tuple[str, ...], ...]:
    return _promised(*((name, member) for name, _ in SOURCE_WORDS for member in members))


def _detail(name: str, title: str, definition: str, shown_as: Shown) -> Field:
    return Field(name, Kind.JSON, title, definition, Column("details"), filterable=False, shown_as=shown_as)


POINTS_TRANSACTION = Exportable(
    name="points_transaction",
    title="Points transactions",
    table="movements",
    key="seq",
    fields=(
        Field(
            "transaction_id",
            Kind.INTEGER,
            "Transaction ID",
            "A UUID that follows from the project and the movement's number.",
            Column("seq"),
            filterable=False,
            shown_as=Shown("movement_uuid"),
        ),
        Field("transaction_eid", Kind.STRING, "External transaction ID", "The caller's own ID.", Column("source_id")),
        Field("profile_id", Kind.STRING, "Profile ID", "The card's holder at that time.", Column("customer_id")),
        Field("created_at", Kind.INSTANT, "Creation date", "When the transaction was made.", Column("created_at")),
        Field(
            "transaction_type",
            Kind.STRING,
            "Transaction type",
            "accrual, redemption, rollback, expiration, adjustment or transfer.",
            Column("type"),
            filterable=False,
            shown_as=Shown("words", words=TYPE_WORDS),
        ),
        Field("amount", Kind.MONEY, "Amount", "The change of the balance; negative when it falls.", Column("amount")),
        Field(
            "balance_before",
            Kind.MONEY,
            "Balance before",
            "The card's balance before it.",
            Difference(Column("balance"), Column("amount")),
            filterable=False,
        ),
        Field("balance_after", Kind.MONEY, "Balance after", "The card's balance after it.", Column("balance")),
        _detail(
            "promo_iid",
            "Promotion ID",
            "The promotion that the caller named.",
            Shown("member", paths=_promised(("promotion", "iid"))),
        ),
        _detail(
            "promo_eid",
            "External promotion ID",
            "The earning rule that gave the points.",
            Shown("member", paths=_promised(("promotion", "eid"), ("earning_rule", "id"))),
        ),
        Field("description", Kind.STRING, "Description", "The reason given.", Column("reason")),
        _detail(
            "activation_date",
            "Activation date",
            "From when on the points could be spent, where that was later than their accrual.",
            Shown("member", paths=_promised(("activation_date",))),
        ),
        _detail(
            "expiration_date",
            "Expiration date",
            "Until when the points could be spent, where the accrual said so.",
            Shown("member", paths=_promised(("expiration_date",))),
        ),
        _detail(
            "source_type",
            "Source type",
            "What it came from: order, reward, or the other account of a transfer.",
            Shown("first_key", words=SOURCE_WORDS, paths=((), _PROMISE)),
        ),
        _detail("source_iid", "Source ID", "Our ID of that.", Shown("member", paths=_sources("id"))),
        _detail(
            "source_eid",
            "External source ID",
            "The caller's own ID of that, or the other card's code.",
            Shown("member", paths=_sources("source_id", "code")),
        ),
        Field(
            "points_currency_iid",
            Kind.STRING,
            "Points currency ID",
            "The programme's currency.",
            Nothing(),
            filterable=False,
            shown_as=Shown("given"),
        ),
        Field(
            "points_currency_eid",
            Kind.STRING,
            "External points currency ID",
            "The same by its external ID.",
            Nothing(),
            filterable=False,
            shown_as=Shown("given"),
        ),
        Field("id", Kind.STRING, "ID", "The movement's own ID.", Column("id"), exported=False),
        Field("campaign_id", Kind.STRING, "Campaign ID", "The programme.", Column("campaign_id"), exported=False),
        Field("voucher_id", Kind.STRING, "Voucher ID", "The card.", Column("voucher_id"), exported=False),
    ),
    default_fields=(
        *("transaction_id", "transaction_eid", "profile_id", "created_at", "transaction_type", "amount"),
        *("balance_before", "balance_after", "promo_iid", "promo_eid", "description", "activation_date"),
        *("expiration_date", "source_type", "source_iid", "source_eid", "points_currency_iid", "points_currency_eid"),
    ),
    orders=("created_at",),
    default_order="created_at",
    hidden=(("type", "OPENING_BALANCE"),),
)
