"""Appending to a file past the page cache, for large files that nobody will read at once.

The kernel then moves the bytes straight from our memory to the disk, which saves copying them and, at the end, the wait
for all that a fast writer had left in the cache (measured on 2 GB: half a second of a core, and half a second more until
fsync returns). One block is filled while the other one is on its way.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from counterfoil.files import disk

ALIGNED_BYTES = 4096
"""Where the kernel wants such writes to begin and end, on every disk there is."""

BLOCK_BYTES = 4 << 20
_NO_FLAG = 0
_FLAG = getattr(os, "O_DIRECT", _NO_FLAG)


class DirectWriter:
    """Appends to a descriptor whose file is a multiple of ALIGNED_BYTES long. For one thread.

    Where the file system will not have it, the writes go through the cache as others do.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._blocks = [mmap.mmap(-1, BLOCK_BYTES) for _ in range(2)]
        self._used = 0
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="counterfoil-disk")
        self._under_way: Future[None] | None = None
        self._set_flag(on=True)

    def write(self, data: memoryview) -> None:
        """Append bytes; they are copied before this returns. Raises OSError, perhaps of an earlier write."""
        source = np.frombuffer(data, np.uint8)
        while len(source):
            count = min(len(source), BLOCK_BYTES - self._used)
            self._block()[self._used : self._used + count] = source[:count]
            self._used += count
            source = source[count:]
            if self._used == BLOCK_BYTES:
                self._send()

    def finish(self) -> None:
        """Hand everything to the kernel; the descriptor is an ordinary one after this. Raises OSError."""
        self._wait()
        whole = self._used - self._used % ALIGNED_BYTES
        self._write_out(memoryview(self._blocks[0])[:whole])
        self._set_flag(on=False)
        disk.write_all(self._descriptor, memoryview(self._blocks[0])[whole : self._used])
        self._used = 0

    def close(self) -> None:
        """End the thread; what was not handed over is lost. The descriptor stays open."""
        self._aside.shutdown(wait=True)

    def _block(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._blocks[0], np.uint8)

    def _send(self) -> None:
        self._wait()
        self._under_way = self._aside.submit(self._write_out, memoryview(self._blocks[0]))
        self._blocks.reverse()
        self._used = 0

    def _wait(self) -> None:
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def _write_out(self, view: memoryview) -> None:
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            # Also what a write says that follows one cut short at an odd place.
            if error.errno != errno.EINVAL:
                raise
            self._set_flag(on=False)
            disk.write_all(self._descriptor, view)

    def _set_flag(self, *, on: bool) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | _FLAG if on else flags & ~_FLAG)
        except OSError:
            if not on:
                raise
