"""Segments in a store that is not this machine's disk: compressed, read in pieces, and the same rows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.archive.remote_file import RemoteFile
from counterfoil.archive.segment_writer import Codec, codec_for
from counterfoil.archive.workbench import Workbench
from counterfoil.files.local import LocalStore
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from counterfoil.plan.planner import select
from counterfoil.plan.request import ExportRequest, Order
from tests.archive.random_ledger import PROJECT, Archived
from tests.databases import sqlite_ledger
from tests.services import S3Server


class Distant:
    """A store on this disk that does not let on."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.reads: list[tuple[int, int | None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def local_path(self, key: str) -> Path | None:
        return None

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads.append((start, length))
        return self._store.read(key, start, length)


def check_agreement(database: Any, store: Store, codec: Codec) -> None:
    archived = Archived(database, store, Workbench(store, codec, rows_max=100, batch_rows=16))
    draw = random.Random(1)
    for _ in range(4):
        archived.grow(draw, 80)
        archived.seal()
    archived.compact()
    for descending in (False, True):
        request = ExportRequest("movement", order=Order("created_at", descending))
        selection = select(request, project_id=PROJECT, seq_max=archived.last_seq(), now_ms=0)
        assert archived.agrees(selection) > 10_000
    assert archived.reports == []


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_a_distant_archive_agrees(tmp_path: Path, codec: Codec) -> None:
    store: Any = Distant(LocalStore(tmp_path / "files"))
    assert codec_for(store) == "zstd"
    with sqlite_ledger(tmp_path) as database:
        check_agreement(database, store, codec)


@pytest.mark.s3
def test_an_archive_on_s3_agrees(tmp_path: Path, seaweed: S3Server) -> None:
    options = StoreOptions(
        endpoint=seaweed.endpoint,
        region=seaweed.region,
        access_key=seaweed.access_key,
        secret_key=seaweed.secret_key,
        allow_http=True,
    )
    store = open_store(f"s3://{seaweed.bucket}/archive", options)
    with sqlite_ledger(tmp_path) as database:
        check_agreement(database, store, codec_for(store))


@given(
    size=st.integers(0, 60),
    window=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 60), st.none() | st.integers(0, 50)), max_size=12),
)
def test_a_remote_file_reads_as_a_file_does(
    tmp_path_factory: pytest.TempPathFactory, size: int, window: int, steps: list[tuple[int, int | None]]
) -> None:
    folder = tmp_path_factory.mktemp("remote")
    data = bytes(range(size))
    store: Any = Distant(LocalStore(folder))
    store.put("a", data)
    file = RemoteFile(store, "a", size, window)
    assert file.size() == size
    for at, count in steps:
        file.seek(at)
        end = None if count is None else at + count
        assert bytes(file.read(count)) == data[at:end]
        assert file.tell() == max(at, min(size, size if end is None else end))
