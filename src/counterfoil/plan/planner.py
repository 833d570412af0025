"""From what was asked to what is to be done: validate, resolve, choose the path, cut the work into tasks.

Pure: the moment, the snapshot, the archive's state and the known metadata names come in as arguments, so the same
arguments give the same plan on every machine and at every try.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.objects import exportable
from counterfoil.catalog.sources import joins_of
from counterfoil.errors import InvalidInput
from counterfoil.plan.fields import check_fields, check_order, output_columns
from counterfoil.plan.filters import resolve
from counterfoil.plan.request import ExportRequest, Filter
from counterfoil.plan.slices import TailRange, Window, cut
from counterfoil.plan.task import Plan, SegmentRef, Selection, Task

_MOVEMENTS = "movements"


@dataclass(frozen=True, slots=True)
class Archive:
    """What is sealed: the live segments, which together hold every movement with seq <= sealed_seq.

    tail_created_from/_to: inclusive bounds in ms of created_at among the movements behind sealed_seq, or None when
    nobody looked; then every task looks into the tail.
    """

    segments: tuple[SegmentRef, ...]
    sealed_seq: int
    tail_created_from: int | None = None
    tail_created_to: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the segments add up to what is said to be sealed (seq has no gaps)."""
        return sum(segment.rows for segment in self.segments) == self.sealed_seq


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """rows_per_task: about how many rows one task reads. cards_by_index: up to so many cards are read by the index.
    index_share: so are campaigns that have at most this share of all movements: a row by the index costs as much as
    some seventy in their turn (measured), and the database has other work.
    tasks: about how many there are at the most, beyond which each reads more; a file on S3 has 10,000 parts, and joining
    takes one or two for each task."""

    rows_per_task: int = 1_000_000
    cards_by_index: int = 1_000
    index_share: float = 0.01
    tasks: int = 4_000


def check(request: ExportRequest, *, now_ms: int, path: str = "") -> None:
    """Raise InvalidInput when the request cannot be planned; what `plan` would raise, without planning. path: where fields,
    order and filters stand in what the caller sent, such as `.parameters.`, for the error to name."""
    select(request, project_id=0, seq_max=0, now_ms=now_ms, path=path)


def select(
    request: ExportRequest,
    *,
    project_id: int,
    seq_max: int,
    now_ms: int,
    metadata_names: Sequence[str] = (),
    scales: Mapping[str, int] | None = None,
    given: Mapping[str, str] | None = None,
    path: str = "",
) -> Selection:
    """The selection of a request: validated, with its defaults, free of the present time.

    now_ms: when the export was asked for. metadata_names: the properties that `metadata` stands for. scales: decimal
    digits of amounts by field. given: what the way to show a field asks for, by field. path: as of `check`. Raises InvalidInput:
    `invalid_export_object`, `invalid_export_fields`, `invalid_export_order`, `invalid_filter_field`,
    `invalid_filter_operator`, `invalid_filter_value`, `invalid_export_params`.
    """
    about = exportable(request.object)
    for name, number in (("limit_rows", request.limit_rows), ("split_rows", request.split_rows)):
        _positive(name, number)
    _positive("split_bytes", request.split_bytes)
    fields = check_fields(about, request.fields, path=f"{path}fields")
    return Selection(
        project_id=project_id,
        object=about.name,
        columns=output_columns(
            about,
            fields,
            header_style=request.header_style or "names",
            metadata_names=metadata_names,
            scales=scales,
            given=given,
        ),
        filter=resolve(request.filter, about, now_ms=now_ms, path=f"{path}filters"),
        scope=resolve(request.scope, about, now_ms=now_ms, path="scope", in_ms=True),
        order=check_order(about, request.order, path=f"{path}order"),
        seq_max=seq_max,
        format=request.format,
        compression=request.compression,
        limit_rows=request.limit_rows,
        cursor=request.cursor,
    )


def plan(
    request: ExportRequest,
    *,
    project_id: int,
    seq_max: int,
    now_ms: int,
    archive: Archive | None = None,
    metadata_names: Sequence[str] = (),
    scales: Mapping[str, int] | None = None,
    given: Mapping[str, str] | None = None,
    limits: PlanLimits | None = None,
) -> Plan:
    """Plan an export as of seq_max. Arguments and errors as of `select`; archive: None when nothing is sealed."""
    selection = select(
        request,
        project_id=project_id,
        seq_max=seq_max,
        now_ms=now_ms,
        metadata_names=metadata_names,
        scales=scales,
        given=given,
    )
    return plan_selection(selection, archive=archive, limits=limits or PlanLimits())


def plan_selection(
    selection: Selection, *, archive: Archive | None, limits: PlanLimits, indexed_rows: int | None = None
) -> Plan:
    """Choose the path for a selection and cut it into tasks, in file order. indexed_rows: how many movements the campaigns
    asked for have, where somebody counted them and they are no more than `rows_by_index`."""
    about = exportable(selection.object)
    if about.table != _MOVEMENTS:
        return Plan(
            selection, (Task(0, "rows"),), "database", f"{about.title} can change, so they are read in one snapshot"
        )
    by_index = _why_index(selection, limits, indexed_rows)
    reason = by_index or _why_database(selection, about, archive)
    if reason is not None or archive is None:
        rows = selection.seq_max
        # Of a few cards nobody knows how many rows they have, but not that it is the whole ledger: small exports with a
        # large estimate would wait behind huge ones.
        estimate = rows if by_index is None else indexed_rows
        tasks = (Task(0, "movements", tail=(1, rows), rows_estimate=estimate),) if rows > 0 else ()
        return Plan(
            selection, tasks, "database", reason or "", None if estimate is None else _at_most(estimate, selection)
        )
    tasks = _archive_tasks(selection, archive, limits)
    reason = f"{len(archive.segments)} sealed segments up to movement {archive.sealed_seq}"
    rows = sum(task.rows_estimate or 0 for task in tasks)
    return Plan(selection, tasks, "archive", reason, _at_most(rows, selection))


def asks_archive(selection: Selection, limits: PlanLimits, indexed_rows: int | None = None) -> bool:
    """Whether the plan depends on what is sealed."""
    return exportable(selection.object).table == _MOVEMENTS and _why_index(selection, limits, indexed_rows) is None


def rows_by_index(selection: Selection, limits: PlanLimits) -> int:
    """Up to how many movements of campaigns the database's index is the way to."""
    return int(selection.seq_max * limits.index_share)


def _at_most(rows: int, selection: Selection) -> int:
    return rows if selection.limit_rows is None else min(rows, selection.limit_rows)


def _why_index(selection: Selection, limits: PlanLimits, indexed_rows: int | None) -> str | None:
    """Why the database's index is the way, or None when it is not."""
    cards = cards_asked(selection)
    if cards is not None and cards <= limits.cards_by_index:
        return f"{cards} cards asked for, read by their index"
    if indexed_rows is not None:
        return f"{indexed_rows} movements of the campaigns asked for, read by their index"
    return None


def _why_database(selection: Selection, about: Exportable, archive: Archive | None) -> str | None:
    """Why the archive is not read, or None when it is."""
    if archive is None or not archive.segments:
        return "nothing is sealed yet"
    if not archive.complete:
        return "the archive does not add up to its watermark"
    names = [column.field for column in selection.columns]
    names += [each.field for asked in (selection.filter, selection.scope) for each in asked.fields]
    for name in names:
        field = about.field(name)
        if field is not None and joins_of(field.source):
            return f"{name} stands in another table"
    return None


def cards_asked(selection: Selection) -> int | None:
    """How many cards the selection names at most, or None when it names none (and so may concern all)."""
    named = _named(selection, "voucher_id")
    return None if named is None else len(named)


def campaigns_asked(selection: Selection) -> tuple[str, ...] | None:
    """The campaigns that the selection names, or None when it names none (and so may concern all)."""
    return _named(selection, "campaign_id")


def _named(selection: Selection, field: str) -> tuple[str, ...] | None:
    """The fewest values of a field that every row has one of."""
    found: list[tuple[str, ...]] = []
    for asked in (selection.scope, selection.filter):
        if asked.junction == "or" and len(asked.fields) > 1:
            continue
        for each in asked.fields:
            if each.field == field:
                operands = [condition.operands for condition in each.conditions if condition.operator == "in"]
                found += [tuple(map(str, some)) for some in operands]
    return min(found, key=len, default=None)


def time_window(selection: Selection) -> Window:
    """The part of the timeline that the selection can have rows in, from its created_at conditions and its cursor."""
    lows: list[int] = []
    highs: list[int] = []
    for asked in (selection.scope, selection.filter):
        if asked.junction == "and" or len(asked.fields) == 1:
            _add_bounds(asked, lows, highs)
    if selection.cursor is not None:
        at = selection.cursor[0]
        if selection.order.descending:
            highs.append(at + 1)
        else:
            lows.append(at)
    return Window(max(lows, default=None), min(highs, default=None))


def _add_bounds(asked: Filter, lows: list[int], highs: list[int]) -> None:
    conditions = [each for field in asked.fields if field.field == "created_at" for each in field.conditions]
    for condition in conditions:
        instants = [each for each in condition.operands if isinstance(each, int)]
        match condition.operator:
            case "after":
                lows.append(instants[0] + 1)
            case "at_or_after":
                lows.append(instants[0])
            case "before":
                highs.append(instants[0])
            case "at_or_before":
                highs.append(instants[0] + 1)
            case "within" | "in" if instants:
                lows.append(min(instants))
                highs.append(max(instants) + 1)
            case _:
                pass


def _archive_tasks(selection: Selection, archive: Archive, limits: PlanLimits) -> tuple[Task, ...]:
    seq_max = selection.seq_max
    segments = [segment for segment in archive.segments if segment.seq_from <= seq_max]
    tail = None
    if archive.sealed_seq < seq_max:
        tail = TailRange(archive.sealed_seq + 1, seq_max, archive.tail_created_from, archive.tail_created_to)
    slices = cut(
        segments, tail, window=time_window(selection), rows_wanted=limits.rows_per_task, slices_wanted=limits.tasks
    )
    if selection.order.descending:
        slices = slices[::-1]
    return tuple(
        Task(
            no,
            "movements",
            segments=each.segments,
            tail=(tail.seq_from, tail.seq_to) if tail is not None and each.tail else None,
            created_from=each.created_from,
            created_to=each.created_to,
            rows_estimate=each.rows_estimate,
        )
        for no, each in enumerate(slices)
    )


def _positive(name: str, number: int | None) -> None:
    if number is not None and number <= 0:
        raise InvalidInput("invalid_export_params", f"{name} must be a positive number", field=name, value=number)
