"""A worker as a process of its own, for tests that kill it."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from counterfoil.clock import SystemClock
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db.engine import Database, DatabaseSettings
from counterfoil.db.exports import FINAL
from counterfoil.db.schema import exports
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.worker import lease
from counterfoil.worker.job import run_attempt, stopping
from counterfoil.worker.probes import arm
from counterfoil.worker.runner import Chore, Runner
from counterfoil.worker.sweeper import Sweeper
from tests.waiting import until
from tests.worker.exporting import QUICK, World, open_world

# Long enough for a busy machine; the tests let leases run out by moving them.
SETTINGS = replace(QUICK, lease_ttl_s=20.0, watch_s=0.1, duties_every_s=0.2, tries_max=3)


def work(url: str, files: tuple[str, StoreOptions], folder: str, how: str, probe: str) -> None:
    """Be the worker, with its words in FOLDER/log and its files in the store.

    how: `stream` or `parts` runs every export until all have ended, sweeps once, and returns; `alone` does so with one
    export, and without any thread that writes now and then; `leave` starts one export and stops as if the operator had
    asked. probe: as in COUNTERFOIL_PROBE.
    """
    log = os.open(f"{folder}/log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    arm(probe)
    database = Database(url, DatabaseSettings(pool_size=8, cache_mb=8, writer_idle_ms=2_000))
    world = open_world(database, Path(folder), settings=SETTINGS, store=open_store(*files))
    rescuer = Sweeper(database, world.store, world.shop.settings, SystemClock(), "rescuer")
    if how in ("leave", "alone"):
        # A process that is paused in the middle of a write would let nobody else write to SQLite.
        lease._PROGRESS_EVERY_S = 3_600.0
        stop = StopFlag()
        if how == "leave":
            stop.set(stopping())
        run_attempt(world.shop, world.claim(), stop=stop)
    else:
        world = world.in_parts(4) if how == "parts" else world
        chores = [Chore("rescue at once", 0.1, rescuer.rescue)]
        runner = Runner(world.shop, threading.Event(), chores, embedded=database.sqlite)
        runner.start()
        until(lambda: _all_ended(world), "every export to end", deadline_s=120)
        runner.stop()
    rescuer.sweep(0)
    rescuer.remove_orphans()


def _all_ended(world: World) -> bool:
    with world.database.read() as connection:
        waiting = sa.select(sa.func.count()).select_from(exports).where(exports.c.status.not_in(FINAL))
        return connection.execute(waiting).scalar_one() == 0
