"""The same request over the same ledger gives the same bytes, whatever database and store: SQLite with a disk, PostgreSQL with S3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterfoil.dataplane.formats import FORMATS
from counterfoil.executors.local import LocalExecutor
from counterfoil.files.open import open_store
from tests.databases import postgres_ledger, sqlite_ledger
from tests.services import PostgresServer, S3Server
from tests.stores import bucket
from tests.worker.exporting import World, fill, fill_cards, open_world, request

REQUESTS: dict[str, dict[str, Any]] = {
    "csv": {},
    "csv, newest first": {"descending": True},
    "csv in a zip": {"compression": "zip", "file_name": "same"},
    "json lines": {"format": "jsonl"},
    "parquet": {"format": "parquet"},
    "xlsx": {"format": "xlsx"},
}


def hashes(world: World, *, slices: int) -> dict[str, str]:
    """The sha256 of each request's file, once in one stream and once in parts."""
    formats = {name: each.factory for name, each in FORMATS.items()}
    maker = replace(world.shop.maker, encoders=formats)
    world = world.with_shop(maker=maker, executors={"local": LocalExecutor(maker, threads=2)})
    made = world.in_parts(slices) if slices > 1 else world
    found: dict[str, str] = {}
    for no, (name, more) in enumerate(REQUESTS.items()):
        export = made.run(f"exp_{slices}_{no}", request(**more))
        assert export.result is not None, export
        found[name] = export.result["files"][0]["sha256"]
    return found


def test_the_same_request_gives_the_same_bytes_everywhere(
    tmp_path: Path, postgres_server: PostgresServer, seaweed: S3Server, told: Callable[[str], None]
) -> None:
    (tmp_path / "sqlite").mkdir()
    with sqlite_ledger(tmp_path / "sqlite") as small, postgres_ledger(postgres_server) as shared:
        for database in (small, shared):
            fill(database, 1000)
            fill_cards(database)
        alone = open_world(small, tmp_path / "sqlite")
        together = open_world(shared, tmp_path, store=open_store(*bucket(seaweed)))
        here, there = hashes(alone, slices=1), hashes(together, slices=1)
        assert here == there
        assert hashes(together, slices=4)["csv"] == hashes(alone, slices=4)["csv"] == here["csv"]
    version = postgres_server.version.split()[0]
    for name in REQUESTS:
        told(f"{name}: SQLite, disk {here[name]} = PostgreSQL {version}, S3 {there[name]}")
