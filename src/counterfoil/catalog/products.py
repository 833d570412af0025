"""Products and their stock-keeping units.

Fields, defaults, orders and filters: facts 1.3; titles: our own, the vendor's are unknown.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import Column

_DOCUMENTS = (("metadata.", "metadata"), ("attributes.", "attributes"))

PRODUCT = Exportable(
    name="product",
    title="Products",
    table="products",
    key="id",
    fields=(
        Field("id", Kind.STRING, "ID", "Unique product ID.", Column("id")),
        Field("name", Kind.STRING, "Name", "Product name.", Column("name")),
        Field("price", Kind.MONEY, "Price", "Price, × 100.", Column("price")),
        Field("image_url", Kind.STRING, "Image URL", "Where its picture is.", Column("image_url")),
        Field("source_id", Kind.STRING, "Source ID", "The caller's own ID of the product.", Column("source_id")),
        Field("attributes", Kind.JSON, "Attributes", "Names of its SKUs' attributes.", Column("attributes")),
        Field("created_at", Kind.INSTANT, "Creation Date", "When the product was created.", Column("created_at")),
        Field("metadata", Kind.JSON, "Metadata", "Custom product metadata.", Column("metadata")),
        Field("updated_at", Kind.INSTANT, "Last Update Date", "When it was last updated.", Column("updated_at")),
    ),
    default_fields=("id", "name", "price", "image_url", "source_id", "attributes", "created_at"),
    orders=("created_at", "updated_at", "name"),
    default_order="created_at",
    documents=_DOCUMENTS,
)

SKU = Exportable(
    name="sku",
    title="SKUs",
    table="skus",
    key="id",
    fields=(
        Field("id", Kind.STRING, "ID", "Unique SKU ID.", Column("id")),
        Field("sku", Kind.STRING, "SKU", "The SKU's name.", Column("sku")),
        Field("product_id", Kind.STRING, "Product ID", "The product it is one of.", Column("product_id")),
        Field("currency", Kind.STRING, "Currency", "ISO 4217 code of the price's currency.", Column("currency")),
        Field("price", Kind.MONEY, "Price", "Price, × 100.", Column("price")),
        Field("image_url", Kind.STRING, "Image URL", "Where its picture is.", Column("image_url")),
        Field("source_id", Kind.STRING, "Source ID", "The caller's own ID of the SKU.", Column("source_id")),
        Field("attributes", Kind.JSON, "Attributes", "Its attributes' values.", Column("attributes")),
        Field("created_at", Kind.INSTANT, "Creation Date", "When the SKU was created.", Column("created_at")),
        Field("metadata", Kind.JSON, "Metadata", "Custom SKU metadata.", Column("metadata")),
        Field("updated_at", Kind.INSTANT, "Last Update Date", "When it was last updated.", Column("updated_at")),
    ),
    default_fields=(
        "id",
        "sku",
        "product_id",
        "currency",
        "price",
        "image_url",
        "source_id",
        "attributes",
        "created_at",
    ),
    orders=("created_at", "updated_at", "product_id", "sku"),
    default_order="created_at",
    documents=_DOCUMENTS,
)
