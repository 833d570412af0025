"""Exports in several files: asked for or as the project likes it, each file by its own link, all of them proved."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from tests.fakes import FakeClock
from tests.web.asking import refused
from tests.web.conftest import signed_in
from tests.web.exporting import ask, ended, finished, name_of, working

CUSTOMERS = 25


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, TestClient]]:
    """A running system that cuts an export into nine files at most."""
    with working(tmp_path_factory.mktemp("split"), FakeClock(), split_files_max=9) as opened:
        yield opened


@pytest.fixture(scope="module")
def shop(world: tuple[System, TestClient]) -> TestClient:
    """A shop with some customers."""
    api = signed_in(*world, "shop")
    for no in range(CUSTOMERS):
        assert api.post("/v1/customers", json={"source_id": f"c{no}", "name": f'N "{no}"'}).status_code == 200
    return api


FIELDS = {"fields": ["id", "source_id", "name"]}


def fetched(api: TestClient, export: dict[str, Any], folder: Path) -> list[str]:
    """Download every file of an export, checked against what is said of it; their texts in order."""
    texts: list[str] = []
    for part in export["result"]["parts"]:
        answer = api.get(part["url"])
        assert answer.status_code == 200
        assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (part["bytes"], part["sha256"])
        assert answer.headers["etag"] == f'"{part["sha256"]}"'
        (folder / name_of(answer)).write_bytes(answer.content)
        texts.append(answer.text)
    assert texts[0] == api.get(export["result"]["url"]).text
    return texts


def joined(texts: list[str]) -> str:
    """The files as one: the header of the first only."""
    header = texts[0].split("\n", 1)[0] + "\n"
    assert all(text.startswith(header) for text in texts)
    return header + "".join(text.removeprefix(header) for text in texts)


@pytest.mark.parametrize("cut", [{"split_rows": 10}, {"split_bytes": 400}])
def test_the_files_are_the_whole_and_verify_proves_it(shop: TestClient, tmp_path: Path, cut: dict[str, int]) -> None:
    whole = shop.get(finished(shop, "customer", FIELDS)["result"]["url"]).text
    export = finished(shop, "customer", FIELDS | cut)
    assert export["parameters"] == FIELDS | cut
    result = export["result"]
    texts = fetched(shop, export, tmp_path)
    assert joined(texts) == whole and len(texts) > 2
    assert result["rows"] == sum(part["rows"] for part in result["parts"]) == CUSTOMERS
    assert result["bytes"] == sum(part["bytes"] for part in result["parts"])
    if "split_rows" in cut:
        assert [part["rows"] for part in result["parts"]] == [10, 10, 5]
    else:
        assert all(part["bytes"] <= 400 for part in result["parts"])
    manifest = tmp_path / "export.manifest.json"
    manifest.write_bytes(shop.get(result["manifest"]).content)
    told = verified(manifest)
    assert (told.returncode, told.stdout.count("bytes of ")) == (0, len(texts)), told.stdout
    second = sorted(path for path in tmp_path.iterdir() if path.suffix == ".csv")[1]
    second.write_text(second.read_text().replace('"N ""1', '"M ""1'))
    assert f"{second.name} has SHA-256" in "".join(verified(manifest).stdout.split("BAD ")[1:])
    second.unlink()
    assert f"The file {second.name} is missing" in verified(manifest).stdout


def verified(manifest: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "counterfoil", "verify", str(manifest), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_the_project_can_ask_for_it_and_the_request_goes_before(
    world: tuple[System, TestClient], shop: TestClient
) -> None:
    access = world[0].access
    access.change_settings("shop", {"split_rows": "20", "split_bytes": "1024", "header_style": "titles"})
    try:
        export = finished(shop, "customer", FIELDS)
        parts = export["result"]["parts"]
        assert export["parameters"] == FIELDS and len(parts) > 1 and parts[0]["rows"] <= 20
        assert shop.get(export["result"]["url"]).text.startswith("ID,Source ID,Name\n")
        assert "parts" not in finished(shop, "customer", {"split_rows": 0})["result"]
        assert [p["rows"] for p in finished(shop, "customer", {"split_rows": 24})["result"]["parts"]] == [24, 1]
        names = finished(shop, "customer", FIELDS | {"header_style": "names", "split_bytes": 0})
        assert shop.get(names["result"]["url"]).text.startswith("id,source_id,name\n")
        # What cannot be cut by bytes is cut by what else the project says.
        sheets = finished(shop, "customer", {"format": "xlsx"})["result"]["parts"]
        assert [part["rows"] for part in sheets] == [20, 5]
    finally:
        access.change_settings("shop", {"split_rows": None, "split_bytes": None, "header_style": None})


def test_a_link_is_good_for_its_file_alone(world: tuple[System, TestClient], shop: TestClient, tmp_path: Path) -> None:
    export = finished(shop, "customer", FIELDS | {"split_rows": 10})
    texts = fetched(shop, export, tmp_path)
    tokens = [part["url"].split("token=")[1] for part in export["result"]["parts"]]
    assert len(set(tokens)) == 3
    url = f"/v1/exports/{export['id']}"
    anonymous = world[1]
    assert [anonymous.get(url, params={"token": token}).text for token in tokens] == texts
    assert anonymous.get(url, params={"token": tokens[1], "part": 0}).text == texts[1]
    # A client that may choose the file by itself could be handed one and take them all.
    forged = tokens[0][:24] + tokens[1][24:]
    assert refused_401(anonymous.get(url, params={"token": forged}))
    other = finished(shop, "customer", FIELDS)
    assert refused_401(anonymous.get(f"/v1/exports/{other['id']}", params={"token": tokens[1]}))


def refused_401(answer: Any) -> bool:
    return (answer.status_code, answer.json()["key"]) == (401, "unauthorized")


def test_a_deleted_export_leaves_none_of_its_files(world: tuple[System, TestClient], shop: TestClient) -> None:
    export = finished(shop, "customer", {"split_rows": 5})
    store = world[0].store

    def files() -> list[str]:
        return [file.key for file in store.list("exports") if export["id"] in file.key and "manifest" not in file.key]

    assert len(files()) == 5
    assert shop.delete(f"/v1/exports/{export['id']}").status_code == 204
    assert files() == []


@pytest.mark.parametrize(
    ("parameters", "details"),
    [
        ({"split_rows": -1}, "Property .parameters.split_rows must be a whole number; 0 means one file"),
        ({"split_rows": "10"}, "Property .parameters.split_rows must be a whole number"),
        ({"executor": "cluster"}, "executor"),
        ({"executor": "spark"}, "executor should be equal to one of the allowed values [ local ]"),
        ({"split_bytes": True}, "Property .parameters.split_bytes must be a whole number"),
        ({"split_bytes": 5000, "format": "xlsx"}, "Files of xlsx cannot be cut by bytes; use split_rows"),
        ({"split_bytes": 5000, "format": "parquet"}, "Files of parquet cannot be cut by bytes; use split_rows"),
    ],
)
def test_what_cannot_be_made_so_is_refused(shop: TestClient, parameters: dict[str, Any], details: str) -> None:
    answer = shop.post("/v1/exports", json={"exported_object": "customer", "parameters": parameters})
    body = answer.json()
    assert (answer.status_code, details in body["details"]) == (400, True), body


def test_too_many_files_end_the_export_with_words(shop: TestClient) -> None:
    export = ended(shop, ask(shop, "customer", {"split_rows": 2}))
    assert (export["status"], export["result"], export["error"]["code"]) == ("ERROR", None, "split_too_fine")
    assert "do not fit into 9 files; ask for larger ones" in export["error"]["message"]
    assert len(finished(shop, "customer", {"split_rows": 3})["result"]["parts"]) == 9
    answer = shop.get(f"/v1/exports/{export['id']}", params={"token": "x" * 96})
    assert refused_401(answer)


def test_a_file_that_is_not_there_is_404(shop: TestClient, world: tuple[System, TestClient]) -> None:
    export = finished(shop, "customer", FIELDS)
    system = world[0]
    project = system.access.known_project("shop")
    token = system.services.exports._links.token(project, export["id"], 3)
    refused(shop.get(f"/v1/exports/{export['id']}", params={"token": token}), 404, "not_found")
