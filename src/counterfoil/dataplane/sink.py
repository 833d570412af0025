"""The end of the line: bytes into a staged file, counted and hashed on their way.

SHA-256 costs as much as encoding does and writing half of that, so each has a thread of its own.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from dataclasses import dataclass

from counterfoil.files.store import Bytes, Store

_WAITING_MAX = 4
"""Chunks encoded but not yet hashed, or not yet written; with chunks of some MB this bounds what a sink holds in memory."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file that is visible and durable: its key, size in bytes, and SHA-256 in hex."""

    key: str
    size_bytes: int
    sha256: str


class Sink:
    """A staged file that hashes what is written to it. Sealed once, or aborted on leaving the `with`.

    cached: see `Store.create`.
    """

    def __init__(self, store: Store, key: str, *, cached: bool = True) -> None:
        self._file = store.create(key, cached=cached)
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._sealed_bytes = 0
        self._failure: BaseException | None = None
        self._ended = False
        self._to_hash: queue.Queue[Bytes | None] = queue.Queue(_WAITING_MAX)
        self._to_write: queue.Queue[Bytes | None] = queue.Queue(_WAITING_MAX)
        self._threads = [
            threading.Thread(target=serve, name=f"counterfoil-sink-{what}", daemon=True)
            for what, serve in (("hash", self._hash_all), ("write", self._write_all))
        ]
        for thread in self._threads:
            thread.start()

    def write(self, data: Bytes) -> None:
        """Hand over bytes; they must not change any more. Raises what an earlier write met: StoreFull, Unavailable."""
        if self._failure is not None:
            raise self._failure
        assert not self._ended, "the file has its end"
        if data:
            self._to_hash.put(data)
            self._to_write.put(data)

    def end(self) -> None:
        """Say that nothing follows. The file is made visible and durable from here on, while the caller does other
        things; `seal` tells how that went."""
        if not self._ended:
            self._ended = True
            self._to_hash.put(None)
            self._to_write.put(None)

    def seal(self) -> Sealed:
        """Wait until the file is hashed, visible and durable. Errors as `StagedFile.seal` and `write`."""
        self._wait()
        if self._failure is not None:
            raise self._failure
        assert self._sealed_bytes == self._size_bytes, "the store counted other bytes than were written"
        return Sealed(self._file.key, self._size_bytes, self._hash.hexdigest())

    def abort(self) -> None:
        """Leave no trace; safe after `seal`."""
        self._failure = self._failure or InterruptedError("aborted")
        self._wait()
        self._file.abort()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _wait(self) -> None:
        self.end()
        for thread in self._threads:
            thread.join()

    def _hash_all(self) -> None:
        while (data := self._to_hash.get()) is not None:
            self._hash.update(data)

    def _write_all(self) -> None:
        while (data := self._to_write.get()) is not None:
            if self._failure is not None:
                continue  # the writer must not hang on a full queue before it hears of the failure
            try:
                self._file.write(data)
                self._size_bytes += memoryview(data).nbytes
            except BaseException as error:  # noqa: BLE001 - handed to the thread that owns the sink
                self._failure = error
        if self._failure is None:
            try:
                self._sealed_bytes = self._file.seal()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that owns the sink
                self._failure = error
