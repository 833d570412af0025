"""How many requests a key may make in a minute.

Counted in this process, in windows of a whole minute: cheap, and exact enough to protect a server. Several servers each
allow the limit.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from counterfoil.clock import Clock
from counterfoil.errors import RateLimited

WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a key's minute. retry_at_s: when the next one begins, seconds since the epoch."""

    limit: int
    remaining: int
    retry_at_s: int


class Rates:
    """Counts requests. limit_per_min 0 counts nothing."""

    def __init__(self, clock: Clock, limit_per_min: int) -> None:
        self._clock = clock
        self._limit = limit_per_min
        self._window = 0
        self._counts: dict[int, int] = {}
        self._lock = threading.Lock()

    def take(self, key_id: int) -> Allowance | None:
        """Count one request of a key. Raises RateLimited when its minute is used up; None where there is no limit."""
        if not self._limit:
            return None
        now_s = self._clock.now_ms() // 1000
        window = now_s // WINDOW_S
        with self._lock:
            if window != self._window:
                self._window, self._counts = window, {}
            count = self._counts[key_id] = self._counts.get(key_id, 0) + 1
        retry_at_s = (window + 1) * WINDOW_S
        if count > self._limit:
            words = f"More than {self._limit} requests in a minute"
            raise RateLimited(words, retry_at_s, retry_after_s=retry_at_s - now_s, limit=self._limit)
        return Allowance(self._limit, self._limit - count, retry_at_s)
