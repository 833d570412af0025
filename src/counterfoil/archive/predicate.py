"""A selection's filters on batches of a segment: which rows are wanted, asked of as few columns as will do.

Columns kept as dictionaries are decided once for each distinct value, by the plain meaning of filters; whole numbers and
plain comparisons by Arrow; everything else by DuckDB, from the same expression as on the ledger database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.objects import exportable
from counterfoil.catalog.sources import paths_of
from counterfoil.db.segments import mask_statement
from counterfoil.plan.matching import matches
from counterfoil.plan.request import Condition, FieldFilter, Filter
from counterfoil.plan.task import Selection

Bools = npt.NDArray[np.bool_]

_PLAIN = frozenset(
    {
        *("in", "not_in", "has_value", "is_unknown", "more_than", "less_than", "more_than_equal", "less_than_equal"),
        *("after", "before", "at_or_after", "at_or_before", "within"),
    }
)
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "more_than": pc.greater,
    "after": pc.greater,
    "less_than": pc.less,
    "before": pc.less,
    "more_than_equal": pc.greater_equal,
    "at_or_after": pc.greater_equal,
    "less_than_equal": pc.less_equal,
    "at_or_before": pc.less_equal,
}


@dataclass(frozen=True, slots=True)
class _Group:
    """Field filters joined by a junction; a hidden value is one more group."""

    junction: str
    fields: tuple[FieldFilter, ...]


class Predicate:
    """The filters of one selection. For one thread, and for one segment after another."""

    def __init__(self, selection: Selection) -> None:
        self._about = exportable(selection.object)
        hidden = (
            FieldFilter(_field_of(self._about, column), (Condition("not_in", (value,)),))
            for column, value in self._about.hidden
        )
        groups = [_Group("and", tuple(hidden))]
        groups += [_Group(asked.junction, asked.fields) for asked in (selection.scope, selection.filter)]
        self._groups = [group for group in groups if group.fields]
        fields = [each.field for group in self._groups for each in group.fields]
        self._columns = {name: _column_of(self._about, name) for name in fields}
        self._decided: dict[int, tuple[pa.Array[Any], Bools]] = {}
        self._duckdb: duckdb.DuckDBPyConnection | None = None

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the movements table that have to be read to decide."""
        return frozenset(self._columns.values())

    def wanted(self, batch: pa.RecordBatch) -> Bools | None:
        """For each row whether it is wanted; None when all are. batch: at least the columns asked for."""
        mask: Bools | None = None
        for group in self._groups:
            found = self._of_group(group, batch)
            mask = found if mask is None else mask if found is None else mask & found
        return mask

    def close(self) -> None:
        """Let go of the engine, if one was needed."""
        if self._duckdb is not None:
            self._duckdb.close()
            self._duckdb = None

    def _of_group(self, group: _Group, batch: pa.RecordBatch) -> Bools | None:
        """None: all rows pass. The junction of none is no group."""
        masks = [self._of_field(each, batch) for each in group.fields]
        if group.junction == "and":
            return _every([mask for mask in masks if mask is not None])
        return None if any(mask is None for mask in masks) else np.logical_or.reduce(cast("list[Bools]", masks))

    def _of_field(self, asked: FieldFilter, batch: pa.RecordBatch) -> Bools | None:
        column = batch.column(self._columns[asked.field])
        if isinstance(column, pa.DictionaryArray):
            passes = self._of_values(asked, column.dictionary)
            if passes.all():
                return None
            if not passes.any():
                return np.zeros(len(column), bool)
            return passes[column.indices.fill_null(len(column.dictionary)).to_numpy()]
        if all(condition.operator in _PLAIN for condition in asked.conditions):
            return _every([_plain(condition, column) for condition in asked.conditions])
        return self._by_duckdb(asked, batch)

    def _of_values(self, asked: FieldFilter, dictionary: pa.Array[Any]) -> Bools:
        """Whether each value of a dictionary passes, and, last, whether null does."""
        known = self._decided.get(id(asked))
        if known is not None and _same_memory(known[0], dictionary):
            return known[1]
        values = [*dictionary.to_pylist(), None]
        only = Filter(fields=(asked,))
        found = np.array([matches(only, self._about, {asked.field: value}) for value in values], bool)
        # The dictionary is kept, so that no other one can come to lie where it lies.
        self._decided[id(asked)] = (dictionary, found)
        return found

    def _by_duckdb(self, asked: FieldFilter, batch: pa.RecordBatch) -> Bools:
        if self._duckdb is None:
            self._duckdb = duckdb.connect(":memory:", config={"threads": 1})
        statement, parameters = mask_statement(self._about.name, Filter(fields=(asked,)))
        name = self._columns[asked.field]
        column = batch.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        self._duckdb.register("movements", pa.table({name: column}))
        found = self._duckdb.execute(statement, parameters).to_arrow_table().column(0).combine_chunks()
        return _bools(found)


def _plain(condition: Condition, column: pa.Array[Any]) -> Bools | None:
    """A condition whose meaning Arrow shares, on a column of text, whole numbers or instants."""
    operator, operands = condition.operator, condition.operands
    match operator:
        case "has_value":
            return None if not column.null_count else _bools(column.is_valid())
        case "is_unknown":
            return _bools(column.is_null())
        case "in" | "not_in":
            values = _scalars(operands, column.type)
            found = _bools(pc.is_in(column, value_set=values, skip_nulls=True))
            return found if operator == "in" else ~found
        case "within":
            bounds = _scalars(operands, column.type)
            pairs = [
                _bools(pc.and_(pc.greater_equal(column, bounds[at]), pc.less(column, bounds[at + 1])))
                for at in range(0, len(bounds), 2)
            ]
            return np.logical_or.reduce(pairs)
        case _:
            return _bools(_COMPARISONS[operator](column, _scalars(operands, column.type)[0]))


def _scalars(operands: Sequence[Any], kind: pa.DataType) -> pa.Array[Any]:
    """Operands as values of a column: instants are ms already. Numbers beyond 64 bits equal none and bound all."""
    if pa.types.is_timestamp(kind):
        return pa.array([_bounded(each) for each in operands], pa.int64()).cast(kind)
    if pa.types.is_integer(kind):
        return pa.array([_bounded(each) for each in operands], pa.int64())
    return pa.array(list(operands), kind)


def _bounded(number: Any) -> int:
    return max(-(2**63), min(2**63 - 1, int(number)))


def _bools(array: pa.Array[Any] | pa.ChunkedArray[Any]) -> Bools:
    """Null counts as no."""
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return (whole.fill_null(False) if whole.null_count else whole).to_numpy(zero_copy_only=False)


def _every(masks: Sequence[Bools | None]) -> Bools | None:
    known = [mask for mask in masks if mask is not None]
    return np.logical_and.reduce(known) if known else None


def _same_memory(one: pa.Array[Any], other: pa.Array[Any]) -> bool:
    places = [[None if each is None else each.address for each in array.buffers()] for array in (one, other)]
    return len(one) == len(other) and one.offset == other.offset and places[0] == places[1]


def _column_of(about: Exportable, name: str) -> str:
    field = about.field(name)
    assert field is not None, name
    (path,) = paths_of(field.source)
    return path


def _field_of(about: Exportable, column: str) -> str:
    """The field that is a column as it is: how a hidden value's column is called in filters."""
    return next(field.name for field in about.fields if paths_of(field.source) == (column,))
