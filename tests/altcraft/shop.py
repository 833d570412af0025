"""A shop that speaks both dialects to one application, and a worker that runs its exports here and now."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from counterfoil import settings as settings_table
from counterfoil.archive.reader import ArchiveRows
from counterfoil.archive.upkeep import Upkeep
from counterfoil.archive.workbench import Workbench
from counterfoil.clock import Clock
from counterfoil.compose import System, build, worker_settings
from counterfoil.dataplane.csv_encoder import csv_encoder
from counterfoil.dataplane.parts import PartMaker
from counterfoil.dataplane.rows import RowSource
from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.dataplane.signature import Signer
from counterfoil.db import queue, segments
from counterfoil.db.schema import movements
from counterfoil.executors.local import LocalExecutor
from counterfoil.services.core import Caller
from counterfoil.worker.job import Workshop, run_attempt
from counterfoil.worker.planning import ExportPlanner
from tests.databases import sqlite_ledger

API = "/api/v1.1/"
EXPORT = "loyalty/transactions_export"
STATUS = "tasks/status"
ALWAYS = {"date_from": "2000-01-01T00:00:00Z", "date_to": "2100-01-01T00:00:00Z"}


@contextmanager
def opened(folder: Path, clock: Clock, **given: Any) -> Iterator[System]:
    """A whole system in a folder of its own, with these settings."""
    with sqlite_ledger(folder, projects=0):
        home, database = str(folder / "home"), f"sqlite:///{folder / 'ledger.db'}"
        built = build(settings_table.load({"home": home, "database": database, **given}, {}), clock)
        try:
            yield built
        finally:
            built.close()


def workshop(
    system: System, *, archived: bool = False, rows: RowSource | None = None, executor: str = "local"
) -> Workshop:
    """What `compose` gives a worker. archived: it reads the archive's segments too. rows: where it reads instead.
    executor: where it is told to run exports; it has `local` only."""
    database, store = system.database, system.store
    source = rows or DatabaseRows(database)
    maker = PartMaker(ArchiveRows(store, source) if archived else source, {"csv": csv_encoder}, store)
    planner = ExportPlanner(database, archive_of=segments.archive_of) if archived else ExportPlanner(database)
    return Workshop(
        database=database,
        store=store,
        maker=maker,
        planner=planner,
        executors={"local": LocalExecutor(maker, 1)},
        signer=Signer.of_home(system.settings.home_path),
        clock=system.clock,
        settings=worker_settings(system.settings),
        executor=executor,
    )


def work(system: System, *, archived: bool = False, rows: RowSource | None = None, executor: str = "local") -> None:
    """Run every export that waits."""
    shop = workshop(system, archived=archived, rows=rows, executor=executor)
    while True:
        with system.database.write() as connection:
            claim = queue.claim(connection, "test", shop.settings.lease_ttl_ms)
        if claim is None:
            return
        run_attempt(shop, claim)


def seal(system: System, project_id: int) -> None:
    """Put every movement of a project into the archive."""
    Upkeep(system.database, Workbench(system.store, "none"), system.clock).seal_now(project_id)


@dataclass(frozen=True)
class Batch:
    """A finished export: its `result`, its file, and the file's rows by column."""

    task_id: str
    result: dict[str, Any]
    content: bytes
    rows: list[dict[str, str]]

    @property
    def ids(self) -> list[str]:
        """transaction_id of each row."""
        return [row["transaction_id"] for row in self.rows]


class Shop:
    """One project's keys, used in both dialects."""

    def __init__(self, system: System, app: FastAPI, project: str = "shop", scopes: list[str] | None = None) -> None:
        keys = system.access.create_keys(project, scopes=scopes)
        self.system = system
        self.token = keys.altcraft_token
        self.caller = Caller(system.access.known_project(project))
        headers = {"X-App-Id": keys.app_id, "X-App-Token": keys.app_token}
        self.voucherify = TestClient(app, raise_server_exceptions=False, headers=headers)
        self.altcraft = self.client(Authorization=f"Bearer {self.token}")

    def client(self, **headers: str) -> TestClient:
        """A client of the same application with just these headers."""
        app = self.voucherify.app
        return TestClient(app, raise_server_exceptions=False, headers=headers)

    def programme(self, name: str = "Points", eid: str = "stars", scale: int = 0, **template: Any) -> dict[str, Any]:
        """A loyalty campaign; the names its calls go by are `named(...)` of it."""
        card = {"type": "LOYALTY_CARD", "loyalty_card": {"points": 0, **template}}
        body = {"name": name, "campaign_type": "LOYALTY_PROGRAM", "voucher": card}
        answer = self.voucherify.post("/v1/campaigns", json={**body, "points_currency": {"eid": eid, "scale": scale}})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, path: str, **body: Any) -> dict[str, Any]:
        """A call that succeeds; the whole envelope."""
        answer = self.altcraft.post(API + path, json=body)
        found = answer.json()
        assert (answer.status_code, found["error"], found["error_text"]) == (200, 0, "Successful operation"), found
        return found

    def refused(self, path: str, code: int, words: str, **body: Any) -> str:
        """A call that fails in the envelope; its text, which holds `words`."""
        answer = self.altcraft.post(API + path, json=body)
        return told(answer, code, words)

    def member(self, programme: dict[str, Any], email: str = "ann@example.com") -> dict[str, str]:
        """Make somebody a member; how they are matched."""
        self.call(
            "loyalty/register_member",
            loyalty_program_id=programme["loyalty_program_id"],
            matching="email",
            email=email,
        )
        return {"matching": "email", "email": email}

    def ask(self, programme: dict[str, Any], **body: Any) -> str:
        """Ask for an export of everything, or of what the body says; the task's id."""
        return self.call(EXPORT, **named(programme), **{**ALWAYS, **body})["data"]["task_id"]

    def status(self, task_id: str) -> dict[str, Any]:
        """`data` of tasks/status."""
        return self.call(STATUS, task_id=task_id)["data"]

    def fetch(self, task_id: str) -> Batch:
        """What a finished task made."""
        data = self.status(task_id)
        assert (data["status"], data["progress"]) == ("completed", 100), data
        answer = self.altcraft.get("/api/download/" + data["result"]["hashed_file"])
        assert answer.status_code == 200, answer.text
        return Batch(task_id, data["result"], answer.content, rows_of(answer.content))

    def export(self, programme: dict[str, Any], *, archived: bool = False, **body: Any) -> Batch:
        """Ask, run, and fetch."""
        task_id = self.ask(programme, **body)
        work(self.system, archived=archived)
        return self.fetch(task_id)

    def movements(self, *wanted: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
        """The project's rows of the movements table in the order of exports."""
        order = (movements.c.created_at, movements.c.seq)
        statement = sa.select(*movements.c).where(movements.c.project_id == self.caller.project_id, *wanted)
        with self.system.core.read() as connection:
            return [dict(row) for row in connection.execute(statement.order_by(*order)).mappings()]


def named(programme: dict[str, Any]) -> dict[str, Any]:
    """The parameters that name a programme and its currency."""
    return {
        "loyalty_program_id": programme["loyalty_program_id"],
        "points_currency_eid": programme["points_currency"]["eid"],
    }


def told(answer: Any, code: int, words: str, status: int = 200) -> str:
    """Assert the envelope of an error, without data; its text."""
    body = answer.json()
    assert (answer.status_code, body.get("error")) == (status, code), (answer.status_code, body)
    assert set(body) == {"error", "error_text"}, body
    assert words in body["error_text"], body
    return str(body["error_text"])


def rows_of(content: bytes) -> list[dict[str, str]]:
    """The rows of a zip's only file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        assert archive.testzip() is None
        return list(csv.DictReader(io.StringIO(archive.read(name).decode(), newline="")))
