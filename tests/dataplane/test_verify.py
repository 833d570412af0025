"""Verification: a sound export has no findings, and each kind of change to it has one that says what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from counterfoil.dataplane.jsonl import JsonLinesEncoder
from counterfoil.dataplane.manifest import canonical
from counterfoil.dataplane.signature import Signer
from counterfoil.dataplane.verify import Verdict, verify
from counterfoil.errors import InvalidInput
from tests.databases import sqlite_ledger
from tests.worker.exporting import World, fill, open_world, request


class Exported:
    """A finished export, copied out of the store."""

    def __init__(self, world: World, folder: Path, **more: Any) -> None:
        row = world.run(f"exp_{folder.name}", request(**more))
        assert row.result is not None, row.error_message
        self.folder = folder
        self.files: dict[str, Path] = {}
        for file in row.result["files"]:
            path = folder / file["name"]
            path.write_bytes(world.store.read(file["key"]))
            self.files[file["name"]] = path
        self.manifest = world.store.read(row.result["manifest"])
        self.document: dict[str, Any] = json.loads(self.manifest)

    @property
    def path(self) -> Path:
        (path,) = self.files.values()
        return path

    def verdict(self, **more: Any) -> Verdict:
        return verify(self.manifest, self.files, **more)

    def forge(self, signer: Signer, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the manifest as someone who has a key, and our code, would."""
        document = {name: value for name, value in self.document.items() if name != "signature"}
        change(document)
        signature = {
            "algorithm": "Ed25519",
            "public_key": signer.public_key,
            "fingerprint": signer.fingerprint,
            "value": signer.sign(canonical(document)),
        }
        self.document = {**document, "signature": signature}
        self.manifest = canonical(self.document)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with sqlite_ledger(tmp_path) as database:
        fill(database, 300)
        yield open_world(database, tmp_path)


@pytest.fixture
def exported(world: World, tmp_path: Path) -> Exported:
    return Exported(world, _new(tmp_path, "1"))


def fitting(data: bytes) -> Callable[[dict[str, Any]], None]:
    """A change that makes the manifest fit other bytes."""
    about = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return lambda document: document["files"][0].update(about)


def _new(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_sound_export_has_no_findings(exported: Exported) -> None:
    verdict = exported.verdict()
    assert verdict.sound, verdict.findings
    assert "totals by type" in verdict.checked
    assert "sum of balance" in verdict.checked


def test_a_changed_cell_is_found_by_its_bytes(exported: Exported) -> None:
    text = exported.path.read_text()
    exported.path.write_text(text.replace("POINTS_ACCRUAL,", "POINTS_ACCRUAI,", 1))
    (finding,) = exported.verdict().findings
    assert "SHA-256" in finding


def test_a_file_cut_short_or_missing_is_found(exported: Exported) -> None:
    whole = exported.path.read_bytes()
    exported.path.write_bytes(whole[:-10])
    assert f"has {len(whole) - 10} bytes" in exported.verdict().findings[0]
    exported.path.unlink()
    assert exported.verdict().findings == [f"The file {exported.path.name} is missing"]


def test_a_changed_manifest_is_found_by_its_signature(exported: Exported) -> None:
    exported.manifest = exported.manifest.replace(b'"rows":293', b'"rows":294')
    assert any("signature does not fit" in finding for finding in exported.verdict().findings)


def test_a_reformatted_manifest_is_found(exported: Exported) -> None:
    exported.manifest = json.dumps(exported.document, indent=1).encode()
    assert exported.verdict().findings == [
        "The manifest is not written as it was signed: it was changed or reformatted"
    ]


def test_a_strangers_key_is_found_when_the_right_one_is_known(exported: Exported, world: World, tmp_path: Path) -> None:
    trusted = [world.shop.signer.fingerprint]
    assert exported.verdict(trusted=trusted).sound
    exported.forge(Signer.of_home(tmp_path / "stranger"), lambda document: None)
    assert exported.verdict().sound  # all that a signature by an unknown key can say
    (finding,) = exported.verdict(trusted=trusted).findings
    assert "do not trust" in finding


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["totals"].update(rows=1), "rows"),
        (lambda d: d["files"][0].update(rows=1), "rows"),
        (lambda d: d["totals"]["columns"].update(amount=1), "amount adds up to"),
        (lambda d: d["totals"]["types"]["POINTS_ACCRUAL"].update(rows=1), "POINTS_ACCRUAL"),
        (lambda d: d["totals"]["types"].pop("POINTS_ACCRUAL"), "POINTS_ACCRUAL"),
        (lambda d: d["proof"].update(cards=6), "7 cards"),
        (lambda d: d["proof"].update(opening=1), "open with"),
        (lambda d: d["proof"].update(closing=1), "close with"),
        (lambda d: d["columns"][0].update(label="Id"), "header"),
        (lambda d: d["columns"].pop(), "header"),
        (lambda d: d["files"][0].update(sha256="0" * 64), "SHA-256"),
    ],
)
def test_a_manifest_that_lies_is_found_though_it_is_signed(
    exported: Exported, world: World, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    exported.forge(world.shop.signer, change)
    findings = exported.verdict(trusted=[world.shop.signer.fingerprint]).findings
    assert any(words in finding for finding in findings), findings


def test_a_balance_that_does_not_follow_is_found_in_the_file(exported: Exported, world: World) -> None:
    """Two balances are changed so that every sum stays, and the manifest's hashes are made to fit."""
    lines = exported.path.read_text().splitlines(keepends=True)
    cells = {no: line.split(",") for no, line in enumerate(lines) if line.startswith("vtx_")}
    one, other = list(cells)[50], list(cells)[90]
    cells[one][4], cells[other][4] = str(int(cells[one][4]) + 1), str(int(cells[other][4]) - 1)
    for no in (one, other):
        lines[no] = ",".join(cells[no])
    data = "".join(lines).encode()
    exported.path.write_bytes(data)
    exported.forge(world.shop.signer, fitting(data))
    findings = exported.verdict().findings
    assert any("do not follow" in finding for finding in findings), findings


def test_rows_that_are_no_csv_are_found(exported: Exported, world: World) -> None:
    for broken in (b"one,two\n", b'"open\n', b"\xff\n", b"x" * 3 + b",v,t,notanumber,1,c,r\n"):
        data = exported.path.read_bytes().split(b"\n")[0] + b"\n" + broken
        path = exported.folder / "broken.csv"
        path.write_bytes(data)
        exported.forge(world.shop.signer, fitting(data))
        verdict = verify(exported.manifest, {exported.path.name: path})
        assert len(verdict.findings) == 1, verdict.findings


def test_the_manifest_before_it_is_asked_for(world: World, tmp_path: Path) -> None:
    first, second, third = (Exported(world, _new(tmp_path, name)) for name in "123")
    assert second.verdict(previous=first.manifest).sound
    assert "link to manifest 1" in second.verdict(previous=first.manifest).checked
    assert "follows manifest 2" in third.verdict(previous=first.manifest).findings[0]
    altered = first.manifest.replace(b'"attempt":1', b'"attempt":2')
    assert "SHA-256" in second.verdict(previous=altered).findings[0]
    assert "first manifest" in first.verdict(previous=second.manifest).findings[0]


@pytest.mark.parametrize("compression", ["zip", "gzip"])
def test_what_is_inside_is_looked_at(world: World, tmp_path: Path, compression: str) -> None:
    exported = Exported(world.in_parts(3), _new(tmp_path, "1"), compression=compression)
    verdict = exported.verdict()
    assert verdict.sound, verdict.findings
    assert "in 3 parts" in verdict.checked[1]
    exported.path.write_bytes(exported.path.read_bytes()[:-40])
    assert len(exported.verdict().findings) >= 2


def test_other_formats_are_counted(world: World, tmp_path: Path) -> None:
    maker = replace(world.shop.maker, encoders={"jsonl": JsonLinesEncoder})
    exported = Exported(world.with_shop(maker=maker), _new(tmp_path, "1"), format="jsonl")
    verdict = exported.verdict()
    assert verdict.sound, verdict.findings
    assert f"rows of {exported.path.name}" in verdict.checked
    lines = exported.path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 293


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": "another"}', b"\xff"])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="no manifest"):
        verify(data, {})


def test_a_manifest_without_its_parts_is_refused(exported: Exported, world: World) -> None:
    exported.forge(world.shop.signer, lambda document: document.pop("files"))
    with pytest.raises(InvalidInput, match="lacks"):
        exported.verdict()


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = Signer.of_home(tmp_path), Signer.of_home(tmp_path)
    assert first.fingerprint == second.fingerprint
    (path,) = (tmp_path / "keys").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
