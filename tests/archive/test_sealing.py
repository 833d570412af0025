"""Sealing, rewriting, mending and tidying: what the table says is always what the ledger holds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.archive import repair
from counterfoil.archive.compaction import next_move
from counterfoil.archive.hold import hold
from counterfoil.archive.sealer import seal
from counterfoil.archive.segment_file import SCHEMA, SegmentFile, keys_of
from counterfoil.archive.upkeep import Upkeep, UpkeepSettings
from counterfoil.clock import SystemClock
from counterfoil.db import segments
from counterfoil.db.duties import take_duty
from counterfoil.db.schema import duties
from counterfoil.db.schema import segments as segments_table
from counterfoil.errors import Conflict
from tests.archive.random_ledger import PROJECT, Archived
from tests.databases import sqlite_ledger
from tests.fakes import FakeClock


@pytest.fixture
def archived(tmp_path: Path) -> Iterator[Archived]:
    with sqlite_ledger(tmp_path) as database:
        yield Archived.in_folder(database, tmp_path, rows_max=100, batch_rows=16)


def seqs_of(archived: Archived) -> list[int]:
    """Every seq in the archive, each file in order and as the table says of it."""
    found: list[int] = []
    for segment in archived.live():
        with SegmentFile(archived.store, segment.ref, SCHEMA.names) as file:
            table = pa.Table.from_batches([file.read(number) for number in range(len(file.places))])
        created, seq = keys_of(table)
        assert (np.lexsort((seq, created)) == np.arange(len(seq))).all()
        assert [len(seq), seq.min(), seq.max(), created[0], created[-1]] == [
            segment.ref.rows,
            segment.ref.seq_from,
            segment.ref.seq_to,
            segment.ref.created_from,
            segment.ref.created_to,
        ]
        found += seq.tolist()
    return sorted(found)


def files_of(archived: Archived) -> set[str]:
    return {file.key for file in archived.store.list("segments")}


STEPS = st.tuples(st.integers(1, 150), st.sampled_from(("seal", "compact", "both", "none")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=8), seed=st.integers(0, 99))
def test_the_archive_holds_each_movement_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("steps")
    draw = random.Random(seed)
    sealed = 0
    with sqlite_ledger(folder) as database:
        archived = Archived.in_folder(database, folder, rows_max=100, batch_rows=16)
        for count, step in steps:
            archived.grow(draw, count)
            if step in ("seal", "both"):
                archived.seal()
                sealed = archived.last_seq()
            if step in ("compact", "both"):
                archived.compact()
                assert next_move(archived.live(), archived.bench) is None
            assert seqs_of(archived) == list(range(1, sealed + 1))


def test_any_arrow_reader_opens_a_segment(archived: Archived) -> None:
    archived.grow(random.Random(1), 50)
    archived.seal()
    (segment,) = archived.live()
    table = pa.ipc.open_file(archived.store.local_path(segment.ref.key)).read_all()
    with archived.database.read() as connection:
        rows = segments.movement_values(connection, PROJECT, 1, 50)
    by_seq = table.take(pa.array(np.argsort(table.column("seq").to_numpy())))
    by_seq = by_seq.set_column(10, "created_at", by_seq.column("created_at").cast(pa.int64()))
    by_seq = by_seq.set_column(14, "recorded_at", by_seq.column("recorded_at").cast(pa.int64()))
    assert [tuple(row.values()) for row in by_seq.to_pylist()] == [tuple(row) for row in rows]


def test_sealing_again_does_nothing(archived: Archived) -> None:
    archived.grow(random.Random(2), 250)
    assert archived.seal().rows == 250
    before = archived.live()
    assert archived.seal().segments == 0
    assert archived.live() == before


def test_two_sealers_do_not_seal_twice(archived: Archived) -> None:
    """The second one, with a hold it should not have, finds the archive moved; its file is removed later."""
    archived.grow(random.Random(3), 50)
    with hold(archived.database, SystemClock(), PROJECT) as mine:
        assert mine is not None

        def meanwhile(point: str) -> None:
            if point == "segment_written":
                seal(mine, replace(archived.bench, reach=lambda point: None))

        with pytest.raises(Conflict, match="sealed already"):
            seal(mine, replace(archived.bench, reach=meanwhile))
    assert seqs_of(archived) == list(range(1, 51))
    assert len(files_of(archived)) == 2
    archived.held(lambda mine: repair.tidy(mine, archived.bench, 0))
    assert files_of(archived) == {segment.ref.key for segment in archived.live()}


def test_who_lost_the_hold_writes_nothing(archived: Archived) -> None:
    archived.grow(random.Random(4), 50)
    with hold(archived.database, SystemClock(), PROJECT) as mine:
        assert mine is not None

        def meanwhile(point: str) -> None:
            if point == "segment_written":
                with archived.database.write() as connection:
                    connection.execute(duties.update().values(lease_until=0))
                    assert take_duty(connection, f"archive/{PROJECT}", "another", ttl_ms=60_000, every_ms=0)

        with pytest.raises(Conflict, match="another hand"):
            seal(mine, replace(archived.bench, reach=meanwhile))
    assert archived.live() == []
    with hold(archived.database, SystemClock(), PROJECT) as mine:
        assert mine is None


def test_movements_dated_far_back_are_sealed_apart(archived: Archived) -> None:
    archived.grow(random.Random(5), 90)
    archived.seal()
    archived.grow(random.Random(6), 90)
    archived.seal()
    kinds = [segment.late for segment in archived.live()]
    assert sorted(kinds) == [False, False, True]
    mains = [segment.ref for segment in archived.live() if not segment.late]
    span = mains[1].created_to - mains[0].created_to
    assert mains[1].created_from >= mains[0].created_to - 0.05 * span - 1


def test_small_segments_are_joined_and_late_ones_folded_in(archived: Archived) -> None:
    draw = random.Random(7)
    for _ in range(30):
        archived.grow(draw, 10)
        archived.seal()
    assert len(archived.live()) > 30
    assert archived.compact() > 0
    live = archived.live()
    assert len(live) < 12
    assert {segment.level for segment in live} != {0}
    assert archived.compact() == 0
    assert seqs_of(archived) == list(range(1, 301))


def test_retired_files_stay_while_somebody_may_read_them(archived: Archived) -> None:
    draw = random.Random(8)
    for _ in range(10):
        archived.grow(draw, 10)
        archived.seal()
    before = files_of(archived)
    assert archived.compact() > 0
    archived.held(lambda mine: repair.tidy(mine, archived.bench, 0))
    assert before <= files_of(archived)
    with archived.database.write() as connection:
        connection.execute(segments_table.update().where(segments_table.c.status == "RETIRED").values(retired_at=0))
    archived.held(lambda mine: repair.tidy(mine, archived.bench, 0))
    assert files_of(archived) == {segment.ref.key for segment in archived.live()}


@pytest.mark.parametrize("harm", ["missing", "cut", "bit"])
def test_damage_is_found_and_mended(archived: Archived, harm: str) -> None:
    draw = random.Random(9)
    for _ in range(6):
        archived.grow(draw, 40)
        archived.seal()
    archived.compact()
    upkeep = Upkeep(archived.database, archived.bench, FakeClock())
    assert upkeep.check(PROJECT) == []
    victims = archived.live()[:2]
    for victim in victims:
        path = archived.store.local_path(victim.ref.key)
        assert path is not None
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.unlink()
        if harm != "missing":
            path.write_bytes(data if harm == "bit" else data[:-9])
    found = upkeep.check(PROJECT, mend=True)
    assert {finding.segment.ref.id for finding in found} == {victim.ref.id for victim in victims}
    assert upkeep.check(PROJECT) == []
    assert seqs_of(archived) == list(range(1, 241))


def test_a_rewrite_that_meets_damage_leaves_it_to_be_mended(archived: Archived) -> None:
    draw = random.Random(10)
    for _ in range(9):
        archived.grow(draw, 10)
        archived.seal()
    victim = archived.live()[3]
    path = archived.store.local_path(victim.ref.key)
    assert path is not None
    path.unlink()
    upkeep = Upkeep(archived.database, archived.bench, FakeClock(), UpkeepSettings(rows_min=1))
    archived.grow(draw, 5)
    upkeep.run()
    upkeep.run()
    assert upkeep.check(PROJECT) == []
    assert seqs_of(archived) == list(range(1, 96))


def test_upkeep_waits_for_enough_movements_or_for_quiet(archived: Archived) -> None:
    draw = random.Random(11)
    upkeep = Upkeep(archived.database, archived.bench, FakeClock(), UpkeepSettings(rows_min=100, idle_rows_min=20))
    archived.grow(draw, 50)
    upkeep.run()
    assert archived.live() == []
    archived.grow(draw, 5)
    upkeep.run()
    assert archived.live() == []
    upkeep.run()  # nothing came meanwhile
    assert seqs_of(archived) == list(range(1, 56))
    archived.grow(draw, 100)
    upkeep.run()
    assert seqs_of(archived) == list(range(1, 156))


def test_projects_are_apart(archived: Archived) -> None:
    archived.grow(random.Random(12), 30)
    archived.seal()
    with archived.database.read() as connection:
        assert segments.archive_of(connection, 2, 100) is None
        assert segments.live_segments(connection, 2) == []


def test_nothing_is_lost_when_the_ledger_is_the_only_witness(archived: Archived) -> None:
    """All files gone: everything is made anew."""
    archived.grow(random.Random(13), 230)
    archived.seal()
    lost = archived.live()
    archived.store.delete_prefix("segments")
    assert len(Upkeep(archived.database, archived.bench, FakeClock()).check(PROJECT, mend=True)) == len(lost)
    assert seqs_of(archived) == list(range(1, 231))
