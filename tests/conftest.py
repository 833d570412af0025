"""What every test may ask for, and where they all run."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest

from tests.fakes import FakeClock

pytest_plugins = ["tests.gate", "tests.services", "tests.spark_cluster", "tests.told"]

_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 8 << 30

# Nobody cuts the power during a test, and a disk that is told to keep thousands of small commits costs minutes.
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES_MIN:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def pytest_collection_finish() -> None:
    """Take what imports have made out of the garbage collector's sight: it stays, and to look it through costs most."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 2024-10-09T09:16:32.521Z until the test moves it."""
    return FakeClock()
