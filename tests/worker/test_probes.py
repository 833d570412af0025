"""Probes: armed by the environment, at the time asked, and nothing when they are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from counterfoil.errors import Misconfigured
from counterfoil.worker import probes

CODE = "from counterfoil.worker.probes import reach; [(print(no, flush=True), reach('batch')) for no in range(5)]"


def run(probe: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "COUNTERFOIL_PROBE": probe},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_probe_kills_at_the_time_asked_and_another_does_not() -> None:
    assert run("batch:3") == (-signal.SIGKILL, "0\n1\n2\n")
    assert run("finished") == (0, "0\n1\n2\n3\n4\n")


@pytest.mark.parametrize("text", ["nowhere", "batch:x", "batch:1:explode"])
def test_a_wrong_probe_is_told_with_those_there_are(text: str) -> None:
    with pytest.raises(Misconfigured, match="manifest_written"):
        probes.arm(text)
