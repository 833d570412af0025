"""The timeline of movements, cut into slices that can be exported independently and in order.

A sealed segment is a stretch of the timeline with so many rows; the tail is one more stretch. Slices are cut where
segments begin, so that archives whose segments follow one another give one task per segment, read as it lies. Where
many stretches lie over one another a slice is cut by time into pieces of about the wanted size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from counterfoil.plan.task import SegmentRef


@dataclass(frozen=True, slots=True)
class TailRange:
    """Movements not sealed yet: seq_from..seq_to, at most `rows` of them.

    created_from/created_to: inclusive bounds of their created_at in ms, or None when nobody looked.
    """

    seq_from: int
    seq_to: int
    created_from: int | None = None
    created_to: int | None = None

    @property
    def rows(self) -> int:
        """How many there are: seq has no gaps."""
        return self.seq_to - self.seq_from + 1


@dataclass(frozen=True, slots=True)
class Slice:
    """created_from <= created_at < created_to (None: unbounded), the segments with rows in it, and whether the tail has."""

    created_from: int | None
    created_to: int | None
    segments: tuple[SegmentRef, ...]
    tail: bool
    rows_estimate: int


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the timeline that is wanted: created_from <= created_at < created_to, None for no bound."""

    created_from: int | None = None
    created_to: int | None = None


_PAST, _FUTURE = -(2**63), 2**63
"""Before and behind every instant, ms."""

_Stretch = tuple[int, int, int, SegmentRef | None]
"""from, to (exclusive), rows, and the segment; None is the tail."""


def cut(
    segments: Sequence[SegmentRef],
    tail: TailRange | None,
    *,
    window: Window = Window(),
    rows_wanted: int = 1_000_000,
    slices_wanted: int = 4_000,
) -> tuple[Slice, ...]:
    """Cut the window into slices, ascending, together covering every row of segments and tail in it exactly once.

    rows_wanted: about how many rows a slice should hold; one that is a single segment may hold more. slices_wanted: where
    that would give more slices than this, they hold more rows instead; there are never twice as many. The first slice is
    open to the past and the last to the future unless the window says otherwise. No rows, no slices.
    """
    low, high = window.created_from, window.created_to
    if low is not None and high is not None and low >= high:
        return ()
    stretches = _stretches(segments, tail, window)
    everywhere = tail is not None and tail.rows > 0 and None in (tail.created_from, tail.created_to)
    if not stretches and not everywhere:
        return ()
    rows_wanted = max(rows_wanted, sum(rows for _, _, rows, _ in stretches) // slices_wanted)
    return _slices(stretches, _cuts(stretches, rows_wanted), window, everywhere)


def _stretches(segments: Sequence[SegmentRef], tail: TailRange | None, window: Window) -> list[_Stretch]:
    found: list[_Stretch] = [(each.created_from, each.created_to + 1, each.rows, each) for each in segments]
    if tail is not None and tail.created_from is not None and tail.created_to is not None:
        found.append((tail.created_from, tail.created_to + 1, tail.rows, None))
    low = _PAST if window.created_from is None else window.created_from
    high = _FUTURE if window.created_to is None else window.created_to
    found = [each for each in found if each[2] > 0 and each[0] < high and each[1] > low]
    found.sort(key=lambda stretch: stretch[:2])
    return found


def _cuts(stretches: Sequence[_Stretch], rows_wanted: int) -> list[int]:
    """Where to cut, ascending: at starts of stretches, and inside where more than two slices' rows lie together."""
    ends = sorted((to, rows / (to - start)) for start, to, rows, _ in stretches)
    if not stretches:
        return []
    cuts: list[int] = []
    density = held = 0.0  # rows per ms now, rows since the last cut
    at, ended = stretches[0][0], 0
    for start, to, rows, _ in stretches:
        while ended < len(ends) and ends[ended][0] <= start:
            held = _pass(cuts, at, ends[ended][0], density, held, rows_wanted)
            at, density = ends[ended][0], density - ends[ended][1]
            ended += 1
        held = _pass(cuts, at, start, density, held, rows_wanted)
        at = start
        if held >= 1 and held + rows > rows_wanted:
            cuts.append(start)
            held = 0.0
        density += rows / (to - start)
    for to, share in ends[ended:]:
        held = _pass(cuts, at, to, density, held, rows_wanted)
        at, density = to, density - share
    return cuts


def _pass(cuts: list[int], start: int, to: int, density: float, held: float, rows_wanted: int) -> float:
    """Go from start to `to`, cutting by time what would grow beyond two slices' worth. Returns the rows held after."""
    rows = max(density, 0.0) * (to - start)
    if held + rows <= 2 * rows_wanted or to - start < 2:
        return held + rows
    pieces = min(int((held + rows) / rows_wanted), to - start)
    step = (to - start) / pieces
    marks = [start + int(step * piece) for piece in range(1, pieces)]
    if held >= 1 and (not cuts or cuts[-1] < start):
        marks.insert(0, start)
    cuts.extend(marks)
    return rows / pieces


def _slices(
    stretches: Sequence[_Stretch], cuts: Sequence[int], window: Window, tail_everywhere: bool
) -> tuple[Slice, ...]:
    low, high = window.created_from, window.created_to
    inner = [each for each in cuts if (low is None or each > low) and (high is None or each < high)]
    bounds = [low, *inner, high]
    slices: list[Slice] = []
    active: list[_Stretch] = []
    coming = 0
    for start, end in pairwise(bounds):
        if start is not None:
            active = [each for each in active if each[1] > start]
        while coming < len(stretches) and (end is None or stretches[coming][0] < end):
            active.append(stretches[coming])
            coming += 1
        if active or tail_everywhere:
            slices.append(_slice(start, end, active, tail_everywhere))
    return tuple(slices)


def _slice(start: int | None, end: int | None, active: Sequence[_Stretch], tail: bool) -> Slice:
    """Called for each of maybe a million slices, so it is written for speed."""
    low, high = _PAST if start is None else start, _FUTURE if end is None else end
    rows = 0.0
    segments: list[SegmentRef] = []
    for begin, to, count, segment in active:
        if low <= begin and to <= high:
            rows += count
        else:
            rows += count * max(min(to, high) - max(begin, low), 0) / (to - begin)
        if segment is None:
            tail = True
        else:
            segments.append(segment)
    return Slice(start, end, tuple(segments), tail, round(rows))
