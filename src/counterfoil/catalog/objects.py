"""The catalogue: every object that can be exported, by name."""

from __future__ import annotations

from counterfoil.catalog.customers import CUSTOMER
from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.orders import ORDER
from counterfoil.catalog.points import POINTS_EXPIRATION
from counterfoil.catalog.points_transactions import POINTS_TRANSACTION
from counterfoil.catalog.products import PRODUCT, SKU
from counterfoil.catalog.publications import PUBLICATION
from counterfoil.catalog.redemptions import REDEMPTION
from counterfoil.catalog.transactions import MOVEMENT, VOUCHER_TRANSACTIONS
from counterfoil.catalog.vouchers import VOUCHER
from counterfoil.errors import InvalidInput

OBJECTS: dict[str, Exportable] = {
    each.name: each
    for each in (
        *(VOUCHER, REDEMPTION, CUSTOMER, PUBLICATION, ORDER, POINTS_EXPIRATION, VOUCHER_TRANSACTIONS),
        *(PRODUCT, SKU, MOVEMENT, POINTS_TRANSACTION),
    )
}
"""By name, in the order in which the vendor's errors list them; `movement` is our own, `points_transaction` Altcraft's."""


def exportable(name: str) -> Exportable:
    """The object of that name. Raises InvalidInput `invalid_export_object` with the names there are."""
    found = OBJECTS.get(name)
    if found is None:
        raise InvalidInput(
            "invalid_export_object",
            f"There is no object {name!r} to export; choose one of {', '.join(OBJECTS)}",
            field="exported_object",
            value=name,
            allowed=tuple(OBJECTS),
        )
    return found
