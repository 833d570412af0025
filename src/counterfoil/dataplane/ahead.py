"""An iterator whose items are made in a thread of its own, a few ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_AHEAD = 2
"""Items made and not yet taken: two let either side stall for a moment; each may be some MB."""


class Ahead(Generic[T]):
    """Iterates over `source` from another thread. What the source raises is raised here, in its place. To be closed."""

    def __init__(self, source: Generator[T]) -> None:
        self._source = source
        self._made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name="counterfoil-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._ended:
            raise StopIteration
        item, error = self._made.get()
        if item is not None:
            return item
        self._ended = True
        raise StopIteration if error is None else error

    def close(self) -> None:
        """End the thread and the source, wherever they are. The source may finish the item it is at."""
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._made.get(timeout=0.05)
            except queue.Empty:
                continue
        self._ended = True

    def _serve(self) -> None:
        failure: BaseException | None = None
        try:
            for item in self._source:
                self._made.put((item, None))
                if self._closed.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - handed to the thread that iterates
            failure = error
        finally:
            self._source.close()
        self._made.put((None, failure))
