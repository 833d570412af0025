"""The shape of the catalogue: an exportable object and its fields."""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.shown import Shown
from counterfoil.catalog.sources import JsonAt, Source, is_many


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object: the row to add for a new column.

    name: as requests and the default header say it. title: the header in the titles style. exported: may stand in a
    file; otherwise it only filters or orders. listed: stands in the list of allowed fields that errors show (a field
    may be accepted without being advertised). filterable: conditions may be put on it. shown_as: how a file shows it,
    where that is not as kind and source have it.
    """

    name: str
    kind: Kind
    title: str
    definition: str
    source: Source
    exported: bool = True
    listed: bool = True
    filterable: bool = True
    shown_as: Shown | None = None

    @property
    def many(self) -> bool:
        """Whether a row holds several values of it."""
        return is_many(self.source)


@dataclass(frozen=True, slots=True)
class Join:
    """Another table's row that belongs to the object's row, if there is one.

    on: (column of the other table, column of the object's own), besides the project.
    """

    name: str
    table: str
    on: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Exportable:
    """An object that can be exported, listed and filtered.

    table: its own table. key: the unique column that breaks ties of the order. default_order may carry a dash.
    orders: the fields one may order by. documents: JSON columns whose members are fields of their own, such as
    `metadata.NAME`, as (prefix, column). hidden: (column, value) pairs of rows that never leave. deleted: the column
    that is set once the row is gone.
    """

    name: str
    title: str
    table: str
    key: str
    fields: tuple[Field, ...]
    default_fields: tuple[str, ...]
    orders: tuple[str, ...]
    default_order: str
    joins: tuple[Join, ...] = ()
    documents: tuple[tuple[str, str], ...] = ()
    hidden: tuple[tuple[str, str], ...] = ()
    deleted: str | None = None

    def field(self, name: str) -> Field | None:
        """The field of that name, members of documents (`metadata.NAME`) included, or None."""
        for field in self.fields:
            if field.name == name:
                return field
        for prefix, column in self.documents:
            member = name.removeprefix(prefix)
            if name.startswith(prefix) and member:
                title = f"{prefix[:-1].capitalize()} {member}"
                return Field(name, Kind.ANY, title, f"The property {member}.", JsonAt(column, (member,)))
        return None

    @property
    def exported_names(self) -> tuple[str, ...]:
        """Names for the list of allowed fields, in the catalogue's order."""
        return tuple(field.name for field in self.fields if field.exported and field.listed)

    @property
    def filterable_names(self) -> tuple[str, ...]:
        """Names one may filter by, members of documents shown as `metadata.NAME`."""
        members = tuple(f"{prefix}NAME" for prefix, _ in self.documents)
        return tuple(field.name for field in self.fields if field.filterable) + members

    @property
    def order_names(self) -> tuple[str, ...]:
        """Every order that may be asked for, each also descending with a dash."""
        return tuple(name for field in self.orders for name in (field, f"-{field}"))
