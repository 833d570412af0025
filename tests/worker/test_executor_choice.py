"""Where an export's tasks run: as the request says, else by size, else as the process is set; and what cannot be divided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from counterfoil.executors.local import LocalExecutor
from tests.databases import sqlite_ledger
from tests.worker.exporting import InSlices, World, fill, open_world, request


class Elsewhere(LocalExecutor):
    """An executor that is not this process, as far as a job can tell."""

    name = "spark"
    streams = False


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with sqlite_ledger(tmp_path) as database:
        fill(database, 1000)
        found = open_world(database, tmp_path).in_parts(4)
        executors: dict[str, Any] = {**found.shop.executors, "spark": Elsewhere(found.shop.maker, 2)}
        yield found.with_shop(executors=executors, settings=replace(found.shop.settings, spark_from_rows=500))


@pytest.mark.parametrize(
    ("asked", "seq_max", "expected"),
    [
        ({}, 1000, "spark"),
        ({}, 499, "local"),
        ({"executor": "spark"}, 499, "spark"),
        ({"executor": "local"}, 1000, "local"),
        ({"executor": "spark", "limit_rows": 20}, 1000, "local"),
        ({"executor": "spark", "split_rows": 100}, 1000, "local"),
        ({"compression": "gzip"}, 1000, "spark"),
    ],
)
def test_who_makes_an_export(world: World, asked: dict[str, Any], seq_max: int, expected: str) -> None:
    export = world.run("exp_1", request(**asked), seq_max=seq_max)
    assert (export.status, export.executor) == ("DONE", expected), export


def test_what_is_one_task_is_made_here(world: World) -> None:
    planner = world.shop.planner
    assert isinstance(planner, InSlices)
    whole = world.with_shop(planner=replace(planner, slices=1))
    assert whole.run("exp_1", request(executor="spark")).executor == "local"


def test_the_process_has_a_default(world: World) -> None:
    settings = replace(world.shop.settings, spark_from_rows=None)
    assert world.with_shop(settings=settings).run("exp_1", request()).executor == "local"
    assert world.with_shop(settings=settings, executor="spark").run("exp_2", request()).executor == "spark"
