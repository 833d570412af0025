"""The end of the line: bytes into a staged file, counted and hashed on their way.

SHA-256 costs as much as encoding does, so hashing and writing have a thread of their own.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from dataclasses import dataclass

from counterfoil.files.store import Bytes, Store

_WAITING_MAX = 4
"""Chunks encoded but not yet written; with chunks of some MB this bounds what a sink holds in memory."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file that is visible and durable: its key, size in bytes, and SHA-256 in hex."""

    key: str
    size_bytes: int
    sha256: str


class Sink:
    """A staged file that hashes what is written to it. Sealed once, or aborted on leaving the `with`."""

    def __init__(self, store: Store, key: str) -> None:
        self._file = store.create(key)
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._failure: BaseException | None = None
        self._waiting: queue.Queue[Bytes | None] = queue.Queue(_WAITING_MAX)
        self._thread = threading.Thread(target=self._serve, name="counterfoil-sink", daemon=True)
        self._thread.start()

    def write(self, data: Bytes) -> None:
        """Hand over bytes; they must not change any more. Raises what an earlier write met: StoreFull, Unavailable."""
        if self._failure is not None:
            raise self._failure
        if data:
            self._waiting.put(data)

    def seal(self) -> Sealed:
        """Wait for all writes, make the file visible and durable. Errors as `StagedFile.seal` and `write`."""
        self._end()
        if self._failure is not None:
            raise self._failure
        size_bytes = self._file.seal()
        assert size_bytes == self._size_bytes, "the store counted other bytes than were written"
        return Sealed(self._file.key, size_bytes, self._hash.hexdigest())

    def abort(self) -> None:
        """Leave no trace; safe after `seal`."""
        self._failure = self._failure or InterruptedError("aborted")
        self._end()
        self._file.abort()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _end(self) -> None:
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _serve(self) -> None:
        while (data := self._waiting.get()) is not None:
            if self._failure is not None:
                continue  # the writer must not hang on a full queue before it hears of the failure
            try:
                self._hash.update(data)
                self._file.write(data)
                self._size_bytes += memoryview(data).nbytes
            except BaseException as error:  # noqa: BLE001 - handed to the thread that owns the sink
                self._failure = error
