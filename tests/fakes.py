"""Stand-ins for what a test must hold in its own hand: the clock."""

from __future__ import annotations

import threading


class FakeClock:
    """A `counterfoil.clock.Clock` that stands still until it is told otherwise.

    `sleep_s` lets its time pass at once. It may be shared by threads.
    """

    # 2024-10-09T09:16:32.521Z, an instant with every digit different enough to show a swap of fields.
    START_MS = 1_728_465_392_521

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms
        self._passed_ms = 0
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        with self._lock:
            return self._now_ms

    def monotonic_s(self) -> float:
        """Seconds that have passed through `advance_ms` and `sleep_s`; setting the time does not move it."""
        with self._lock:
            return self._passed_ms / 1000

    def sleep_s(self, seconds: float) -> None:
        """Let `seconds` pass, now."""
        self.advance_ms(round(seconds * 1000))

    def advance_ms(self, ms: int) -> None:
        """Let `ms` pass. Raises ValueError on a step back: use `set_ms` for a clock that was corrected."""
        if ms < 0:
            raise ValueError(f"time does not go back: {ms} ms")
        with self._lock:
            self._now_ms += ms
            self._passed_ms += ms

    def set_ms(self, now_ms: int) -> None:
        """Correct the wall clock, forward or back, as an operator or NTP would."""
        with self._lock:
            self._now_ms = now_ms
