"""Customers with their flattened summaries.

Fields and definitions: seed 002 (Customers); orders and filters: facts 1.3; titles: our own, the vendor's are unknown.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import AnyOf, Average, Child, ChildSum, Column


def _held(kind: str) -> ChildSum:
    """What the customer's cards of a type hold together."""
    return ChildSum("vouchers", "balance", (("holder_id", "id"),), (("type", kind),), "deleted_at")


_POINTS, _CREDITS = _held("LOYALTY_CARD"), _held("GIFT_VOUCHER")
_AVERAGE = Average(Column("orders_total_amount"), Column("orders_total_count"))


def _address(part: str, title: str) -> Field:
    column = Column(f"address_{part}")
    return Field(f"address_{part}", Kind.STRING, f"Address {title}", f"{title} of the address.", column)


def _redemptions(part: str, title: str) -> Field:
    name = f"redemptions_{part}"
    return Field(
        name, Kind.INTEGER, f"Redemptions {title}", f"The customer's redemptions: {title.lower()}.", Column(name)
    )


_ADDRESS = (
    _address("city", "City"),
    _address("state", "State"),
    _address("line_1", "Line 1"),
    _address("line_2", "Line 2"),
    _address("country", "Country"),
    _address("postal_code", "Postal Code"),
)
_REDEMPTIONS = (
    _redemptions("total_redeemed", "Total Redeemed"),
    _redemptions("total_failed", "Total Failed"),
    _redemptions("total_succeeded", "Total Succeeded"),
    _redemptions("total_rolled_back", "Total Rolled Back"),
    _redemptions("total_rollback_failed", "Total Rollback Failed"),
    _redemptions("total_rollback_succeeded", "Total Rollback Succeeded"),
)

_FIELDS = (
    Field("name", Kind.STRING, "Name", "Customer name.", Column("name")),
    Field("id", Kind.STRING, "ID", "Unique customer ID.", Column("id")),
    Field("description", Kind.STRING, "Description", "Any text about the customer.", Column("description")),
    Field("email", Kind.STRING, "Email", "E-mail address.", Column("email")),
    Field("source_id", Kind.STRING, "Source ID", "The caller's own ID of the customer.", Column("source_id")),
    Field("created_at", Kind.INSTANT, "Creation Date", "When the customer was created.", Column("created_at")),
    *_ADDRESS,
    *_REDEMPTIONS,
    Field("orders_total_amount", Kind.MONEY, "Orders Total Amount", "Sum of order amounts, × 100.", Column("orders_total_amount")),
    Field("orders_total_count", Kind.INTEGER, "Orders Total Count", "Number of orders.", Column("orders_total_count")),
    Field("orders_average_amount", Kind.MONEY, "Orders Average Amount", "Average order amount, × 100, rounded half up.", _AVERAGE),
    Field("orders_last_order_amount", Kind.MONEY, "Orders Last Order Amount", "The last order's amount, × 100.", Column("orders_last_order_amount")),
    Field("orders_last_order_date", Kind.INSTANT, "Orders Last Order Date", "When the last order was.", Column("orders_last_order_date")),
    Field("loyalty_points", Kind.MONEY, "Loyalty Points", "Points to go across all loyalty cards.", _POINTS),
    Field("loyalty_referred_customers", Kind.INTEGER, "Loyalty Referred Customers", "Customers referred.", Column("loyalty_referred_customers")),
    Field("updated_at", Kind.INSTANT, "Last Update Date", "When the customer was last updated.", Column("updated_at")),
    Field("phone", Kind.STRING, "Phone", "Phone number.", Column("phone")),
    Field("birthday", Kind.DATE, "Birthday", "Deprecated, see birthdate.", Column("birthday")),
    Field("metadata", Kind.JSON, "Metadata", "Custom customer metadata.", Column("metadata")),
    Field("birthdate", Kind.DATE, "Birthdate", "Date of birth.", Column("birthdate")),
)  # fmt: skip


def _publication(column: str) -> Child:
    return Child("publications", column, (("customer_id", "id"),))


# The same values under the paths that the vendor's customer object gives them.
_FILTERS = (
    *(Field(f"address.{each.name[8:]}", each.kind, each.title, each.definition, each.source, exported=False) for each in _ADDRESS),
    *(
        Field(f"summary.redemptions.{each.name[12:]}", each.kind, each.title, each.definition, each.source, exported=False)
        for each in _REDEMPTIONS
    ),
    *(
        Field(name, kind, name, definition, source, exported=False)
        for name, kind, definition, source in (
            ("city", Kind.STRING, "City of the address.", Column("address_city")),
            ("customer", Kind.STRING, "The customer, by ID or own ID.", AnyOf((Column("id"), Column("source_id")))),
            ("publications.created_at", Kind.INSTANT, "When vouchers were published to the customer.", _publication("created_at")),
            ("publications.related_object_id", Kind.STRING, "Vouchers published to the customer.", _publication("voucher_id")),
            ("publications.campaign_id", Kind.STRING, "Campaigns published to the customer.", _publication("campaign_id")),
            ("summary.redemptions.gift.redeemed_amount", Kind.MONEY, "Gift credits spent.", Column("gift_redeemed_amount")),
            ("summary.redemptions.gift.amount_to_go", Kind.MONEY, "Gift credits left.", _CREDITS),
            ("summary.redemptions.loyalty_card.redeemed_points", Kind.MONEY, "Points spent.", Column("loyalty_redeemed_points")),
            ("summary.redemptions.loyalty_card.points_to_go", Kind.MONEY, "Points left.", _POINTS),
            ("summary.orders.total_amount", Kind.MONEY, "Sum of order amounts.", Column("orders_total_amount")),
            ("summary.orders.total_count", Kind.INTEGER, "Number of orders.", Column("orders_total_count")),
            ("summary.orders.average_amount", Kind.MONEY, "Average order amount.", _AVERAGE),
            ("summary.orders.last_order_amount", Kind.MONEY, "The last order's amount.", Column("orders_last_order_amount")),
            ("summary.orders.last_order_date", Kind.INSTANT, "When the last order was.", Column("orders_last_order_date")),
            ("loyalty.points", Kind.MONEY, "Points to go across all loyalty cards.", _POINTS),
            ("loyalty.referred_customers", Kind.INTEGER, "Customers referred.", Column("loyalty_referred_customers")),
        )
    ),
)  # fmt: skip

CUSTOMER = Exportable(
    name="customer",
    title="Customers",
    table="customers",
    key="id",
    fields=_FIELDS + _FILTERS,
    default_fields=("name", "source_id"),
    orders=("name", "id", "email", "source_id", "created_at", "updated_at"),
    default_order="created_at",
    documents=(("metadata.", "metadata"),),
    deleted="deleted_at",
)
