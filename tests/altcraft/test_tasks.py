"""What tasks/status says of a task, from the first look to long after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from counterfoil.compose import System
from counterfoil.dataplane.rows import Rows
from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.db.schema import exports
from tests.altcraft.shop import Shop, named, told, work
from tests.fakes import FakeClock
from tests.waiting import until


@pytest.fixture
def programme(shop: Shop) -> dict[str, Any]:
    """A programme with six transactions."""
    made = shop.programme()
    ann = shop.member(made)
    for _ in range(6):
        shop.call("loyalty/accrue_points", **named(made), **ann, amount="5")
    return made


class Watched(DatabaseRows):
    """The ledger's rows, two at a time; `look` is called each time before the next two are read."""

    def __init__(self, system: System, look: Callable[[], None]) -> None:
        super().__init__(system.database, batch_rows=2)
        self._look = look

    def batches(self, *asked: Any) -> Iterator[Rows]:
        for rows in super().batches(*asked):
            self._look()
            yield rows


def test_progress_moves_with_the_rows(system: System, shop: Shop, clock: FakeClock, programme: dict[str, Any]) -> None:
    task_id = shop.ask(programme)
    seen = [(shop.status(task_id)["status"], shop.status(task_id)["progress"])]

    def look() -> None:
        expected = 100 * 2 * (len(seen) - 1) // 6
        clock.advance_ms(1_000)  # progress is told once a second
        data = until(lambda: data if (data := shop.status(task_id))["progress"] >= expected else None, "progress")
        assert data["result"] == {}
        seen.append((data["status"], data["progress"]))

    work(system, rows=Watched(system, look))
    seen.append((shop.status(task_id)["status"], shop.status(task_id)["progress"]))
    assert seen == [("pending", 0), *[("in_progress", share) for share in (0, 33, 66)], ("completed", 100)]
    assert len(shop.fetch(task_id).rows) == 6


def test_a_failed_task_says_why(system: System, shop: Shop, programme: dict[str, Any]) -> None:
    task_id = shop.ask(programme)
    work(system, executor="spark")  # this worker has no cluster
    failed = {"status": "failed", "progress": 0, "result": {"errors": ["There is no executor 'spark' here"]}}
    assert shop.status(task_id) == failed
    answer = shop.altcraft.post("/api/v1.1/tasks/status?format=xml", json={"task_id": task_id})
    assert "<result><errors>There is no executor 'spark' here</errors></result>" in answer.text
    assert len(shop.export(programme).rows) == 6


def test_a_canceled_and_an_expired_task_say_so(system: System, shop: Shop) -> None:
    programme = shop.programme()
    canceled = shop.ask(programme)
    system.services.exports.cancel(shop.caller, canceled)
    data = shop.status(canceled)
    assert data["status"] == "canceled" and "canceled" in data["result"]["errors"][0]
    batch = shop.export(programme)
    with system.database.write() as connection:
        connection.execute(exports.update().where(exports.c.id == batch.task_id).values(status="EXPIRED"))
    data = shop.status(batch.task_id)
    assert (data["status"], data["progress"], data["result"]["hashed_file"]) == ("completed", 100, "")
    assert "retention" in data["result"]["errors"][0]
    told(shop.altcraft.get("/api/download/" + batch.result["hashed_file"]), 404, "retention", 404)
