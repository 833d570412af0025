"""A writer is killed (SIGKILL) while it writes: nothing of its file is seen, and what it left is found and removed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from counterfoil.ids import random_text
from tests.files.writer import STAGED_BYTES
from tests.services import S3Server

ROOT = Path(__file__).parents[2]
FAR_FUTURE_MS = 1 << 46

pytestmark = pytest.mark.crash


def kill_writer(url: str, options: StoreOptions, key: str, stage: str) -> None:
    """Let a process of its own write `key`, and kill it once it has come as far as `stage`."""
    arguments = [url, json.dumps(asdict(options)), key, stage]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.files.writer", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        said = writer.stdout.readline()
        writer.kill()
    assert said == "there\n"
    assert writer.returncode == -9


def check_killed_before_seal(store: Store, options: StoreOptions) -> None:
    store.put("e/1/done", b"1")
    kill_writer(store.url, options, "e/2/part", "staged")
    assert [file.key for file in store.list("")] == ["e/1/done"]
    (remnant,) = store.remnants("e", FAR_FUTURE_MS)
    assert remnant.key == "e/2/part"
    assert store.delete_prefix("e/2") == 1
    assert list(store.remnants("", FAR_FUTURE_MS)) == []
    assert [file.key for file in store.list("")] == ["e/1/done"]
    store.put("e/2/part", b"second try")


def check_killed_after_seal(store: Store, options: StoreOptions) -> None:
    kill_writer(store.url, options, "e/2/part", "sealed")
    assert [(file.key, file.size_bytes) for file in store.list("")] == [("e/2/part", STAGED_BYTES)]
    assert store.read("e/2/part") == bytes(STAGED_BYTES)
    assert list(store.remnants("", FAR_FUTURE_MS)) == []


def s3_options(server: S3Server) -> StoreOptions:
    return StoreOptions(
        endpoint=server.endpoint,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
        allow_http=True,
        part_size_bytes=5 << 20,
    )


@pytest.mark.parametrize("check", [check_killed_before_seal, check_killed_after_seal])
def test_on_a_disk(check, tmp_path: Path) -> None:
    check(open_store(tmp_path.as_uri()), StoreOptions())


@pytest.mark.parametrize("check", [check_killed_before_seal, check_killed_after_seal])
def test_on_s3(check, seaweed: S3Server) -> None:
    options = s3_options(seaweed)
    check(open_store(f"s3://{seaweed.bucket}/crash/{random_text(12)}", options), options)


def test_a_disk_writer_killed_between_its_two_last_steps_leaves_a_whole_file(tmp_path: Path) -> None:
    # The hard link is made, the hidden name not yet removed: the file is there, and the name is a remnant of it.
    store = open_store(tmp_path.as_uri())
    kill_writer(store.url, StoreOptions(), "part", "staged")
    (remnant,) = store.remnants("", FAR_FUTURE_MS)
    (tmp_path / "part").hardlink_to(tmp_path / remnant.handle)
    assert store.size_bytes("part") == STAGED_BYTES
    (remnant,) = store.remnants("", FAR_FUTURE_MS)
    store.discard(remnant)
    assert store.read("part") == bytes(STAGED_BYTES)
    assert list(store.remnants("", FAR_FUTURE_MS)) == []
