"""A process that stands still in the middle of a writing transaction does not hold up everybody else."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from counterfoil.db.engine import Database
from counterfoil.db.schema import projects
from counterfoil.errors import Unavailable
from tests.databases import POOL, postgres_ledger
from tests.services import PostgresServer


def test_the_locks_of_a_silent_writer_are_let_go(postgres_server: PostgresServer) -> None:
    rename = projects.update().where(projects.c.id == 1)
    with postgres_ledger(postgres_server) as database:
        silent = Database(
            database.url.render_as_string(hide_password=False), dataclasses.replace(POOL, writer_idle_ms=300)
        )
        writing = silent.write()
        connection = writing.__enter__()
        connection.execute(rename.values(name="Silent"))
        with database.write() as other:  # waits for the row until the server ends the silent transaction
            other.execute(rename.values(name="Other"))
        with pytest.raises(Unavailable):
            writing.__exit__(None, None, None)
        with silent.write() as again:
            assert again.execute(sa.select(projects.c.name).where(projects.c.id == 1)).scalar_one() == "Other"
        silent.dispose()
