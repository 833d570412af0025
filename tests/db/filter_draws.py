"""Random filters over an object's fields, with operands that sometimes hit."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.operators import BY_NAME, STATES, Takes, operators_of
from counterfoil.clock import iso_ms
from counterfoil.plan.request import Condition, FieldFilter, Filter
from tests.db.catalogue_world import DATES, IDS, INSTANTS, NUMBERS, PROPERTIES, PROPERTY_VALUES, WORDS

_SCALARS = tuple(each for each in PROPERTY_VALUES if isinstance(each, str | int | float))
_PARTS = {"is_day_of_month": (1, 31), "is_day": (0, 6), "is_month": (1, 12), "is_year": (1899, 2026)}
_FIXED_WORDS = ("SUCCESS", "FAILURE", "ACTIVE", "EXPIRED", "GIFT_VOUCHER", "POINTS_ACCRUAL", "prod_1", "P2D", "API")


def names_of(about: Exportable) -> list[str]:
    """Every field that can be filtered, with some metadata properties."""
    names = [field.name for field in about.fields if field.filterable]
    return names + [f"{prefix}{name}" for prefix, _ in about.documents for name in PROPERTIES]


@st.composite
def filters(draw: st.DrawFn, about: Exportable) -> Filter:
    """A filter of one to three fields with one or two conditions each."""
    names = draw(st.lists(st.sampled_from(names_of(about)), min_size=1, max_size=3))
    junction = draw(st.sampled_from(("and", "or")))
    fields: list[FieldFilter] = []
    for name in names:
        field = about.field(name)
        assert field is not None
        conditions = draw(st.lists(condition(field), min_size=1, max_size=2))
        fields.append(FieldFilter(name, tuple(conditions)))
    return Filter("or" if junction == "or" else "and", tuple(fields))


@st.composite
def condition(draw: st.DrawFn, field: Field) -> Condition:
    """One condition that the field's kind allows."""
    return draw(condition_of(field, draw(st.sampled_from(operators_of(field.kind, many=field.many)))))


def condition_of(field: Field, operator: str) -> st.SearchStrategy[Condition]:
    """A condition with that operator."""
    return _operands(operator, field.kind).map(lambda each: Condition(operator, tuple(each)))


_DAYS = st.sampled_from((0, 1, 2, 7, 10, 30, 31, 365, 366, 400))
_SIMPLE: dict[Takes, st.SearchStrategy[list[Any]]] = {
    Takes.NOTHING: st.lists(st.sampled_from(("", True, None)), max_size=1),
    Takes.TEXTS: st.lists(st.sampled_from((*WORDS, "d", "_1", "id", "er", "R")), min_size=1, max_size=2),
    Takes.COUNTS: st.lists(st.integers(0, 4), min_size=1, max_size=2),
    Takes.COUNT: st.integers(0, 4).map(lambda each: [each]),
    Takes.DAYS: st.lists(_DAYS, min_size=1, max_size=2),
    Takes.DAY_BOUND: _DAYS.map(lambda each: [each]),
    Takes.YEARS: st.lists(st.sampled_from((0, 1, 4, 34, 2023, 5000)), min_size=1, max_size=2),
}


def _operands(name: str, kind: Kind) -> st.SearchStrategy[list[Any]]:
    """Operands that the operator takes on a field of the kind."""
    takes = BY_NAME[name].takes
    if takes is Takes.PARTS:
        return st.lists(st.integers(*_PARTS[name]), min_size=1, max_size=2)
    if takes is Takes.VALUES:
        return st.lists(_values(kind), min_size=0 if name in {"in", "not_in"} else 1, max_size=3)
    if takes is Takes.VALUE:
        return _compared(name, kind).map(lambda each: [each])
    return _SIMPLE[takes]


def _values(kind: Kind) -> st.SearchStrategy[Any]:
    match kind:
        case Kind.STATE:
            return st.sampled_from(STATES)
        case Kind.BOOLEAN:
            return st.sampled_from((True, False, "true"))
        case Kind.INTEGER | Kind.MONEY:
            return st.sampled_from((*NUMBERS, "10", 3.0))
        case Kind.INSTANT:
            return st.sampled_from(INSTANTS).map(iso_ms)
        case Kind.DATE:
            return st.sampled_from((*DATES, "2024-02-29T10:00:00Z"))
        case Kind.ANY:
            return st.sampled_from((*_SCALARS, "12.5", "-5", 10, 2.5))
        case _:
            return st.sampled_from((*WORDS, *IDS, *_FIXED_WORDS, "source 3", 10))


def _compared(name: str, kind: Kind) -> st.SearchStrategy[Any]:
    if name in {"after", "before", "at_or_after", "at_or_before"}:
        return st.sampled_from(
            (*map(iso_ms, INSTANTS), *DATES, "2024-02-29T13:45:10.1235Z", "2024-02-29T15:45:10.123+02:00")
        )
    if kind in {Kind.INSTANT, Kind.DATE}:
        return st.sampled_from((0, 1, 10, 31, 365))
    return st.sampled_from((*NUMBERS, 2.5, -0.5, "10", "12.5"))
