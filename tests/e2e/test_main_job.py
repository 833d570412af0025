"""The main job as a newcomer does it: a server, keys, a programme, points, an export, its file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import httpx2 as httpx
import pytest

from tests.e2e.server import COMMAND, finished, serving

pytestmark = pytest.mark.slow

FIELDS = ["id", "type", "voucher_id", "amount", "balance", "created_at"]


def a_programme(client: httpx.Client, cards: int) -> str:
    """A loyalty campaign whose cards have a few movements each; returns its id."""
    campaign = client.post(
        "/v1/campaigns",
        json={
            "name": "Points",
            "campaign_type": "LOYALTY_PROGRAM",
            "voucher": {"type": "LOYALTY_CARD", "loyalty_card": {"points": 0}},
        },
    ).json()
    for number in range(cards):
        assert client.post(f"/v1/campaigns/Points/vouchers/CARD-{number}", json={}).status_code == 200
        body = {"voucher": f"CARD-{number}", "customer": {"source_id": f"customer-{number}"}}
        assert client.post(f"/v1/loyalties/{campaign['id']}/members", json=body).status_code == 200
        for points in (100 + number, -30):
            answer = client.post(f"/v1/loyalties/members/CARD-{number}/balance", json={"points": points})
            assert answer.status_code == 200, answer.text
    return str(campaign["id"])


def ask(client: httpx.Client, campaign: str) -> str:
    """Ask for the campaign's transactions; returns the export's id."""
    body = {"parameters": {"fields": FIELDS, "order": "-created_at"}}
    answer = client.post(f"/v1/campaigns/{campaign}/transactions/export", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def download(client: httpx.Client, export: dict[str, Any]) -> bytes:
    """The file of a finished export, compared with what the export says of it."""
    assert export["status"] == "DONE", export
    answer = client.get(export["result"]["url"])
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).hexdigest() == export["result"]["sha256"]
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.content


def test_a_campaigns_transactions_come_out_exact(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as server, server.client(server.keys_by_command("shop")) as client:
        campaign = a_programme(client, cards=5)
        content = download(client, finished(client, ask(client, campaign)))
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        assert list(rows[0]) == FIELDS
        assert [row["amount"] for row in rows] == [
            text for number in reversed(range(5)) for text in ("-30", str(100 + number))
        ]
        file = tmp_path / "export.csv"
        file.write_bytes(content)
        assert duckdb.sql(f"select count(*) from read_csv('{file}', header = true)").fetchone() == (10,)

        empty = client.post(
            "/v1/exports",
            json={
                "exported_object": "voucher_transactions",
                "parameters": {"fields": ["id"], "filters": {"created_at": {"$before": "2001-01-01T00:00:00Z"}}},
            },
        ).json()
        assert download(client, finished(client, empty["id"])) == b"id\n"
        assert server.stop() == 0


@pytest.mark.crash
@pytest.mark.parametrize("probe", ["batch", "manifest_written"])
def test_killed_during_an_export_it_ends_with_the_same_bytes(tmp_path: Path, probe: str) -> None:
    with serving(tmp_path / "home") as server:
        keys = server.keys("shop")
        with server.client(keys) as client:
            campaign = a_programme(client, cards=3)
            undisturbed = download(client, finished(client, ask(client, campaign)))
            server.stop()
        server.start(COUNTERFOIL_PROBE=probe)
        with server.client(keys) as client:
            export_id = ask(client, campaign)
        assert server.died() == -9
        server.start()
        with server.client(keys) as client:
            assert download(client, finished(client, export_id)) == undisturbed
            assert client.get("/v1/exports").json()["total"] == 2


def test_the_quick_demo_ends_with_its_one_line(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    ran = subprocess.run(
        [*COMMAND, "demo", "--quick", "--home", str(home)], capture_output=True, text=True, timeout=120, check=True
    )
    word, path, rows, sha256 = ran.stdout.strip().splitlines()[-1].split()
    assert word == "export:"
    content = Path(path).read_bytes()
    assert sha256 == f"sha256={hashlib.sha256(content).hexdigest()}"
    read = list(csv.reader(io.StringIO(content.decode(), newline="")))
    assert rows == f"rows={len(read) - 1}" and len(read) > 10_000


def test_the_demo_leaves_alone_what_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    command = [*COMMAND, "demo", "--quick", "--home", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "holds something that no demo made" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_the_command_line_exports_and_verifies(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as server, server.client(server.keys("shop")) as client:
        a_programme(client, cards=2)
        server.stop()
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "points.csv"
    command = [*COMMAND, "export", "voucher_transactions", "--project", "shop", "--campaign", "Points"]
    ran = subprocess.run([*command, "-o", str(file), "--home", str(home)], capture_output=True, text=True, check=True)
    assert ran.stdout == f"export: {file} rows=4 sha256={hashlib.sha256(file.read_bytes()).hexdigest()}\n"
    assert sorted(path.name for path in folder.iterdir()) == ["points.csv", "points.csv.manifest.json"]
    nowhere = [*command, "-o", str(tmp_path / "none" / "points.csv"), "--home", str(home)]
    refused = subprocess.run(nowhere, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "there is no folder" in refused.stderr
    verify = [*COMMAND, "verify", f"{file}.manifest.json"]
    signing = subprocess.run([*COMMAND, "keys", "signing", "--home", str(home)], capture_output=True, check=True)
    key = json.loads(signing.stdout)["fingerprint"]
    trusted = subprocess.run([*verify, "--key", key], capture_output=True, text=True, check=False)
    assert trusted.returncode == 0 and f"by the trusted key {key}" in trusted.stdout
    stranger = subprocess.run([*verify, "--key", "0" * 64], capture_output=True, text=True, check=False)
    assert stranger.returncode == 1 and "a key that you do not trust" in stranger.stdout
    assert (
        "64 hex digits" in subprocess.run([*verify, "--key", "x"], capture_output=True, text=True, check=False).stderr
    )
    file.write_bytes(file.read_bytes().replace(b"100", b"900"))
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 1
