"""Opening a file of this machine to bring it in: its format by its ending, unpacked where it is packed.

Newest first: a file that runs backwards in time is read backwards, block by block, after a first pass that notes where
the blocks begin.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from counterfoil.catalog.importables import Importable
from counterfoil.dataplane.intake import Block, CsvIntake, JsonLinesIntake, Lookup, Place
from counterfoil.dataplane.intake_parquet import ParquetIntake
from counterfoil.errors import InvalidInput

FORMATS = ("csv", "jsonl", "parquet")
_ENDINGS = {
    ".csv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_BUFFER_BYTES = 1 << 20


def format_of(path: Path) -> str:
    """The format by the file's ending, `.gz` left aside; a `.zip` is told by what is in it. Raises InvalidInput."""
    name = path.name.removesuffix(".gz")
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            name = _only_member(packed)
    found = _ENDINGS.get(Path(name).suffix.lower())
    if found is None:
        raise InvalidInput(
            "unknown_format",
            f"The ending of {path.name} does not tell its format; say it with --format",
            field="format",
            value=path.suffix,
            allowed=FORMATS,
        )
    return found


@dataclass(slots=True)
class OpenFile:
    """A file being brought in. size: what `position` reaches at its end: bytes, or rows of a Parquet file."""

    size: int
    _position: Callable[[], int]
    _blocks: Callable[[int], Iterator[Block]]
    _closing: ExitStack

    def position(self) -> int:
        """How far it is read."""
        return self._position()

    def blocks(self, rows: int) -> Iterator[Block]:
        """As `Intake.blocks`."""
        return self._blocks(rows)

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()


def open_file(
    path: Path, about: Importable, file_format: str | None = None, *, lookup: Lookup | None = None,
    newest_first: bool = False,
) -> OpenFile:  # fmt: skip
    """Open a file and read its header. Raises InvalidInput for one that cannot be brought in, with what to do.

    newest_first: its rows run backwards in time; not for packed files and Parquet.
    """
    if not path.is_file():
        raise InvalidInput("no_file", f"There is no file {path}", field="file", value=str(path))
    try:
        chosen = file_format or format_of(path)
        if chosen not in FORMATS:
            raise InvalidInput("unknown_format", f"There is no format {chosen!r}; choose one of {', '.join(FORMATS)}",
                               field="format", value=chosen, allowed=FORMATS)  # fmt: skip
        if chosen == "parquet":
            return _parquet(path, about, lookup, newest_first=newest_first)
        return _text(path, about, chosen, lookup, newest_first=newest_first)
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, OSError) as error:
        raise InvalidInput("invalid_file", f"{path.name} cannot be read: {error}") from None


def _parquet(path: Path, about: Importable, lookup: Lookup | None, *, newest_first: bool) -> OpenFile:
    if newest_first:
        raise InvalidInput("invalid_option", "A Parquet file cannot be read newest first; sort it first")
    intake = ParquetIntake(path, about, lookup)
    done = 0

    def blocks(rows: int) -> Iterator[Block]:
        nonlocal done
        for block in intake.blocks(rows):
            done += block.rows
            yield block

    return OpenFile(intake.row_count, lambda: done, blocks, ExitStack())


def _text(path: Path, about: Importable, chosen: str, lookup: Lookup | None, *, newest_first: bool) -> OpenFile:
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb", buffering=_BUFFER_BYTES))
        packed = path.suffix in (".gz", ".zip")
        source = _unpacked(raw, path, stack)

        def intake(at: Place, header: tuple[str | None, ...] | None) -> CsvIntake | JsonLinesIntake:
            if chosen == "csv":
                return CsvIntake(source, about, lookup, header=header, at=at)
            return JsonLinesIntake(source, about, lookup, at=at)

        first = intake(Place(0, 1), None)
        size = path.stat().st_size
        if not newest_first:
            return OpenFile(size, raw.tell, lambda rows: _readable(first.blocks(rows), path), stack.pop_all())
        if packed:
            raise InvalidInput("invalid_option", "A packed file cannot be read newest first; unpack it first")
        backwards = _Backwards(source, intake, first)
        return OpenFile(size, backwards.position, backwards.blocks, stack.pop_all())


def _readable(blocks: Iterator[Block], path: Path) -> Iterator[Block]:
    """The same blocks; a packed file that turns out to be damaged on the way says so."""
    try:
        yield from blocks
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, OSError) as error:
        raise InvalidInput("invalid_file", f"{path.name} is damaged: {error}") from None


def _unpacked(raw: BinaryIO, path: Path, stack: ExitStack) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", io.BufferedReader(stack.enter_context(gzip.GzipFile(fileobj=raw)), _BUFFER_BYTES))
    if path.suffix == ".zip":
        packed = stack.enter_context(zipfile.ZipFile(raw))
        member = stack.enter_context(packed.open(_only_member(packed)))
        return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", member), _BUFFER_BYTES))
    return raw


def _only_member(packed: zipfile.ZipFile) -> str:
    names = [name for name in packed.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise InvalidInput("invalid_file", f"The zip holds {len(names)} files; pack one alone, or unpack it")
    return names[0]


class _Backwards:
    """Blocks from the last to the first, each with its rows turned around."""

    def __init__(
        self,
        source: BinaryIO,
        intake: Callable[[Place, tuple[str | None, ...] | None], CsvIntake | JsonLinesIntake],
        first: CsvIntake | JsonLinesIntake,
    ) -> None:
        self._source = source
        self._intake = intake
        self._first = first
        self._header = first.header if isinstance(first, CsvIntake) else None
        self._start = first.place
        self._end = 0
        self._at = 0

    def position(self) -> int:
        """Bytes read, counted from the end."""
        return self._end - self._at

    def blocks(self, rows: int) -> Iterator[Block]:
        """As `Intake.blocks`."""
        places = [self._start, *(block.after for block in self._first.blocks(rows))]
        self._end = places[-1].offset
        # The last block may be a single row, and of one row nobody can tell which way the file runs: it joins the next.
        begins = places[:-2] or places[:-1]
        for place in reversed(begins):
            self._source.seek(place.offset)
            wanted = rows * 2 if place == begins[-1] else rows
            block = next(self._intake(place, self._header).blocks(wanted), None)
            if block is None:
                raise InvalidInput("file_changed", "The file changed while it was read")
            self._at = place.offset
            yield replace(
                block,
                lines=block.lines[::-1],
                columns={name: values[::-1] for name, values in block.columns.items()},
                flaws=block.flaws[::-1],
            )
