"""Orders.

Fields and definitions: seed 002 (Orders); orders and filters: facts 1.3; titles: our own, the vendor's are unknown.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field, Join
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import AnyOf, Column, JsonList

_FIELDS = (
    Field("id", Kind.STRING, "ID", "Unique order ID.", Column("id")),
    Field("source_id", Kind.STRING, "Source ID", "The caller's own ID of the order.", Column("source_id")),
    Field("created_at", Kind.INSTANT, "Creation Date", "When the order was created.", Column("created_at")),
    Field("updated_at", Kind.INSTANT, "Last Update Date", "When it was last updated.", Column("updated_at")),
    Field("status", Kind.STRING, "Status", "CREATED, PAID, CANCELED or FULFILLED.", Column("status")),
    Field("amount", Kind.MONEY, "Amount", "Total amount of order items.", Column("amount")),
    Field("discount_amount", Kind.MONEY, "Discount Amount", "Discount on the whole cart.", Column("discount_amount")),
    Field("items_discount_amount", Kind.MONEY, "Items Discount Amount", "Discount on order items.", Column("items_discount_amount")),
    Field("total_discount_amount", Kind.MONEY, "Total Discount Amount", "All discounts together.", Column("total_discount_amount")),
    Field("total_amount", Kind.MONEY, "Total Amount", "Order amount after all discounts.", Column("total_amount")),
    Field("customer_id", Kind.STRING, "Customer ID", "The customer.", Column("customer_id")),
    Field("referrer_id", Kind.STRING, "Referrer ID", "The customer who referred them.", Column("referrer_id")),
    Field("metadata", Kind.JSON, "Metadata", "Order metadata.", Column("metadata")),
)  # fmt: skip

_FILTERS = tuple(
    Field(name, kind, name, definition, source, exported=False)
    for name, kind, definition, source in (
        ("initial_amount", Kind.MONEY, "Amount before any change of its items.", Column("initial_amount")),
        ("applied_discount_amount", Kind.MONEY, "Discount applied by this call.", Column("applied_discount_amount")),
        ("total_applied_discount_amount", Kind.MONEY, "All discounts applied by this call.", Column("total_applied_discount_amount")),
        ("customer", Kind.STRING, "The customer, by ID or own ID.", AnyOf((Column("customer_id"), Column("customer.source_id")))),
        ("customer_source_id", Kind.STRING, "The customer's own ID.", Column("customer.source_id")),
        ("items", Kind.JSON, "The order's items.", JsonList("items")),
        ("items.product_id", Kind.STRING, "Products ordered.", JsonList("items", (), "product_id")),
        ("items.sku_id", Kind.STRING, "SKUs ordered.", JsonList("items", (), "sku_id")),
        ("items.source_id", Kind.STRING, "Items ordered, by the caller's own ID.", JsonList("items", (), "source_id")),
    )
)  # fmt: skip

ORDER = Exportable(
    name="order",
    title="Orders",
    table="orders",
    key="id",
    fields=_FIELDS + _FILTERS,
    default_fields=("id", "source_id", "status"),
    orders=("created_at", "updated_at", "status"),
    default_order="created_at",
    joins=(Join("customer", "customers", (("id", "customer_id"),)),),
    documents=(("metadata.", "metadata"),),
)
