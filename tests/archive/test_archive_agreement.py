"""Whatever is asked, the archive gives the bytes that the database gives: however it was sealed, rewritten or damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.catalog.objects import exportable
from counterfoil.catalog.sources import joins_of
from counterfoil.plan.planner import select
from counterfoil.plan.request import ExportRequest, Filter, Order
from tests.archive.random_ledger import NEXT_MS, PROJECT, Archived
from tests.databases import postgres_ledger, sqlite_ledger
from tests.db.catalogue_world import NOW_MS
from tests.db.filter_draws import filters
from tests.services import PostgresServer

ROWS = 250


def grown(archived: Archived, seed: int) -> Archived:
    """Grow, seal and rewrite in random steps, so that segments lie beside and over one another, and a tail is left."""
    draw = random.Random(seed)
    while archived.last_seq() < ROWS:
        archived.grow(draw, draw.randrange(1, 60))
        if draw.random() < 0.7:
            archived.seal()
        if draw.random() < 0.3:
            archived.compact()
    for _ in range(2):
        archived.grow(draw, 40)
        archived.seal()
    archived.grow(draw, 20)
    return archived


@pytest.fixture(scope="module", params=range(2))
def sqlite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    folder = tmp_path_factory.mktemp("archive")
    with sqlite_ledger(folder) as database:
        limits = {"rows_max": (60, 1000)[request.param], "batch_rows": (8, 64)[request.param]}
        yield grown(Archived.in_folder(database, folder, **limits), request.param)


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    with postgres_ledger(postgres_server) as database:
        yield grown(Archived.in_folder(database, tmp_path_factory.mktemp("archive"), rows_max=60, batch_rows=16), 3)


@st.composite
def requests(draw: st.DrawFn) -> ExportRequest:
    """Any export of movements that the archive may be asked for."""
    about = exportable(draw(st.sampled_from(("voucher_transactions", "movement"))))
    own = [field.name for field in about.fields if field.exported and not joins_of(field.source)]
    chosen = draw(st.lists(st.sampled_from(own), min_size=1, max_size=6, unique=True))
    asked = st.one_of(st.just(Filter()), st.just(Filter()), filters(about))
    return ExportRequest(
        about.name,
        tuple(chosen),
        Order("created_at", draw(st.booleans())),
        draw(asked),
        draw(asked),
        cursor=draw(
            st.none() | st.none() | st.tuples(st.sampled_from((NEXT_MS, NEXT_MS + 4_000_000)), st.integers(0, ROWS))
        ),
    )


def agree(archived: Archived, request: ExportRequest, share: float, rows_per_task: int) -> None:
    seq_max = round(archived.last_seq() * share)
    selection = select(request, project_id=PROJECT, seq_max=seq_max, now_ms=NOW_MS)
    archived.agrees(selection, rows_per_task)


_draws = (requests(), st.sampled_from((1.0, 1.0, 0.6, 0.02)), st.sampled_from((15, 60, 10_000)))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(*_draws)
def test_sqlite_and_its_archive_agree(sqlite: Archived, asked: ExportRequest, share: float, rows_per_task: int) -> None:
    agree(sqlite, asked, share, rows_per_task)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(*_draws)
def test_postgresql_and_its_archive_agree(
    postgres: Archived, asked: ExportRequest, share: float, rows_per_task: int
) -> None:
    agree(postgres, asked, share, rows_per_task)


def test_the_worlds_are_worth_asking(sqlite: Archived) -> None:
    """Segments lie over one another, some were rewritten, and some movements are in none."""
    live = sqlite.live()
    overlapping = [
        (one, other)
        for one in live
        for other in live
        if one is not other
        and one.ref.created_from < other.ref.created_to
        and other.ref.created_from < one.ref.created_to
    ]
    assert overlapping
    assert sum(segment.ref.rows for segment in live) < sqlite.last_seq()


@pytest.mark.parametrize("descending", [False, True])
def test_a_damaged_segment_is_noticed_and_passed_over(tmp_path: Path, descending: bool) -> None:
    with sqlite_ledger(tmp_path) as database:
        archived = grown(Archived.in_folder(database, tmp_path, rows_max=60, batch_rows=16), 5)
        request = ExportRequest("movement", (), Order("created_at", descending))
        selection = select(request, project_id=PROJECT, seq_max=archived.last_seq(), now_ms=NOW_MS)
        broken = max(archived.live(), key=lambda segment: segment.ref.rows)
        path = archived.store.local_path(broken.ref.key)
        assert path is not None
        data = bytearray(path.read_bytes())
        data[data.rindex(b"vtx_")] ^= 1  # one bit of the last batch
        path.write_bytes(data)
        assert archived.agrees(selection) > 0
        assert set(archived.reports) == {broken.ref.id}
        path.unlink()
        assert archived.agrees(selection) > 0
