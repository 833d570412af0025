"""Group commit under threads, refusals, broken connections and a second process: seq has no gap, no write is done twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database
from counterfoil.db.migrate import migrate
from counterfoil.db.schema import counters, movements, vouchers
from counterfoil.db.unit import Idempotency, Unit
from counterfoil.db.writer import GroupWriter, WriterSettings
from counterfoil.domain.cards import Card, CardKind, Origin, open_with, remove
from counterfoil.errors import Conflict, Refused, Unavailable
from counterfoil.services.access import Access
from tests.fakes import FakeClock

Work = Callable[[Unit], Any]
CARDS = 5
OPENING = 1000


@dataclass
class Shop:
    """A database with one project and CARDS gift cards of OPENING each, behind one writer."""

    url: str
    writer: GroupWriter
    database: Database
    project_id: int

    def run(self, work: Work, **options: Any) -> Any:
        return self.writer.run(self.project_id, work, **options)

    def check(self, spent: int) -> None:
        """The chain holds on every card, seq has no gap, and exactly `spent` is gone."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(movements).order_by(movements.c.seq)).all()
            last = connection.execute(sa.select(counters.c.movement_seq)).scalar_one()
            held = dict(connection.execute(sa.select(vouchers.c.id, vouchers.c.balance)).all())
        assert [row.seq for row in rows] == list(range(1, last + 1))
        balances: dict[str, int] = {}
        for row in rows:
            balances[row.voucher_id] = balances.get(row.voucher_id, 0) + row.amount
            assert row.balance == balances[row.voucher_id] >= 0
        assert balances == held
        assert sum(held.values()) == CARDS * OPENING - spent


def _opening(unit: Unit) -> None:
    for no in range(CARDS):
        card = Card(f"v_{no}", f"C{no}", CardKind.GIFT)
        row = {"project_id": unit.project_id, "id": card.id, "code": card.code, "type": "GIFT_VOUCHER", "created_at": 0}
        unit.sql.execute(vouchers.insert(), row)
        unit.add_card(card)
        unit.post(*open_with(card, OPENING, None, unit.now_ms))


def open_shop(url: str) -> Shop:
    database = Database(url)
    migrate(database)
    project = Access(database, SystemClock()).ensure_project("shop")
    shop = Shop(url, GroupWriter(database, SystemClock()), database, project.id)
    shop.run(_opening)
    return shop


def close_shop(shop: Shop) -> None:
    shop.writer.close()
    shop.database.dispose()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = open_shop(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield made
    close_shop(made)


@pytest.fixture
def postgres_shop(postgres_url: str) -> Iterator[Shop]:
    made = open_shop(postgres_url)
    yield made
    close_shop(made)


def spending(code: str, amount: int, *, then: Callable[[Unit], None] = lambda _: None) -> Work:
    def spend(unit: Unit) -> int:
        card, found = remove(unit.card(code), amount, Origin("API"))
        unit.post(card, found)
        then(unit)
        return card.balance

    return spend


def _refuse(unit: Unit) -> None:
    assert unit.sql is not None
    raise Refused("changed_my_mind", "no")


def _break(unit: Unit) -> None:
    raise ZeroDivisionError


def _hammer(shop: Shop, writers: list[GroupWriter]) -> int:
    """Threads that spend, refuse and fail at once; returns how much was acknowledged as spent."""
    spent: list[int] = []

    def customer(no: int) -> None:
        writer, code = writers[no % len(writers)], f"C{no % CARDS}"
        for turn in range(40):
            then = (_refuse, _break, lambda _: None, lambda _: None)[(no + turn) % 4]
            try:
                writer.run(shop.project_id, spending(code, 9, then=then), cards=[code])
                spent.append(9)
            except (Refused, ZeroDivisionError):
                pass

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(customer, range(16)))
    return sum(spent)


def test_spenders_at_once_never_overdraw_and_leave_no_gap(shop: Shop) -> None:
    shop.check(_hammer(shop, [shop.writer]))


def test_two_processes_on_one_sqlite_file(shop: Shop) -> None:
    other_database = Database(shop.url)
    other = GroupWriter(other_database, SystemClock())
    try:
        shop.check(_hammer(shop, [shop.writer, other]))
    finally:
        other.close()
        other_database.dispose()


def test_two_processes_on_one_postgresql(postgres_shop: Shop) -> None:
    other_database = Database(postgres_shop.url)
    other = GroupWriter(other_database, SystemClock())
    try:
        postgres_shop.check(_hammer(postgres_shop, [postgres_shop.writer, other]))
    finally:
        other.close()
        other_database.dispose()


def _same_key(shop: Shop, writers: list[GroupWriter]) -> list[int]:
    """Twenty callers with one key, spread over the writers; each gets the one answer."""
    key = Idempotency("once", "hash")

    def call(no: int) -> int:
        return writers[no % len(writers)].run(shop.project_id, spending("C0", 100), idempotency=key)

    with ThreadPoolExecutor(20) as threads:
        return list(threads.map(call, range(20)))


def test_one_key_spends_once(shop: Shop) -> None:
    assert _same_key(shop, [shop.writer]) == [900] * 20
    shop.check(100)


def test_one_key_spends_once_across_processes(postgres_shop: Shop) -> None:
    other_database = Database(postgres_shop.url)
    other = GroupWriter(other_database, SystemClock())
    try:
        assert _same_key(postgres_shop, [postgres_shop.writer, other]) == [900] * 20
    finally:
        other.close()
        other_database.dispose()
    postgres_shop.check(100)


@dataclass
class Gate:
    """A piece of work that holds the writer until it is opened, so that what is submitted meanwhile forms one group."""

    open: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def __call__(self, unit: Unit) -> None:
        self.reached.set()
        assert self.open.wait(30)


def test_what_arrives_meanwhile_shares_one_commit_and_each_piece_has_its_own_answer(shop: Shop) -> None:
    commits: list[int] = []
    gate = Gate()
    first = shop.writer.submit(shop.project_id, gate)
    assert gate.reached.wait(30)
    sa.event.listen(shop.database.engine, "commit", lambda _: commits.append(1))
    futures = [shop.writer.submit(shop.project_id, spending(f"C{no % CARDS}", 300)) for no in range(20)]
    gate.open.set()
    first.result()
    answers = [future.exception() or future.result() for future in futures]
    assert answers[:15] == [700] * 5 + [400] * 5 + [100] * 5
    assert all(isinstance(answer, Refused) for answer in answers[15:])
    assert len(commits) == 1
    shop.check(15 * 300)


def test_a_piece_that_breaks_the_transaction_costs_its_neighbours_nothing(shop: Shop) -> None:
    def duplicate(unit: Unit) -> None:
        unit.sql.execute(vouchers.insert(), {"project_id": unit.project_id, "id": "v_0", "code": "x", "type": "GIFT_VOUCHER",
                                             "created_at": 0})  # fmt: skip

    gate = Gate()
    shop.writer.submit(shop.project_id, gate)
    assert gate.reached.wait(30)
    pieces = [spending("C0", 1), duplicate, spending("C0", 1), spending("C0", 1, then=_break), spending("C0", 1)]
    futures = [shop.writer.submit(shop.project_id, piece) for piece in pieces]
    gate.open.set()
    answers = [future.exception() or future.result() for future in futures]
    assert [answers[at] for at in (0, 2, 4)] == [999, 998, 997]
    assert isinstance(answers[1], Conflict)
    assert isinstance(answers[3], ZeroDivisionError)
    shop.check(3)


def test_a_canceled_piece_is_not_done_and_does_not_stop_the_writer(shop: Shop) -> None:
    gate = Gate()
    shop.writer.submit(shop.project_id, gate)
    assert gate.reached.wait(30)
    canceled = shop.writer.submit(shop.project_id, spending("C0", 1))
    assert canceled.cancel()
    gate.open.set()
    assert shop.run(spending("C0", 2)) == 998
    shop.check(2)


def test_closing_finishes_what_was_submitted_and_takes_no_more(shop: Shop) -> None:
    gate = Gate()
    shop.writer.submit(shop.project_id, gate)
    assert gate.reached.wait(30)
    futures = [shop.writer.submit(shop.project_id, spending("C0", 1)) for _ in range(5)]
    closer = threading.Thread(target=shop.writer.close)
    closer.start()
    gate.open.set()
    closer.join(30)
    assert [future.result() for future in futures] == [999, 998, 997, 996, 995]
    with pytest.raises(Unavailable):
        shop.run(spending("C0", 1))


def test_a_database_that_stays_away_is_tried_so_often_and_then_told(shop: Shop, clock: FakeClock) -> None:
    tries: list[int] = []

    def away(_: Unit) -> None:
        tries.append(1)
        raise Unavailable("database_unavailable", "gone")

    writer = GroupWriter(shop.database, clock, WriterSettings(tries_max=4, backoff_s=0.5))
    with pytest.raises(Unavailable):
        writer.run(shop.project_id, away)
    writer.close()
    assert len(tries) == 4
    assert clock.monotonic_s() == 0.5 + 1 + 2


# -- a connection that breaks while the commit is on its way ------------------------------------------------------------


@dataclass
class Wire:
    """A relay between the client and PostgreSQL that can cut a connection when it sees a commit."""

    port: int
    cut: str | None = None  # "before" the server gets the commit, or "after" it did, without telling the client
    cuts: int = 0


@contextmanager
def _wire(server_port: int) -> Iterator[Wire]:
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Wire(listener.getsockname()[1])
    sockets: list[socket.socket] = [listener]

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", server_port))
            sockets.extend((client, server))
            threading.Thread(target=_relay, args=(wire, client, server), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield wire
    finally:
        for each in sockets:
            each.close()


def _relay(wire: Wire, client: socket.socket, server: socket.socket) -> None:
    """Both directions of one connection in one thread: the protocol is a conversation, so whoever talks is relayed."""
    with suppress(OSError), closing(client), closing(server):
        answers = threading.Thread(target=_copy, args=(server, client), daemon=True)
        answers.start()
        while data := _received(client):
            if wire.cut is not None and b"COMMIT" in data:
                how, wire.cut, wire.cuts = wire.cut, None, wire.cuts + 1
                client.shutdown(socket.SHUT_RDWR)
                if how == "after":
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
                answers.join(30)
                return
            server.sendall(data)


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := _received(source):
        try:
            target.sendall(data)
        except OSError:
            continue  # the client was cut off; the server is still heard out


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_in_doubt_is_looked_up_and_done_once(postgres_shop: Shop, cut: str) -> None:
    address = urlsplit(postgres_shop.url)
    with _wire(address.port or 0) as wire:
        relayed = Database(postgres_shop.url.replace(f":{address.port}/", f":{wire.port}/"))
        writer = GroupWriter(relayed, SystemClock())
        try:
            assert writer.run(postgres_shop.project_id, spending("C0", 1)) == 999
            wire.cut = cut
            assert writer.run(postgres_shop.project_id, spending("C0", 10)) == 989
            assert wire.cuts == 1
            assert writer.run(postgres_shop.project_id, spending("C0", 100)) == 889
        finally:
            writer.close()
            relayed.dispose()
    postgres_shop.check(111)
