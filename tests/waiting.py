"""Waiting for another process, with a deadline: the only place in the tests that lets real time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(answer: Callable[[], T | None], what: str, deadline_s: float = 30.0) -> T:
    """Ask until `answer` gives something that is neither None nor False, and return it.

    Raises AssertionError naming `what` once `deadline_s` seconds have gone by.
    """
    ends_at = time.monotonic() + deadline_s
    pause_s = 0.005
    while True:
        found = answer()
        if found is not None and found is not False:
            return found
        if time.monotonic() > ends_at:
            raise AssertionError(f"waited {deadline_s:g} s in vain: {what}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.1)
