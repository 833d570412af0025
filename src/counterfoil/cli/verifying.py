"""`counterfoil verify`: an export against its manifest, offline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from counterfoil.dataplane.verify import read_manifest
from counterfoil.dataplane.verify import verify as check
from counterfoil.errors import InvalidInput

MANIFEST_ENDING = ".manifest.json"
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}")


def verify(
    manifest: Path,
    file: Path | None = None,
    previous: Path | None = None,
    *,
    trusted: Sequence[str] = (),
    console: Console | None = None,
) -> int:
    """Print what was checked and what was found; returns 0 when all holds, 1 otherwise.

    trusted: fingerprints of keys, one of which must have signed. Raises InvalidInput.
    """
    for fingerprint in trusted:
        if not _FINGERPRINT.fullmatch(fingerprint):
            words = (
                f"--key {fingerprint} is no fingerprint; it must be 64 hex digits, as `counterfoil keys signing` shows"
            )
            raise InvalidInput("invalid_fingerprint", words, field="key", value=fingerprint)
    console = console or Console(highlight=False)
    data = _bytes(manifest)
    document = read_manifest(data)
    names = [str(about["name"]) for about in document["files"]]
    before = None if previous is None else _bytes(previous)
    verdict = check(data, _files(names, manifest, file), previous=before, trusted=[t.lower() for t in trusted])
    for line in verdict.checked:
        console.print(f"[green]ok  [/green] {line}", soft_wrap=True)
    for line in verdict.findings:
        console.print(f"[red]BAD [/red] {line}", soft_wrap=True)
    console.print("the export is what its manifest says" if verdict.sound else f"{len(verdict.findings)} finding(s)")
    return 0 if verdict.sound else 1


def _files(names: list[str], manifest: Path, file: Path | None) -> dict[str, Path]:
    """Where each named file lies: as given, else as `counterfoil export` leaves it, else beside the manifest.

    file: the one file, or the folder that holds several under their own names.
    """
    if file is not None and len(names) == 1 and not file.is_dir():
        return {names[0]: file}
    if file is not None and not file.is_dir():
        raise InvalidInput(
            "several_files",
            f"The export has {len(names)} files; --file must be the folder they are in",
            field="file",
            value=str(file),
        )
    folder = manifest.parent if file is None else file
    left = folder / manifest.name.removesuffix(MANIFEST_ENDING)
    found = {name: folder / name for name in names}
    return {
        name: path if path.is_file() else numbered(left, no, len(names))
        for no, (name, path) in enumerate(found.items())
    }


def numbered(output: Path, no: int, count: int) -> Path:
    """The path of the numbered file of an export whose output was to be there: several have numbers before the ending."""
    return output if count == 1 else output.with_suffix(f".{no + 1:04}{output.suffix}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput("unreadable", f"{path}: {error.strerror}", field="manifest", value=str(path)) from error
