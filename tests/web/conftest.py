"""The real ASGI application on a fresh SQLite database, called in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from counterfoil import settings as settings_table
from counterfoil.compose import System, build, build_app
from tests.fakes import FakeClock


@pytest.fixture
def system(tmp_path: Path, clock: FakeClock) -> Iterator[System]:
    """A whole system with a fake clock in a folder of its own."""
    built = build(settings_table.load({"home": str(tmp_path / "home")}, {}), clock)
    yield built
    built.close()


@pytest.fixture
def anonymous(system: System) -> Iterator[TestClient]:
    """A client without credentials; errors of ours come back as responses, not exceptions."""
    with TestClient(build_app(system), raise_server_exceptions=False) as client:
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
