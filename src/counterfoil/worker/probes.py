"""Named points of production code at which a test can let the process die, or stand still.

`COUNTERFOIL_PROBE=name` kills the process (SIGKILL, as the kernel or an operator would) when it comes by;
`name:3` at the third time; `name:1:pause` stops it (SIGSTOP) until somebody continues it. Unarmed, a point costs one
comparison.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field

from counterfoil.errors import Misconfigured
from counterfoil.settings import variable

PROBES = (
    "claimed",
    "planned",
    "batch",
    "part_made",
    "part_recorded",
    "files_made",
    "proved",
    "manifest_written",
    "finished",
    "tidied",
    "released",
    "rescued",
    "expired",
    "segment_read",
    "segment_written",
    "segment_recording",
    "segment_recorded",
    "rewrite_written",
    "rewrite_recording",
    "rewrite_recorded",
    "repair_written",
    "repair_recorded",
)
"""Every point, in the order of an export's life, then of the archive's. batch: each batch of rows; part_made,
part_recorded: exports in parts; rescued, expired: the sweeper, between its write and what follows from it. segment_read:
each stretch of movements that is sealed; …_recording: inside the transaction that names new segments."""

_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}


@dataclass(slots=True)
class _Armed:
    name: str
    left: int
    signal: signal.Signals
    lock: threading.Lock = field(default_factory=threading.Lock)


_armed: _Armed | None = None


def arm(text: str | None) -> None:
    """Arm a point, as `name[:count[:kill|pause]]`; nothing disarms. Raises Misconfigured, naming what there is."""
    global _armed
    _armed = _parsed(text) if text else None


def _parsed(text: str) -> _Armed:
    name, _, rest = text.partition(":")
    count, _, action = rest.partition(":")
    if name not in PROBES or (count and not count.isdecimal()) or (action or "kill") not in _SIGNALS:
        raise Misconfigured(
            "invalid_setting", f"COUNTERFOIL_PROBE={text} is not NAME[:COUNT[:kill|pause]] with one of {PROBES}"
        )
    return _Armed(name, int(count or 1), _SIGNALS[action or "kill"])


def reach(name: str) -> None:
    """Say that the point was reached."""
    if _armed is None or _armed.name != name:
        return
    with _armed.lock:
        _armed.left -= 1
        if _armed.left == 0:
            os.kill(os.getpid(), _armed.signal)


arm(variable("PROBE"))
