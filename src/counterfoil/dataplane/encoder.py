"""The seam between Arrow batches and the bytes of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from counterfoil.files.store import Bytes


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file.

    name: the column's name in the batch. label: its header in the file. scale: for integer columns that hold minor
    units, how many decimal digits to show (2: 1050 is written 10.50), at most 18; 0 writes the integer as it is.
    date_only: a timestamp column of which only the UTC date is written.

    What the batch's schema says of a field in its metadata counts too: `counterfoil.csv_ready` = `1` (text that is a
    CSV cell already, see csv_ready.py) and `counterfoil.kind` = `json` (text that is a JSON value).
    """

    name: str
    label: str
    scale: int = 0
    date_only: bool = False


class Encoder(Protocol):
    """Turns batches of one schema into bytes. `begin` + every `encode` in order + `end` is one whole file.

    For row formats (CSV, JSON Lines) `encode` is a pure function of its batch, so parts made apart and joined in
    order under one `begin` are the same bytes as one run. For the others (Parquet, XLSX) each call gives the bytes
    that have become available, often none. The bytes do not depend on how the rows were cut into batches.

    InvalidInput is raised by the factory for a column that the format cannot hold, and by `encode` for a value that it
    cannot (an instant outside years 0001 to 9999); it names the column.
    """

    media_type: str
    extension: str
    joins: bool
    """Whether separately encoded parts may be joined byte by byte (CSV and JSON Lines: yes; Parquet, XLSX: no)."""

    def begin(self) -> Bytes:
        """What stands before the first row, such as the CSV header. Called once."""
        ...

    def encode(self, batch: pa.RecordBatch, *, reverse: bool = False, selection: pa.Array[Any] | None = None) -> Bytes:
        """The rows of a batch.

        selection: int32 or int64 row numbers in the order wanted, or a boolean for each row (null counts as false);
        None takes all. reverse: the chosen rows from last to first. The bytes stay as they are while the answer lives.
        """
        ...

    def end(self) -> Bytes:
        """What stands after the last row. Called once."""
        ...


class EncoderFactory(Protocol):
    """Makes an encoder for the given columns over batches of the given Arrow schema."""

    def __call__(self, schema: pa.Schema, columns: Sequence[Column]) -> Encoder: ...
