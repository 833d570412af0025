"""The planner on archives of a size that no test could fill: how many tasks, how much in each, how much memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import process_time

import pytest

from counterfoil.plan import planner
from counterfoil.plan.planner import Archive, PlanLimits
from counterfoil.plan.request import ExportRequest, Order
from counterfoil.plan.task import Plan, SegmentRef, Selection

ROWS = 1_000_000
HOUR_MS = 3_600_000
START_MS = 1_600_000_000_000
TAIL_ROWS = 100_000
LIMITS = PlanLimits()


@dataclass(frozen=True)
class Shape:
    """How an archive's segments lie. overlap: how many of its own spans a segment reaches into those behind it. late:
    one segment in so many reaches back over as many as late_spans. named: by how many tasks a segment is read at the
    most, on average."""

    name: str
    segments: int
    overlap: float = 0.0
    late: int = 0
    late_spans: int = 720
    named: float = 1.0

    def refs(self) -> tuple[SegmentRef, ...]:
        """The rows of the segments table."""
        draw = random.Random(1)
        found: list[SegmentRef] = []
        for no in range(self.segments):
            start = START_MS + no * HOUR_MS
            end = start + round(HOUR_MS * (1 + self.overlap)) - 1
            if self.late and no % self.late == self.late - 1:
                start -= HOUR_MS * draw.randrange(min(no, self.late_spans))
            name = f"seg_{no:024}"
            key = f"segments/1/{name}.arrow"
            first = no * ROWS + 1
            found.append(SegmentRef(name, key, "arrow", "0" * 64, ROWS, 1 << 27, first, first + ROWS - 1, start, end))
        return tuple(found)


SHAPES = (
    Shape("one after another", 10_000),
    Shape("one after another", 100_000),
    Shape("neighbours overlap by a tenth", 100_000, overlap=0.1, named=1.1),
    Shape("one in 20 up to a month late", 10_000, late=20, named=9),
    Shape("each over 20 others", 10_000, overlap=20, named=12),
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.segments}-{shape.name.replace(' ', '-')}")
def test_a_plan_of_billions(shape: Shape, told: Callable[[str], None]) -> None:
    refs = shape.refs()
    sealed = refs[-1].seq_to
    archive = Archive(refs, sealed, START_MS + (shape.segments - 100) * HOUR_MS, START_MS + shape.segments * HOUR_MS)
    request = ExportRequest("voucher_transactions", order=Order("created_at", descending=True))
    selection = planner.select(request, project_id=1, seq_max=sealed + TAIL_ROWS, now_ms=START_MS)
    before_s = process_time()
    plan = planner.plan_selection(selection, archive=archive, limits=LIMITS)
    took_s = process_time() - before_s
    check(plan, shape, selection)
    measured = "" if shape.segments > 10_000 else f", {_peak_bytes(selection, archive) >> 20} MiB at the most"
    named = sum(len(task.segments) for task in plan.tasks)
    told(
        f"{sealed:,} movements in {shape.segments:,} segments, {shape.name}: {len(plan.tasks):,} tasks that name "
        f"{named:,} segments, planned in {took_s:.2f} s of CPU{measured}"
    )


def check(plan: Plan, shape: Shape, selection: Selection) -> None:
    """The tasks are as many and as large as they should be, follow one another, and leave nothing out."""
    rows = [task.rows_estimate or 0 for task in plan.tasks]
    assert plan.path == "archive"
    assert abs(sum(rows) - selection.seq_max) < len(rows)  # each estimate is rounded
    assert 0.6 * LIMITS.tasks <= len(plan.tasks) <= 2 * LIMITS.tasks
    assert max(rows) <= 2.2 * selection.seq_max / LIMITS.tasks
    assert sum(len(task.segments) for task in plan.tasks) <= shape.named * shape.segments
    assert {segment.id for task in plan.tasks for segment in task.segments} == {
        f"seg_{no:024}" for no in range(shape.segments)
    }
    assert all(one.created_from == other.created_to for one, other in zip(plan.tasks, plan.tasks[1:], strict=False))
    assert plan.tasks[0].created_to is None and plan.tasks[-1].created_from is None
    assert sum(task.tail is not None for task in plan.tasks) <= 140  # only those where the tail can be


def test_memory_is_bounded_by_the_number_of_segments() -> None:
    """What planning takes grows with the segments, by some hundred bytes each."""
    small, large = (_peak_of(Shape("", count)) for count in (3_000, 30_000))
    assert large < 12 * small
    assert large < 30_000 * 400


def _peak_of(shape: Shape) -> int:
    refs = shape.refs()
    request = ExportRequest("voucher_transactions")
    selection = planner.select(request, project_id=1, seq_max=refs[-1].seq_to, now_ms=START_MS)
    return _peak_bytes(selection, Archive(refs, refs[-1].seq_to))


def _peak_bytes(selection: Selection, archive: Archive) -> int:
    """What planning takes at the most, beyond the segments themselves."""
    tracemalloc.start()
    try:
        planner.plan_selection(replace(selection), archive=archive, limits=LIMITS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
