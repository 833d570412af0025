"""Appending to a file past the page cache, for large files that nobody will read at once.

The kernel then moves the bytes straight from our memory to the disk, which saves copying them and, at the end, the wait
for all that a fast writer had left in the cache. Disks are fastest with several writes to do, and the kernel lets writes
into one file run side by side only where the file has its space already: so space is reserved ahead, and each block has
its place (measured: 1.0 GB/s with one write on its way, 1.4 with four).
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from counterfoil.files import disk

ALIGNED_BYTES = 4096
"""Where the kernel wants such writes to begin and end, on every disk there is."""

BLOCK_BYTES = 4 << 20
BLOCKS = 5
"""One is being filled, the others are on their way."""

RESERVED_BYTES = 256 << 20
"""So much space is reserved at a time; what is not needed is given back in the end."""

_NO_FLAG = 0
_FLAG = getattr(os, "O_DIRECT", _NO_FLAG)


class DirectWriter:
    """Appends to a descriptor whose file is a multiple of ALIGNED_BYTES long. For one thread.

    Where the file system will not have it, the writes go through the cache as others do.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = self._reserved_to = os.lseek(descriptor, 0, os.SEEK_END)
        self._block = mmap.mmap(-1, BLOCK_BYTES)
        self._used = 0
        self._blocks = 1
        self._under_way: deque[tuple[mmap.mmap, Future[None]]] = deque()
        self._aside = ThreadPoolExecutor(BLOCKS - 1, thread_name_prefix="counterfoil-disk")
        self._set_flag(on=True)

    def write(self, data: memoryview) -> None:
        """Append bytes; they are copied before this returns. Raises OSError, perhaps of an earlier write."""
        source = np.frombuffer(data, np.uint8)
        while len(source):
            count = min(len(source), BLOCK_BYTES - self._used)
            self._filling()[self._used : self._used + count] = source[:count]
            self._used += count
            source = source[count:]
            if self._used == BLOCK_BYTES:
                self._send()

    def finish(self) -> None:
        """Hand everything to the kernel; the descriptor is an ordinary one after this, at its end. Raises OSError."""
        while self._under_way:
            self._oldest()
        whole = self._used - self._used % ALIGNED_BYTES
        self._write_out(memoryview(self._block)[:whole], self._at)
        self._set_flag(on=False)
        self._write_out(memoryview(self._block)[whole : self._used], self._at + whole)
        self._at += self._used
        self._used = 0
        os.truncate(self._descriptor, self._at)
        os.lseek(self._descriptor, self._at, os.SEEK_SET)

    def close(self) -> None:
        """End the threads; what was not handed over is lost. The descriptor stays open."""
        self._aside.shutdown(wait=True)

    def _filling(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._block, np.uint8)

    def _send(self) -> None:
        if self._at + BLOCK_BYTES > self._reserved_to:
            disk.reserve(self._descriptor, self._at, RESERVED_BYTES)
            self._reserved_to = self._at + RESERVED_BYTES
        sent = self._aside.submit(self._write_out, memoryview(self._block), self._at)
        self._under_way.append((self._block, sent))
        self._at += BLOCK_BYTES
        self._used = 0
        if self._blocks < BLOCKS:
            self._block = mmap.mmap(-1, BLOCK_BYTES)
            self._blocks += 1
        else:
            self._block = self._oldest()

    def _oldest(self) -> mmap.mmap:
        block, sent = self._under_way.popleft()
        sent.result()
        return block

    def _write_out(self, view: memoryview, at: int) -> None:
        cached = False
        while view:
            try:
                done = os.pwrite(self._descriptor, view, at)
            except OSError as error:
                # Also what a write says that follows one cut short at an odd place.
                if error.errno != errno.EINVAL or cached:
                    raise
                self._set_flag(on=False)
                cached = True
                continue
            view, at = view[done:], at + done

    def _set_flag(self, *, on: bool) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | _FLAG if on else flags & ~_FLAG)
        except OSError:
            if not on:
                raise
