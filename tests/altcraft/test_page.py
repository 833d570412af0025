"""docs/altcraft.md, done as printed against a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.altcraft.shop import rows_of
from tests.e2e.server import Server, serving

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "altcraft.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "home") as running:
        yield running


def printed(language: str, url: str) -> list[str]:
    """The page's examples in that language, meant for this server."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [example.replace("http://localhost:8080", url) for example in found]


def test_the_pages_examples_do_what_it_says(server: Server, tmp_path: Path) -> None:
    keys = server.keys_by_command("shop")
    named = {"ID": keys["app_id"], "TOKEN": keys["app_token"], "ALTCRAFT": keys["altcraft_token"]}
    folder = tmp_path / "work"
    folder.mkdir()
    (xml,) = printed("xml", server.url)
    (folder / "month.xml").write_text(xml)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, env={**os.environ, **named}, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()

    told = run("sh", "-eu", "-c", "\n".join(printed("sh", server.url)))
    # The status, the request in XML, and six calls about an account; the task's id is cut out of its answer.
    assert re.findall(r'"error":(\d+)|<error>(\d+)</error>', told) == [("0", ""), ("", "0"), *[("0", "")] * 6], told
    assert '"loyalty_program_id":1,"points_currency":{"iid":1,"eid":"bonus_points","scale":2}' in told
    assert '"status":"completed","progress":100' in told
    assert '"balance":"60.50"' in told and '{"total_balance":"60.50","active_balance":"60.50"}' in told
    name = "Transactions_loyalty_1_1_2023-09-01T00 00 00Z_2023-09-30T23 59 59.999Z.zip"
    assert rows_of((folder / name).read_bytes()) == [], "asked for before anything happened"

    (walk,) = printed("python", server.url)
    said = re.fullmatch(r"(task_\S+\.zip): 1 transactions\n", run(sys.executable, "-c", walk))
    assert said is not None
    (row,) = rows_of((folder / said[1]).read_bytes())
    assert (row["transaction_eid"], row["amount"]) == ("till-7-1", "100.50")
    (refusal,) = printed("json", server.url)
    define_ask = printed("sh", server.url)[1]
    body = json.dumps({"loyalty_program_id": 7, "points_currency_eid": "bonus_points"})
    told = run("sh", "-c", f"{define_ask}ask loyalty/transactions_export '{body}'")
    assert json.loads(told) == json.loads(refusal)
