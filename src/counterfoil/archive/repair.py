"""Looking after segments: are all files there and as they were written; what is not is made anew from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from counterfoil.archive.hold import Hold
from counterfoil.archive.sealer import ROWS_PER_READ, movements_table
from counterfoil.archive.segment_file import SegmentFile, file_hash
from counterfoil.archive.workbench import Workbench, segment_folder
from counterfoil.db import segments
from counterfoil.db.engine import Database
from counterfoil.db.segments import NewSegment, Segment
from counterfoil.errors import Damaged, NotFound
from counterfoil.files.store import Store

RETIRED_KEPT_MS = 600_000
"""How long a rewritten segment's file outlives every export that may still read it: clocks, and other readers."""

_SEQS_AT_ONCE = 1 << 24

REMNANT_AGE_MS = 3_600_000
"""How old an unsealed file must be to be a dead sealer's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A LIVE segment whose file is not what was written, and what is wrong with it."""

    segment: Segment
    problem: str


def check(database: Database, store: Store, project_id: int, keep: Callable[[], None]) -> list[Finding]:
    """Read every segment's file whole and compare size and hash. keep: called after each piece read; it may raise."""
    with database.read() as connection:
        live = segments.live_segments(connection, project_id)
    findings: list[Finding] = []
    for segment in live:
        problem = _problem(store, segment, keep)
        if problem is not None:
            findings.append(Finding(segment, problem))
    return findings


def repair(hold: Hold, bench: Workbench) -> int:
    """Make every segment anew that is marked as damaged; returns how many. Raises as `seal`."""
    with hold.database.read() as connection:
        live = segments.live_segments(connection, hold.project_id)
    broken = [segment for segment in live if segment.damaged]
    if not broken:
        return 0
    new = _made_anew(hold, bench, live, broken)
    bench.reach("repair_written")
    with hold.write() as connection:
        segments.swap(connection, hold.project_id, broken, new)
    bench.reach("repair_recorded")
    return len(broken)


def tidy(hold: Hold, bench: Workbench, now_ms: int) -> int:
    """Remove files of segments retired long enough ago, and files that no row names; returns how many.

    Nobody else writes segments of this project meanwhile: a writer that lost the hold can name none any more.
    """
    removed = 0
    with hold.database.read() as connection:
        gone = segments.removable(connection, hold.project_id, RETIRED_KEPT_MS)
    for _, key in gone:
        bench.store.delete(key)
        removed += 1
    if gone:
        with hold.write() as connection:
            segments.remove_retired(connection, hold.project_id, [segment_id for segment_id, _ in gone])
    folder = segment_folder(hold.project_id)
    found = [file.key for file in bench.store.list(folder)]
    with hold.write() as connection:
        named = segments.named_keys(connection, hold.project_id)
    for key in found:
        if key not in named:
            bench.store.delete(key)
            removed += 1
    for remnant in bench.store.remnants(folder, now_ms - REMNANT_AGE_MS):
        bench.store.discard(remnant)
        removed += 1
    return removed


def _problem(store: Store, segment: Segment, keep: Callable[[], None]) -> str | None:
    ref = segment.ref
    try:
        size_bytes = store.size_bytes(ref.key)
        if size_bytes != ref.size_bytes:
            return f"it has {size_bytes} bytes and not {ref.size_bytes}"
        found = file_hash(store, ref.key, keep)
    except NotFound:
        return "it is missing"
    except Damaged as error:
        return error.message
    return None if found == ref.hash else "its hash is another"


def _made_anew(hold: Hold, bench: Workbench, live: Sequence[Segment], broken: Sequence[Segment]) -> list[NewSegment]:
    """The movements that no sound segment holds, out of the ledger, in segments of the usual size."""
    late = any(segment.late for segment in broken)
    level = max(segment.level for segment in broken)
    new: list[NewSegment] = []
    held: list[pa.Table] = []
    rows = size_bytes = 0

    def write() -> None:
        new.append(bench.write(hold.project_id, pa.concat_tables(held), level=level, late=late))

    for found in _missing(hold, bench, live, broken):
        if held and (rows + found.num_rows > bench.rows_max or size_bytes > bench.bytes_max):
            write()
            held, rows, size_bytes = [], 0, 0
        held.append(found)
        rows += found.num_rows
        size_bytes += found.nbytes
    if held:
        write()
    return new


def _missing(hold: Hold, bench: Workbench, live: Sequence[Segment], broken: Sequence[Segment]) -> Iterator[pa.Table]:
    low = min(segment.ref.seq_from for segment in broken)
    high = max(segment.ref.seq_to for segment in broken)
    sound = [segment for segment in live if segment not in broken]
    for start in range(low, high + 1, _SEQS_AT_ONCE):
        end = min(start + _SEQS_AT_ONCE - 1, high)
        wanted = _not_in(hold, bench, sound, start, end)
        for at in range(start, end + 1, ROWS_PER_READ):
            mask = wanted[at - start : at - start + ROWS_PER_READ]
            if mask.any():
                yield movements_table(hold, at, at + len(mask) - 1).filter(pa.array(mask))


def _not_in(hold: Hold, bench: Workbench, sound: Sequence[Segment], start: int, end: int) -> npt.NDArray[np.bool_]:
    """For each seq start..end whether no sound segment holds it."""
    wanted = np.ones(end - start + 1, bool)
    for segment in sound:
        if segment.ref.seq_from <= end and segment.ref.seq_to >= start:
            with SegmentFile(bench.store, segment.ref, ["created_at", "seq"]) as file:
                for number in range(len(file.places)):
                    seq = file.read(number).column("seq").to_numpy()
                    wanted[seq[(seq >= start) & (seq <= end)] - start] = False
                    hold.keep()
    return wanted
