"""The real ASGI application on a fresh SQLite database, called in process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.wired import House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """What the tests of this process share; ask for `system`."""
    with closing(House(tmp_path_factory.mktemp("web") / "home")) as built:
        yield built


@pytest.fixture
def clock(house: House) -> FakeClock:
    """The clock of the system, at its start."""
    return house.clock


@pytest.fixture
def system(house: House) -> System:
    """A whole system with a fake clock and an empty database."""
    house.clean()
    return house.system


@pytest.fixture
def app(house: House, system: System) -> FastAPI:
    """The application over it."""
    return house.app


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[TestClient]:
    """A client without credentials; errors of ours come back as responses, not exceptions."""
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def api(system: System, anonymous: TestClient) -> TestClient:
    """A client with the keys of project `shop`."""
    return signed_in(system, anonymous, "shop")


@pytest.fixture
def stranger(system: System, anonymous: TestClient) -> TestClient:
    """A client with the keys of another project, for the test that tenants never see each other."""
    return signed_in(system, anonymous, "other-shop")


def signed_in(system: System, client: TestClient, project: str) -> TestClient:
    """A client over the same application with fresh keys of a project."""
    keys = system.access.create_keys(project)
    headers = {"X-App-Id": keys.app_id, "X-App-Token": keys.app_token}
    return TestClient(client.app, raise_server_exceptions=False, headers=headers)
