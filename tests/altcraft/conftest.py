"""The real ASGI application on a fresh SQLite database, spoken to in both dialects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from counterfoil.compose import System, build_app
from tests.altcraft.shop import Shop, opened
from tests.fakes import FakeClock

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole system with a fake clock in a folder of its own. Each test has projects of its own in it."""
    with opened(tmp_path_factory.mktemp("altcraft"), FakeClock()) as built:
        yield built


@pytest.fixture(scope="module")
def app(system: System) -> FastAPI:
    """The application."""
    return build_app(system)


@pytest.fixture
def clock(system: System) -> FakeClock:
    """The system's clock, at the start again."""
    assert isinstance(system.clock, FakeClock)
    system.clock.set_ms(FakeClock.START_MS)
    return system.clock


@pytest.fixture
def shop(system: System, app: FastAPI, clock: FakeClock) -> Shop:
    """A project in both dialects."""
    return Shop(system, app, f"shop {next(_numbers)}")


@pytest.fixture
def other(system: System, app: FastAPI) -> Shop:
    """Another project, for what tenants must not see of each other."""
    return Shop(system, app, f"other shop {next(_numbers)}")
