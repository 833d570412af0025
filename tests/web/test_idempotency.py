"""Idempotency-Key on every route that writes: the same request under a key is done once, another one is refused."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import metadata
from tests.web.asking import refused
from tests.web.every_write import EVERY_WRITE, Shop, written_routes


def counts(system: System) -> dict[str, int]:
    """How many rows each table has."""
    with system.core.read() as connection:
        return {
            name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def test_no_route_that_writes_is_left_out(api: TestClient) -> None:
    app: Any = api.app
    assert set(written_routes(app)) == set(EVERY_WRITE)


@pytest.mark.parametrize("route", EVERY_WRITE)
def test_a_key_stands_for_one_request(system: System, api: TestClient, route: str) -> None:
    asked = EVERY_WRITE[route](Shop(api))
    before = counts(system)
    first = asked.send(api, **{"Idempotency-Key": "once"})
    assert first.status_code < 300, first.text
    done = counts(system)
    assert done["idempotency_keys"] == before["idempotency_keys"] + 1
    again = asked.send(api, **{"Idempotency-Key": "once"})
    assert (again.status_code, again.content) == (first.status_code, first.content)
    refused(asked.differing().send(api, **{"Idempotency-Key": "once"}), 409, "idempotency_key_reused")
    assert counts(system) == done
