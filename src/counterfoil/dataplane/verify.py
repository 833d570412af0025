"""Verification of an export offline: its manifest against its files, with nothing else at hand.

Says in words what does not hold. What was checked is said too, because a file without the card's column cannot show
that balances follow from one another, however sound it is.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip

from counterfoil.dataplane.chain import Chain, ChainTotals, settle
from counterfoil.dataplane.csv_reading import Shape, blocks, chain_rows, count_block
from counterfoil.dataplane.manifest import FORMAT, canonical, file_hash
from counterfoil.dataplane.rows import Rows
from counterfoil.dataplane.signature import fingerprint_of, is_signed
from counterfoil.dataplane.tally import Totals
from counterfoil.errors import Damaged, InvalidInput

_CHUNK_BYTES = 1 << 20
_COUNTED = ("csv", "jsonl", "parquet")
_UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException)


@dataclass(slots=True)
class Verdict:
    """findings: what is wrong, in words; none means that all held. checked: what was looked at, in words."""

    findings: list[str] = field(default_factory=list[str])
    checked: list[str] = field(default_factory=list[str])

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings


def verify(
    manifest: bytes,
    files: Mapping[str, Path],
    *,
    previous: bytes | None = None,
    trusted: Collection[str] = (),
) -> Verdict:
    """Check a manifest (its file's bytes) against the files it names.

    files: where each lies, by the name in the manifest. previous: the manifest it says it follows. trusted:
    fingerprints of keys that may sign; without any, a signature shows only that nothing changed since it was made.
    Raises InvalidInput('invalid_manifest') for bytes that are no manifest.
    """
    document = read_manifest(manifest)
    verdict = Verdict()
    try:
        _check(document, manifest, files, previous, trusted, verdict)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput("invalid_manifest", f"The manifest lacks a part of its format: {error}") from error
    return verdict


def _check(
    document: dict[str, Any],
    manifest: bytes,
    files: Mapping[str, Path],
    previous: bytes | None,
    trusted: Collection[str],
    verdict: Verdict,
) -> None:
    _check_signature(document, manifest, trusted, verdict)
    _check_previous(document, previous, verdict)
    totals = Totals()
    complete = True
    for about in document["files"]:
        path = files.get(about["name"])
        if path is None or not path.is_file():
            verdict.findings.append(f"The file {about['name']} is missing")
            complete = False
        elif _check_bytes(about, path, document, verdict):
            complete &= _count(about, path, document, totals, verdict)
        else:
            complete = False
    if complete:
        _check_totals(document, totals, verdict)
        _check_chain(document, files, verdict)


def read_manifest(data: bytes) -> dict[str, Any]:
    """The document in a manifest's bytes. Raises InvalidInput('invalid_manifest') when it is none."""
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict) or cast(dict[str, Any], document).get("format") != FORMAT:
        raise InvalidInput("invalid_manifest", f"This is no manifest of the format {FORMAT}", field="manifest")
    return cast(dict[str, Any], document)


def _check_signature(document: Mapping[str, Any], data: bytes, trusted: Collection[str], verdict: Verdict) -> None:
    signature = document.get("signature", {})
    public_key = str(signature.get("public_key", ""))
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    if canonical(dict(document)) != data:
        verdict.findings.append("The manifest is not written as it was signed: it was changed or reformatted")
    if not is_signed(canonical(unsigned), public_key, str(signature.get("value", ""))):
        verdict.findings.append("The signature does not fit: the manifest was changed after it was signed")
        return
    fingerprint = fingerprint_of(public_key)
    if signature.get("fingerprint") != fingerprint:
        verdict.findings.append(f"The fingerprint in the manifest is not that of its key, {fingerprint}")
    if trusted and fingerprint not in trusted:
        verdict.findings.append(f"It was signed with a key that you do not trust: {fingerprint}")
    known = "trusted" if trusted and fingerprint in trusted else "unknown"
    verdict.checked.append(f"signature, by the {known} key {fingerprint}")


def _check_previous(document: Mapping[str, Any], previous: bytes | None, verdict: Verdict) -> None:
    link = document["previous"]
    if previous is None:
        return
    if link is None:
        verdict.findings.append("It says that it is the project's first manifest, so nothing can stand before it")
        return
    before = read_manifest(previous)
    if file_hash(previous) != link["sha256"] or before["no"] != link["no"] or document["no"] != link["no"] + 1:
        verdict.findings.append(
            f"It follows manifest {link['no']} with SHA-256 {link['sha256']}; the one given is manifest "
            f"{before['no']} with SHA-256 {file_hash(previous)}"
        )
    if before["project"] != document["project"]:
        verdict.findings.append("The manifest before it is another project's")
    verdict.checked.append(f"link to manifest {link['no']}")


# -- bytes ------------------------------------------------------------------------------------------------------------


def _check_bytes(about: Mapping[str, Any], path: Path, document: Mapping[str, Any], verdict: Verdict) -> bool:
    """Whether the file is what the manifest says, byte for byte, inside and out."""
    before = len(verdict.findings)
    with path.open("rb") as file:
        _compare(about["name"], about, *_digest(file), verdict)
    content = about.get("content")
    parts = document["parts"]
    try:
        if content is not None:
            with _content(about, path) as inside:
                _compare(content["name"], content, *_digest(inside), verdict)
        if parts:
            with _content(about, path) as inside:
                _check_parts(parts, inside, verdict)
    except _UNREADABLE as error:
        verdict.findings.append(f"{about['name']} cannot be unpacked: {error}")
    verdict.checked.append(f"bytes of {about['name']}" + (f", in {len(parts)} parts" if parts else ""))
    return len(verdict.findings) == before


def _compare(name: str, about: Mapping[str, Any], size_bytes: int, sha256: str, verdict: Verdict) -> None:
    if size_bytes != about["bytes"]:
        verdict.findings.append(f"{name} has {size_bytes} bytes, the manifest says {about['bytes']}")
    elif sha256 != about["sha256"]:
        verdict.findings.append(f"{name} has SHA-256 {sha256}, the manifest says {about['sha256']}")


def _check_parts(parts: list[Mapping[str, Any]], content: BinaryIO, verdict: Verdict) -> None:
    for part in parts:
        size_bytes, sha256 = _digest(content, part["bytes"])
        if (size_bytes, sha256) != (part["bytes"], part["sha256"]):
            verdict.findings.append(f"Part {part['no']} of the file is not what the manifest says")


def _digest(file: BinaryIO, size_max: int | None = None) -> tuple[int, str]:
    """Size and SHA-256 of what is left of a file, or of its next `size_max` bytes."""
    digest = hashlib.sha256()
    size_bytes = 0
    while size_max is None or size_bytes < size_max:
        chunk = file.read(_CHUNK_BYTES if size_max is None else min(_CHUNK_BYTES, size_max - size_bytes))
        if not chunk:
            break
        digest.update(chunk)
        size_bytes += len(chunk)
    return size_bytes, digest.hexdigest()


@contextmanager
def _content(about: Mapping[str, Any], path: Path) -> Generator[BinaryIO]:
    """What is in the file, unpacked."""
    with ExitStack() as stack:
        if about["media_type"] == "application/gzip":
            yield cast(BinaryIO, stack.enter_context(igzip.open(path, "rb")))
        elif about["media_type"] == "application/zip":
            archive = stack.enter_context(zipfile.ZipFile(path))
            if archive.namelist() != [about["content"]["name"]]:
                raise zipfile.BadZipFile(f"it holds {archive.namelist()}, not {about['content']['name']} alone")
            yield cast(BinaryIO, stack.enter_context(archive.open(about["content"]["name"])))
        else:
            yield stack.enter_context(path.open("rb"))


# -- rows -------------------------------------------------------------------------------------------------------------


def _count(about: Mapping[str, Any], path: Path, document: Mapping[str, Any], totals: Totals, verdict: Verdict) -> bool:
    """Count the rows of a file anew; whether that could be done."""
    if document["file_format"] not in _COUNTED:
        verdict.checked.append(f"not the rows of {about['name']}: {document['file_format']} files are not read back")
        return False
    before = totals.rows
    try:
        with _content(about, path) as content:
            _count_rows(document, content, totals)
    except (Damaged, *_UNREADABLE) as error:
        verdict.findings.append(f"{about['name']}: {error}")
        return False
    if totals.rows - before != about["rows"]:
        verdict.findings.append(f"{about['name']} has {totals.rows - before} rows, the manifest says {about['rows']}")
    verdict.checked.append(f"rows of {about['name']}")
    return True


def _count_rows(document: Mapping[str, Any], content: BinaryIO, totals: Totals) -> None:
    match document["file_format"]:
        case "csv":
            shape = Shape.of(document["columns"])
            for block in blocks(content, shape):
                count_block(block, shape, list(document["totals"]["columns"]), totals)
        case "jsonl":
            totals.rows += sum(1 for _ in content)
        case _:
            totals.rows += pq.ParquetFile(content).metadata.num_rows


def _check_totals(document: Mapping[str, Any], totals: Totals, verdict: Verdict) -> None:
    """Totals of all files together. Only a CSV file is read cell by cell."""
    said = document["totals"]
    if totals.rows != said["rows"]:
        verdict.findings.append(f"The files have {totals.rows} rows, the manifest says {said['rows']}")
    if document["file_format"] != "csv":
        return
    for name, total in said["columns"].items():
        if totals.columns.get(name, 0) != total:
            verdict.findings.append(f"{name} adds up to {totals.columns.get(name, 0)}, the manifest says {total}")
        verdict.checked.append(f"sum of {name}")
    if Shape.of(document["columns"]).has("type", "amount"):
        found = totals.to_json()["types"]
        for name in sorted(found.keys() | said["types"].keys()):
            if found.get(name) != said["types"].get(name):
                verdict.findings.append(
                    f"{name}: the files show {found.get(name)}, the manifest says {said['types'].get(name)}"
                )
        verdict.checked.append("totals by type")


# -- the chain --------------------------------------------------------------------------------------------------------


def _check_chain(document: Mapping[str, Any], files: Mapping[str, Path], verdict: Verdict) -> None:
    """Follow every card's balance through the files, where the columns for it are there."""
    proof = document["proof"]
    shape = Shape.of(document["columns"])
    if (
        proof["kind"] == "totals"
        or document["file_format"] != "csv"
        or not shape.has("voucher_id", "amount", "balance")
    ):
        return
    descending = bool(document["order"]["descending"])
    chain = Chain(descending=descending)
    for rows in _all_rows(document, files, shape, descending=descending):
        chain.add(rows)
    found = chain.totals()
    if len(found.suspects):
        settle(
            found,
            iter(lambda: _all_rows(document, files, shape, descending=descending), None),
            descending=descending,
        )
    _compare_chain(proof, found, verdict)
    verdict.checked.append(f"balances of {found.cards} cards, movement by movement")


def _compare_chain(proof: Mapping[str, Any], found: ChainTotals, verdict: Verdict) -> None:
    broken = found.runs - found.cards
    if broken and not proof["shuffled_cards"]:
        places = ", ".join(f"{card} (row {abs(row)})" for card, row in found.broken)
        verdict.findings.append(f"Balances do not follow from the movements before them in {broken} places: {places}")
    if found.cards != proof["cards"]:
        verdict.findings.append(f"There are {found.cards} cards, the manifest says {proof['cards']}")
    if proof["shuffled_cards"]:
        verdict.checked.append(
            f"{proof['shuffled_cards']} cards have back-dated movements, so the file's order is not the order of "
            "posting and their balances cannot be followed from the file alone"
        )
        return
    if (found.opening, found.closing) != (proof["opening"], proof["closing"]):
        verdict.findings.append(
            f"The cards open with {found.opening} and close with {found.closing}, the manifest says "
            f"{proof['opening']} and {proof['closing']}"
        )


def _all_rows(
    document: Mapping[str, Any], files: Mapping[str, Path], shape: Shape, *, descending: bool
) -> Iterator[Rows]:
    row = 1
    for about in document["files"]:
        with _content(about, files[about["name"]]) as content:
            for block in blocks(content, shape):
                yield chain_rows(block, shape, row, descending=descending)
                row += len(block)
