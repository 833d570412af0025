"""Many exports and several worker processes on one PostgreSQL and one store: each export is done once, by one of them."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.db import exports as rows
from counterfoil.db.exports import NewExport
from counterfoil.db.schema import exports, manifests
from tests.databases import postgres_ledger
from tests.services import PostgresServer
from tests.worker import child
from tests.worker.exporting import START_MS, fill, open_world, request

EXPORTS = 500
WORKERS = 4
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([child.__name__])


@pytest.mark.parametrize("postgres_server", [pytest.param("embedded", marks=pytest.mark.postgres)], indirect=True)
def test_five_hundred_exports_by_four_processes_are_each_done_once(
    tmp_path: Path, postgres_server: PostgresServer, told: Callable[[str], None]
) -> None:
    names = [f"exp_{no:03}" for no in range(EXPORTS)]
    with postgres_ledger(postgres_server) as database:
        fill(database, 50)
        world = open_world(database, tmp_path)
        asked = request()
        with database.write() as connection:
            for name in names:
                rows.enqueue(connection, NewExport(1, name, "voucherify", asked.object, asked, 50, START_MS))
        claims = _work(database.url.set(drivername="postgresql").render_as_string(False), tmp_path)
        with database.read() as connection:
            found = connection.execute(
                sa.select(exports.c.id, exports.c.status, exports.c.attempt, exports.c.tries).order_by(exports.c.id)
            ).all()
            numbers = connection.execute(sa.select(manifests.c.no).order_by(manifests.c.no)).scalars().all()
        contents = {world.text(world.row(name)) for name in names}
        files = len(world.files())
    assert [tuple(row) for row in found] == [(name, "DONE", 1, 1) for name in names]
    assert Counter(name for mine in claims for name in mine) == Counter(names)
    assert numbers == list(range(1, EXPORTS + 1))
    assert (len(contents), files) == (1, 2 * EXPORTS)
    shares = ", ".join(str(len(mine)) for mine in claims)
    told(f"{EXPORTS} exports by {WORKERS} processes on PostgreSQL: each claimed and done once ({shares})")


def _work(url: str, folder: Path) -> list[list[str]]:
    """Let the workers do everything; what each of them claimed, by its own log."""
    files = ((folder / "files").as_uri(), child.StoreOptions())
    homes = [folder / f"worker_{no}" for no in range(WORKERS)]
    workers = []
    for home in homes:
        home.mkdir()
        process = PROCESSES.Process(target=child.work, args=(url, files, str(home), "stream", ""))
        process.start()
        workers.append(process)
    for process in workers:
        process.join(timeout=300)
    logs = [(home / "log").read_text(errors="replace") for home in homes]
    assert [process.exitcode for process in workers] == [0] * WORKERS, logs[0][-4000:]
    return [re.findall(r"export_claimed.*?\bexport=(\S+)", re.sub(r"\x1b\[[0-9;]*m", "", log)) for log in logs]
