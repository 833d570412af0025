"""A transaction as Altcraft's list shows it: the columns of its export, with their names, one by one (facts 7)."""

from __future__ import annotations

from typing import Any

from counterfoil.catalog.exportable import Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.points_transactions import POINTS_TRANSACTION
from counterfoil.catalog.sources import Column, Difference, Source
from counterfoil.clock import iso_ms
from counterfoil.db.movements import Row
from counterfoil.db.programmes import Programme
from counterfoil.domain.money import decimal_text
from counterfoil.plan.fields import output_columns
from counterfoil.plan.presentation import shown_text

_NUMBERS = frozenset({"promo_iid", "points_currency_iid"})


def transactions(rows: tuple[Row, ...], programme: Programme, project_key: str) -> list[dict[str, Any]]:
    """Movements (`db.movements.Row`) of a card of the programme."""
    currency = programme.currency
    given = {
        "transaction_id": project_key,
        "points_currency_iid": str(currency.iid),
        "points_currency_eid": currency.eid,
    }
    columns = output_columns(POINTS_TRANSACTION, POINTS_TRANSACTION.default_fields, given=given)
    found: list[dict[str, Any]] = []
    for row in rows:
        view: dict[str, Any] = {}
        for column in columns:
            field = POINTS_TRANSACTION.field(column.field)
            assert field is not None, column
            value = _inner(row, field.source)
            shown = column.shown_as
            text = _shown(field, value, currency.scale) if shown is None else shown_text(shown, value)
            numeric = column.field in _NUMBERS and text is not None and text.isdecimal()
            view[column.field] = int(text) if numeric and text is not None else text
        found.append(view)
    return found


def _inner(row: Row, source: Source) -> Any:
    match source:
        case Column(path):
            return row[path]
        case Difference(left, right):
            return _inner(row, left) - _inner(row, right)
        case _:
            return None


def _shown(field: Field, value: Any, scale: int) -> str | None:
    if value is None:
        return None
    if field.kind is Kind.MONEY:
        return decimal_text(value, scale)
    return iso_ms(value) if field.kind is Kind.INSTANT else value
