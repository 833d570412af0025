"""The sweeper: takes exports back from lost workers, ends retention, and removes files that nothing names any more.

One process at a time does it (the duties table says which), but nothing depends on that: each step is fenced or safe
to repeat, and each write to the table comes before the files it lets go of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import structlog

from counterfoil.clock import Clock
from counterfoil.db import rescue
from counterfoil.db.duties import database_now_ms, duty_done, keep_duty, last_done, take_duty
from counterfoil.db.engine import Database
from counterfoil.db.queue import export_folder
from counterfoil.db.rescue import Rescue, Wanted
from counterfoil.errors import LeaseLost
from counterfoil.files.store import Store
from counterfoil.worker.owner import is_dead
from counterfoil.worker.probes import reach
from counterfoil.worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

SWEEP = "sweep exports"
ORPHANS = "remove orphan files"
_ROOT = "exports"
_DUTY_TTL_MS = 120_000
_KEEP_EVERY = 200
_OVERLAP_MS = 600_000
"""How far back the leftovers of ended exports are looked for, beyond the last sweep: clocks and slow commits."""


class Sweeper:
    """The duties around exports. owner: who does them, see `worker.owner`."""

    def __init__(self, database: Database, store: Store, settings: WorkerSettings, clock: Clock, owner: str) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._clock = clock
        self._owner = owner

    def release_dead(self) -> list[Rescue]:
        """Free at once what earlier processes of this host held when they died, so that a restart goes on at once."""
        with self._database.write() as connection:
            found = rescue.release_dead(connection, is_dead, self._settings.tries_max)
        _tell(found)
        return found

    def run(self) -> None:
        """Do the duties that are due, unless somebody else does. Raises Unavailable; the next run repeats the rest."""
        if self._take(SWEEP, self._settings.duties_every_s):
            started_at, since = self._times(SWEEP)
            self.sweep(since)
            self._done(SWEEP, started_at)
        if self._take(ORPHANS, self._settings.orphans_every_s):
            started_at, _ = self._times(ORPHANS)
            self.remove_orphans(lambda: self._keep(ORPHANS))
            self._done(ORPHANS, started_at)

    def rescue(self) -> list[Rescue]:
        """Take back exports whose lease ran out. Any number of processes may do so at once."""
        settings = self._settings
        with self._database.read() as connection:
            if not rescue.any_expired(connection):
                return []
        with self._database.write() as connection:
            rescued = rescue.sweep_expired(connection, settings.tries_max, settings.backoff_ms(1))
        if rescued:
            reach("rescued")
        _tell(rescued)
        return rescued

    def sweep(self, since_ms: int) -> None:
        """Retention, and the leftovers of exports that ended at or after `since_ms` (the database's clock)."""
        settings = self._settings
        with self._database.write() as connection:
            expired = rescue.expire_files(connection)
            rescue.expire_rows(connection, settings.record_retention_ms)
            rescue.expire_tokens(connection)
        if expired:
            reach("expired")
        for holder in expired:
            log.info("export_expired", export=holder.export_id, files=len(holder.keys))
            for key in holder.keys:
                self._store.delete(key)
        with self._database.read() as connection:
            ended = rescue.ended_since(connection, since_ms)
        for project_id, export_id in ended:
            self.clean(project_id, export_id)

    def clean(self, project_id: int, export_id: str) -> int:
        """Remove what an export's folder holds and nothing names; returns how many files there were."""
        return clean(self._database, self._store, project_id, export_id)

    def remove_orphans(self, keep: Callable[[], None] | None = None) -> int:
        """Compare the whole store with the table; returns how many files were removed. Also unsealed ones of writers
        long dead, and those of exports whose row is gone. keep: called now and then, may raise to end it."""
        removed = 0
        for no, ((project_id, export_id), keys) in enumerate(_stored(self._store).items()):
            removed += _remove(self._store, keys, _wanted(self._database, project_id, export_id))
            if keep is not None and no % _KEEP_EVERY == 0:
                keep()
        before_ms = self._clock.now_ms() - round(self._settings.remnant_age_s * 1000)
        for remnant in self._store.remnants(_ROOT, before_ms):
            self._store.discard(remnant)
            removed += 1
        if removed:
            log.info("orphans_removed", files=removed)
        return removed

    # -- duties -------------------------------------------------------------------------------------------------------

    def _take(self, name: str, every_s: float) -> bool:
        with self._database.write() as connection:
            return take_duty(connection, name, self._owner, ttl_ms=_DUTY_TTL_MS, every_ms=round(every_s * 1000))

    def _keep(self, name: str) -> None:
        with self._database.write() as connection:
            if not keep_duty(connection, name, self._owner, _DUTY_TTL_MS):
                raise LeaseLost(name, 0)

    def _done(self, name: str, started_at: int) -> None:
        with self._database.write() as connection:
            duty_done(connection, name, self._owner, started_at)

    def _times(self, name: str) -> tuple[int, int]:
        """Now by the database's clock, and from when on the duty has to look."""
        with self._database.read() as connection:
            last = last_done(connection, name)
            return database_now_ms(connection), (last or 0) - _OVERLAP_MS


def orphans(database: Database, store: Store) -> Iterator[str]:
    """The keys of sealed files that `Sweeper.remove_orphans` would remove."""
    for (project_id, export_id), keys in _stored(store).items():
        wanted = _wanted(database, project_id, export_id)
        yield from (key for key in keys if not wanted.keeps(key, _attempt_of(key)))


def _stored(store: Store) -> dict[tuple[int, str], list[str]]:
    """The keys of every sealed file, by (project, export)."""
    by_export: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for file in store.list(_ROOT):
        found = _export_of(file.key)
        if found is not None:
            by_export[found].append(file.key)
    return by_export


def clean(database: Database, store: Store, project_id: int, export_id: str) -> int:
    """Remove what an export's folder holds and nothing names; returns how many files there were."""
    folder = export_folder(project_id, export_id)
    keys = [file.key for file in store.list(folder)]
    # The table is asked after the listing: a file written later is not in the list, one named since is kept.
    wanted = _wanted(database, project_id, export_id)
    if wanted.attempt is None and not wanted.keys:
        return store.delete_prefix(folder)
    return _remove(store, keys, wanted)


def _remove(store: Store, keys: Iterable[str], wanted: Wanted) -> int:
    removed = 0
    for key in keys:
        if not wanted.keeps(key, _attempt_of(key)):
            store.delete(key)
            removed += 1
    return removed


def _wanted(database: Database, project_id: int, export_id: str) -> Wanted:
    with database.read() as connection:
        return rescue.wanted_files(connection, project_id, export_id)


def _export_of(key: str) -> tuple[int, str] | None:
    """(project, export) of a key `exports/PROJECT/EXPORT/ATTEMPT/NAME`, None for any other."""
    segments = key.split("/")
    if len(segments) != 5 or segments[0] != _ROOT or not segments[1].isdecimal() or not segments[3].isdecimal():
        return None
    return int(segments[1]), segments[2]


def _attempt_of(key: str) -> int:
    attempt = key.split("/")[3]
    return int(attempt) if attempt.isdecimal() else 0


def _tell(rescued: Iterable[Rescue]) -> None:
    for found in rescued:
        log.warning("export_rescued", export=found.export_id, attempt=found.attempt, status=found.status)
