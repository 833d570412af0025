"""What every test may ask for."""

from __future__ import annotations

import pytest

from tests.fakes import FakeClock

pytest_plugins = ["tests.gate", "tests.services", "tests.told"]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 2024-10-09T09:16:32.521Z until the test moves it."""
    return FakeClock()
