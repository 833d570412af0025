"""A file of a distant store as a local one: read in few large pieces, since each one is a journey."""

from __future__ import annotations

from counterfoil.files.store import Store

WINDOW_BYTES = 4 << 20
"""How much is fetched at a time; about one batch of a compressed segment."""


class RemoteFile:
    """What pyarrow reads from: a sealed file, through a window that is fetched where it is first looked into."""

    def __init__(self, store: Store, key: str, size_bytes: int, window_bytes: int = WINDOW_BYTES) -> None:
        self.closed = False
        self._store = store
        self._key = key
        self._size_bytes = size_bytes
        self._window_bytes = window_bytes
        self._at = 0
        self._start = 0
        self._window = memoryview(b"")

    def read(self, size: int | None = None) -> memoryview:
        """At most `size` bytes from where the file stands; the rest when None."""
        left = max(0, self._size_bytes - self._at)
        size = left if size is None or size < 0 else min(size, left)
        begin = self._at - self._start
        if begin < 0 or begin + size > len(self._window):
            self._fetch(size)
            begin = self._at - self._start
        self._at += size
        return self._window[begin : begin + size]

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset from the start (0), from here (1) or from the end (2)."""
        base = (0, self._at, self._size_bytes)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Where the file stands."""
        return self._at

    def size(self) -> int:
        """Its size in bytes."""
        return self._size_bytes

    def close(self) -> None:
        """Let go of what was fetched."""
        self.closed = True
        self._window = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is."""
        return True

    def _fetch(self, size: int) -> None:
        # A look at the end is for the footer; what stands before it will be asked for next.
        start = min(self._at, max(0, self._size_bytes - self._window_bytes))
        length = max(size + self._at - start, min(self._window_bytes, self._size_bytes - start))
        self._window = memoryview(self._store.read(self._key, start, length))
        self._start = start
