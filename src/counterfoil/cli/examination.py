"""`counterfoil doctor`: look at the database, the store, the clocks and the ledger, and say what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console

from counterfoil import settings as settings_table
from counterfoil.clock import Clock, SystemClock
from counterfoil.compose import store_options, worker_settings
from counterfoil.db import soundness
from counterfoil.db.duties import database_now_ms
from counterfoil.db.engine import Database
from counterfoil.db.migrate import advice, schema_state
from counterfoil.db.migrate import migrate as run_migrations
from counterfoil.errors import CounterfoilError
from counterfoil.files.open import open_store
from counterfoil.files.store import Store
from counterfoil.worker.sweeper import orphans

CLOCK_SKEW_MAX_MS = 2_000
"""Leases live by the database's clock and links by this machine's; more than this apart is worth mending."""


def examine(given: dict[str, Any], *, migrate: bool, clock: Clock | None = None) -> int:
    """Print a line for each check; returns 0 when all is well, 1 otherwise."""
    console = Console(highlight=False, soft_wrap=True)
    settings = settings_table.load(given)
    clock = clock or SystemClock()
    database = Database(settings.database_url)

    def store() -> Store:
        return open_store(settings.files_url, store_options(settings), clock)

    checks: tuple[tuple[str, Callable[[], Iterable[str]]], ...] = (
        ("database and schema", lambda: _schema(database, migrate=migrate)),
        ("clock", lambda: _clock(database, clock)),
        ("store", lambda: _store(store())),
        ("ledger", lambda: _ledger(database)),
        ("files of finished exports", lambda: _files(database, store())),
        ("files that no export names", lambda: _orphans(database, store(), worker_settings(settings).orphans_every_s)),
    )
    wrong = 0
    for name, check in checks:
        found = _run(check)
        wrong += len(found)
        console.print(f"{'[green]ok  [/green]' if not found else '[red]BAD [/red]'} {name}")
        for finding in found:
            console.print(f"     {finding}", markup=False)
    console.print("all is well" if not wrong else f"{wrong} finding(s)")
    database.dispose()
    return 1 if wrong else 0


def _run(check: Callable[[], Iterable[str]]) -> list[str]:
    """A check's findings; one that cannot be made is a finding itself."""
    try:
        return list(check())
    except CounterfoilError as error:
        return [error.message]


def _schema(database: Database, *, migrate: bool) -> Iterator[str]:
    if migrate:
        run_migrations(database)
    found = advice(schema_state(database))
    if found is not None:
        yield found


def _clock(database: Database, clock: Clock) -> Iterator[str]:
    with database.read() as connection:
        skew_ms = database_now_ms(connection) - clock.now_ms()
    if abs(skew_ms) > CLOCK_SKEW_MAX_MS:
        yield f"the database's clock is {skew_ms / 1000:+.1f} s off this machine's; set both by the same time server"


def _store(store: Store) -> Iterator[str]:
    store.check()
    yield from ()


def _ledger(database: Database) -> Iterator[str]:
    with database.read() as connection:
        yield from soundness.findings(connection)


def _files(database: Database, store: Store) -> Iterator[str]:
    with database.read() as connection:
        finished = list(soundness.finished_exports(connection))
    for export_id, file in finished:
        key = str(file["key"])
        try:
            size = store.size_bytes(key)
        except CounterfoilError as error:
            yield f"export {export_id}: {error.message}; ask for the export again"
            continue
        digest = hashlib.sha256()
        for chunk in store.stream(key):
            digest.update(chunk)
        if size != file["bytes"] or digest.hexdigest() != file["sha256"]:
            yield f"export {export_id}: {key} is damaged (its bytes are not those recorded); ask for the export again"


def _orphans(database: Database, store: Store, every_s: float) -> Iterator[str]:
    """Leftovers are the workers' to remove; here it is said that they are there and what removes them."""
    keys = list(orphans(database, store))
    if keys:
        yield (
            f"{len(keys)} file(s) that no export names, such as {keys[0]}; a running worker removes them within "
            f"{every_s / 60:g} minutes: start one, or look why none could"
        )
