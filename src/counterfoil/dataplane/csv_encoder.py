"""The CSV encoder in use: the C extension where it could be built, else the Python reference. Same bytes either way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import structlog

from counterfoil.dataplane.cells import out_of_range
from counterfoil.dataplane.columns import bind
from counterfoil.dataplane.csv_reference import EXTENSION, MEDIA_TYPE, ReferenceCsvEncoder, header
from counterfoil.dataplane.encoder import Column, Encoder
from counterfoil.errors import Damaged
from counterfoil.files.store import Bytes

try:
    from counterfoil.dataplane import _csv
except ImportError:
    _csv = None


def csv_encoder(schema: pa.Schema, columns: Sequence[Column]) -> Encoder:
    """A CSV encoder by the rules of csv_reference.py. Errors: InvalidInput, see `Encoder`."""
    if _csv is None:
        _tell_once()
        return ReferenceCsvEncoder(schema, columns)
    return CsvEncoder(schema, columns)


@cache
def _tell_once() -> None:
    structlog.get_logger(__name__).warning(
        "The C encoder is not built, so CSV is written by the Python one, which is a hundred times slower. "
        "Install a C compiler and Python's headers, then install Counterfoil again."
    )


class CsvEncoder:
    """CSV by the C extension `_csv`. One instance may be used by several threads at once; the GIL is free meanwhile.

    instructions: one of `_csv.INSTRUCTION_SETS`; None takes the fastest this machine runs.
    """

    media_type = MEDIA_TYPE
    extension = EXTENSION
    joins = True

    def __init__(self, schema: pa.Schema, columns: Sequence[Column], instructions: str | None = None) -> None:
        assert _csv is not None, "csv_encoder() chooses the reference where the extension is missing"
        self._columns = bind(schema, columns)
        specs = [(bound.place, bound.column.scale, bound.column.date_only, bound.csv_ready) for bound in self._columns]
        self._rows = _csv.Encoder(schema, specs, instructions=instructions)

    def begin(self) -> bytes:
        return header(self._columns)

    def encode(self, batch: pa.RecordBatch, *, reverse: bool = False, selection: pa.Array[Any] | None = None) -> Bytes:
        """As `Encoder.encode`. The memory is used again once nothing refers to the answer any more."""
        assert _csv is not None
        try:
            return memoryview(self._rows.encode(batch, reverse=reverse, selection=selection))
        except _csv.CellError as error:
            code, column, row = error.args
            bound = self._columns[column]
            if code == "invalid_time":
                raise out_of_range(bound, row) from None
            message = (
                f"Column '{bound.column.name}' is damaged: it points outside its own data, in row {row} of a batch"
            )
            raise Damaged("damaged_batch", message, field=bound.column.name) from None

    def end(self) -> bytes:
        return b""
