"""`counterfoil import`: bring a file in, with a progress bar, and tell what became of its rows."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from counterfoil import log
from counterfoil import settings as settings_table
from counterfoil.catalog.importables import importable
from counterfoil.clock import SystemClock
from counterfoil.dataplane.intake_path import OpenFile, open_file
from counterfoil.db.engine import Database, DatabaseSettings
from counterfoil.db.migrate import prepare
from counterfoil.db.writer import GroupWriter
from counterfoil.errors import InvalidInput
from counterfoil.services.access import Access
from counterfoil.services.core import Caller, Core
from counterfoil.services.imports.report import ImportOptions, Refusal, Report
from counterfoil.services.imports.run import ImportService

BATCH_ROWS_MIN = 100
BATCH_ROWS_MAX = 100_000
DECIMALS_MAX = 9
_GC_THRESHOLD = 200_000
# A batch touches thousands of pages of the indexes, and the next one largely the same.
_DATABASE = DatabaseSettings(pool_size=4, cache_mb=192, log_mb=256)
REFUSED_STATUS = 2
"""The exit status when some rows were refused; 1 is for a file that could not be brought in at all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for. file_format: None goes by the file's ending. report: where every refusal goes."""

    object_name: str
    path: Path
    project: str
    options: ImportOptions
    file_format: str | None = None
    report: Path | None = None
    newest_first: bool = False


def bring_in(given: dict[str, str | None], wanted: Wanted) -> int:
    """Import the file into the project, which is made if there is none of that name; returns the exit status."""
    about = importable(wanted.object_name)
    _check(wanted.options)
    settings = settings_table.load(given)
    log.configure("warning")
    clock = SystemClock()
    console = Console(stderr=True, highlight=False)
    with (
        _rare_collections(),
        open_file(wanted.path, about, wanted.file_format, newest_first=wanted.newest_first) as file,
        _core(settings.database_url, clock) as core,
        _refusals(wanted.report) as refusals,
    ):
        caller = Caller(Access(core.database, clock).ensure_project(wanted.project))
        started_s = clock.monotonic_s()
        latest = Report()
        try:
            with _Bar(console, file, clock) as bar:

                def on_batch(report: Report, refused: tuple[Refusal, ...]) -> None:
                    nonlocal latest
                    latest = report
                    refusals(refused)
                    bar.show(report)

                ImportService(core).run(caller, about.name, file, wanted.options, on_batch)
        finally:
            _tell(Console(highlight=False), latest, clock.monotonic_s() - started_s, wanted)
    return REFUSED_STATUS if latest.refused else 0


def _check(options: ImportOptions) -> None:
    for name, value, low, high in (
        ("batch-rows", options.batch_rows, BATCH_ROWS_MIN, BATCH_ROWS_MAX),
        ("decimals", options.decimals, 0, DECIMALS_MAX),
    ):
        if not low <= value <= high:
            raise InvalidInput("invalid_option", f"--{name} must lie between {low} and {high}", field=name, value=value)


@contextmanager
def _rare_collections() -> Generator[None]:
    """Rows are short-lived and hold no cycles; looking for some all the time costs a fifth of the run."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _core(database_url: str, clock: SystemClock) -> Generator[Core]:
    database = Database(database_url, _DATABASE)
    prepare(database)
    writer = GroupWriter(database, clock)
    try:
        yield Core(database, writer, clock)
    finally:
        writer.close()
        database.dispose()


class _Refusals:
    """Writes every refusal as a JSON line; nowhere when no file was asked for."""

    def __init__(self, out: BinaryIO | None) -> None:
        self._out = out
        self._encode = msgspec.json.Encoder().encode_lines

    def __call__(self, refused: tuple[Refusal, ...]) -> None:
        if self._out is not None and refused:
            self._out.write(self._encode([dataclasses.asdict(each) for each in refused]))
            self._out.flush()


@contextmanager
def _refusals(path: Path | None) -> Generator[_Refusals]:
    if path is None:
        yield _Refusals(None)
        return
    with path.open("wb") as out:
        yield _Refusals(out)


class _Bar:
    """The progress bar: how far the file is read, and rows a second so far."""

    def __init__(self, console: Console, file: OpenFile, clock: SystemClock) -> None:
        self._file = file
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console
        )  # fmt: skip
        self._task = self._progress.add_task("0 rows", total=max(1, file.size))

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, report: Report) -> None:
        """Move the bar to where the file is read."""
        took_s = max(self._clock.monotonic_s() - self._started_s, 0.001)
        words = f"{report.rows:>12,} rows  {report.rows / took_s:>8,.0f}/s  {report.refused:,} refused"
        self._progress.update(self._task, completed=self._file.position(), description=words)


def _tell(console: Console, report: Report, took_s: float, wanted: Wanted) -> None:
    table = Table("rows", Column(wanted.object_name, justify="right"))
    for name in ("rows", "imported", "known", "refused"):
        words = {"rows": "read", "known": "known already"}.get(name, name)
        table.add_row(words, f"{getattr(report, name):,}")
    console.print(table)
    for refusal in report.first:
        named = f" ({refusal.id})" if refusal.id else ""
        console.print(f"line {refusal.line}{named}: {refusal.reason}", markup=False, soft_wrap=True)
    hidden = report.refused - len(report.first)
    if hidden:
        where = f"all are in {wanted.report}" if wanted.report else "see them all with --report FILE"
        console.print(f"… and {hidden:,} more; {where}", markup=False)
    console.print(f"{report.rows:,} rows in {took_s:.1f} s ({report.rows / max(took_s, 0.001):,.0f}/s)", markup=False)
