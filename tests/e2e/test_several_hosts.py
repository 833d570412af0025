"""Two servers and a worker that share one PostgreSQL and one S3 store, each a process with a home of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from counterfoil.ids import random_text
from tests.e2e.server import COMMAND, Server, finished, serving
from tests.e2e.test_main_job import a_programme, ask
from tests.services import PostgresServer, S3Server
from tests.waiting import until


@pytest.fixture
def shared(postgres_url: str, seaweed: S3Server) -> dict[str, str]:
    """What every process is told. A worker that polls once a minute starts at once all the same: it is notified."""
    return {
        "COUNTERFOIL_DATABASE": postgres_url,
        "COUNTERFOIL_FILES": f"s3://{seaweed.bucket}/hosts/{random_text(8)}",
        "COUNTERFOIL_S3_ENDPOINT": seaweed.endpoint,
        "COUNTERFOIL_S3_ACCESS_KEY": seaweed.access_key,
        "COUNTERFOIL_S3_SECRET_KEY": seaweed.secret_key,
        "COUNTERFOIL_S3_ALLOW_HTTP": "1",
        "COUNTERFOIL_POLL_S": "60",
    }


@contextmanager
def a_worker(home: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`counterfoil worker`, once it runs."""
    with subprocess.Popen(
        [*COMMAND, "worker", "--home", str(home)], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        until(lambda: "worker running" in process.stderr.readline(), "the worker to run", 60)
        yield process
        process.kill()


def keys(environment: dict[str, str]) -> dict[str, str]:
    made = subprocess.run(
        [*COMMAND, "keys", "create", "--project", "shop"],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    return json.loads(made.stdout)


def ready(server: Server) -> bool:
    return httpx.get(f"{server.url}/health/ready").status_code == 200


@pytest.mark.parametrize("postgres_server", [pytest.param("embedded", marks=pytest.mark.postgres)], indirect=True)
def test_two_servers_and_a_worker_share_database_queue_and_files(
    tmp_path: Path, postgres_server: PostgresServer, seaweed: S3Server, shared: dict[str, str]
) -> None:
    asking = {**shared, "COUNTERFOIL_WORKER_THREADS": "0"}  # so that what is done was done by the worker
    with (
        serving(tmp_path / "one", **asking) as one,
        serving(tmp_path / "two", **asking, COUNTERFOIL_DOWNLOAD="redirect") as two,
        a_worker(tmp_path / "three", shared) as worker,
    ):
        credentials = keys(shared)
        with one.client(credentials) as first, two.client(credentials) as second:
            campaign = a_programme(first, cards=4)
            export = finished(second, ask(first, campaign))  # asked here, done by the worker, seen there
            assert export["status"] == "DONE", export
            sha256 = export["result"]["sha256"]

            proxied = first.get(first.get(f"/v1/exports/{export['id']}").json()["result"]["url"])
            assert (proxied.status_code, hashlib.sha256(proxied.content).hexdigest()) == (200, sha256)
            redirected = second.get(export["result"]["url"])
            assert redirected.status_code == 302
            address = redirected.headers["location"]
            assert address.startswith(f"{seaweed.endpoint}/{seaweed.bucket}/") and "X-Amz-Signature=" in address
            direct = httpx.get(address)  # without any credentials of ours
            assert (direct.status_code, direct.content) == (200, proxied.content)
            assert httpx.get(address.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status_code == 403

            one.stop(signal.SIGKILL)  # a server that dies takes nothing with it
            again = finished(second, ask(second, campaign))
            assert (again["status"], again["result"]["sha256"]) == ("DONE", sha256)
            assert ready(two)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
