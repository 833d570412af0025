"""Counterfoil as a contender: a ledger filled and sealed once, and `counterfoil serve` in a process of its own over it.

A run is what a caller sees: POST the request, ask until it is DONE. That has the content's SHA-256, the signed manifest
with its proof, the queue, and the file made durable; the peers are spared all of it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx

from bench import ledger, story
from bench.case import Context, Run
from bench.machine import peak_mb, reset_peak
from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database
from counterfoil.db.migrate import migrate
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.services.access import Access

FIELDS = (
    "id", "campaign_id", "voucher_id", "type", "source_id", "reason", "source", "balance", "amount",
    "related_transaction_id", "created_at", "details",
)  # fmt: skip
"""Every field of a transaction."""

_READY_WITHIN_S = 60.0
_DONE_WITHIN_S = 1_800.0
_LOOK_EVERY_S = 0.005
_LOOK_SHARE = 0.01
"""A long export is looked at once in a hundredth of the time it has taken: asking costs the processor that it needs."""
_KEYS = "keys.json"


def home_of(context: Context) -> Path:
    """The home folder with the context's rows in it: made, filled and sealed unless it is there from an earlier run."""
    home = context.folder / "home"
    if not (home / _KEYS).exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _fill(home, context)
    return home


def _fill(home: Path, context: Context) -> None:
    clock = SystemClock()
    database = Database(f"sqlite:///{home / 'counterfoil.db'}")
    try:
        migrate(database)
        keys = Access(database, clock).create_keys("bench")
        tale = story.tell(context.rows)
        names = ledger.fill(database, 1, tale, context.tell)
        store = open_store(f"file://{home / 'files'}", StoreOptions(), clock)
        context.tell(f"{ledger.archive(database, store, tale, names, clock)} segments")
    finally:
        database.dispose()
    (home / _KEYS).write_text(json.dumps(asdict(keys)))


@dataclass(frozen=True)
class Server:
    """A running `counterfoil serve`, and a client of it."""

    home: Path
    process: subprocess.Popen[bytes]
    client: httpx.Client

    def export(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for an export of transactions; returns it as it was accepted."""
        body = {"exported_object": "voucher_transactions", "parameters": dict(parameters)}
        return _answer(self.client.post("/v1/exports", json=body))

    def done(self, export_id: str) -> dict[str, Any]:
        """Ask until an export is DONE; returns it. Raises AssertionError when it fails."""
        began_s = time.perf_counter()
        while True:
            export = _answer(self.client.get(f"/v1/exports/{export_id}"))
            if export["status"] == "DONE":
                return export
            assert export["status"] in {"SCHEDULED", "IN_PROGRESS"}, export
            waited_s = time.perf_counter() - began_s
            assert waited_s < _DONE_WITHIN_S, export
            time.sleep(max(_LOOK_EVERY_S, waited_s * _LOOK_SHARE))

    def status(self, export_id: str) -> str:
        """The state an export is in."""
        return str(_answer(self.client.get(f"/v1/exports/{export_id}"))["status"])

    def run(self, parameters: Mapping[str, Any]) -> Run:
        """One export from POST to DONE. Its file is removed again."""
        reset_peak(self.process.pid)
        started_s = time.perf_counter()
        export = self.done(self.export(parameters)["id"])
        seconds = time.perf_counter() - started_s
        peak = peak_mb(self.process.pid)
        work_s = self.work_s(export["id"])
        self.forget()
        return Run(seconds, peak, export["result"]["rows"], export["result"]["bytes"], {"work s": work_s})

    def work_s(self, export_id: str) -> float:
        """How long a worker had the export, by the ledger's own clock: from its claim to its finish."""
        with closing(sqlite3.connect(self.home / "counterfoil.db")) as connection:
            question = "select finished_at - started_at from exports where id = ?"
            (found,) = connection.execute(question, (export_id,)).fetchone()
        return found / 1000

    def content(self, parameters: Mapping[str, Any]) -> bytes:
        """The bytes of an export's file, downloaded as anyone does."""
        export = self.done(self.export(parameters)["id"])
        found = self.client.get(export["result"]["url"])
        assert found.status_code == 200, found.text
        return found.content

    def forget(self) -> None:
        """Remove the files of every export, so that the disk does not fill."""
        shutil.rmtree(self.home / "files" / "exports", ignore_errors=True)
        os.sync()


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """Serve a home folder until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = json.loads((home / _KEYS).read_text())
    command = [sys.executable, "-m", "counterfoil", "serve", "--home", str(home), "--port", str(port)]
    headers = {"X-App-Id": keys["app_id"], "X-App-Token": keys["app_token"]}
    log = home.parent / "serve.log"
    with (
        log.open("wb") as told,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client,
    ):
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(process, client, log)
            server = Server(home, process, client)
            server.run({"filters": {"voucher_id": {"conditions": {"$is": _any_card(home)}}}})  # all is imported
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _any_card(home: Path) -> str:
    with closing(sqlite3.connect(home / "counterfoil.db")) as connection:
        (card,) = connection.execute("select voucher_id from movements where project_id = 1 and seq = 1").fetchone()
    return str(card)


def _wait_until_ready(process: subprocess.Popen[bytes], client: httpx.Client, log: Path) -> None:
    ends_at_s = time.perf_counter() + _READY_WITHIN_S
    while True:
        assert process.poll() is None and time.perf_counter() < ends_at_s, log.read_text()
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)


def _answer(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code < 300, response.text
    return response.json()
