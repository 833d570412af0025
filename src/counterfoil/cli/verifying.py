"""`counterfoil verify`: an export against its manifest, offline."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from counterfoil.dataplane.verify import read_manifest
from counterfoil.dataplane.verify import verify as check
from counterfoil.errors import InvalidInput

MANIFEST_ENDING = ".manifest.json"


def verify(manifest: Path, file: Path | None, previous: Path | None) -> int:
    """Print what was checked and what was found; returns 0 when all holds, 1 otherwise."""
    console = Console(highlight=False)
    data = _bytes(manifest)
    document = read_manifest(data)
    names = [str(about["name"]) for about in document["files"]]
    verdict = check(data, _files(names, manifest, file), previous=None if previous is None else _bytes(previous))
    for line in verdict.checked:
        console.print(f"[green]ok  [/green] {line}", soft_wrap=True)
    for line in verdict.findings:
        console.print(f"[red]BAD [/red] {line}", soft_wrap=True)
    console.print("the export is what its manifest says" if verdict.sound else f"{len(verdict.findings)} finding(s)")
    return 0 if verdict.sound else 1


def _files(names: list[str], manifest: Path, file: Path | None) -> dict[str, Path]:
    """Where each named file lies: as given, else as `counterfoil export` leaves it, else beside the manifest."""
    if file is not None:
        return {names[0]: file}
    if len(names) == 1 and manifest.name.endswith(MANIFEST_ENDING):
        beside = manifest.with_name(manifest.name.removesuffix(MANIFEST_ENDING))
        if beside.is_file():
            return {names[0]: beside}
    return {name: manifest.parent / name for name in names}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput("unreadable", f"{path}: {error.strerror}", field="manifest", value=str(path)) from error
