"""The catalogue: every object that can be exported, by name."""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.transactions import MOVEMENT, VOUCHER_TRANSACTIONS
from counterfoil.errors import InvalidInput

OBJECTS: dict[str, Exportable] = {each.name: each for each in (VOUCHER_TRANSACTIONS, MOVEMENT)}


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
