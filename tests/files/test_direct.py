"""Large files written past the page cache: the same bytes, the same errors, on file systems that will not have it too."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.errors import StoreFull
from counterfoil.files import direct, local
from counterfoil.files.direct import ALIGNED_BYTES
from counterfoil.files.local import LocalStore

SIZES = st.lists(st.sampled_from((0, 1, 100, 4095, 4096, 4097, 20_000, 100_000)), max_size=12)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of some kilobytes count as large."""
    monkeypatch.setattr(local, "WRITE_BYTES", 10_000)
    monkeypatch.setattr(local, "DIRECT_FROM_BYTES", 20_000)
    monkeypatch.setattr(direct, "BLOCK_BYTES", 4 * ALIGNED_BYTES)
    monkeypatch.setattr(direct, "RESERVED_BYTES", 12 * ALIGNED_BYTES)


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on the disk, and one that has no other place than memory."""
    if request.param == "disk":
        yield tmp_path
    else:
        with TemporaryDirectory(dir="/dev/shm", prefix="counterfoil-") as name:
            yield Path(name)


def pieces(sizes: list[int]) -> list[bytes]:
    return [bytes([65 + no % 26]) * size for no, size in enumerate(sizes)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES)
def test_every_byte_arrives_in_its_place(folder: Path, sizes: list[int]) -> None:
    store = LocalStore(folder)
    with store.create("file", create_only=False, cached=False) as file:
        for piece in pieces(sizes):
            file.write(piece)
        assert file.seal() == sum(sizes)
    assert store.read("file") == b"".join(pieces(sizes))
    assert list(store.remnants("", 1 << 60)) == []


def test_bytes_may_be_appended_by_the_descriptor(folder: Path) -> None:
    store = LocalStore(folder)
    with store.create("file", cached=False) as file:
        for piece in pieces([30_000, 50_000]):
            file.write(piece)
        descriptor = file.fileno()
        assert descriptor is not None
        os.write(descriptor, b"odd")
        file.write(b"C" * 50_000)
        file.seal()
    assert store.read("file") == b"".join([*pieces([30_000, 50_000]), b"odd", b"C" * 50_000])


def test_a_file_that_is_given_up_leaves_nothing(folder: Path) -> None:
    store = LocalStore(folder)
    with store.create("file", cached=False) as file:
        file.write(bytes(200_000))
        file.write(bytes(200_000))
    assert list(store.list("")) == []
    assert list(store.remnants("", 1 << 60)) == []


def test_an_error_of_a_write_under_way_is_told(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreFull):
            _fill(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(store.list("")) == []


def test_a_file_system_that_refuses_is_written_to_as_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    real = os.pwrite
    refused: list[int] = []

    def pwrite(descriptor: int, data: memoryview, at: int) -> int:
        if not refused and len(data) == direct.BLOCK_BYTES:
            refused.append(len(data))
            raise OSError(errno.EINVAL, "no")
        return real(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with store.create("file", cached=False) as file:
        for piece in pieces([30_000, 50_000, 50_001]):
            file.write(piece)
        file.seal()
    assert refused
    assert store.read("file") == b"".join(pieces([30_000, 50_000, 50_001]))


def _fill(store: LocalStore) -> None:
    with store.create("file", cached=False) as file:
        for _ in range(20):
            file.write(bytes(20_000))
        file.seal()
