"""Exports of a programme's points transactions in batches, as Altcraft's dialect has them (seed 004).

The batches of one chain see one snapshot: `next_from_id` names the movement that comes next and the snapshot it was
counted in (`ids.cursor_uuid`), so a chain is a walk through rows that cannot change, and joined it is one export of the
whole period. Decision 0015 says why, and how `from_id` is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.catalog.points_transactions import POINTS_TRANSACTION
from counterfoil.db import ledger
from counterfoil.db.exports import Export
from counterfoil.db.movements import movement_at
from counterfoil.db.programmes import Programme
from counterfoil.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from counterfoil.ids import cursor_uuid, new_uuid, read_cursor_uuid, seq_of_movement_uuid
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter
from counterfoil.services.core import Caller, Core
from counterfoil.services.exports import Ask, Download, ExportService
from counterfoil.services.links import TASK_PREFIX
from counterfoil.services.programmes import ProgrammeNamed, named_programme

DIALECT = "altcraft"


@dataclass(frozen=True, slots=True)
class Period:
    """Both ends belong to it, to the millisecond."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class BatchAsked:
    """One batch. from_id: where to begin; None for the beginning of the period. limit_rows: None for the server's own.

    file_stem: the file's name without its extension.
    """

    period: Period
    file_stem: str
    from_id: str | None = None
    limit_rows: int | None = None


@dataclass(frozen=True, slots=True)
class _Start:
    """Behind which (created_at ms, seq) to begin, and the snapshot to go on in; None for a new one."""

    cursor: tuple[int, int] | None = None
    seq_max: int | None = None


class PointsExportService:
    """The use-cases. batch_rows: how many transactions a batch has at most."""

    def __init__(self, core: Core, exports: ExportService, batch_rows: int) -> None:
        self._core = core
        self._batch_rows = batch_rows
        self.exports = exports

    def programme(self, caller: Caller, named: ProgrammeNamed) -> Programme:
        """The programme that is meant. Raises as `named_programme`."""
        with self._core.read() as connection:
            return named_programme(connection, caller.project_id, named)

    def ask(self, caller: Caller, programme: Programme, asked: BatchAsked) -> Export:
        """Queue a batch of the programme's transactions.

        Raises InvalidInput for a reversed period, a limit over the server's, or a from_id of another programme; NotFound
        for a from_id that is no transaction's.
        """
        period, limit = asked.period, asked.limit_rows
        if period.from_ms > period.to_ms:
            raise InvalidInput(
                "reversed_period",
                "is after date_to; the period begins at date_from and ends at date_to",
                field="date_from",
            )
        if limit is not None and not 0 < limit <= self._batch_rows:
            raise InvalidInput(
                "invalid_limit", f"must be from 1 to {self._batch_rows}, not {limit}", field="limit", value=limit
            )
        with self._core.read() as connection:
            start = _start(connection, caller, programme, asked.from_id)
        request = ExportRequest(
            POINTS_TRANSACTION.name,
            scope=_scope(programme, period),
            compression="zip",
            header_style="names",
            limit_rows=limit or self._batch_rows,
            cursor=start.cursor,
            file_name=asked.file_stem,
        )
        echo = {"loyalty_id": programme.iid, "points_currency_iid": programme.currency.iid}
        task_id = TASK_PREFIX + new_uuid()
        return self.exports.create(caller, Ask(request, DIALECT, echo, export_id=task_id, seq_max=start.seq_max))

    def task(self, caller: Caller, task_id: str) -> Export:
        """The export of that task. Raises NotFound alike for one that is not there and one that is not this caller's."""
        if task_id.startswith(TASK_PREFIX):
            found = self.exports.find(caller, task_id)
            if found is not None and found.dialect == DIALECT:
                return found
        raise NotFound("task", task_id, f"There is no task {task_id}")

    def next_from_id(self, caller: Caller, export: Export) -> str:
        """What to pass as from_id for the batch behind a finished one; empty when it was the last."""
        following = (export.result or {}).get("following")
        return "" if following is None else cursor_uuid(caller.project.key, following[1], export.seq_max)

    def download(self, caller: Caller, token: str, file_name: str) -> Download:
        """The file of a link.

        Raises Forbidden for a link that is not good, or not this caller's, NotFound for a file that is not there, Gone.
        """
        try:
            owner, export_id, _ = self.exports.caller_of(token)
        except Unauthenticated as error:
            raise _bad_link() from error
        if owner.project_id != caller.project_id:
            raise _bad_link()
        self.task(caller, export_id)
        try:
            file = self.exports.download(caller, export_id)
        except Conflict as error:
            raise _no_file(file_name) from error
        if file.name != file_name:
            raise _no_file(file_name)
        return file


def _scope(programme: Programme, period: Period) -> Filter:
    bounds = (Condition("at_or_after", (period.from_ms,)), Condition("at_or_before", (period.to_ms,)))
    return Filter(
        "and",
        (FieldFilter("campaign_id", (Condition("in", (programme.id,)),)), FieldFilter("created_at", bounds)),
    )


def _start(connection: Connection, caller: Caller, programme: Programme, from_id: str | None) -> _Start:
    """from_id names the first transaction wanted; as next_from_id it also names the snapshot of its chain."""
    if from_id is None:
        return _Start()
    key = caller.project.key
    chained = read_cursor_uuid(key, from_id)
    seq, seq_max = chained if chained is not None else (seq_of_movement_uuid(key, from_id), None)
    last_seq = ledger.last_seq(connection, caller.project_id)
    row: Mapping[str, Any] | None = None
    if seq is not None and max(seq, seq_max or 0) <= last_seq:
        row = movement_at(connection, caller.project_id, seq)
    if row is None or seq is None:
        raise NotFound(
            "transaction",
            from_id,
            f"from_id: {from_id!r} is the id of no transaction here; pass the next_from_id of the batch before, a "
            "transaction_id out of a file, or nothing to begin with the period",
        )
    if row["campaign_id"] != programme.id:
        raise InvalidInput(
            "invalid_from_id", f"is a transaction of another programme than {programme.iid}", field="from_id"
        )
    return _Start((row["created_at"], seq - 1), seq_max)


def _bad_link() -> Forbidden:
    return Forbidden(
        "link_refused", "This link is not good, or its time is over; POST /api/v1.1/tasks/status gives a fresh one"
    )


def _no_file(file_name: str) -> NotFound:
    return NotFound("file", file_name, f"There is no file {file_name!r} behind this link")
