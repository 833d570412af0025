"""Slices of the timeline: every row in exactly one slice, in order, whatever the segments look like."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.plan.planner import Archive, PlanLimits, plan
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter, Order
from counterfoil.plan.task import SegmentRef, Task

NOW_MS = 1_732_000_000_000


def segment(no: int, rows: list[tuple[int, int]], seq_from: int, seq_to: int) -> SegmentRef:
    """A segment that holds the given (created_at, seq) rows."""
    times = [created_at for created_at, _ in rows]
    return SegmentRef(f"s{no}", f"k{no}", "parquet", "", len(rows), 1, seq_from, seq_to, min(times), max(times))


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[dict[str, list[tuple[int, int]]], Archive, int]:
    """Rows of a ledger by segment id, its archive, and its last seq. Times wander, so segments overlap."""
    times = draw(st.lists(st.integers(-50, 50), max_size=40))
    rows = [(created_at, seq) for seq, created_at in enumerate(times, 1)]
    sealed = draw(st.integers(0, len(rows)))
    marks = sorted(draw(st.sets(st.integers(1, max(sealed, 1)), max_size=6)) | {0, sealed})
    marks = [mark for mark in marks if mark <= sealed]
    held: dict[str, list[tuple[int, int]]] = {}
    segments: list[SegmentRef] = []
    for no, (low, high) in enumerate(pairwise(marks)):
        mine = rows[low:high]
        held[f"s{no}"] = mine
        segments.append(segment(no, mine, low + 1, high))
    tail = rows[sealed:]
    looked = draw(st.booleans())
    bounds = [created_at for created_at, _ in tail] if looked else []
    held["tail"] = tail
    return held, Archive(tuple(segments), sealed, min(bounds, default=None), max(bounds, default=None)), len(rows)


def rows_of(task: Task, held: dict[str, list[tuple[int, int]]], seq_max: int) -> list[tuple[int, int]]:
    """What a scan of the task would find, in ascending order."""
    found: list[tuple[int, int]] = []
    for each in task.segments:
        found += held[each.id]
    if task.tail is not None:
        found += [row for row in held["tail"] if task.tail[0] <= row[1] <= task.tail[1]]
    low = -(2**63) if task.created_from is None else task.created_from
    high = 2**63 if task.created_to is None else task.created_to
    return sorted(row for row in found if low <= row[0] < high and row[1] <= seq_max)


@settings(max_examples=400)
@given(ledgers(), st.data())
def test_slices_partition_the_rows_in_order(
    ledger: tuple[dict[str, list[tuple[int, int]]], Archive, int], data: st.DataObject
) -> None:
    held, archive, last = ledger
    seq_max = data.draw(st.integers(0, last))
    descending = data.draw(st.booleans())
    low, high = data.draw(st.tuples(st.integers(-60, 60) | st.none(), st.integers(-60, 60) | st.none()))
    conditions = [Condition("at_or_after", (low,))] if low is not None else []
    conditions += [Condition("before", (high,))] if high is not None else []
    request = ExportRequest(
        "voucher_transactions",
        order=Order("created_at", descending),
        scope=Filter("and", (FieldFilter("created_at", tuple(conditions)),)),
    )
    made = plan(
        request,
        project_id=1,
        seq_max=seq_max,
        now_ms=NOW_MS,
        archive=archive,
        limits=PlanLimits(rows_per_task=data.draw(st.integers(1, 20))),
    )
    wanted = sorted(
        row
        for rows in held.values()
        for row in rows
        if row[1] <= seq_max and (low is None or row[0] >= low) and (high is None or row[0] < high)
    )
    if made.path == "database":
        assert not archive.segments
        return
    joined: list[tuple[int, int]] = []
    for task in made.tasks:
        rows = rows_of(task, held, seq_max)
        joined += rows[::-1] if descending else rows
    assert joined == (wanted[::-1] if descending else wanted)
    assert [task.no for task in made.tasks] == list(range(len(made.tasks)))


def test_segments_in_a_row_give_one_task_each() -> None:
    segments = tuple(
        SegmentRef(f"s{n}", "", "parquet", "", 1000, 1, n * 1000 + 1, n * 1000 + 1000, n * 100, n * 100 + 99)
        for n in range(50)
    )
    made = plan(
        ExportRequest("voucher_transactions"),
        project_id=1,
        seq_max=50_000,
        now_ms=NOW_MS,
        archive=Archive(segments, 50_000),
        limits=PlanLimits(rows_per_task=1000),
    )
    assert [[each.id for each in task.segments] for task in made.tasks] == [[f"s{n}"] for n in range(50)]
    assert {task.rows_estimate for task in made.tasks} == {1000}


def test_small_segments_share_a_task_and_piles_are_cut_by_time() -> None:
    small = tuple(SegmentRef(f"s{n}", "", "", "", 10, 1, n * 10 + 1, n * 10 + 10, n, n) for n in range(100))
    made = plan(
        ExportRequest("movement"), project_id=1, seq_max=1000, now_ms=NOW_MS, archive=Archive(small, 1000),
        limits=PlanLimits(rows_per_task=100),
    )  # fmt: skip
    assert [len(task.segments) for task in made.tasks] == [10] * 10
    pile = tuple(SegmentRef(f"s{n}", "", "", "", 10, 1, n * 10 + 1, n * 10 + 10, 0, 999) for n in range(100))
    made = plan(
        ExportRequest("movement"), project_id=1, seq_max=1000, now_ms=NOW_MS, archive=Archive(pile, 1000),
        limits=PlanLimits(rows_per_task=100),
    )  # fmt: skip
    assert len(made.tasks) == 10
    assert max(task.rows_estimate or 0 for task in made.tasks) <= 200


@pytest.mark.slow
def test_a_hundred_thousand_segments_are_planned_within_a_second() -> None:
    count = 100_000
    # Neighbours overlap a little, as commit order and created_at differ a little; one import reaches far back.
    segments = [
        SegmentRef(
            f"s{n}", f"k{n}", "arrow", "h", 1_000_000, 1, n * 10**6 + 1, (n + 1) * 10**6, n * 1000, n * 1000 + 1050
        )
        for n in range(count)
    ]
    segments[-1] = SegmentRef(
        "old", "k", "arrow", "h", 10**6, 1, (count - 1) * 10**6 + 1, count * 10**6, 0, count * 1000
    )
    archive = Archive(tuple(segments), count * 10**6, (count - 1) * 1000, count * 1000 + 5000)
    started = time.process_time()
    made = plan(
        ExportRequest("voucher_transactions", order=Order("created_at", descending=True)),
        project_id=1,
        seq_max=count * 10**6 + 500_000,
        now_ms=NOW_MS,
        archive=archive,
    )
    assert time.process_time() - started < 2.0  # half of that alone on this kind of machine
    assert 4_000 <= len(made.tasks) <= 8_000
    assert max(len(task.segments) for task in made.tasks) <= 30
    assert sum(task.tail is not None for task in made.tasks) <= 10
