"""The seam between Arrow batches and the bytes of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from counterfoil.files.store import Bytes


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file.

    name: the column's name in the batch. label: its header in the file. scale: for integer columns that hold minor
    units, how many decimal digits to show (2: 1050 is written 10.50); 0 writes the integer as it is.
    date_only: a timestamp column of which only the UTC date is written.
    """

    name: str
    label: str
    scale: int = 0
    date_only: bool = False


class Encoder(Protocol):
    """Turns batches of one schema into bytes. `begin` + every `encode` in order + `end` is one whole file.

    For row formats (CSV, JSON Lines) `encode` is a pure function of its batch, so parts made apart and joined in
    order under one `begin` are the same bytes as one run.
    """

    media_type: str
    extension: str
    joins: bool
    """Whether separately encoded parts may be joined byte by byte (CSV and JSON Lines: yes; Parquet, XLSX: no)."""

    def begin(self) -> bytes:
        """What stands before the first row, such as the CSV header."""
        ...

    def encode(self, batch: pa.RecordBatch) -> Bytes:
        """The rows of a batch."""
        ...

    def end(self) -> bytes:
        """What stands after the last row."""
        ...


class EncoderFactory(Protocol):
    """Makes an encoder for the given columns over batches of the given Arrow schema."""

    def __call__(self, schema: pa.Schema, columns: Sequence[Column]) -> Encoder: ...
