"""Exports asked for over HTTP, run by a worker of the same process, and their files as a caller gets them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from counterfoil import settings as settings_table
from counterfoil.compose import System, build, build_app
from tests.fakes import FakeClock
from tests.waiting import until


@contextmanager
def working(home: Path, clock: FakeClock, **given: Any) -> Iterator[tuple[System, TestClient]]:
    """A system whose workers run, and a client without credentials."""
    system = build(settings_table.load({"home": str(home), **given}, {}), clock)
    system.workers.start()
    try:
        with TestClient(build_app(system), raise_server_exceptions=False) as anonymous:
            yield system, anonymous
    finally:
        system.close()


def ask(api: TestClient, name: str, parameters: Mapping[str, Any] | None = None) -> str:
    """Ask for an export; its id."""
    made = api.post("/v1/exports", json={"exported_object": name, "parameters": dict(parameters or {})})
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


def ended(api: TestClient, export_id: str) -> dict[str, Any]:
    """The export once it has ended, well or not."""

    def look() -> dict[str, Any] | None:
        export = api.get(f"/v1/exports/{export_id}").json()
        return export if export["status"] in {"DONE", "ERROR"} else None

    return until(look, f"export {export_id} to end")


def finished(api: TestClient, name: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ask for an export and wait until it is done."""
    export = ended(api, ask(api, name, parameters))
    assert export["status"] == "DONE", export
    return export


def exported(api: TestClient, name: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """The rows of an export's CSV."""
    return rows(api.get(finished(api, name, parameters)["result"]["url"]).text)


def rows(content: str) -> list[dict[str, str]]:
    """The rows of a CSV."""
    return list(csv.DictReader(io.StringIO(content, newline="")))


def name_of(answer: Any) -> str:
    """The name under which a download wants to be saved."""
    said = EmailMessage()
    said["content-disposition"] = answer.headers["content-disposition"]
    name = said.get_filename()
    assert name is not None
    return name
