"""What a disk needs before a file on it can be called durable, and what its errors mean."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from counterfoil.errors import CounterfoilError, Damaged, InvalidInput, Misconfigured, StoreFull, Unavailable

_FOLDER_MODE = 0o750
_COPY_BYTES = 1 << 30
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_MISPLACED = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
# copy_file_range says one of these where the file system, or the pair of them, cannot do it.
_COPY_UNFIT = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EXDEV, errno.EPERM, errno.EBADF})


def mapped(error: OSError, root: Path) -> CounterfoilError:
    """What an error of the operating system under the store's folder `root` means to us."""
    if error.errno == errno.ENOSPC:
        return StoreFull(
            f"No space is left on the disk of {root}: delete files there, shorten the retention of exports, "
            "or move the files to a larger disk (COUNTERFOIL_FILES)"
        )
    if error.errno == errno.EDQUOT:
        return StoreFull(f"The disk quota of user {os.getuid()} for {root} is used up: delete files or raise the quota")
    if error.errno == errno.EFBIG:
        return StoreFull(
            f"A file in {root} reached the largest size allowed: raise the limit of this process (`ulimit -f`), "
            "or use a file system that takes larger files"
        )
    if error.errno in _FORBIDDEN:
        return Misconfigured(
            "store_forbidden",
            f"User {os.getuid()} may not use the files folder {root} ({error}): change its owner or mode, "
            "or set COUNTERFOIL_FILES to a folder that may be written",
        )
    if error.errno in _MISPLACED:
        return InvalidInput("invalid_key", f"A part of the path is a file, not a folder: {error}", field="key")
    return Unavailable("store_unavailable", f"The files folder {root} failed: {error}")


def make_folder(folder: Path, root: Path) -> None:
    """Make `folder` and its missing parents below `root`, each one durable. Raises OSError."""
    missing: list[Path] = []
    at = folder
    while not at.is_dir():
        if at == root:
            raise FileNotFoundError(errno.ENOENT, "the folder is gone; is its disk mounted?", str(root))
        missing.append(at)
        at = at.parent
    for new in reversed(missing):
        with suppress(FileExistsError):  # another writer was first; the sync below is ours all the same
            new.mkdir(_FOLDER_MODE)
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folders(folder: Path, root: Path) -> None:
    """Make the way from `root` to the names in `folder` durable, whoever made the folders between. Raises OSError."""
    at = folder
    while True:
        sync_folder(at)
        if at == root:
            return
        at = at.parent


def walk(folder: Path, start: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The regular files below a folder with their keys, in key order; `start` is the folder's own key (`a/b/`).

    What vanishes while we look is left out. Raises OSError.
    """
    try:
        with os.scandir(folder) as entries:
            # A folder's files sort where its name and a slash would: `a.txt` (0x2e) stands before `a/b` (0x2f).
            found = sorted((f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name, e) for e in entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, entry in found:
        if name.endswith("/"):
            yield from walk(Path(entry.path), start + name)
        elif entry.is_file(follow_symlinks=False):
            yield start + name, entry


def remove_tree(folder: Path) -> int:
    """Remove a folder with all that is in it; returns how many files there were. Raises OSError.

    A file that a live writer adds meanwhile stays, and its folder with it.
    """
    count = 0
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            count += remove_tree(Path(entry.path))
            continue
        with suppress(FileNotFoundError):
            os.unlink(entry.path)
            count += 1
    remove_folder(folder)
    return count


def remove_folder(folder: Path) -> bool:
    """Remove an empty folder; returns False when it was not empty. Raises OSError."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of `data`, however many calls the kernel takes for it. Raises OSError."""
    while data:
        data = data[os.write(descriptor, data) :]


def reserve(descriptor: int, start: int, length: int) -> None:
    """Make room for a file's bytes from `start` on, where the file system can: the file is longer after that. It is done
    for speed, so whatever is in the way is left for the write to meet."""
    if _fallocate is not None:
        _fallocate(descriptor, 0, start, length)


def _kernel_call() -> Any:
    # os.posix_fallocate writes into every block by itself where the file system cannot reserve, which is worse than not
    # to ask.
    try:
        call = ctypes.CDLL(None).fallocate
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return call


_fallocate = _kernel_call()


def copy_file(source: int, target: int) -> int:
    """Append the file `source` to the file `target`, in the kernel where it can; returns the bytes copied.

    On file systems that share blocks between files (Btrfs, XFS) not even the disk has to move them.
    Raises Damaged when the source shrinks meanwhile, and OSError.
    """
    size_bytes = os.fstat(source).st_size
    left = size_bytes
    while left:
        try:
            done = os.copy_file_range(source, target, min(left, _COPY_BYTES))
        except OSError as error:
            if error.errno not in _COPY_UNFIT:
                raise
            done = _copy_by_hand(source, target, left)
        if not done:
            raise Damaged("file_short", f"A file lost its last {left} bytes while it was being copied")
        left -= done
    return size_bytes


def _copy_by_hand(source: int, target: int, left: int) -> int:
    data = os.read(source, min(left, 1 << 20))
    write_all(target, memoryview(data))
    return len(data)
