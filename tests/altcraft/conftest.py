"""The real ASGI application on a fresh SQLite database, spoken to in both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from counterfoil.compose import System, build_app
from tests.altcraft.shop import Shop, opened
from tests.fakes import FakeClock


@pytest.fixture
def system(tmp_path: Path, clock: FakeClock) -> Iterator[System]:
    """A whole system with a fake clock in a folder of its own."""
    with opened(tmp_path, clock) as built:
        yield built


@pytest.fixture
def app(system: System) -> FastAPI:
    """The application."""
    return build_app(system)


@pytest.fixture
def shop(system: System, app: FastAPI) -> Shop:
    """The project `shop` in both dialects."""
    return Shop(system, app)
