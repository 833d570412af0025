"""Where files live: the seam between what we write and the disk or bucket it lands on.

A file becomes visible only when sealed, whole and durable, or never. Keys are relative POSIX paths
(`exports/<project>/<export>/<attempt>/part-00000.csv`, rules in `key.py`). Nothing is ever overwritten unless the
call says so. A store may be used by many threads at once; a staged file belongs to one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A sealed file as the store lists it.

    modified_ms: when it was written, on the store's clock, in ms since the epoch. (Amazon S3 gives a large file the
    time at which its upload began, a disk the time of its last write.)
    """

    key: str
    size_bytes: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Remnant:
    """What a writer left that neither sealed nor aborted: it died, or it is still at work.

    key: the file that would have become visible. handle: the store's own name for the remnant (a hidden path, or an
    upload's id). modified_ms: when a disk saw its last byte, or when its upload began. size_bytes: None where the
    store does not say.
    """

    key: str
    handle: str
    modified_ms: int
    size_bytes: int | None


class StagedFile(Protocol):
    """A file being written. Exactly one of `seal` and `abort` ends it; leaving the `with` unsealed aborts."""

    @property
    def key(self) -> str:
        """The key under which `seal` makes it visible."""
        ...

    def write(self, data: Bytes) -> None:
        """Append bytes. Raises StoreFull (terminal) or Unavailable (transient); after either only `abort` is left."""
        ...

    def fileno(self) -> int | None:
        """A descriptor to append to by other means, or None where the file is not one of this machine's.

        What `write` holds back goes to it first; ask again after each `write`. The caller must not close it.
        """
        ...

    def seal(self) -> int:
        """Make the file visible under its key and durable; returns its size in bytes.

        Raises Conflict('file_exists') when it was create-only and the key is taken, Conflict('file_removed') when
        `delete_prefix` or `discard` removed it while it was being written. Whatever it raises, the file is aborted.
        """
        ...

    def abort(self) -> None:
        """Leave no trace. Never raises: what cannot be removed now is found by `remnants`. Safe to call twice."""
        ...

    def __enter__(self) -> StagedFile: ...

    def __exit__(self, *exc: object) -> None: ...


class Store(Protocol):
    """A file store.

    Errors of every call: InvalidInput('invalid_key'), NotFound('file', key) for a missing key, Unavailable for what
    may pass, StoreFull and Misconfigured for what a person must mend, and where to look.
    """

    @property
    def url(self) -> str:
        """The store's address, without any secret."""
        ...

    def create(self, key: str, *, create_only: bool = True, cached: bool = True) -> StagedFile:
        """Start a file. With `create_only`, sealing over an existing key raises Conflict('file_exists').

        cached: whether it may be read soon, so that keeping it in memory is of use where files lie on a disk.
        """
        ...

    def put(self, key: str, data: Bytes, *, create_only: bool = True) -> None:
        """Write a small file in one step, with the same promises as create + seal."""
        ...

    def size_bytes(self, key: str) -> int:
        """The size of a sealed file."""
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes [start, start + length) of a sealed file; the rest of it when `length` is None.

        What lies past the end is left out, as in a slice; so the answer may be shorter, or empty.
        """
        ...

    def stream(
        self, key: str, start: int = 0, length: int | None = None, *, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        """The same range in chunks of at most `chunk_bytes`, without holding it in memory.

        A missing key raises at the call, not at the first chunk. Damaged if the file is replaced meanwhile.
        """
        ...

    def concat(self, keys: Sequence[str], target: str) -> int:
        """Join sealed files in order into `target` (server-side where the store can); returns the size in bytes.

        The sources stay. `target` is create-only. Nothing of it is visible before it is whole.
        """
        ...

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Sealed files below a folder, in key order (by code point).

        `prefix` is a folder (`a/b` or `a/b/`, the same; empty: the whole store): `a/b` does not hold `a/bc/x`.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove a file; a missing one is no error."""
        ...

    def delete_prefix(self, prefix: str) -> int:
        """Remove every sealed file and every unsealed remnant below a folder; returns how many were there.

        `prefix` is a folder as in `list`, and may not be empty. Who is still writing there finds out when it seals.
        """
        ...

    def remnants(self, prefix: str, older_than_ms: int) -> Iterator[Remnant]:
        """Unsealed remnants below a folder whose `modified_ms` is less than the instant `older_than_ms`."""
        ...

    def discard(self, remnant: Remnant) -> None:
        """Remove a remnant; one that is gone is no error."""
        ...

    def link(self, key: str, *, file_name: str, media_type: str, ttl_s: int) -> str | None:
        """A signed URL from which anyone may read the file for `ttl_s` seconds, or None where the store has none.

        Whoever follows it is offered the file as `file_name`. It is made without asking whether the file exists.
        S3 signs for seven days at most, and for no longer than lent keys last.
        """
        ...

    def local_path(self, key: str) -> Path | None:
        """Where the file lies on this machine's disk, or None when the store is elsewhere; not whether it exists."""
        ...

    def check(self) -> None:
        """Write, read and delete a probe file; raises what went wrong in words that say what to mend."""
        ...
