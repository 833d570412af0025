"""What those who write segments share: where files go, in which form, how large, and whom to tell how far they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from counterfoil.archive.segment_writer import BATCH_ROWS, Codec, write_segment
from counterfoil.db.segments import NewSegment
from counterfoil.files.store import Store
from counterfoil.ids import random_id

FOLDER = "segments"
ROWS_PER_SEGMENT = 1_000_000
BYTES_PER_SEGMENT = 384 << 20


def nobody_waits(point: str) -> None:
    """What is reached where no test looks."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """rows_max, bytes_max: a segment ends at whichever comes first; bytes as Arrow in memory, which is what sealing and
    rewriting hold at once. batch_rows: rows of a batch of a segment. reach: told of named points, at which tests kill the process."""

    store: Store
    codec: Codec
    rows_max: int = ROWS_PER_SEGMENT
    bytes_max: int = BYTES_PER_SEGMENT
    batch_rows: int = BATCH_ROWS
    reach: Callable[[str], None] = nobody_waits

    def write(self, project_id: int, rows: pa.Table, *, level: int, late: bool) -> NewSegment:
        """Write the file of a new segment; the row that names it is the caller's to write. Errors as write_segment."""
        segment_id = random_id("seg_")
        key = f"{segment_folder(project_id)}/{segment_id}.arrow"
        ref = write_segment(self.store, segment_id, key, rows, self.codec, self.batch_rows)
        return NewSegment(ref, level, {"late": late, **_stats_of(rows)})


def segment_folder(project_id: int) -> str:
    """The folder of a project's segments."""
    return f"{FOLDER}/{project_id}"


def _stats_of(rows: pa.Table) -> Mapping[str, Any]:
    """What is noted of a segment's rows: its types, how many campaigns, and the bounds of the amounts."""
    amount = rows.column("amount").to_numpy()
    return {
        "types": sorted(str(value) for value in rows.column("type").unique().to_pylist()),
        "campaigns": len(rows.column("campaign_id").unique()),
        "amount": [int(amount.min()), int(amount.max())],
    }
