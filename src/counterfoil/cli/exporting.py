"""`counterfoil export`: the same queue and worker as the API, with the file where you want it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from counterfoil import log
from counterfoil import settings as settings_table
from counterfoil.cli.verifying import MANIFEST_ENDING, numbered
from counterfoil.compose import System, build
from counterfoil.db.exports import Export
from counterfoil.errors import CounterfoilError, Damaged, InvalidInput
from counterfoil.files.local import LocalStore
from counterfoil.plan.fields import parse_order
from counterfoil.plan.request import ExportRequest, Filter
from counterfoil.services.core import Caller
from counterfoil.services.exports import Ask, only
from counterfoil.web.voucherify.filter_form import read_filters

_ASK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Wanted:
    """The command's arguments as they came."""

    object_name: str
    project: str
    output: Path
    fields: str | None
    order: str | None
    filters: str | None
    campaign: str | None
    file_format: str
    split_rows: int | None
    split_bytes: int | None


def export(given: dict[str, Any], wanted: Wanted) -> None:
    """Export to `wanted.output`, its manifest beside it; ends with a line for each file that names rows and SHA-256."""
    _check_output(wanted.output)
    settings = settings_table.load(given)
    log.configure("warning", settings.log_format)
    system = build(settings)
    try:
        caller = Caller(system.access.known_project(wanted.project))
        request = _request(system, caller, wanted)
        made = system.services.exports.create(caller, Ask(request, "cli", channel="CLI"))
        system.workers.start()
        done = _wait(system, caller, made)
        _fetch(system, caller, done, wanted.output)
    finally:
        system.close()
    assert done.result is not None
    for no, file in enumerate(done.result["files"]):
        path = numbered(wanted.output, no, len(done.result["files"]))
        sys.stdout.write(f"export: {path} rows={file['rows']} sha256={file['sha256']}\n")


def _request(system: System, caller: Caller, wanted: Wanted) -> ExportRequest:
    filters: Any = None
    if wanted.filters:
        try:
            filters = msgspec.json.decode(wanted.filters)
        except msgspec.DecodeError as error:
            raise InvalidInput("invalid_json", f"--filters is not valid JSON: {error}", field="filters") from error
    request = ExportRequest(
        object=wanted.object_name,
        fields=tuple(name.strip() for name in wanted.fields.split(",")) if wanted.fields else (),
        order=parse_order(wanted.order) if wanted.order else None,
        filter=read_filters(filters, "filters"),
        scope=Filter(),
        format=wanted.file_format,
        split_rows=wanted.split_rows,
        split_bytes=wanted.split_bytes,
    )
    if wanted.campaign:
        campaign = system.services.campaigns.get(caller, wanted.campaign)
        request = replace(request, scope=only("campaign_id", campaign["id"]))
    return request


def _wait(system: System, caller: Caller, made: Export) -> Export:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("Export (rows)", total=None)
        while True:
            export = system.services.exports.get(caller, made.id)
            progress.update(bar, completed=export.rows_done, total=export.rows_total)
            if export.final:
                break
            system.clock.sleep_s(_ASK_EVERY_S)
    if export.status != "DONE":
        raise CounterfoilError(export.error_code or "export_failed", f"The export failed: {export.error_message}")
    return export


def _fetch(system: System, caller: Caller, export: Export, output: Path) -> None:
    """Copy the files out of the store; several parts get numbers before the ending.

    Each stands there when all of it is written and is what was exported, and else not at all.
    """
    assert export.result is not None
    files = export.result["files"]
    folder = LocalStore(output.parent)
    for no, about in enumerate(files):
        found = system.services.exports.download(caller, export.id, no)
        name = numbered(output, no, len(files)).name
        digest = hashlib.sha256()
        with folder.create(name, create_only=False) as staged:
            for chunk in system.store.stream(found.key):
                digest.update(chunk)
                staged.write(chunk)
            if digest.hexdigest() != about["sha256"]:
                raise Damaged("file_damaged", f"{found.key} is not what was exported; ask for the export again")
            staged.seal()
    folder.put(output.name + MANIFEST_ENDING, system.services.exports.manifest(caller, export.id), create_only=False)


def _check_output(output: Path) -> None:
    """Raises InvalidInput where no file can be put, before anything is asked for."""
    reason = None
    if not output.parent.is_dir():
        reason = f"there is no folder {output.parent}"
    elif output.exists() and not output.is_file():
        reason = f"{output} is there and is no ordinary file"
    if reason is not None:
        raise InvalidInput("unwritable", f"--output: {reason}", field="output", value=str(output))
