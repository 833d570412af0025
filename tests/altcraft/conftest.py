"""The real ASGI application on a fresh SQLite database, spoken to in both dialects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest
from fastapi import FastAPI

from counterfoil.compose import System
from tests.altcraft.shop import Shop
from tests.fakes import FakeClock
from tests.wired import House

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """What the tests of this process share; ask for `system`."""
    with closing(House(tmp_path_factory.mktemp("altcraft") / "home")) as built:
        yield built


@pytest.fixture(scope="module")
def system(house: House) -> System:
    """A whole system with a fake clock, new for each module. Each test has projects of its own in it."""
    house.clean()
    return house.system


@pytest.fixture(scope="module")
def app(house: House, system: System) -> FastAPI:
    """The application."""
    return house.app


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
