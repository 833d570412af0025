"""The unit of writing: a piece of work is done wholly or not at all, whatever its neighbours in the commit do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.db import ledger
from counterfoil.db.engine import Database
from counterfoil.db.migrate import migrate
from counterfoil.db.schema import buckets, counters, customers, idempotency_keys, movements, vouchers
from counterfoil.db.unit import Idempotency, Unit
from counterfoil.domain.cards import Card, CardKind, Origin, add, open_with, remove
from counterfoil.errors import Conflict, CounterfoilError, NotFound, Refused
from counterfoil.services.access import Access
from tests.fakes import FakeClock

NOW_MS = FakeClock.START_MS
Work = Callable[[Unit], Any]


@dataclass
class Bench:
    """A database with one project, and pieces of work run in one transaction."""

    database: Database
    project_id: int

    def group(self, *pieces: Work, now_ms: int = NOW_MS) -> list[Any]:
        """Run pieces in one transaction as the group writer does; a refusal stands in the answer's place."""
        answers: list[Any] = []
        with self.database.write() as connection:
            unit = Unit(connection, self.project_id, now_ms)
            for piece in pieces:
                try:
                    answers.append(unit.run(piece))
                except CounterfoilError as error:
                    answers.append(error)
            unit.flush()
        return answers

    def rows(self, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
        chosen = [table.c[name] for name in columns]
        with self.database.read() as connection:
            statement = sa.select(*chosen).where(table.c.project_id == self.project_id).order_by(*table.primary_key)
            return [tuple(row) for row in connection.execute(statement)]

    def check(self) -> None:
        """seq has no gap and the counter stands at its end; balances follow from movements; buckets add up."""
        found = self.rows(movements, "seq", "voucher_id", "amount", "balance")
        assert [row[0] for row in found] == list(range(1, len(found) + 1))
        assert self.rows(counters, "movement_seq") == [(len(found),)]
        balances: dict[str, int] = {}
        for _, card, amount, balance in found:
            balances[card] = balances.get(card, 0) + amount
            assert balances[card] == balance
        points: dict[str, int] = {}
        for card, left, status in self.rows(buckets, "voucher_id", "points", "status"):
            points[card] = points.get(card, 0) + (left if status == "ACTIVE" else 0)
        for card, kind, balance in self.rows(vouchers, "id", "type", "balance"):
            assert balances.get(card, 0) == balance
            assert kind == "GIFT_VOUCHER" or points.get(card, 0) == balance


def new_bench(url: str) -> Bench:
    database = Database(url)
    migrate(database)
    project = Access(database, FakeClock()).ensure_project("shop")
    bench = Bench(database, project.id)
    bench.group(card_maker("A", 100), card_maker("B", 0), card_maker("L", 50, CardKind.LOYALTY))
    return bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = new_bench(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield made
    made.check()
    made.database.dispose()


def card_maker(code: str, amount: int, kind: CardKind = CardKind.GIFT) -> Work:
    def make(unit: Unit) -> str:
        row = {
            "project_id": unit.project_id,
            "id": f"v_{code}",
            "code": code,
            "type": str(kind),
            "created_at": unit.now_ms,
        }
        unit.sql.execute(vouchers.insert(), row)
        card = Card(f"v_{code}", code, kind)
        unit.add_card(card)
        unit.post(*open_with(card, amount, None, unit.now_ms))
        return card.id

    return make


def topping_up(code: str, amount: int) -> Work:
    def top_up(unit: Unit) -> int:
        card, found = add(unit.card(code), amount, Origin("API"), None, unit.now_ms)
        unit.post(card, found)
        return card.balance

    return top_up


def taking(code: str, amount: int) -> Work:
    def take(unit: Unit) -> int:
        card, found = remove(unit.card(code), amount, Origin("API"))
        unit.post(card, found)
        return card.balance

    return take


def noting(name: str) -> Work:
    """A statement of another noun: a customer of that id; the same id twice is a duplicate."""

    def note(unit: Unit) -> str:
        row = {"project_id": unit.project_id, "id": name, "created_at": unit.now_ms}
        unit.sql.execute(customers.insert(), row)
        return name

    return note


def refusing(_: Unit) -> None:
    raise Refused("no", "no")


def in_turn(*steps: Work) -> Work:
    return lambda unit: [step(unit) for step in steps]


def test_pieces_see_each_other_and_share_few_statements(bench: Bench) -> None:
    statements: list[str] = []
    sa.event.listen(bench.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    assert bench.group(*[topping_up("A", 1) for _ in range(50)]) == list(range(101, 151))
    assert len(statements) < 10
    assert bench.rows(vouchers, "code", "balance")[0] == ("A", 150)


REFUSED: list[list[Work]] = [
    [taking("A", 10), refusing],
    [noting("c"), refusing],
    [taking("A", 10), noting("c"), refusing],
    [noting("c"), taking("A", 10), refusing],
    [taking("A", 10), noting("c"), taking("A", 5), topping_up("L", 3), refusing],
    [card_maker("N", 5), topping_up("N", 5), refusing],
    [taking("A", 10), lambda unit: unit.flush(), lambda unit: unit.forget(), taking("A", 10), refusing],
    [lambda unit: unit.sql, lambda unit: unit.forget(), refusing],
    [taking("A", 10), taking("A", 1000)],
    [taking("A", 10), taking("nobody", 1)],
]


@pytest.mark.parametrize("steps", REFUSED)
@pytest.mark.parametrize("neighbour", ["none", "before", "after", "both", "with sql"])
def test_a_refused_piece_leaves_nothing(bench: Bench, steps: list[Work], neighbour: str) -> None:
    before = [topping_up("A", 7)] if neighbour in {"before", "both"} else []
    if neighbour == "with sql":
        before = [in_turn(topping_up("A", 7), noting("earlier"))]
    after = [taking("A", 2), topping_up("L", 1)] if neighbour in {"after", "both", "with sql"} else []
    answers = bench.group(*before, in_turn(*steps), *after)
    assert isinstance(answers[len(before)], Refused | NotFound)
    expected = 100 + 7 * len(before) - (2 if after else 0)
    assert dict(bench.rows(vouchers, "code", "balance")) == {"A": expected, "B": 0, "L": 51 if after else 50}
    assert bench.rows(customers, "id") == ([("earlier",)] if neighbour == "with sql" else [])
    bench.check()


def test_postgresql_keeps_the_same_promises(postgres_url: str) -> None:
    bench = new_bench(postgres_url)
    for steps in REFUSED:
        before = bench.rows(vouchers, "code", "balance"), bench.rows(customers, "id")
        _, answer, _ = bench.group(in_turn(topping_up("A", 2)), in_turn(*steps), taking("A", 2))
        assert isinstance(answer, Refused | NotFound)
        assert (bench.rows(vouchers, "code", "balance"), bench.rows(customers, "id")) == before
        bench.check()
    for statement in (movements.update().values(amount=1), movements.delete()):
        with pytest.raises(CounterfoilError, match="append-only"), bench.database.write() as connection:
            connection.execute(statement)
    with pytest.raises(Conflict), bench.database.write() as connection:
        connection.execute(vouchers.update().where(vouchers.c.code == "A").values(balance=-1, total=-1))
    bench.check()
    bench.database.dispose()


def test_a_duplicate_inside_a_piece_undoes_the_whole_transaction(bench: Bench) -> None:
    bench.group(noting("c"))
    with pytest.raises(Conflict):
        bench.group(topping_up("A", 7), in_turn(topping_up("A", 5), noting("c")))
    assert bench.rows(vouchers, "code", "balance")[0] == ("A", 100)


def test_changes_made_by_statements_are_seen_by_the_next_piece(bench: Bench) -> None:
    def disable(unit: Unit) -> None:
        unit.sql.execute(vouchers.update().where(vouchers.c.code == "A").values(active=False))

    answers = bench.group(topping_up("A", 1), disable, lambda unit: unit.card("A").active)
    assert answers == [101, None, False]


def test_forgetting_before_flushing_is_a_bug_that_shows(bench: Bench) -> None:
    with pytest.raises(AssertionError):
        bench.group(in_turn(taking("A", 10), lambda unit: unit.forget()))


def test_a_removed_card_is_found_only_by_who_asks_for_it(bench: Bench) -> None:
    with bench.database.write() as connection:
        connection.execute(vouchers.update().where(vouchers.c.id == "v_A").values(deleted_at=1))

    def make_anew(unit: Unit) -> None:
        row = {"project_id": unit.project_id, "id": "v_new", "code": "A", "type": "GIFT_VOUCHER", "created_at": 2}
        unit.sql.execute(vouchers.insert(), row)
        unit.add_card(Card("v_new", "A", CardKind.GIFT))

    def give_back(unit: Unit) -> int:
        card, found = add(unit.kept_card("v_A"), 7, Origin("API"), None, unit.now_ms)
        unit.post(card, found)
        return card.balance

    answers = bench.group(make_anew, give_back, topping_up("A", 5), topping_up("v_A", 5), give_back)
    assert answers[:3] == [None, 107, 5] and answers[4] == 114
    assert isinstance(answers[3], NotFound)


def test_due_points_expire_when_a_card_is_asked_for(bench: Bench) -> None:
    def grant(unit: Unit) -> None:
        unit.post(*add(unit.card("L"), 9, Origin(), unit.today, unit.now_ms))

    bench.group(grant)
    later = NOW_MS + 2 * 86_400_000
    with bench.database.write() as connection:
        unit = Unit(connection, bench.project_id, later)
        assert unit.run(lambda u: u.card("L").balance) == 50
        unit.flush()
    assert bench.rows(movements, "type", "amount", "balance")[-1] == ("POINTS_EXPIRATION", -9, 50)
    assert sorted(bench.rows(buckets, "points", "status")) == [(9, "EXPIRED"), (50, "ACTIVE")]


def test_a_spent_out_bucket_that_expires_makes_no_movement(bench: Bench) -> None:
    def grant(unit: Unit) -> None:
        unit.post(*add(unit.card("L"), 9, Origin(), unit.today, unit.now_ms))

    bench.group(grant, taking("L", 9))
    count = len(bench.rows(movements, "seq"))
    bench.group(lambda unit: unit.card("L").balance, now_ms=NOW_MS + 2 * 86_400_000)
    assert len(bench.rows(movements, "seq")) == count
    assert sorted(bench.rows(buckets, "points", "status")) == [(0, "EXPIRED"), (50, "ACTIVE")]


def test_the_same_key_and_request_get_the_first_answer(bench: Bench) -> None:
    key = Idempotency("k", "hash")

    def again(key: Idempotency, piece: Work) -> Any:
        with bench.database.write() as connection:
            unit = Unit(connection, bench.project_id, NOW_MS)
            answer = unit.run(piece, key)
            unit.flush()
            return answer

    assert again(key, taking("A", 30)) == 70
    assert again(key, taking("A", 30)) == 70
    with pytest.raises(Conflict) as caught:
        again(Idempotency("k", "other"), taking("A", 30))
    assert caught.value.code == "idempotency_key_reused"
    with pytest.raises(Refused):
        again(Idempotency("refused", "hash"), taking("A", 300))
    assert bench.rows(idempotency_keys, "key") == [("k",)]
    assert bench.rows(vouchers, "code", "balance")[0] == ("A", 70)


def test_the_same_key_twice_in_one_group(bench: Bench) -> None:
    with bench.database.write() as connection:
        unit = Unit(connection, bench.project_id, NOW_MS)
        key = Idempotency("k", "hash")
        assert [unit.run(taking("A", 30), key), unit.run(taking("A", 30), key)] == [70, 70]
        unit.flush()
    assert bench.rows(vouchers, "code", "balance")[0] == ("A", 70)


def test_movements_cannot_be_changed_or_removed(bench: Bench) -> None:
    for statement in (movements.update().values(amount=1), movements.delete()):
        with pytest.raises(CounterfoilError, match="append-only"), bench.database.write() as connection:
            connection.execute(statement)
    assert bench.rows(movements, "amount") == [(100,), (50,)]


def test_the_database_itself_refuses_a_balance_below_zero(bench: Bench) -> None:
    with pytest.raises(Conflict), bench.database.write() as connection:
        connection.execute(vouchers.update().where(vouchers.c.code == "A").values(balance=-1, total=-1))


def noting_once(name: str) -> Work:
    """The same, where a second time is a refusal of ours instead of the database's error."""

    def note(unit: Unit) -> str:
        if unit.sql.execute(sa.select(customers.c.id).where(customers.c.id == name)).first():
            raise Refused("twice", "twice")
        return noting(name)(unit)

    return note


def flushing(unit: Unit) -> None:
    unit.flush()


def forgetting(unit: Unit) -> None:
    unit.flush()
    unit.forget()


STEP = st.one_of(
    st.builds(topping_up, st.sampled_from(["A", "B", "L"]), st.integers(1, 9)),
    st.builds(taking, st.sampled_from(["A", "B", "L"]), st.integers(1, 30)),
    st.builds(noting_once, st.sampled_from(["c1", "c2"])),
    st.sampled_from([refusing, flushing, forgetting]),
)
GROUPS = st.lists(st.lists(st.lists(STEP, min_size=1, max_size=4), min_size=1, max_size=5), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = new_bench(f"sqlite:///{tmp_path_factory.mktemp('unit') / 'ledger.db'}")
    yield made
    made.database.dispose()


@pytest.mark.slow
@given(groups=GROUPS)
@settings(max_examples=150)
def test_groups_are_as_if_each_piece_had_its_own_transaction(drawn: Bench, groups: list[list[list[Work]]]) -> None:
    """The same pieces, once in groups and once each in a unit of its own, leave the same answers and the same rows."""
    together = _outcome(drawn, groups)
    assert together == _outcome(drawn, [[piece] for group in groups for piece in group])


def _outcome(drawn: Bench, groups: list[list[list[Work]]]) -> tuple[Any, ...]:
    answers: list[Any] = []
    with drawn.database.engine.connect() as connection, connection.begin() as undone:
        for group in groups:
            unit = Unit(connection, drawn.project_id, NOW_MS)
            answers.extend(_answer(unit, in_turn(*piece)) for piece in group)
            unit.flush()
        cards = ledger.cards_by_code(connection, drawn.project_id, ["A", "B", "L"])
        written = sa.select(*(movements.c[name] for name in ("seq", "voucher_id", "type", "amount", "balance")))
        rows = connection.execute(written.order_by(movements.c.seq)).all()
        notes = connection.execute(sa.select(customers.c.id).order_by(customers.c.id)).scalars().all()
        undone.rollback()
    return answers, cards, rows, notes


def _answer(unit: Unit, work: Work) -> Any:
    try:
        return unit.run(work)
    except CounterfoilError as error:
        return error.code
