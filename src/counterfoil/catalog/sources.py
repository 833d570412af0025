"""Where a field's value comes from, said as data; `db.exportables` turns it into SQL.

A path names a column: `balance` is a column of the object's own table, `holder.source_id` one of a joined table. Few
forms are enough for every field, so a new field is a row of the catalogue and no code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is."""

    path: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """Always unknown: a column that the vendor lists and the ledger has no value for."""


@dataclass(frozen=True, slots=True)
class JsonAt:
    """A member of a JSON document: text unquoted, a number as it stands, NULL when absent or null."""

    path: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JsonList:
    """A JSON array of scalars: several values to a filter, one comma-joined cell to a file.

    keys: where in the document the array stands. item: the member of each element that counts, when elements are
    objects. A single scalar in the array's place counts as an array of one.
    """

    path: str
    keys: tuple[str, ...] = ()
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The value of the case that the text of `by` names; NULL when it names none."""

    by: Source
    cases: tuple[tuple[str, Source], ...]


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first value that is known."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """left - right, both integers."""

    left: Source
    right: Source


@dataclass(frozen=True, slots=True)
class Average:
    """total / count as an integer, rounded half up; 0 when count is 0. Both are integers, count is not negative."""

    total: Source
    count: Source


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Several values at once, for filters only: a condition holds when it holds for one of them."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Child:
    """The values of a column in the rows of another table that belong to this one, for filters only.

    on: (column of the child, column of the object's own table), besides the project.
    """

    table: str
    column: str
    on: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ChildSum:
    """The sum of an integer column over those rows of another table that belong to this one; 0 when there are none.

    on: as of Child. where: (column, value) pairs that such a row must have; deleted: the column that must be unset.
    """

    table: str
    column: str
    on: tuple[tuple[str, str], ...]
    where: tuple[tuple[str, str], ...] = ()
    deleted: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A word decided by the object's flag, dates and use; see `catalog.operators.STATES`."""


Source = (
    Column | Nothing | JsonAt | JsonList | Choice | FirstOf | Difference | Average | AnyOf | Child | ChildSum | State
)


def is_many(source: Source) -> bool:
    """Whether a row holds several values of it (or none), so that conditions ask for any of them."""
    return isinstance(source, JsonList | AnyOf | Child)


def paths_of(source: Source) -> tuple[str, ...]:
    """Every column path the source reads, in no special order."""
    match source:
        case Column(path) | JsonAt(path, _) | JsonList(path, _, _):
            return (path,)
        case Choice(by, cases):
            return paths_of(by) + tuple(path for _, case in cases for path in paths_of(case))
        case FirstOf(sources) | AnyOf(sources):
            return tuple(path for each in sources for path in paths_of(each))
        case Difference(left, right) | Average(left, right):
            return paths_of(left) + paths_of(right)
        case Child(_, _, on) | ChildSum(_, _, on, _, _):
            return tuple(own for _, own in on)
        case Nothing() | State():
            return ()


def joins_of(source: Source) -> frozenset[str]:
    """Names of the joined tables that the source needs."""
    return frozenset(path.partition(".")[0] for path in paths_of(source) if "." in path)
