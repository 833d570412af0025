"""Request bodies that describe an order: alone, one of many to import, or within a redemption (facts 3.5)."""

from __future__ import annotations

from typing import Any, Literal

from counterfoil.domain.orders import OrderDraft
from counterfoil.web.voucherify.bodies import Body, Document, Instant, Name, Text, Whole
from counterfoil.web.voucherify.customer_bodies import CustomerBody


class ProductBody(Body):
    """What an item says of its product."""

    id: Text | None = None
    source_id: Text | None = None
    override: bool | None = None
    name: Text | None = None
    price: Whole | None = None
    metadata: Document | None = None


class SkuBody(Body):
    """What an item says of its variant of a product."""

    id: Text | None = None
    source_id: Text | None = None
    override: bool | None = None
    sku: Text | None = None
    price: Whole | None = None
    metadata: Document | None = None


class ItemBody(Body):
    """One item of an order; amounts in minor units."""

    source_id: Text | None = None
    related_object: Literal["product", "sku"] | None = None
    product_id: Text | None = None
    sku_id: Text | None = None
    quantity: Whole | None = None
    discount_quantity: Whole | None = None
    initial_quantity: Whole | None = None
    amount: Whole | None = None
    discount_amount: Whole | None = None
    initial_amount: Whole | None = None
    price: Whole | None = None
    product: ProductBody | None = None
    sku: SkuBody | None = None
    metadata: Document | None = None

    def said(self) -> dict[str, Any]:
        """The item without what was not said."""
        return self.model_dump(exclude_none=True)


class OrderBody(Body):
    """An order to make or update (Voucherify: Create Order)."""

    id: Name | None = None
    source_id: Name | None = None
    status: Literal["CREATED", "PAID", "CANCELED", "FULFILLED"] | None = None
    amount: Whole | None = None
    initial_amount: Whole | None = None
    discount_amount: Whole | None = None
    items: list[ItemBody] | None = None
    metadata: Document | None = None
    customer: CustomerBody | None = None
    referrer: CustomerBody | None = None
    referrer_id: Name | None = None
    created_at: Instant = None

    def draft(self) -> OrderDraft:
        """The draft as the service takes it."""
        return OrderDraft(
            id=self.id,
            source_id=self.source_id,
            status=self.status,
            amount=self.amount,
            initial_amount=self.initial_amount,
            discount_amount=self.discount_amount,
            items=None if self.items is None else [item.said() for item in self.items],
            metadata=self.metadata,
            customer=None if self.customer is None else self.customer.draft(),
            referrer=None if self.referrer is None else self.referrer.draft(),
            referrer_id=self.referrer_id,
            created_at=self.created_at,
        )
