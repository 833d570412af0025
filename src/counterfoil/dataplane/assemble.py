"""From rows or parts to the final file, or files.

One stream is the way of small exports, of formats whose parts cannot be joined, and of files that are cut by size:
header, rows of every task in turn and end go straight into the final file, which is written once. Parts made apart are
joined by the store, which copies them without our reading them where it can; the file's hash is taken meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from counterfoil.dataplane.ahead import Ahead
from counterfoil.dataplane.chain import Chain
from counterfoil.dataplane.compress import MEDIA_TYPES, compress, compressed_name
from counterfoil.dataplane.encoder import Encoder
from counterfoil.dataplane.parts import Part, PartMaker, encode
from counterfoil.dataplane.rows import Rows, RowSource
from counterfoil.dataplane.sink import Sealed, Sink
from counterfoil.dataplane.stop import StopFlag
from counterfoil.dataplane.tally import Totals
from counterfoil.errors import InvalidInput
from counterfoil.files.store import Bytes, Store
from counterfoil.plan.task import Plan, Task

_SPLIT_ROWS = 1024
"""Rows encoded at once where a file must not grow beyond a number of bytes."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the final files look. folder: where they go. stem: their name without extension. at_ms: the instant that a
    zip gives its member. split_rows, split_bytes: how large a file may get before compression (None: one file).
    files_max: how many files there may be."""

    folder: str
    stem: str
    compression: str | None
    at_ms: int
    split_rows: int | None = None
    split_bytes: int | None = None
    files_max: int = 1_000

    @property
    def split(self) -> bool:
        """Whether there may be several files."""
        return self.split_rows is not None or self.split_bytes is not None


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A final file. size_bytes and sha256 are of the file as stored; content_* are of what is in it, the same unless
    it is compressed. name is what people see, key where it lies."""

    key: str
    name: str
    media_type: str
    rows: int
    size_bytes: int
    sha256: str
    content_name: str
    content_bytes: int
    content_sha256: str

    def to_json(self) -> dict[str, Any]:
        """As the exports row and the manifest have it."""
        about: dict[str, Any] = {
            "key": self.key,
            "name": self.name,
            "media_type": self.media_type,
            "rows": self.rows,
            "bytes": self.size_bytes,
            "sha256": self.sha256,
        }
        if self.content_name != self.name:
            about["content"] = {
                "name": self.content_name,
                "bytes": self.content_bytes,
                "sha256": self.content_sha256,
            }
        return about


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one stream has made. more: whether rows were left out because of the selection's limit_rows; following: of
    movements, (created_at ms, seq) of the first one left out."""

    files: tuple[MadeFile, ...]
    totals: Totals
    more: bool
    following: tuple[int, int] | None = None


def stream(
    maker: PartMaker,
    plan: Plan,
    layout: Layout,
    chain: Chain | None,
    stop: StopFlag,
    on_rows: Callable[[int], None],
) -> Streamed:
    """Make the final files in one go. on_rows hears how many rows each batch had.

    Errors as `PartMaker.make`, and InvalidInput('split_too_fine') when there would be more files than may be.
    """
    observer = maker.observer(plan.selection, chain)
    rows = FileRows(maker.source, plan, stop)
    files: list[MadeFile] = []
    # Reading, counting and chaining in one thread, encoding in this one, hashing and writing in the sink's two.
    with closing(Ahead(observer.watch(iter(rows), stop))) as ahead:
        feed = _Feed(ahead, on_rows)
        while not (files and feed.done()):
            encoder = maker.encoder(plan.selection)
            _check_split(layout, encoder, len(files))
            files.append(_write_file(maker.store, encoder, feed, layout, len(files) + 1, chain))
    return Streamed(tuple(files), observer.totals, rows.more, rows.following)


def _check_split(layout: Layout, encoder: Encoder, files_made: int) -> None:
    """Raise InvalidInput where one more file may not be."""
    if layout.split_bytes is not None and not encoder.joins:
        raise InvalidInput(
            "invalid_export_params", f"{encoder.extension} files cannot be cut by bytes", field="split_bytes"
        )
    if files_made == layout.files_max:
        raise InvalidInput(
            "split_too_fine",
            f"The rows do not fit into {layout.files_max} files; ask for larger ones by split_rows or split_bytes",
            field="split_rows" if layout.split_bytes is None else "split_bytes",
        )


class FileRows:
    """The rows of an export, task after task, up to its limit. `more`: whether a row behind the limit was seen, and
    `following`, of movements, which one: (created_at ms, seq)."""

    def __init__(self, source: RowSource, plan: Plan, stop: StopFlag) -> None:
        self._source = source
        self._plan = plan
        self._stop = stop
        self.more = False
        self.following: tuple[int, int] | None = None

    def __iter__(self) -> Generator[Rows]:
        """The rows, from the first on."""
        selection = self._plan.selection
        left = selection.limit_rows
        if left is not None:
            # One row more tells whether there is more; sources may stop at the limit they are given.
            selection = replace(selection, limit_rows=left + 1)
        for task in self._plan.tasks:
            with closing(self._source.batches(selection, task, self._stop)) as batches:
                for rows in batches:
                    if left is not None and len(rows) > left:
                        self.more = True
                        self.following = _key_of(rows.slice(left, 1))
                        yield rows.slice(0, left)
                        return
                    if left is not None:
                        left -= len(rows)
                    yield rows


def _key_of(row: Rows) -> tuple[int, int] | None:
    if "seq" not in row.batch.schema.names:
        return None
    at = row.column("created_at").cast(pa.int64())[0].as_py()
    return at, row.column("seq")[0].as_py()


def join(store: Store, parts: Iterable[Part], encoder: Encoder, layout: Layout, stop: StopFlag) -> MadeFile:
    """Join parts into the final file, in the order they come. They are read as they come, so a slow maker and the
    hashing overlap. The parts stay."""
    assert encoder.joins and not layout.split, "only one stream can make this layout"
    names = _names(layout, encoder, 1)
    joined = _Joined(store, parts, stop)
    if layout.compression is None:
        for _ in joined.chunks():
            pass
        key = f"{layout.folder}/{names.stored}"
        sealed = Sealed(key, store.concat(joined.keys, key), joined.content.hexdigest())
        assert sealed.size_bytes == joined.size_bytes, "the joined file is not as large as its parts"
    else:
        with Sink(store, f"{layout.folder}/{names.stored}") as sink:
            for chunk in compress(joined.chunks(), layout.compression, name=names.content, at_ms=layout.at_ms):
                sink.write(chunk)
            sealed = sink.seal()
    return _made(names, encoder, layout, joined.rows, sealed, joined.size_bytes, joined.content.hexdigest())


def pending_tasks(plan: Plan, finished: Iterable[int]) -> tuple[Task, ...]:
    """The tasks whose parts are not there yet."""
    done = frozenset(finished)
    return tuple(task for task in plan.tasks if task.no not in done)


@dataclass(frozen=True, slots=True)
class _Names:
    stored: str  # the last part of the key
    shown: str  # what people see
    content: str  # what is inside when it is compressed


def _names(layout: Layout, encoder: Encoder, no: int) -> _Names:
    number = f"-{no:04}" if layout.split else ""
    content = f"{layout.stem}{number}.{encoder.extension}"
    stored = compressed_name(f"export{number}.{encoder.extension}", layout.compression)
    return _Names(stored, compressed_name(content, layout.compression), content)


def _made(
    names: _Names, encoder: Encoder, layout: Layout, rows: int, sealed: Sealed, size_bytes: int, sha256: str
) -> MadeFile:
    media_type = MEDIA_TYPES.get(layout.compression or "", encoder.media_type)
    return MadeFile(
        sealed.key, names.shown, media_type, rows, sealed.size_bytes, sealed.sha256, names.content, size_bytes, sha256
    )


def _write_file(store: Store, encoder: Encoder, feed: _Feed, layout: Layout, no: int, chain: Chain | None) -> MadeFile:
    names = _names(layout, encoder, no)
    content = _Content(encoder, feed, layout)
    with Sink(store, f"{layout.folder}/{names.stored}", cached=False) as sink:
        for chunk in compress(content.chunks(), layout.compression, name=names.content, at_ms=layout.at_ms):
            sink.write(chunk)
        sink.end()
        if chain is not None and feed.done():
            chain.totals()  # counted while the disk takes the last bytes
        sealed = sink.seal()
    if layout.compression is None:
        return _made(names, encoder, layout, content.rows, sealed, sealed.size_bytes, sealed.sha256)
    return _made(names, encoder, layout, content.rows, sealed, content.size_bytes, content.hash.hexdigest())


class _Feed:
    """Rows of the whole export, handed out in the portions that files have room for."""

    def __init__(self, batches: Iterator[Rows], on_rows: Callable[[int], None]) -> None:
        self._batches = batches
        self._on_rows = on_rows
        self._batch: Rows | None = None
        self._at = 0

    def take(self, rows_max: int | None) -> Rows | None:
        """The next rows, at most so many; None at the end."""
        if self.done() or self._batch is None:
            return None
        left = len(self._batch) - self._at
        count = left if rows_max is None else min(left, rows_max)
        rows = self._batch if count == len(self._batch) else self._batch.slice(self._at, count)
        self._at += count
        return rows

    def give_back(self, count: int) -> None:
        """The last `count` of the rows taken last will come again."""
        self._at -= count

    def done(self) -> bool:
        """Whether nothing is left."""
        if self._batch is None or self._at == len(self._batch):
            self._batch = next(self._batches, None)
            self._at = 0
            if self._batch is not None:
                self._on_rows(len(self._batch))
        return self._batch is None


class _Content:
    """One file's bytes before compression, counted as they are made."""

    def __init__(self, encoder: Encoder, feed: _Feed, layout: Layout) -> None:
        self._encoder = encoder
        self._feed = feed
        self._layout = layout
        self.rows = 0
        self.size_bytes = 0
        self.hash = hashlib.sha256()

    def chunks(self) -> Iterator[Bytes]:
        yield self._counted(self._encoder.begin())
        while (found := self._next()) is not None:
            rows, data = found
            self.rows += len(rows)
            yield self._counted(data)
        yield self._counted(self._encoder.end())

    def _next(self) -> tuple[Rows, Bytes] | None:
        limit = self._layout.split_rows
        room = None if limit is None else limit - self.rows
        if room == 0:
            return None
        if self._layout.split_bytes is not None:
            return self._next_fitting(self._layout.split_bytes, min(room or _SPLIT_ROWS, _SPLIT_ROWS))
        rows = self._feed.take(room)
        return None if rows is None else (rows, encode(self._encoder, rows))

    def _next_fitting(self, bytes_max: int, rows_max: int) -> tuple[Rows, Bytes] | None:
        """Rows that do not take the file over its size; a single row may, when the file has no other."""
        while (rows := self._feed.take(rows_max)) is not None:
            data = encode(self._encoder, rows)
            fits = self.size_bytes + memoryview(data).nbytes <= bytes_max
            if fits or (len(rows) == 1 and self.rows == 0):
                return rows, data
            self._feed.give_back(len(rows))
            if len(rows) == 1:
                return None
            rows_max = len(rows) // 2
        return None

    def _counted(self, data: Bytes) -> Bytes:
        self.size_bytes += memoryview(data).nbytes
        if self._layout.compression is not None:
            self.hash.update(data)
        return data


class _Joined:
    """Parts read one after another."""

    def __init__(self, store: Store, parts: Iterable[Part], stop: StopFlag) -> None:
        self._store = store
        self._parts = parts
        self._stop = stop
        self.keys: list[str] = []
        self.rows = 0
        self.size_bytes = 0
        self.content = hashlib.sha256()

    def chunks(self) -> Iterator[Bytes]:
        for part in self._parts:
            self.keys.append(part.key)
            self.rows += part.rows
            for chunk in self._store.stream(part.key):
                self._stop.check()
                self.size_bytes += len(chunk)
                self.content.update(chunk)
                yield chunk
