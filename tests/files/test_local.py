"""What only a disk can do to us: crash between two steps, fill up, forbid, and forget what was not synced."""

from __future__ import annotations

import errno
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from counterfoil.errors import Conflict, CounterfoilError, Misconfigured, NotFound, StoreFull, Unavailable
from counterfoil.files import disk
from counterfoil.files.local import WRITE_BYTES, LocalStore

FAR_FUTURE_MS = 1 << 46
NOBODY = 65_534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root)


def everything(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow past `size_bytes`. Python ignores the signal, so the kernel answers EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Make `folder` one that this process may enter but not write; root becomes nobody meanwhile."""
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(0o555)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_a_file_that_hits_the_size_limit_says_what_to_raise(store: LocalStore, root: Path) -> None:
    with file_size_limit(3 * WRITE_BYTES), store.create("a/big") as file:
        file.write(bytes(2 * WRITE_BYTES))
        with pytest.raises(StoreFull, match="ulimit -f") as full:
            file.write(bytes(2 * WRITE_BYTES))
    assert full.value.code == "store_full"
    assert not full.value.transient
    assert everything(root) == ["a"]


def test_the_size_limit_is_also_met_when_the_rest_is_flushed(store: LocalStore, root: Path) -> None:
    with file_size_limit(WRITE_BYTES), store.create("a/big") as file:
        file.write(bytes(WRITE_BYTES))
        file.write(b"one byte too many")
        with pytest.raises(StoreFull):
            file.seal()
    assert everything(root) == ["a"]


def test_a_join_that_hits_the_size_limit_leaves_nothing(store: LocalStore, root: Path) -> None:
    store.put("a", bytes(2 * WRITE_BYTES))
    with file_size_limit(3 * WRITE_BYTES), pytest.raises(StoreFull):
        store.concat(["a", "a"], "b")
    assert everything(root) == ["a"]


def test_a_full_disk_says_what_to_free(store: LocalStore, root: Path) -> None:
    # The kernel's own full device takes the file's place: the next write gets a real ENOSPC.
    with store.create("a/big") as file, Path("/dev/full").open("wb") as full_device:
        file.write(b"before")
        descriptor = file.fileno()
        assert descriptor is not None
        os.dup2(full_device.fileno(), descriptor)
        with pytest.raises(StoreFull, match=rf"disk of {root}.*retention"):
            file.write(bytes(WRITE_BYTES))
    assert everything(root) == ["a"]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, StoreFull, "store_full"),
        (errno.EDQUOT, StoreFull, "store_full"),
        (errno.EFBIG, StoreFull, "store_full"),
        (errno.EROFS, Misconfigured, "store_forbidden"),
        (errno.EACCES, Misconfigured, "store_forbidden"),
        (errno.EIO, Unavailable, "store_unavailable"),
        (errno.ESTALE, Unavailable, "store_unavailable"),
        (errno.EMFILE, Unavailable, "store_unavailable"),
    ],
)
def test_what_the_systems_errors_mean(number: int, kind: type[CounterfoilError], code: str, tmp_path: Path) -> None:
    error = disk.mapped(OSError(number, os.strerror(number)), tmp_path)
    assert type(error) is kind
    assert error.code == code
    assert str(tmp_path) in error.message


def test_a_folder_that_may_not_be_written_is_named(store: LocalStore, root: Path) -> None:
    with as_nobody(root):
        with pytest.raises(Misconfigured, match="COUNTERFOIL_FILES") as error:
            store.check()
        assert str(root) in error.value.message
        with pytest.raises(Misconfigured, match="change its owner or mode"):
            LocalStore(root / "below")


def test_a_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CounterfoilError, match="is a file"):
        LocalStore(tmp_path / "file" / "below")


def test_a_root_that_vanished_is_not_made_again(store: LocalStore, root: Path) -> None:
    root.rmdir()
    with pytest.raises(Unavailable, match="is its disk mounted"):
        store.put("a/b", b"1")
    assert not root.exists()


def test_a_file_where_a_folder_must_be(store: LocalStore) -> None:
    store.put("a", b"1")
    with pytest.raises(CounterfoilError, match="is a file, not a folder"):
        store.put("a/b", b"2")
    store.put("c/d", b"3")
    with pytest.raises(Conflict):
        store.put("c", b"4")
    assert [file.key for file in store.list("")] == ["a", "c/d"]


def test_only_our_group_may_read(store: LocalStore, root: Path) -> None:
    store.put("a/b", b"1")
    assert stat.S_IMODE((root / "a/b").stat().st_mode) & 0o137 == 0
    assert stat.S_IMODE((root / "a").stat().st_mode) & 0o027 == 0


def test_links_and_devices_are_no_files(store: LocalStore, root: Path) -> None:
    store.put("real", b"1")
    (root / "link").symlink_to(root / "real")
    os.mkfifo(root / "pipe")
    assert [file.key for file in store.list("")] == ["real"]
    with pytest.raises(NotFound):
        store.size_bytes("link")


def test_a_descriptor_may_be_written_to_in_between(store: LocalStore) -> None:
    with store.create("mixed") as file:
        file.write(b"one,")
        descriptor = file.fileno()
        assert descriptor is not None
        os.write(descriptor, b"two,")
        file.write(b"three,")
        assert file.fileno() == descriptor
        os.write(descriptor, b"four")
        assert file.seal() == 18
    assert store.read("mixed") == b"one,two,three,four"


def test_what_is_published_was_synced_and_its_folders_after(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_sync, real_link = os.fsync, os.link

    def sync(descriptor: int) -> None:
        real_sync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        name = path.relative_to(root.parent).as_posix()
        steps.append("sync staged" if path.name.startswith(".staged-") else f"sync {name}")

    def link(source: Path, target: Path) -> None:
        real_link(source, target)
        steps.append("link")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    store.put("a/b/c", b"1")
    made, sealed = steps[: steps.index("sync staged")], steps[steps.index("sync staged") :]
    assert made == ["sync files", "sync files/a"]
    assert sealed == ["sync staged", "link", "sync files/a/b", "sync files/a", "sync files"]


def test_a_file_that_could_not_be_made_durable_is_not_left_visible(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_sync_folders = disk.sync_folders

    def broken(folder: Path, below: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with store.create("a/b") as file:
        file.write(b"1")
        monkeypatch.setattr(disk, "sync_folders", broken)
        with pytest.raises(Unavailable):
            file.seal()
    assert everything(root) == ["a"]
    monkeypatch.setattr(disk, "sync_folders", real_sync_folders)
    store.put("a/b", b"2")
    assert store.read("a/b") == b"2"


def test_a_file_system_without_hard_links_is_named(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(Misconfigured, match="refuses hard links") as error:
        store.check()
    assert error.value.code == "store_unfit"
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP])
def test_files_are_joined_where_the_kernel_cannot_copy(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def unable(source: int, target: int, count: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", unable)
    store.put("a", b"a" * 3_000_001)
    store.put("b", b"b" * 5)
    assert store.concat(["a", "b", "a"], "c") == 6_000_007
    assert store.read("c") == b"a" * 3_000_001 + b"b" * 5 + b"a" * 3_000_001


def test_delete_prefix_removes_the_folders_it_empties(store: LocalStore, root: Path) -> None:
    store.put("e/p/1/a", b"1")
    store.put("e/q/1/a", b"1")
    assert store.delete_prefix("e/p/1") == 1
    assert everything(root) == ["e", "e/q", "e/q/1", "e/q/1/a"]
    assert store.delete_prefix("e") == 1
    assert everything(root) == []


def test_writers_and_a_sweep_of_their_folders_do_not_hurt_each_other(store: LocalStore) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def sweep() -> None:
        while not done.is_set():
            try:
                store.delete_prefix("e/1")
            except BaseException as error:  # noqa: BLE001 a thread must hand its error over, whatever it is
                failures.append(error)
                return

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    refusals: list[CounterfoilError] = []
    for number in range(100):
        try:
            store.put(f"e/1/{number}", b"1")
        except (Conflict, Unavailable) as error:  # swept before it was sealed, or before its folder was used
            refusals.append(error)
        store.put(f"e/2/{number}", b"1")
    done.set()
    sweeper.join()
    assert failures == []
    assert {error.code for error in refusals} <= {"file_removed", "store_unavailable"}
    store.delete_prefix("e/1")
    assert [file.key for file in store.list("")] == sorted(f"e/2/{number}" for number in range(100))
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def test_a_replaced_file_is_read_to_its_end(store: LocalStore) -> None:
    store.put("a", b"old" * 1000)
    chunks = store.stream("a", chunk_bytes=100)
    store.put("a", b"new", create_only=False)
    assert b"".join(chunks) == b"old" * 1000
    assert store.read("a") == b"new"
