"""The chain proof against a naive one: cards as lists of movements, checked one by one in posting order."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.dataplane import chain as module
from counterfoil.dataplane import fingerprint, gather
from counterfoil.dataplane.chain import Chain, ChainTotals, settle
from counterfoil.dataplane.fingerprint import Fingerprints, of_texts
from counterfoil.dataplane.gather import BlockGatherer, TableGatherer
from counterfoil.dataplane.rows import Rows
from counterfoil.dataplane.runs import Links, Runs, merge_runs


@dataclass(frozen=True)
class Movement:
    seq: int
    card: str
    amount: int
    balance: int


def naive(file: Sequence[Movement], *, descending: bool) -> tuple[int, int, int, int, int]:
    """cards, runs, opening, closing, shuffled"""
    by_card: defaultdict[str, list[tuple[int, Movement]]] = defaultdict(list)
    for place, movement in enumerate(file):
        by_card[movement.card].append((-place if descending else place, movement))
    runs = opening = closing = shuffled = 0
    for moved in by_card.values():
        moved.sort(key=lambda pair: pair[1].seq)
        shuffled += [place for place, _ in moved] != sorted(place for place, _ in moved)
        before = None
        for _, movement in moved:
            if before is None or movement.balance - movement.amount != before:
                runs += 1
                closing += before or 0
                opening += movement.balance - movement.amount
            before = movement.balance
        closing += before or 0
    return len(by_card), runs, opening, closing, shuffled


def batch(movements: Sequence[Movement], *, dictionary: bool = False) -> pa.RecordBatch:
    cards = pa.array([each.card for each in movements], pa.string())
    columns = {
        "voucher_id": cards.dictionary_encode() if dictionary else cards,
        **{
            name: pa.array([getattr(each, name) for each in movements], pa.int64())
            for name in ("seq", "amount", "balance")
        },
    }
    return pa.record_batch(list(columns.values()), names=list(columns))


def batches(file: Sequence[Movement], sizes: Iterable[int], *, reverse: bool, dictionary: bool) -> list[Rows]:
    found: list[Rows] = []
    at = 0
    for size in [*sizes, len(file)]:
        piece = file[at : at + size]
        at += size
        found.append(Rows(batch(piece[::-1] if reverse else piece, dictionary=dictionary), reverse))
    return found


def prove(parts: Sequence[Rows], *, descending: bool, runs_max: int = 1000, scratch: Path | None = None) -> ChainTotals:
    chain = Chain(descending=descending, runs_max=runs_max, scratch=scratch)
    for rows in parts:
        chain.add(rows)
    totals = chain.totals()
    settle(totals, [parts] * 3, descending=descending)
    assert len(totals.suspects) == 0
    return totals


def counted(totals: ChainTotals) -> tuple[int, int, int, int, int]:
    return totals.cards, totals.runs, totals.opening, totals.closing, totals.shuffled


@st.composite
def ledgers(draw: st.DrawFn) -> list[Movement]:
    """Movements in posting order whose cards often come back to a balance they had; some balances are wrong."""
    balances: dict[str, int] = {}
    movements: list[Movement] = []
    for seq in range(1, draw(st.integers(0, 40)) + 1):
        card = draw(st.sampled_from(["v_a", "v_b", "v_a long id that has more bytes than a word", ""]))
        amount = draw(st.integers(-2, 2))
        balance = balances.get(card, 5) + amount + (draw(st.integers(0, 9)) == 0)
        balances[card] = balance
        movements.append(Movement(seq, card, amount, balance))
    return movements


@given(
    ledgers(),
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 7), max_size=9),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 3, 1 << 20]),
    st.sampled_from([0, 3, 1000]),
    st.sampled_from([BlockGatherer, TableGatherer]),
)
def test_it_agrees_with_the_naive_chain(
    movements: list[Movement],
    shuffle: object,
    sizes: list[int],
    descending: bool,
    reverse: bool,
    dictionary: bool,
    block_rows: int,
    runs_max: int,
    gatherer: type,
) -> None:
    file = list(movements)
    if len(sizes) % 2:  # back-dated movements: the file's order is not the posting order
        shuffle.shuffle(file)  # type: ignore[attr-defined]
    if descending:
        file.reverse()
    parts = batches(file, sizes, reverse=reverse, dictionary=dictionary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "gatherer", gatherer)
        patch.setattr(gather, "BLOCK_ROWS", block_rows)
        patch.setattr(gather, "TABLE_RUNS", block_rows)
        totals = prove(parts, descending=descending, runs_max=runs_max)
    assert counted(totals) == naive(file, descending=descending)


def run_of(card: str, amounts: Sequence[int], *, first_seq: int = 1, step: int = 1) -> list[Movement]:
    balance = 0
    movements: list[Movement] = []
    for no, amount in enumerate(amounts):
        balance += amount
        movements.append(Movement(first_seq + no * step, card, amount, balance))
    return movements


def test_a_break_is_named() -> None:
    file = [*run_of("v_a", [5, 5]), Movement(9, "v_a", 1, 12), *run_of("v_b", [3], first_seq=20)]
    totals = prove([Rows(batch(file))], descending=False)
    assert totals.broken == [("v_a", 9)]
    assert (totals.cards, totals.runs) == (2, 3)


def test_a_movement_shown_twice_is_a_break() -> None:
    file = run_of("v_a", [5, 0])
    totals = prove([Rows(batch(file)), Rows(batch(file[1:]))], descending=False)
    assert totals.broken == [("v_a", 2)]


def test_a_missing_movement_is_a_break_unless_it_moved_nothing() -> None:
    file = run_of("v_a", [5, 3, 2, 0, 1])
    assert prove([Rows(batch([*file[:1], *file[2:]]))], descending=False).broken == [("v_a", 3)]
    assert prove([Rows(batch([*file[:3], *file[4:]]))], descending=False).broken == []


def test_a_back_dated_movement_that_fits_is_no_break() -> None:
    """The card came back to zero in between, so the first and the last movement alone would seem to be neighbours."""
    file = run_of("v_a", [5, -5, 4, -4, 7])
    shown = [file[0], file[1], file[4], file[2], file[3]]
    totals = prove([Rows(batch(shown[:3])), Rows(batch(shown[3:]))], descending=False)
    assert (totals.broken, totals.cards, totals.runs, totals.shuffled) == ([], 1, 1, 1)
    wrong = [file[0], file[1], file[4], Movement(3, "v_a", 4, 8), Movement(4, "v_a", -8, 0)]
    assert prove([Rows(batch(wrong[:3])), Rows(batch(wrong[3:]))], descending=False).broken == [("v_a", 3)]


@pytest.mark.parametrize("gatherer", [BlockGatherer, TableGatherer])
def test_many_cards_go_to_scratch_files_and_come_back(tmp_path: Path, gatherer: type) -> None:
    cards = [f"v_{no:05}" for no in range(3000)]
    file = [Movement(turn * 3000 + no + 1, card, 2, 2 * turn + 2) for turn in range(4) for no, card in enumerate(cards)]
    parts = batches(file, [1000] * 11, reverse=False, dictionary=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "gatherer", gatherer)
        patch.setattr(gather, "BLOCK_ROWS", 1000)
        patch.setattr(gather, "TABLE_RUNS", 1000)
        totals = prove(parts, descending=False, runs_max=500, scratch=tmp_path)
    assert counted(totals) == (3000, 3000, 0, 3000 * 8, 0)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_parts_add_up_in_any_order() -> None:
    file = run_of("v_a", [1, 2, 3, 4, 5, 6])
    gathered = []
    for no, piece in enumerate([file[:2], file[2:4], file[4:]]):
        chain = Chain(descending=False)
        chain.start_part(no)
        chain.add(Rows(batch(piece)))
        gathered.append(chain.runs())
    for order in ([0, 1, 2], [2, 0, 1]):
        whole = Chain(descending=False)
        for no in order:
            whole.add_runs(gathered[no])
        assert counted(whole.totals()) == (1, 1, 0, 21, 0)


def test_cards_whose_numbers_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fingerprints, "of", lambda _, values: np.full(len(values), 7, np.uint64))
    file = [*run_of("v_a", [5, 5], step=2), *run_of("v_b", [3, 1], first_seq=2, step=2)]
    file.sort(key=lambda movement: movement.seq)
    totals = prove([Rows(batch(file))], descending=False)
    assert counted(totals) == (2, 2, 0, 14, 0)


@given(st.lists(st.text(max_size=20), max_size=30))
def test_equal_texts_have_equal_numbers_wherever_they_stand(texts: list[str]) -> None:
    plain = of_texts(pa.array(texts, pa.string()))
    offset = of_texts(pa.array(["x", *texts], pa.large_string())[1:])
    encoded = Fingerprints().of(pa.array(texts, pa.string()).dictionary_encode())
    assert plain.tolist() == offset.tolist() == encoded.tolist()
    assert not texts or fingerprint.reference(pa.array(texts, pa.string())).tolist() == plain.tolist()
    assert len(set(plain.tolist())) == len(set(texts))


def test_numbers_of_ids_that_count_up_are_spread() -> None:
    numbers = of_texts(pa.array([f"v_{no}" for no in range(200_000)]))
    assert len(np.unique(numbers)) == 200_000
    assert np.bincount((numbers >> np.uint64(58)).astype(int), minlength=64).min() > 2_500


@given(ledgers(), st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_both_gatherers_find_the_same(
    movements: list[Movement], shuffle: object, descending: bool, mixed: bool
) -> None:
    """On rows in posting order they give the same runs; on others, runs that merge to the same."""
    file = list(movements)
    if mixed:
        shuffle.shuffle(file)  # type: ignore[attr-defined]
    elif descending:
        file.reverse()
    found = []
    for gatherer in (BlockGatherer, TableGatherer):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "gatherer", gatherer)
            found.append(counted(prove(batches(file, [5, 5], reverse=False, dictionary=False), descending=descending)))
    assert found[0] == found[1]


_SPREAD, _UNSPREAD = 0x9E3779B97F4A7C15, pow(0x9E3779B97F4A7C15, -1, 1 << 64)
_ENDS = st.sampled_from((0, 0, (1 << 64) - 100, (1 << 63) - 50))


@given(
    st.lists(st.tuples(_ENDS, st.integers(0, 99)), min_size=1, max_size=120, unique=True),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_runs_leave_the_table_in_order_wherever_their_cards_live(
    homes: list[tuple[int, int]], chance: random.Random, descending: bool
) -> None:
    """Cards that crowd one place of the table, its end above all, go over into the next places and its beginning."""
    cards = [(end + at) * _UNSPREAD % (1 << 64) for end, at in homes]
    rows = [(card, no, chance.choice((5, -5, 0)), chance.randrange(3) * 5) for no, card in enumerate(cards * 3)]
    if chance.random() < 0.5:
        chance.shuffle(rows)
    card, seq, amount, balance = (
        np.array(column, kind)
        for column, kind in zip(zip(*rows, strict=True), (np.uint64, *[np.int64] * 3), strict=True)
    )
    links = Links(card, seq, amount, balance, False, 0)
    found = []
    for gatherer in (BlockGatherer(descending=descending), TableGatherer(descending=descending)):
        gatherer.add(links)
        found.append(merge_runs(gatherer.take(), descending=descending))
    taken = TableGatherer(descending=descending)
    taken.add(links)
    once = taken.take()
    assert by_card(once) == by_card(found[1]), "what leaves the table is merged"
    order = [
        (int(card) * _SPREAD % (1 << 64), int(seq)) for card, seq in zip(once["card"], once["seq_from"], strict=True)
    ]
    assert order == sorted(order)
    assert set(found[0]["card"].tolist()) == set(once["card"].tolist())


def by_card(runs: Runs) -> list[Any]:
    """Runs in an order that everybody has."""
    return sorted(runs.tolist())


def test_the_table_refuses_what_it_cannot_read() -> None:
    table = gather.TableGatherer(descending=False)._table
    eight = np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="lengths"):
        table.add(eight, eight, eight, np.zeros(2, np.int64), False, 0)
    assert gather._chain is not None
    for offsets, first in (([0, 9], 0), ([3, 2], 0), ([-1, 2], 0), ([0, 1], 1)):
        with pytest.raises(ValueError, match=r"text|offsets"):
            gather._chain.fingerprints(np.array(offsets, np.int32), False, first, b"12345", np.empty(1, np.uint64))
