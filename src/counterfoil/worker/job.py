"""One attempt at one export, as a straight line: plan, rows, files, proof, manifest, and the fenced finish.

Whatever happens on the way, the row says so in the end, or belongs to somebody else by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy.engine import Connection

from counterfoil.clock import Clock
from counterfoil.dataplane.assemble import FileRows, Layout, MadeFile, join, stream
from counterfoil.dataplane.chain import Chain
from counterfoil.dataplane.compress import check_compression
from counterfoil.dataplane.manifest import Link, Made, Subject, file_hash, write_manifest
from counterfoil.dataplane.parts import Part, PartJob, PartMaker
from counterfoil.dataplane.proof import Provable, provable, prove
from counterfoil.dataplane.scan_rows import reads_movements
from counterfoil.dataplane.signature import Signer
from counterfoil.dataplane.stop import StopFlag
from counterfoil.dataplane.tally import Totals
from counterfoil.db import queue
from counterfoil.db.engine import Database
from counterfoil.db.exports import get_export
from counterfoil.db.projects import get_project
from counterfoil.db.queue import Claim, ManifestRecord, RecordedPart, export_folder
from counterfoil.errors import (
    Canceled,
    Conflict,
    CounterfoilError,
    InvalidInput,
    LeaseLost,
    NotFound,
    Unavailable,
)
from counterfoil.executors.base import Executor
from counterfoil.files.store import Store
from counterfoil.plan.task import Plan, task_hash
from counterfoil.worker.counting import Counting
from counterfoil.worker.lease import Lease
from counterfoil.worker.probes import reach
from counterfoil.worker.settings import WorkerSettings
from counterfoil.worker.sweeper import clean

log = structlog.get_logger(__name__)
T = TypeVar("T")

DONE, FAILED, RETRIED, CANCELED, LOST, RELEASED, TOO_LARGE = (
    *("done", "failed", "retried", "canceled", "lost", "released", "too_large"),
)
"""How an attempt can end."""

STOPPING = "worker_stopping"
_LINK_TRIES = 100
_WRITE_TRIES = 5
_WRITE_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Workshop:
    """What an attempt works with. database: the worker's own pool. executors: by name; `local` must be among them."""

    database: Database
    store: Store
    maker: PartMaker
    planner: Callable[[Claim], Plan]
    executors: Mapping[str, Executor]
    signer: Signer
    clock: Clock
    settings: WorkerSettings
    executor: str = "local"


def stopping() -> Unavailable:
    """The error that makes an attempt give its export back: this process is about to end."""
    return Unavailable(STOPPING, "The worker is stopping")


def run_attempt(shop: Workshop, claim: Claim, *, rows_max: int | None = None, stop: StopFlag | None = None) -> str:
    """Work on a claimed export until it is finished or somebody else's; returns how it ended, raises nothing.

    rows_max: give the export back when its plan shows it to be larger. stop: lets the owner end it early, by `stopping`.
    """
    about = log.bind(export=claim.export_id, attempt=claim.attempt)
    about.info("export_claimed", tries=claim.tries, object=claim.object)
    reach("claimed")
    with Lease(shop.database, claim, shop.settings, shop.clock, stop or StopFlag()) as lease:
        attempt = _Attempt(shop, claim, lease)
        try:
            ended = attempt.run(rows_max)
        except CounterfoilError as error:
            ended = attempt.end(error)
        except Exception as error:  # noqa: BLE001 - an attempt ends in a row that says so, also for a fault of ours
            about.exception("export_crashed")
            ended = attempt.end(Unavailable("internal_error", f"{type(error).__name__}: {error}"))
    about.info("export_ended", how=ended, rows=lease.rows_done)
    return ended


@dataclass(frozen=True, slots=True)
class _Content:
    """The files of an attempt and what was counted on the way. more: rows were left out by the request's limit;
    following: (created_at ms, seq) of the first movement among them."""

    files: tuple[MadeFile, ...]
    parts: tuple[Part, ...]
    totals: Totals
    more: bool
    following: tuple[int, int] | None = None


class _Attempt:
    def __init__(self, shop: Workshop, claim: Claim, lease: Lease) -> None:
        self._shop = shop
        self._claim = claim
        self._lease = lease
        self._recorded = False

    def run(self, rows_max: int | None) -> str:
        """The straight line."""
        shop, claim, stop = self._shop, self._claim, self._lease.stop
        plan = shop.planner(claim)
        layout = self._layout()
        executor = self._executor(plan, layout)
        self._tell_plan(plan, executor)
        reach("planned")
        if rows_max is not None and plan.rows_estimate is not None and plan.rows_estimate > rows_max:
            self._write(lambda connection: queue.release(connection, claim))
            return TOO_LARGE
        proves = provable(plan.selection, movements=reads_movements(claim.object))
        chain = None if proves.kind == "totals" else Chain(descending=plan.selection.order.descending)
        counting = Counting(shop.database, plan, shop.settings.count_after_s, self._tell_count)
        with nullcontext() if chain is None else closing(chain):
            with counting:
                content = self._make(plan, executor, layout, chain)
            reach("files_made")
            proof = self._prove(plan, proves, content.totals, chain)
        reach("proved")
        stop.check()
        keys = self._publish(plan, executor, content, proof)
        reach("finished")
        self._tidy(keys)
        reach("tidied")
        return DONE

    def end(self, error: CounterfoilError) -> str:
        """Say in the row how the attempt ended, as far as the row is still ours; then remove what it leaves."""
        try:
            ended = self._tell_end(error)
        except LeaseLost:
            ended = LOST
        except Canceled as canceled:
            return LOST if isinstance(error, Canceled) else self.end(canceled)
        except CounterfoilError as failure:
            # The lease runs out by itself, and a sweeper takes the export from there.
            log.warning("export_end_not_told", export=self._claim.export_id, error=failure.message)
            return LOST
        with suppress(CounterfoilError):
            if ended == LOST:
                self._clean_deleted()
            elif ended in (FAILED, CANCELED):
                self._shop.store.delete_prefix(export_folder(self._claim.project_id, self._claim.export_id))
            elif not self._recorded:
                self._shop.store.delete_prefix(self._claim.folder)
        return ended

    def _clean_deleted(self) -> None:
        """An export that was deleted while it ran leaves no file; one that somebody else has now is theirs."""
        shop, claim = self._shop, self._claim
        with shop.database.read() as connection:
            row = get_export(connection, claim.project_id, claim.export_id)
        if row is None:
            clean(shop.database, shop.store, claim.project_id, claim.export_id)

    def _tell_end(self, error: CounterfoilError) -> str:
        claim, settings = self._claim, self._shop.settings
        match error:
            case LeaseLost():
                raise error
            case Canceled():
                self._write(lambda connection: queue.cancel(connection, claim))
                return CANCELED
            case Unavailable(code="worker_stopping"):
                self._write(lambda connection: queue.release(connection, claim))
                reach("released")
                return RELEASED
            case _ if error.transient and claim.tries < settings.tries_max:
                backoff_ms = settings.backoff_ms(claim.tries)
                log.warning("export_will_retry", export=claim.export_id, code=error.code, error=error.message)
                self._write(lambda connection: queue.retry(connection, claim, error.code, error.message, backoff_ms))
                return RETRIED
            case _:
                log.error("export_failed", export=claim.export_id, code=error.code, error=error.message)
                self._write(lambda connection: queue.fail(connection, claim, error.code, error.message))
                return FAILED

    # -- the steps ----------------------------------------------------------------------------------------------------

    def _executor(self, plan: Plan, layout: Layout) -> Executor:
        """Where the tasks run: as the request or its project says, else by size, else as this process is set. What
        cannot be divided into parts is made in this process, and so is what has one task."""
        shop = self._shop
        huge = shop.settings.spark_from_rows is not None and (plan.rows_estimate or 0) >= shop.settings.spark_from_rows
        name = self._claim.request.executor or ("spark" if huge else shop.executor)
        found = shop.executors.get(name)
        if found is None:
            raise InvalidInput(
                "invalid_export_params",
                f"There is no executor {name!r} here",
                field="executor",
                value=name,
                allowed=tuple(shop.executors),
            )
        return found if found.streams or self._divides(plan, layout) else shop.executors["local"]

    def _tell_plan(self, plan: Plan, executor: Executor) -> None:
        self._write(
            lambda connection: queue.record_plan(
                connection,
                self._claim,
                path=f"{plan.path}: {plan.reason}",
                executor=executor.name,
                rows_total=plan.rows_estimate,
            )
        )

    def _tell_count(self, rows_total: int) -> None:
        with suppress(LeaseLost, Canceled):  # the export itself hears of it
            self._write(lambda connection: queue.record_count(connection, self._claim, rows_total))

    def _layout(self) -> Layout:
        request = self._claim.request
        return Layout(
            self._claim.folder,
            request.file_name or f"{request.object}-{self._claim.export_id}",
            check_compression(request.compression),
            self._claim.created_at,
            request.split_rows,
            request.split_bytes,
            self._shop.settings.split_files_max,
        )

    def _make(self, plan: Plan, executor: Executor, layout: Layout, chain: Chain | None) -> _Content:
        if self._in_parts(plan, executor, layout):
            return self._make_parts(plan, executor, layout, chain)
        made = stream(self._shop.maker, plan, layout, chain, self._lease.stop, self._count)
        return _Content(made.files, (), made.totals, made.more, made.following)

    def _in_parts(self, plan: Plan, executor: Executor, layout: Layout) -> bool:
        """Whether parts are possible and worth it."""
        worth = not executor.streams or (plan.rows_estimate or 0) >= self._shop.settings.parts_rows_min
        return worth and self._divides(plan, layout)

    def _divides(self, plan: Plan, layout: Layout) -> bool:
        """Whether the file can be made in parts. A limit, a split, or a format that cannot be joined needs one stream."""
        joins = self._shop.maker.encoder(plan.selection).joins
        return len(plan.tasks) > 1 and joins and not layout.split and plan.selection.limit_rows is None

    def _make_parts(self, plan: Plan, executor: Executor, layout: Layout, chain: Chain | None) -> _Content:
        maker, stop = self._shop.maker, self._lease.stop
        job = PartJob(plan.selection, self._claim.folder, plan.tasks[-1].no, chain is not None)
        taken = self._taken_over(plan, chain is not None)
        missing = [task for task in plan.tasks if task.no not in taken]
        parts: list[Part] = []
        totals = Totals()
        with closing(executor.run(job, missing, stop, self._count)) as made:

            def in_order() -> Iterator[Part]:
                for task in plan.tasks:
                    part = taken.get(task.no)
                    if part is None:
                        part = next(made)
                        reach("part_made")
                        self._record(part)
                        reach("part_recorded")
                    if chain is not None:
                        maker.gather(part, chain)
                    totals.add(part.totals)
                    parts.append(part)
                    yield part

            file = join(self._shop.store, in_order(), maker.encoder(plan.selection), layout, stop)
        return _Content((file,), tuple(parts), totals, more=False)

    def _taken_over(self, plan: Plan, needs_runs: bool) -> dict[int, Part]:
        """Parts that an earlier attempt has finished, whose task is the same, and whose bytes are still there."""
        with self._shop.database.read() as connection:
            recorded = queue.recorded_parts(connection, self._claim.project_id, self._claim.export_id)
        taken: dict[int, Part] = {}
        for task in plan.tasks:
            found = recorded.get(task.no)
            if found is None or found.task_hash != task_hash(plan.selection, task):
                continue
            part = Part(found.no, found.task_hash, found.key, found.rows, found.size_bytes, found.sha256, found.sums)
            if needs_runs and part.sums["runs"] is None:
                continue
            with suppress(NotFound):
                if self._shop.maker.intact(part, self._lease.stop):
                    taken[task.no] = part
                    self._recorded = True
                    self._lease.add_rows(part.rows)
        return taken

    def _record(self, part: Part) -> None:
        claim = self._claim
        recorded = RecordedPart(
            part.no, part.task_hash, claim.attempt, part.key, part.rows, part.size_bytes, part.sha256, part.sums
        )
        rows_done = self._lease.rows_done
        self._write(lambda connection: queue.record_part(connection, claim, recorded, rows_done))
        self._recorded = True

    def _prove(self, plan: Plan, proves: Provable, totals: Totals, chain: Chain | None) -> dict[str, Any]:
        def rescan() -> Iterator[Any]:
            return iter(FileRows(self._shop.maker.source, plan, self._lease.stop))

        return prove(proves, totals, chain, rescan, descending=plan.selection.order.descending)

    def _publish(self, plan: Plan, executor: Executor, content: _Content, proof: Mapping[str, Any]) -> frozenset[str]:
        """Write the manifest and make the row point at everything, in the chain's next free place; returns the keys."""
        claim, store, database = self._claim, self._shop.store, self._shop.database
        made = Made(content.files, content.parts, content.totals, proof)
        for _ in range(_LINK_TRIES):
            with database.read() as connection:
                subject = self._subject(connection, executor)
                last = queue.last_manifest(connection, claim.project_id)
            previous = None if last is None else Link(last.no, last.hash)
            no, data = write_manifest(subject, plan, made, previous, self._shop.signer)
            key = f"{claim.folder}/manifest-{no:08}.json"
            store.put(key, data, create_only=False)
            reach("manifest_written")
            record = ManifestRecord(no, file_hash(data), None if last is None else last.hash, key, subject.made_at)
            try:
                self._finish(_result(content, key), record)
            except Conflict:
                store.delete(key)  # another export of the project took the place; ours comes after it
                continue
            return frozenset([key, *(file.key for file in content.files)])
        raise Unavailable("manifest_chain_busy", "Other exports of the project kept taking the next place in the chain")

    def _finish(self, result: Mapping[str, Any], record: ManifestRecord) -> None:
        claim, retention_ms = self._claim, self._shop.settings.retention_ms
        try:
            self._write(lambda connection: queue.finish(connection, claim, result, record, retention_ms))
        except LeaseLost:
            # A commit whose answer was lost may have happened, and then the second try finds no lease.
            with self._shop.database.read() as connection:
                row = get_export(connection, claim.project_id, claim.export_id)
            if row is None or row.attempt != claim.attempt or row.result != result:
                raise

    def _subject(self, connection: Connection, executor: Executor) -> Subject:
        claim = self._claim
        project = get_project(connection, claim.project_id)
        if project is None:
            raise NotFound("project", str(claim.project_id))
        return Subject(
            project=project.key,
            export_id=claim.export_id,
            attempt=claim.attempt,
            dialect=claim.dialect,
            created_at=claim.created_at,
            made_at=self._shop.clock.now_ms(),
            seq_max=claim.seq_max,
            request=msgspec.to_builtins(claim.request),
            engine=self._shop.database.dialect_name,
            executor=executor.name,
        )

    def _tidy(self, keys: frozenset[str]) -> None:
        """Remove what the published export does not need; what cannot be removed now, the sweeper removes later."""
        claim, store = self._claim, self._shop.store
        try:
            for attempt in range(1, claim.attempt):
                store.delete_prefix(f"{export_folder(claim.project_id, claim.export_id)}/{attempt}")
            for file in store.list(claim.folder):
                if file.key not in keys:
                    store.delete(file.key)
        except CounterfoilError as error:
            log.warning("export_not_tidied", export=claim.export_id, error=error.message)

    def _count(self, rows: int) -> None:
        reach("batch")
        self._lease.add_rows(rows)

    def _write(self, act: Callable[[Connection], T]) -> T:
        """A small transaction, tried again while the database stays away for a moment. The fence makes that safe."""
        for pause_s in (_WRITE_PAUSE_S * 2**n for n in range(_WRITE_TRIES - 1)):
            try:
                with self._shop.database.write() as connection:
                    return act(connection)
            except Unavailable:
                self._shop.clock.sleep_s(pause_s)
        with self._shop.database.write() as connection:
            return act(connection)


def _result(content: _Content, manifest_key: str) -> dict[str, Any]:
    """What the exports row says of a finished export. cursor: [created_at ms, seq] of the last row when the request's
    limit left rows out, else None; following: of the first row left out."""
    last = content.totals.last
    return {
        "files": [file.to_json() for file in content.files],
        "rows": content.totals.rows,
        "bytes": sum(file.size_bytes for file in content.files),
        "manifest": manifest_key,
        "cursor": list(last) if content.more and last is not None else None,
        "following": None if content.following is None else list(content.following),
    }
