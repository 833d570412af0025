"""Fields and order of an export: checked, defaulted, and turned into the columns of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.shown import Shown
from counterfoil.errors import InvalidInput
from counterfoil.plan.operands import storable
from counterfoil.plan.request import Order
from counterfoil.plan.task import OutputColumn


def check_fields(about: Exportable, fields: Sequence[str], *, path: str = "fields") -> tuple[str, ...]:
    """The fields to export: those asked for, or the object's defaults when none are.

    Raises InvalidInput `invalid_export_fields` for an unknown one (allowed: the object's list) or a repeated one.
    """
    for index, name in enumerate(fields):
        field = about.field(name)
        if field is None or not field.exported or not _storable(name):
            raise InvalidInput(
                "invalid_export_fields",
                f"Unsupported field used. Allowed fields: {', '.join(about.exported_names)}",
                field=path,
                value=name,
                allowed=about.exported_names,
            )
        if name in fields[:index]:
            raise InvalidInput("invalid_export_fields", f"The field {name} is asked for twice", field=path, value=name,
                               allowed=about.exported_names)  # fmt: skip
    return tuple(fields) or about.default_fields


def check_order(about: Exportable, order: Order | None, *, path: str = "order") -> Order:
    """The order to export in: the one asked for, or the object's own.

    Raises InvalidInput `invalid_export_order` for one that is not offered (allowed: each with and without a dash).
    """
    if order is None:
        return parse_order(about.default_order)
    if order.field not in about.orders:
        raise InvalidInput(
            "invalid_export_order",
            f"{about.title} cannot be ordered by {order.field!r}; there are {', '.join(about.order_names)}",
            field=path,
            value=f"-{order.field}" if order.descending else order.field,
            allowed=about.order_names,
        )
    return order


def parse_order(text: str) -> Order:
    """An order as one word: `created_at` or `-created_at`."""
    return Order(text.removeprefix("-"), text.startswith("-"))


def output_columns(
    about: Exportable,
    fields: Sequence[str],
    *,
    header_style: str = "names",
    metadata_names: Sequence[str] = (),
    scales: Mapping[str, int] | None = None,
    given: Mapping[str, str] | None = None,
) -> tuple[OutputColumn, ...]:
    """The columns of the file for checked fields.

    header_style: `names` (seed 002: the fields define the headers) or `titles` (the vendor's dashboard). `metadata`
    becomes one column for each of metadata_names that is not asked for by itself; with none known it stays one column
    with the whole document. scales: decimal digits by field, for amounts shown as decimals. given: by field, what its
    `Shown` asks for.
    """
    columns: list[OutputColumn] = []
    for name in _expanded(about, fields, metadata_names):
        field = about.field(name)
        assert field is not None, name
        scale, shown_as = (scales or {}).get(name, 0), _shown(field, given or {})
        columns.append(OutputColumn(name, _label(field, header_style), scale, shown_as=shown_as))
    return tuple(columns)


def _expanded(about: Exportable, fields: Sequence[str], metadata_names: Sequence[str]) -> list[str]:
    prefixes = {prefix[:-1]: prefix for prefix, _ in about.documents if prefix == "metadata."}
    names: list[str] = []
    for name in fields:
        members = [f"{prefixes[name]}{member}" for member in sorted(metadata_names)] if name in prefixes else []
        names.extend([each for each in members if each not in fields] if members else [name])
    return names


def _shown(field: Field, given: Mapping[str, str]) -> Shown | None:
    shown = field.shown_as
    return replace(shown, given=given.get(field.name)) if shown is not None and shown.asks else shown


def _label(field: Field, header_style: str) -> str:
    return field.title if header_style == "titles" else field.name


def _storable(name: str) -> bool:
    try:
        storable(name)
    except ValueError:
        return False
    return True
