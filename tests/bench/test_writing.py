"""The cases about writing, on few rows and for moments: they count what the ledger has, and refuse what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import imports, postings
from bench.case import Context, Record, measure
from bench.targets import targets

pytestmark = [pytest.mark.xdist_group("bench"), pytest.mark.slow]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with ExitStack() as open_files:
        yield Context(2_000, 1, tmp_path, lambda _: True, lambda _: None, open_files)


def test_writing_is_measured_and_held_to_its_targets(context: Context) -> None:
    records: list[Record] = []
    for case in [*postings.cases(context, seconds=0.5), *imports.cases(context)]:
        records += measure(case, 1, lambda _: None)
    found = [record.to_json() for record in records]
    assert [each["case"] for each in found] == [*["postings"] * 4, *["postings-http"] * 2, "import"]
    assert all(each["rows"] > 0 for each in found)
    assert len(list(targets(found))) == 6
