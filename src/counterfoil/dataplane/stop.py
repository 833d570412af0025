"""How work is told to stop: a flag that long loops look at, and hooks for calls that cannot look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from counterfoil.errors import CounterfoilError


class StopFlag:
    """Set once, by any thread, with the error that says why. Loops call `check` between batches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._error: CounterfoilError | None = None
        self._hooks: list[Callable[[], None]] = []

    @property
    def error(self) -> CounterfoilError | None:
        """Why the work must stop, or None while it may go on."""
        return self._error

    def set(self, error: CounterfoilError) -> None:
        """Stop the work. The first error stands; hooks run in this thread."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            hooks = list(self._hooks)
        self._event.set()
        for hook in hooks:
            hook()

    def check(self) -> None:
        """Raise the error that the flag was set with, if it was."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float) -> bool:
        """Wait until the flag is set, at most so long; returns whether it is."""
        return self._event.wait(seconds)

    @contextmanager
    def on_set(self, hook: Callable[[], None]) -> Generator[None]:
        """While the block runs, `hook` is called when the flag is set (at once if it is). It must not raise or block:
        it interrupts a call that is under way in another thread, such as a database's."""
        with self._lock:
            late = self._error is not None
            self._hooks.append(hook)
        try:
            if late:
                hook()
            yield
        finally:
            with self._lock:
                self._hooks.remove(hook)
