"""The archive's upkeep: what the worker does about it again and again, and what a person may ask for at once."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from counterfoil.archive import repair
from counterfoil.archive.compaction import compact
from counterfoil.archive.hold import TTL_MS, Hold, hold
from counterfoil.archive.repair import Finding
from counterfoil.archive.sealer import Sealed, seal
from counterfoil.archive.workbench import Workbench
from counterfoil.clock import Clock
from counterfoil.db import segments
from counterfoil.db.engine import Database
from counterfoil.errors import Conflict, Damaged, Unavailable
from counterfoil.plan.task import SegmentRef

log = structlog.get_logger(__name__)

ROWS_MIN = 100_000
"""Movements left unsealed until there are so many. Reading them costs an export some microseconds each, and sealing in
small portions costs rewriting them, so this is a tenth of a segment."""

IDLE_ROWS_MIN = 1_000
_TIDY_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class UpkeepSettings:
    """rows_min: seal when so many movements wait; idle_rows_min: or so many, when none came since the last look.
    hold_ttl_ms: how long a silent holder keeps an archive from others."""

    rows_min: int = ROWS_MIN
    idle_rows_min: int = IDLE_ROWS_MIN
    hold_ttl_ms: int = TTL_MS


class Upkeep:
    """Seals, compacts, repairs and tidies the archives of all projects. For one thread; any number of processes may
    do it at once, each project is in one hand at a time."""

    def __init__(
        self, database: Database, bench: Workbench, clock: Clock, settings: UpkeepSettings | None = None
    ) -> None:
        self._database = database
        self._bench = bench
        self._clock = clock
        self._settings = settings or UpkeepSettings()
        self._seen: dict[int, int] = {}
        self._tidied_s: dict[int, float] = {}

    def run(self) -> None:
        """One round over all projects: what is due, and nothing else. Raises Unavailable and StoreFull."""
        with self._database.read() as connection:
            waiting = dict(segments.unsealed(connection))
            archived = segments.archived_projects(connection)
            damaged = segments.damaged_projects(connection)
        for project_id in sorted({*waiting, *archived}):
            seals = self._seals(project_id, waiting.get(project_id, 0))
            tidies = project_id in archived and self._tidies(project_id)
            if seals or tidies or project_id in damaged:
                self._attend(project_id, seals=seals, tidies=tidies)
        self._seen = waiting

    def seal_now(self, project_id: int) -> Sealed:
        """Seal everything the project's ledger holds, and compact. Raises Conflict `archive_busy` when somebody else
        is at it, Unavailable, StoreFull."""
        with hold(self._database, self._clock, project_id, ttl_ms=self._settings.hold_ttl_ms) as mine:
            if mine is None:
                raise Conflict("archive_busy", f"The archive of project {project_id} is being written just now")
            sealed = seal(mine, self._bench)
            compact(mine, self._bench)
            return sealed

    def check(self, project_id: int, *, mend: bool = False) -> list[Finding]:
        """Compare every segment of the project with what was written. mend: make damaged ones anew. Errors as
        seal_now."""
        findings = repair.check(self._database, self._bench.store, project_id, lambda: None)
        if findings and mend:
            with self._database.write() as connection:
                for finding in findings:
                    segments.mark_damaged(connection, project_id, finding.segment.ref.id)
            with hold(self._database, self._clock, project_id, ttl_ms=self._settings.hold_ttl_ms) as mine:
                if mine is None:
                    raise Conflict("archive_busy", f"The archive of project {project_id} is being written just now")
                repair.repair(mine, self._bench)
        return findings

    def heard_of_damage(self, project_id: int, ref: SegmentRef, error: Damaged) -> None:
        """Note what a reader found, for the next round to mend. Never raises: the reader has work to do."""
        log.warning("segment_damaged", project=project_id, segment=ref.id, error=error.message)
        try:
            with self._database.write() as connection:
                segments.mark_damaged(connection, project_id, ref.id)
        except Unavailable as failure:
            log.warning("damage_not_noted", segment=ref.id, error=failure.message)

    def _seals(self, project_id: int, waiting: int) -> bool:
        idle = self._seen.get(project_id) == waiting
        return waiting >= (self._settings.idle_rows_min if idle else self._settings.rows_min)

    def _tidies(self, project_id: int) -> bool:
        last_s = self._tidied_s.get(project_id)
        return last_s is None or self._clock.monotonic_s() - last_s >= _TIDY_EVERY_S

    def _attend(self, project_id: int, *, seals: bool, tidies: bool) -> None:
        with hold(self._database, self._clock, project_id, ttl_ms=self._settings.hold_ttl_ms) as mine:
            if mine is None:
                return
            try:
                self._work(mine, seals=seals, tidies=tidies)
            except Conflict as error:
                log.info("archive_left", project=project_id, code=error.code)
            except Damaged as error:
                if error.resource_id is None:
                    raise
                with mine.write() as connection:
                    segments.mark_damaged(connection, project_id, error.resource_id)
                log.warning("segment_damaged", project=project_id, segment=error.resource_id, error=error.message)

    def _work(self, mine: Hold, *, seals: bool, tidies: bool) -> None:
        mended = repair.repair(mine, self._bench)
        if mended:
            log.info("segments_repaired", project=mine.project_id, segments=mended)
        if seals:
            sealed = seal(mine, self._bench)
            moves = compact(mine, self._bench)
            log.info("sealed", project=mine.project_id, rows=sealed.rows, segments=sealed.segments, rewrites=moves)
        if tidies:
            removed = repair.tidy(mine, self._bench, self._clock.now_ms())
            self._tidied_s[mine.project_id] = self._clock.monotonic_s()
            if removed:
                log.info("archive_tidied", project=mine.project_id, files=removed)
