"""Where files live: the seam between what we write and the disk or bucket it lands on.

A file becomes visible only when sealed, whole and durable, or never. Keys are relative POSIX paths
(`exports/<project>/<export>/<attempt>/part-00000.csv`). Nothing is ever overwritten unless the call says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A sealed file as the store lists it: its key, size in bytes, and when it was sealed (ms since the epoch)."""

    key: str
    size_bytes: int
    modified_ms: int


class StagedFile(Protocol):
    """A file being written. Exactly one of `seal` and `abort` ends it; leaving the `with` unsealed aborts."""

    def write(self, data: Bytes) -> None:
        """Append bytes. Raises StoreFull (terminal for the attempt) or Unavailable (transient)."""
        ...

    def seal(self) -> int:
        """Make the file visible under its key and durable; returns its size in bytes."""
        ...

    def abort(self) -> None:
        """Leave no trace. Safe to call twice and after a failure."""
        ...

    def __enter__(self) -> StagedFile: ...

    def __exit__(self, *exc: object) -> None: ...


class Store(Protocol):
    """A file store. Errors: NotFound('file', key) for a missing key, Unavailable for what may pass, Damaged never."""

    url: str

    def create(self, key: str, *, create_only: bool = True) -> StagedFile:
        """Start a file. With `create_only`, sealing over an existing key raises Conflict('file_exists')."""
        ...

    def put(self, key: str, data: bytes, *, create_only: bool = True) -> None:
        """Write a small file in one step, with the same promises as create + seal."""
        ...

    def size_bytes(self, key: str) -> int:
        """The size of a sealed file."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes [start, start + length) of a sealed file; the rest of it when `length` is None."""
        ...

    def stream(
        self, key: str, start: int = 0, length: int | None = None, *, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        """The same range in chunks, without holding it in memory."""
        ...

    def concat(self, keys: Sequence[str], target: str) -> int:
        """Join sealed files in order into `target` (server-side where the store can); returns the size in bytes."""
        ...

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Sealed files whose key starts with `prefix`, in key order."""
        ...

    def delete(self, key: str) -> None:
        """Remove a file; a missing one is no error."""
        ...

    def delete_prefix(self, prefix: str) -> int:
        """Remove every sealed file and every unsealed remnant under a prefix; returns how many were there."""
        ...

    def link(self, key: str, *, file_name: str, media_type: str, ttl_s: int) -> str | None:
        """A signed URL from which anyone may read the file for `ttl_s` seconds, or None where the store has none."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Where the file lies on this machine's disk, or None when it does not."""
        ...

    def check(self) -> None:
        """Write, read and delete a probe file; raises what went wrong in words that say what to mend."""
        ...
