"""Who holds a lease, in words that tell whether the holder can still be alive: `host:pid:token`.

The token is the machine's boot and the process's start, so neither a reused pid nor a restarted container is taken for
the process before it.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from counterfoil.ids import random_text

_PROC = Path("/proc")
_START_FIELD = 19  # of what follows the command in /proc/PID/stat: starttime, field 22 (proc_pid_stat(5))


def this_process(number: int = 0) -> str:
    """The owner text of this process; number tells its threads apart."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_token(pid) or 'x' + random_text(12)}:{number}"


def is_dead(owner: str) -> bool:
    """Whether the owner was a process of this host that is certainly gone."""
    host, pid, token, *_ = [*owner.split(":"), "", "", ""]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    if not token.startswith("x") and (_PROC / "self" / "stat").exists():
        return _token(int(pid)) != token
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _token(pid: int) -> str | None:
    """Boot and start time of a process, or None where there is none (or no /proc)."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text()[:8]
        # The command stands in brackets and may hold anything, brackets too.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return f"{boot}-{fields[_START_FIELD]}"
