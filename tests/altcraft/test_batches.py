"""Batches joined are one export of the whole period in one snapshot, whatever is written between them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from counterfoil import settings as settings_table
from counterfoil.compose import System, build, build_app
from counterfoil.db.schema import movements
from counterfoil.ids import movement_uuid, read_cursor_uuid
from tests.altcraft.shop import ALWAYS, EXPORT, Batch, Shop, named, opened, seal, work
from tests.databases import postgres_ledger
from tests.fakes import FakeClock
from tests.services import PostgresServer
from tests.waiting import until

# A few instants that many movements share: before, at the ends of, in, and after the period.
INSTANTS = (
    "2024-01-31T23:59:59.999Z", "2024-02-01T00:00:00Z", "2024-02-01T00:00:00.001Z", "2024-02-10T12:00:00Z",
    "2024-02-20T00:00:00Z", "2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z",
)  # fmt: skip
FEBRUARY = {"date_from": "2024-02-01T00:00:00Z", "date_to": "2024-02-29T23:59:59Z"}
BOUNDS = (1706745600000, 1709251199000)  # FEBRUARY in ms

numbers = itertools.count(1)
writes = st.lists(st.sampled_from(INSTANTS), max_size=5)


def expected(shop: Shop, programme: dict[str, Any], seq_max: int) -> list[str]:
    """Ids of what an export of February as of seq_max must hold, straight from the table."""
    wanted = (
        movements.c.campaign_id == programme["id"],
        movements.c.seq <= seq_max,
        movements.c.created_at.between(*BOUNDS),
    )
    return [movement_uuid(shop.caller.project.key, row["seq"]) for row in shop.movements(*wanted)]


def last_seq(shop: Shop) -> int:
    return max((row["seq"] for row in shop.movements()), default=0)


class Chain:
    """One client who walks through a period, batch by batch."""

    def __init__(self, shop: Shop, programme: dict[str, Any], limit: int) -> None:
        self.shop, self.programme, self.limit = shop, programme, limit
        self.seq_max = last_seq(shop)
        self.batches: list[Batch] = []
        self.from_id = ""

    @property
    def done(self) -> bool:
        return bool(self.batches) and not self.from_id

    @property
    def ids(self) -> list[str]:
        return [each for batch in self.batches for each in batch.ids]

    def step(self) -> None:
        """The next batch."""
        batch = self.shop.export(self.programme, **FEBRUARY, limit=self.limit, from_id=self.from_id)
        self.from_id = batch.result["next_from_id"]
        assert batch.result["total"] == len(batch.rows) <= self.limit
        assert len(batch.rows) == self.limit or not self.from_id, "only the last batch may be short"
        if self.from_id:
            assert read_cursor_uuid(self.shop.caller.project.key, self.from_id) is not None
        self.batches.append(batch)


@pytest.fixture
def write(shop: Shop) -> Any:
    """(programme, instants) → movements of two members, dated as said, in the order said."""
    members: dict[str, list[dict[str, str]]] = {}

    def writing(programme: dict[str, Any], instants: list[str]) -> None:
        known = members.setdefault(programme["id"], [])
        if not known:
            known += [shop.member(programme, f"{name}@{programme['id']}.example") for name in ("ann", "bob")]
        for no, at in enumerate(instants):
            who = known[(no + len(instants)) % 2]
            shop.call("loyalty/accrue_points", **named(programme), **who, amount="5", created_at=at)

    return writing


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(INSTANTS), min_size=1, max_size=9), st.integers(1, 5), st.lists(writes, max_size=8))
def test_batches_joined_are_one_export_of_the_period(
    shop: Shop, write: Any, before: list[str], limit: int, between: list[list[str]]
) -> None:
    no = next(numbers)
    programme, other = shop.programme(f"Points {no}", f"points_{no}"), shop.programme(f"Other {no}", f"other_{no}")
    write(programme, before)
    write(other, ["2024-02-10T12:00:00Z"])
    chain = Chain(shop, programme, limit)
    waiting: Iterator[list[str]] = iter(between)
    while not chain.done:
        chain.step()
        write(programme, next(waiting, []))
    wanted = expected(shop, programme, chain.seq_max)
    assert chain.ids == wanted
    assert len(chain.batches) == max(1, -(-len(wanted) // limit))


def test_two_chains_over_one_period_keep_their_own_snapshots(shop: Shop, write: Any) -> None:
    """Both stand at the same transaction with the same period and limit; what was dated back between them is in one."""
    programme = shop.programme()
    write(programme, ["2024-02-10T12:00:00Z"] * 4)
    first = Chain(shop, programme, 2)
    first.step()
    write(programme, ["2024-02-20T00:00:00Z"] * 2)
    second = Chain(shop, programme, 2)
    second.step()
    assert first.batches[0].ids == second.batches[0].ids
    assert first.batches[0].result["next_from_id"] != second.batches[0].result["next_from_id"]
    write(programme, ["2024-02-01T00:00:00Z", "2024-02-29T23:59:59Z"])
    while not (first.done and second.done):
        for chain in (second, first):
            if not chain.done:
                chain.step()
    assert first.ids == expected(shop, programme, first.seq_max)
    assert second.ids == expected(shop, programme, second.seq_max)
    assert len(second.ids) == len(first.ids) + 2


def test_a_chain_goes_on_through_the_archive(system: System, shop: Shop, write: Any) -> None:
    programme = shop.programme()
    write(programme, list(INSTANTS) * 2)
    chain = Chain(shop, programme, 3)
    chain.step()
    write(programme, ["2024-02-10T12:00:00Z"] * 3)
    seal(system, shop.caller.project_id)
    while not chain.done:
        from_id = chain.batches[-1].result["next_from_id"]
        chain.batches.append(shop.export(programme, archived=True, **FEBRUARY, limit=3, from_id=from_id))
        chain.from_id = chain.batches[-1].result["next_from_id"]
    assert chain.ids == expected(shop, programme, chain.seq_max)


def walk_while_they_write(shop: Shop, doors: list[TestClient]) -> None:
    """A chain that begins and goes on while each door is written through holds what its cursor's snapshot holds."""
    programme = shop.programme()
    body = {**named(programme), **shop.member(programme), "amount": "1"}
    for at in INSTANTS * 2:
        shop.call("loyalty/accrue_points", **body, created_at=at)
    stop, told = threading.Event(), list[dict[str, Any]]()

    def writing(door: TestClient, first: int) -> None:
        for no in range(first, first + 100):
            if not stop.is_set():
                posted = {**body, "created_at": INSTANTS[no % len(INSTANTS)]}
                told.append(door.post("/api/v1.1/loyalty/accrue_points", json=posted).json())

    writers = [threading.Thread(target=writing, args=(door, no)) for no, door in enumerate(doors)]
    for writer in writers:
        writer.start()
    try:
        until(lambda: len(told) > 3, "somebody to write")
        chain = Chain(shop, programme, 4)
        chain.step()
        cursor = read_cursor_uuid(shop.caller.project.key, chain.from_id)
        assert cursor is not None
        while not chain.done:
            chain.step()
        assert chain.ids == expected(shop, programme, cursor[1])
        assert cursor[1] < last_seq(shop), "nobody wrote meanwhile"
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert {answer["error"] for answer in told} == {0}


def test_a_chain_holds_while_others_write(shop: Shop) -> None:
    walk_while_they_write(shop, [shop.client(Authorization=f"Bearer {shop.token}") for _ in range(3)])


def test_a_chain_holds_on_postgresql_while_another_server_writes_too(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with postgres_ledger(postgres_server, projects=0) as ledger, ExitStack() as stack:
        given = {"database": ledger.url.render_as_string(hide_password=False)}
        systems = [
            stack.enter_context(closing(build(settings_table.load({"home": str(tmp_path / str(no)), **given}, {}))))
            for no in range(2)
        ]
        shop = Shop(systems[0], build_app(systems[0]))
        headers = {"Authorization": f"Bearer {shop.token}"}
        other = TestClient(build_app(systems[1]), headers=headers)
        walk_while_they_write(shop, [shop.client(**headers), other, other])


def test_a_transaction_id_out_of_a_file_begins_there_in_a_new_snapshot(shop: Shop, write: Any) -> None:
    programme = shop.programme()
    write(programme, ["2024-02-10T12:00:00Z"] * 4)
    whole = shop.export(programme, **FEBRUARY)
    write(programme, ["2024-02-20T00:00:00Z", "2024-02-01T00:00:00Z"])
    found = shop.export(programme, **FEBRUARY, from_id=whole.ids[2])
    assert found.ids[:2] == whole.ids[2:]
    assert found.ids == expected(shop, programme, last_seq(shop))[3:]
    again = shop.export(programme, **FEBRUARY, from_id=whole.ids[2].upper())
    assert again.ids == found.ids


def test_from_id_outside_the_period_takes_nothing_away(shop: Shop, write: Any) -> None:
    programme = shop.programme()
    write(programme, ["2024-01-31T23:59:59.999Z", "2024-02-10T12:00:00Z", "2024-03-01T00:00:00Z"])
    january, _, march = (movement_uuid(shop.caller.project.key, seq) for seq in (1, 2, 3))
    assert len(shop.export(programme, **FEBRUARY, from_id=january).rows) == 1
    assert shop.export(programme, **FEBRUARY, from_id=march).rows == []


def test_the_servers_batch_is_the_most_there_is(tmp_path: Path, clock: FakeClock) -> None:
    with opened(tmp_path, clock, altcraft_batch_rows=2) as system:
        shop = Shop(system, build_app(system))
        programme = shop.programme()
        ann = shop.member(programme)
        for _ in range(3):
            shop.call("loyalty/accrue_points", **named(programme), **ann, amount="5")
        first = shop.export(programme)
        assert len(first.rows) == 2
        assert len(shop.export(programme, from_id=first.result["next_from_id"]).rows) == 1
        shop.refused(EXPORT, 400, "limit: must be from 1 to 2", **named(programme), **ALWAYS, limit=3)


def test_a_project_that_cuts_its_files_still_gets_a_batch_whole(system: System, shop: Shop, write: Any) -> None:
    programme = shop.programme()
    write(programme, ["2024-02-10T12:00:00Z"] * 5)
    system.access.change_settings(shop.caller.project.name, {"split_rows": "2", "header_style": "titles"})
    task_id = shop.ask(programme)
    work(system)
    batch = shop.fetch(task_id)
    assert batch.result["total"] == len(batch.rows) == 5 and "transaction_id" in batch.rows[0]


@pytest.mark.parametrize(
    ("from_id", "words"),
    [
        ("a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", "no transaction here"),
        ("1148b0b0-d33d-4d27-b582-8058ce7fc740", "no transaction here"),
        ("x", "no transaction here"),
        ("x" * 5000, "at most 4096 characters"),
    ],
)
def test_a_from_id_that_is_none_is_refused_with_what_would_be_right(shop: Shop, from_id: str, words: str) -> None:
    programme = shop.programme()
    code = 400 if len(from_id) > 4096 else 404
    shop.refused(EXPORT, code, words, **named(programme), **ALWAYS, from_id=from_id)


def test_a_from_id_of_the_future_or_of_another_programme_is_refused(shop: Shop, write: Any) -> None:
    programme, other = shop.programme(), shop.programme("Gold", "gold")
    write(programme, ["2024-02-10T12:00:00Z"])
    key = shop.caller.project.key
    for seq in (2, 2**40, 2**62 - 1, 0):
        shop.refused(EXPORT, 404, "no transaction", **named(programme), **ALWAYS, from_id=movement_uuid(key, seq))
    shop.refused(EXPORT, 400, "another programme", **named(other), **ALWAYS, from_id=movement_uuid(key, 1))
