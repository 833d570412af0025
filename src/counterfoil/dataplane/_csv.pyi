"""CSV from Arrow record batches, in C. The rules stand in csv_reference.py; csv_encoder.py is what others use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import pyarrow as pa

INSTRUCTION_SETS: tuple[str, ...]
"""The instruction sets this machine runs among those compiled in, fastest first; `portable` is always there."""

class CellError(ValueError):
    """A value that cannot be written. args: code (`invalid_time`, `damaged`), column's position, row of the batch."""

    args: tuple[str, int, int]

@final
class Chunk:
    """The bytes of one batch, read through the buffer protocol."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Encoder:
    """CSV rows for batches of one schema.

    columns: for each column of the file (position in the schema, scale 0..18, date_only, csv_ready). TypeError for an
    Arrow type that no cell holds, ValueError for an instruction set this machine does not run.
    """

    instructions: str
    def __new__(
        cls, schema: pa.Schema, columns: Sequence[tuple[int, int, bool, bool]], *, instructions: str | None = None
    ) -> Encoder: ...
    def encode(self, batch: pa.RecordBatch, *, reverse: bool = False, selection: pa.Array[Any] | None = None) -> Chunk:
        """The rows of a batch, chosen and ordered as `Encoder.encode` of encoder.py says.

        ValueError for a batch of another schema or a wrong selection, IndexError for a row the batch does not have,
        CellError for a value, MemoryError.
        """
