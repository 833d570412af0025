"""The encoder alone: columns in memory to CSV bytes in memory, on one core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from bench import columns, story
from bench.case import Case, Contender, Context, Run
from bench.ours import FIELDS
from counterfoil.archive.segment_file import DICTIONARIES
from counterfoil.dataplane.csv_encoder import csv_encoder
from counterfoil.dataplane.encoder import Column

_ROWS_MAX = 500_000
_BATCH_ROWS = 32_768


def cases(context: Context) -> Iterator[Case]:
    """`encoder`: on batches as a segment has them, forwards and backwards."""
    if not context.wanted("encoder"):
        return
    tale = story.tell(min(context.rows, _ROWS_MAX))
    table = pa.Table.from_batches(list(columns.batches(tale, columns.names_of(tale)))).select([*FIELDS])
    for name in ("created_at", *DICTIONARIES):
        at = table.schema.get_field_index(name)
        column = table[name]
        kept = (
            column.cast(pa.timestamp("ms", "UTC"))
            if name == "created_at"
            else column.combine_chunks().dictionary_encode()
        )
        table = table.set_column(at, name, kept)
    batches = table.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS)
    yield Case(
        "encoder",
        "Arrow columns in memory to CSV bytes in memory, one core",
        [
            Contender("Counterfoil", partial(_run, batches, reverse=False)),
            Contender("Counterfoil, last row first", partial(_run, batches, reverse=True)),
        ],
    )


def _run(batches: list[pa.RecordBatch], *, reverse: bool) -> Run:
    encoder = csv_encoder(batches[0].schema, [Column(name, name) for name in FIELDS])
    encoder.encode(batches[0])  # the buffer is there from the second batch on, as in a file
    size_bytes = 0
    started_s = time.perf_counter()
    for batch in batches:
        size_bytes += memoryview(encoder.encode(batch, reverse=reverse)).nbytes
    seconds = time.perf_counter() - started_s
    rows = sum(batch.num_rows for batch in batches)
    return Run(seconds, None, rows, size_bytes, {"GB a second": size_bytes / seconds / 1e9})
