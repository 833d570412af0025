"""Compaction: segments are rewritten so that few, large ones follow one another along the timeline.

Three moves, each one swap of files in one transaction:

* *join*: small segments that follow one another become one;
* *gather*: small late segments (of movements dated before what had been sealed) become one;
* *fold*: late movements that lie within another segment are merged into it, once they are a fair share of it.

A reader of the old segments is not disturbed: their files stay until every export that began before has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa

from counterfoil.archive.hold import Hold
from counterfoil.archive.merge import Chosen, merged
from counterfoil.archive.segment_file import SCHEMA, Int64s, SegmentFile, keys_of
from counterfoil.archive.workbench import Workbench
from counterfoil.db import segments
from counterfoil.db.segments import NewSegment, Segment
from counterfoil.errors import Damaged

SMALL_SHARE = 0.5
"""A segment with less than this share of rows_max is small."""

FULL_SHARE = 0.75
SEGMENTS_PER_MOVE = 8
"""Small segments are rewritten when together they nearly fill one, or when there are so many: each row is then
rewritten a handful of times in its life."""

FOLD_SHARE = 0.02
"""Late rows are folded into a segment when they are more than this share of its rows: fewer cost a reader nothing."""


@dataclass(frozen=True, slots=True)
class Move:
    """What to rewrite: `old` into new segments, cut at the instants `cuts` (ms). late: of the results, or None where
    what lies before the first cut and from the last on is late and the rest is not."""

    kind: Literal["join", "gather", "fold", "promote"]
    old: tuple[Segment, ...]
    cuts: tuple[int, ...] = ()
    late: bool | None = False


def compact(hold: Hold, bench: Workbench, *, moves_max: int = 1000) -> int:
    """Make moves until there is nothing to gain; returns how many. Raises as `seal`, and Damaged (see repair)."""
    for made in range(moves_max):
        with hold.database.read() as connection:
            live = segments.live_segments(connection, hold.project_id)
        move = next_move(live, bench)
        if move is None:
            return made
        _make(hold, bench, move)
    return moves_max


def next_move(live: Sequence[Segment], bench: Workbench) -> Move | None:
    """The move to make now, if any."""
    sound = [segment for segment in live if not segment.damaged]
    mains = [segment for segment in sound if not segment.late]
    lates = [segment for segment in sound if segment.late]
    return (
        _promotion(mains, lates)
        or _gathering(mains, bench, "join")
        or _gathering(lates, bench, "gather")
        or _folding(mains, lates, bench)
    )


def _promotion(mains: Sequence[Segment], lates: Sequence[Segment]) -> Move | None:
    """A late segment that lies over nothing is as good as any: history that was imported into an empty stretch."""
    for late in lates:
        others = (each for each in (*mains, *lates) if each is not late)
        if not any(_shares(late, other) for other in others):
            return Move("promote", (late,))
    return None


def _shares(one: Segment, other: Segment) -> bool:
    return one.ref.created_from <= other.ref.created_to and other.ref.created_from <= one.ref.created_to


def _gathering(found: Sequence[Segment], bench: Workbench, kind: Literal["join", "gather"]) -> Move | None:
    """Neighbours along the timeline that are small and together fill a segment, or are many."""
    run: list[Segment] = []
    for segment in (*found, None):
        small = segment is not None and segment.ref.rows < SMALL_SHARE * bench.rows_max
        if segment is not None and small and _fits([*run, segment], bench):
            run.append(segment)
            continue
        if _worthwhile(run, bench):
            return Move(kind, tuple(run), late=kind == "gather")
        run = [segment] if segment is not None and small else []
    return None


def _fits(run: Sequence[Segment], bench: Workbench) -> bool:
    size_bytes = sum(each.ref.size_bytes for each in run)
    return sum(each.ref.rows for each in run) <= bench.rows_max and size_bytes <= bench.bytes_max


def _worthwhile(run: Sequence[Segment], bench: Workbench) -> bool:
    rows = sum(each.ref.rows for each in run)
    return len(run) > 1 and (len(run) >= SEGMENTS_PER_MOVE or rows >= FULL_SHARE * bench.rows_max)


def _folding(mains: Sequence[Segment], lates: Sequence[Segment], bench: Workbench) -> Move | None:
    """The segment with the largest share of late rows within it, if that is worth the work."""
    if not lates:
        return None
    created = {late.ref.id: _created(late, bench) for late in lates}
    best: tuple[float, Move] | None = None
    for main in mains:
        within = [(late, _count(created[late.ref.id], main)) for late in lates]
        share = sum(count for _, count in within) / main.ref.rows
        if share > (best[0] if best else FOLD_SHARE):
            old = (main, *(late for late, count in within if count))
            best = (share, Move("fold", old, (main.ref.created_from, main.ref.created_to + 1), None))
    return best[1] if best else None


def _created(segment: Segment, bench: Workbench) -> Int64s:
    with SegmentFile(bench.store, segment.ref, ["created_at", "seq"]) as file:
        return np.concatenate([keys_of(file.read(number))[0] for number in range(len(file.places))])


def _count(created: Int64s, main: Segment) -> int:
    start = np.searchsorted(created, main.ref.created_from, "left")
    return int(np.searchsorted(created, main.ref.created_to, "right") - start)


# -- rewriting --------------------------------------------------------------------------------------------------------


def _make(hold: Hold, bench: Workbench, move: Move) -> None:
    if move.kind == "promote":
        (segment,) = move.old
        with hold.write() as connection:
            stats = {**segment.stats, "late": False}
            segments.store_stats(connection, hold.project_id, segment.ref.id, stats)
        return
    try:
        new = _rewritten(hold, bench, move)
    except Damaged as error:
        if error.resource_id is not None:
            with hold.write() as connection:
                segments.mark_damaged(connection, hold.project_id, error.resource_id)
        raise
    bench.reach("rewrite_written")
    with hold.write() as connection:
        segments.swap(connection, hold.project_id, move.old, new)
        bench.reach("rewrite_recording")
    bench.reach("rewrite_recorded")


def _rewritten(hold: Hold, bench: Workbench, move: Move) -> list[NewSegment]:
    level = 1 + max(segment.level for segment in move.old)
    new: list[NewSegment] = []
    seqs = 0
    for part, rows in _portions(hold, bench, move):
        late = (part == 0 or part == len(move.cuts)) if move.late is None else move.late
        seqs += sum_of(rows.column("seq").to_numpy())
        new.append(bench.write(hold.project_id, rows, level=level, late=late))
        hold.keep()
    _prove_same(bench, move, seqs)
    return new


def _prove_same(bench: Workbench, move: Move, seqs: int) -> None:
    """The sum of all seq went in as it came out: together with the number of rows, nothing was lost or doubled."""
    before = 0
    for segment in move.old:
        with SegmentFile(bench.store, segment.ref, ["seq"]) as file:
            for number in range(len(file.places)):
                before += sum_of(file.read(number).column("seq").to_numpy())
    assert before == seqs, "a rewrite keeps every movement"


def sum_of(seq: Int64s) -> int:
    """The sum, exact for any seq that will ever be given."""
    return (int((seq >> 32).sum()) << 32) + int((seq & 0xFFFFFFFF).sum())


def _portions(hold: Hold, bench: Workbench, move: Move) -> Iterator[tuple[int, pa.Table]]:
    """All rows of the old segments in order, in tables of a segment's size; with each the number of the interval
    between cuts that it lies in."""
    held: list[pa.RecordBatch] = []
    rows = size_bytes = part = 0
    rows_max = bench.rows_max * 5 // 4 if move.kind == "fold" else bench.rows_max
    with ExitStack() as files:
        opened = [files.enter_context(SegmentFile(bench.store, each.ref, SCHEMA.names)) for each in move.old]
        for found, chosen in _cut(merged([_whole(hold, file) for file in opened], descending=False), move.cuts):
            full = rows + len(chosen) > rows_max or size_bytes > bench.bytes_max
            if held and (found != part or full):
                yield part, _table(held)
                held, rows, size_bytes = [], 0, 0
            part = found
            held.append(chosen.taken())
            rows += len(chosen)
            size_bytes += held[-1].nbytes
    if held:
        yield part, _table(held)


def _whole(hold: Hold, file: SegmentFile) -> Iterator[Chosen]:
    for number in range(len(file.places)):
        hold.keep()
        yield Chosen(file.read(number))


def _cut(chosen: Iterator[Chosen], cuts: Sequence[int]) -> Iterator[tuple[int, Chosen]]:
    for each in chosen:
        created = keys_of(each.batch)[0]
        created = created if each.rows is None else created[each.rows]
        places = [0, *np.searchsorted(created, cuts, "left").tolist(), len(created)]
        for part, (start, end) in enumerate(pairwise(places)):
            if start < end:
                yield part, each.slice(start, end)


def _table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches).unify_dictionaries()
