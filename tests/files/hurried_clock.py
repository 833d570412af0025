"""A clock for tests that retry against a real server."""

from __future__ import annotations

from counterfoil.clock import SystemClock


class HurriedClock:
    """The machine's clock, whose pauses take no time: servers look at the time, and we need not wait."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.pauses_s: list[float] = []

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s() + sum(self.pauses_s)

    def sleep_s(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
