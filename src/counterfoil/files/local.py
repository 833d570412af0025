"""Files in a folder of this machine's disk (or of a network file system that has hard links).

A file is written under a hidden name beside its place, synced, and published by a hard link, which the kernel makes
only if the name is free: so of two writers exactly one wins, on every POSIX file system. Then the folders are synced
up to the root, so that a power cut does not take back what `seal` promised.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path

from counterfoil.errors import Conflict, CounterfoilError, Damaged, InvalidInput, Misconfigured, NotFound
from counterfoil.files import disk
from counterfoil.files.direct import ALIGNED_BYTES, DirectWriter
from counterfoil.files.key import STAGED_MARK, check_key, folder_of
from counterfoil.files.range import range_end
from counterfoil.files.store import Bytes, Remnant, StagedFile, StoredFile
from counterfoil.ids import random_text

WRITE_BYTES = 1 << 20
"""Smaller writes are gathered up to this size, larger ones go straight to the kernel.

Measured on ext4 (2 GB): writes of 4 MiB are no faster than those of 1 MiB, and neither early write-back
(sync_file_range, posix_fadvise) shortened the whole beyond the noise of the machine.
"""

DIRECT_FROM_BYTES = 16 << 20
"""A file that nobody will read at once goes past the page cache from this size on."""

_FILE_MODE = 0o640
_FOLDER_TRIES = 1000
_TOKEN_LENGTH = 12
_LINK_UNFIT = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class LocalStagedFile:
    """A hidden file beside its place; the StagedFile of a LocalStore."""

    def __init__(self, key: str, path: Path, hidden: Path, root: Path, *, create_only: bool, cached: bool) -> None:
        """Open `hidden`, which must not exist. Raises OSError."""
        self._key = key
        self._path = path
        self._hidden = hidden
        self._root = root
        self._create_only = create_only
        self._cached = cached
        self._written = 0
        self._direct: DirectWriter | None = None
        self._pending = bytearray()
        self._descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE)
        self._ended = False

    @property
    def key(self) -> str:
        return self._key

    def write(self, data: Bytes) -> None:
        assert not self._ended, "the file was sealed or aborted"
        view = memoryview(data).cast("B")
        if self._direct is None and len(self._pending) + len(view) < WRITE_BYTES:
            self._pending += view
            return
        try:
            if self._goes_direct(view):
                view = self._go_direct(view)
            if self._direct is not None:
                self._direct.write(view)
                return
            self._flush()
            if len(view) < WRITE_BYTES:
                self._pending += view
            else:
                disk.write_all(self._descriptor, view)
                self._written += len(view)
        except OSError as error:
            raise disk.mapped(error, self._root) from error

    def fileno(self) -> int | None:
        assert not self._ended, "the file was sealed or aborted"
        try:
            self._flush()
            self._end_direct()
        except OSError as error:
            raise disk.mapped(error, self._root) from error
        self._cached = True  # whoever appends by the descriptor leaves the file at any length
        return self._descriptor

    def seal(self) -> int:
        assert not self._ended, "the file was sealed or aborted"
        try:
            self._flush()
            self._end_direct()
            os.fsync(self._descriptor)
            size_bytes = os.fstat(self._descriptor).st_size
            self._publish()
        except OSError as error:
            raise self._refusal(error) from error
        finally:
            self.abort()
        return size_bytes

    def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._pending.clear()
        if self._direct is not None:
            self._direct.close()
        with suppress(OSError):
            os.close(self._descriptor)
        with suppress(OSError):
            self._hidden.unlink(missing_ok=True)

    def __enter__(self) -> LocalStagedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, bytearray()
            disk.write_all(self._descriptor, memoryview(pending))
            self._written += len(pending)

    def _goes_direct(self, view: memoryview) -> bool:
        large = self._written >= DIRECT_FROM_BYTES and len(view) >= ALIGNED_BYTES
        return large and self._direct is None and not self._cached

    def _go_direct(self, view: memoryview) -> memoryview:
        """Write past the cache from the next whole page on; returns what of `view` comes after that."""
        missing = -(self._written + len(self._pending)) % ALIGNED_BYTES
        self._pending += view[:missing]
        self._flush()
        self._direct = DirectWriter(self._descriptor)
        return view[missing:]

    def _end_direct(self) -> None:
        if self._direct is not None:
            self._direct.finish()
            self._direct.close()
            self._direct = None

    def _publish(self) -> None:
        if not self._create_only:
            self._hidden.replace(self._path)
            disk.sync_folders(self._path.parent, self._root)
            return
        os.link(self._hidden, self._path)
        try:
            self._hidden.unlink(missing_ok=True)
            disk.sync_folders(self._path.parent, self._root)
        except OSError:
            with suppress(OSError):
                self._path.unlink()  # visible, but perhaps not after a power cut: no one may count on it
            raise

    def _refusal(self, error: OSError) -> CounterfoilError:
        if isinstance(error, FileExistsError | IsADirectoryError):
            return Conflict("file_exists", f"The file {self._key} exists already", field="key", value=self._key)
        if isinstance(error, FileNotFoundError):
            return Conflict(
                "file_removed", f"The file {self._key} was removed while it was being written", value=self._key
            )
        if error.errno in _LINK_UNFIT and error.filename == str(self._hidden):
            return Misconfigured(
                "store_unfit",
                f"The file system of {self._root} refuses hard links ({error.strerror}), without which files cannot be "
                "published safely: set COUNTERFOIL_FILES to a folder on another file system",
            )
        return disk.mapped(error, self._root)


class LocalStore:
    """The Store over a folder, which is made when it is missing (Misconfigured when that is refused)."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        try:
            disk.make_folder(self._root, Path(self._root.anchor))
        except OSError as error:
            raise disk.mapped(error, self._root) from error

    @property
    def url(self) -> str:
        return self._root.as_uri()

    def create(self, key: str, *, create_only: bool = True, cached: bool = True) -> StagedFile:
        path = self._root / check_key(key)
        hidden = path.with_name(f"{STAGED_MARK}{random_text(_TOKEN_LENGTH)}.{path.name}")
        for tries_left in reversed(range(_FOLDER_TRIES)):
            try:
                disk.make_folder(path.parent, self._root)
                return LocalStagedFile(key, path, hidden, self._root, create_only=create_only, cached=cached)
            except FileNotFoundError as error:
                # A sweep may take the folder away again while it is still empty.
                if not tries_left or not self._root.is_dir():
                    raise disk.mapped(error, self._root) from error
            except OSError as error:
                raise disk.mapped(error, self._root) from error
        raise AssertionError("the last try returns or raises")

    def put(self, key: str, data: Bytes, *, create_only: bool = True) -> None:
        with self.create(key, create_only=create_only) as file:
            file.write(data)
            file.seal()

    def size_bytes(self, key: str) -> int:
        try:
            found = (self._root / check_key(key)).lstat()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("file", key) from None
        except OSError as error:
            raise disk.mapped(error, self._root) from error
        if not stat.S_ISREG(found.st_mode):
            raise NotFound("file", key)
        return found.st_size

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return b"".join(self.stream(key, start, length, chunk_bytes=1 << 30))

    def stream(
        self, key: str, start: int = 0, length: int | None = None, *, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        chunks = self._chunks(check_key(key), start, length, chunk_bytes)
        next(chunks)  # opens the file, so a missing one is told now, and a replaced one is still read to its end
        return chunks

    def _chunks(self, key: str, start: int, length: int | None, chunk_bytes: int) -> Iterator[bytes]:
        with self._opened(key) as file:
            end = range_end(os.fstat(file.fileno()).st_size, start, length)
            yield b""
            try:
                while start < end:
                    data = os.pread(file.fileno(), min(chunk_bytes, end - start), start)
                    if not data:
                        raise Damaged("file_short", f"The file {key} lost its last {end - start} bytes")
                    start += len(data)
                    yield data
            except OSError as error:
                raise disk.mapped(error, self._root) from error

    def _opened(self, key: str) -> FileIO:
        try:
            return FileIO(self._root / key, "r")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound("file", key) from None
        except OSError as error:
            raise disk.mapped(error, self._root) from error

    def concat(self, keys: Sequence[str], target: str) -> int:
        with self.create(target) as file:
            descriptor = file.fileno()
            assert descriptor is not None
            for key in keys:
                with self._opened(check_key(key)) as source:
                    try:
                        disk.copy_file(source.fileno(), descriptor)
                    except OSError as error:
                        raise disk.mapped(error, self._root) from error
            return file.seal()

    def list(self, prefix: str) -> Iterator[StoredFile]:
        for key, name, found in self._walk(prefix):
            if not name.startswith(STAGED_MARK):
                yield StoredFile(key, found.st_size, found.st_mtime_ns // 1_000_000)

    def delete(self, key: str) -> None:
        try:
            (self._root / check_key(key)).unlink(missing_ok=True)
        except (NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise disk.mapped(error, self._root) from error

    def delete_prefix(self, prefix: str) -> int:
        folder = folder_of(prefix)
        if not folder:
            raise InvalidInput("invalid_key", "The whole store is never removed in one step", field="prefix")
        at = self._root / folder
        count = 0
        try:
            count = disk.remove_tree(at)
            while at != self._root and disk.remove_folder(at):
                at = at.parent
            disk.sync_folder(at)
        except (FileNotFoundError, NotADirectoryError):
            return count
        except OSError as error:
            raise disk.mapped(error, self._root) from error
        return count

    def remnants(self, prefix: str, older_than_ms: int) -> Iterator[Remnant]:
        for key, name, found in self._walk(prefix):
            modified_ms = found.st_mtime_ns // 1_000_000
            if name.startswith(STAGED_MARK) and modified_ms < older_than_ms:
                target = key.removesuffix(name) + name[len(STAGED_MARK) + _TOKEN_LENGTH + 1 :]
                yield Remnant(target, key, modified_ms, found.st_size)

    def discard(self, remnant: Remnant) -> None:
        folder, _, name = remnant.handle.rpartition("/")
        if not name.startswith(STAGED_MARK):
            raise InvalidInput("invalid_key", f"{remnant.handle!r} is not the name of an unsealed file")
        try:
            (self._root / folder_of(folder) / name).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise disk.mapped(error, self._root) from error

    def link(self, key: str, *, file_name: str, media_type: str, ttl_s: int) -> str | None:
        check_key(key)
        return None

    def local_path(self, key: str) -> Path | None:
        return self._root / check_key(key)

    def check(self) -> None:
        key = f"check-{random_text(_TOKEN_LENGTH)}"
        self.put(key, key.encode())
        try:
            if self.read(key) != key.encode():
                raise Damaged("file_differs", f"{self._root} does not give back what was written to it")
        finally:
            self.delete(key)

    def _walk(self, prefix: str) -> Iterator[tuple[str, str, os.stat_result]]:
        folder = folder_of(prefix)
        try:
            for key, entry in disk.walk(self._root / folder, folder):
                with suppress(FileNotFoundError):
                    yield key, entry.name, entry.stat(follow_symlinks=False)
        except OSError as error:
            raise disk.mapped(error, self._root) from error
