"""Work of which the whole system needs one doer at a time, whichever process that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from counterfoil.db.duties import database_now_ms, duty_done, keep_duty, take_duty
from counterfoil.ids import random_id
from counterfoil.services.core import Core

TTL_MS = 60_000
"""How long a duty stays taken without a sign of life; between two batches it is taken anew."""


def alone(core: Core, name: str, batches: Callable[[], Iterator[int]]) -> int:
    """Go through the batches of a duty unless somebody else does; returns the sum of what they gave.

    It only saves work: batches must be correct when two processes do them at once, as happens when one was held up for
    longer than TTL_MS and comes back.
    """
    owner = random_id("duty_")
    with core.database.write() as connection:
        if not take_duty(connection, name, owner, ttl_ms=TTL_MS, every_ms=0):
            return 0
        started_at = database_now_ms(connection)
    done = 0
    for count in batches():
        done += count
        with core.database.write() as connection:
            if not keep_duty(connection, name, owner, TTL_MS):
                return done
    with core.database.write() as connection:
        duty_done(connection, name, owner, started_at)
    return done
