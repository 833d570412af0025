"""Uploaded CSV files: kept in the file store, and brought in by the background a block of rows at a time.

A step's rows and the place reached in the file are committed together, so a crash loses nothing and does nothing twice.
Types of the async actions: VOUCHERS.IMPORT_CSV, CAMPAIGN.VOUCHERS_IMPORT_CSV, CUSTOMERS.IMPORT_CSV.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from counterfoil.catalog.importables import CUSTOMER_UPLOAD, MEMBER, VOUCHER_UPLOAD, Importable, ImportColumn
from counterfoil.catalog.kinds import Kind
from counterfoil.dataplane.intake import Block, CsvIntake, Place
from counterfoil.db import async_actions, campaigns
from counterfoil.db.unit import Idempotency, Unit
from counterfoil.domain.campaigns import template_of
from counterfoil.errors import CounterfoilError
from counterfoil.files.store import Bytes, Store
from counterfoil.ids import random_id
from counterfoil.services.async_actions import Action, Step, Work, enqueue
from counterfoil.services.core import Caller, Core
from counterfoil.services.csv_vouchers import read_voucher_upload, store_vouchers
from counterfoil.services.customer_imports import read_customer_upload, store_customers
from counterfoil.services.imports.report import Item, read_items

VOUCHERS_CSV = "VOUCHERS.IMPORT_CSV"
CAMPAIGN_CSV = "CAMPAIGN.VOUCHERS_IMPORT_CSV"
CUSTOMERS_CSV = "CUSTOMERS.IMPORT_CSV"
BATCH = 200
"""Rows stored in one transaction: some tens of milliseconds, so that other writers hardly wait."""
FAILED_MAX = 1_000
"""So many refused rows are told one by one; the rest are counted."""
LEFT_OVER_MS = 3_600_000
"""An upload that no action names is what a crash or a failed action left, once it is so old."""


_TOP = Place(0, 1)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the files of one type of action are read."""

    about: Importable
    words: str


_KINDS = {
    VOUCHERS_CSV: _Kind(VOUCHER_UPLOAD, "voucher(s)"),
    CAMPAIGN_CSV: _Kind(VOUCHER_UPLOAD, "voucher(s)"),
    CUSTOMERS_CSV: _Kind(CUSTOMER_UPLOAD, "customer(s)"),
}


class CsvImports:
    """Takes uploads in, and is the handler that brings them in. wake: called when an async action has been asked for."""

    def __init__(self, core: Core, store: Store, wake: Callable[[], object]) -> None:
        self._core = core
        self._store = store
        self._wake = wake

    def vouchers(self, caller: Caller, content: Iterable[Bytes]) -> str:
        """Ask for an uploaded file of standalone vouchers to be brought in; returns the async action's id.

        Raises InvalidInput for a file without a header that can be understood. The caller's idempotency key, if any,
        then also stands for the content.
        """
        return self._take(caller, VOUCHERS_CSV, content, None)

    def campaign_vouchers(self, caller: Caller, campaign: str, content: Iterable[Bytes]) -> str:
        """The same for vouchers of a campaign (id or name). Raises NotFound; InvalidInput for one without vouchers."""
        return self._take(caller, CAMPAIGN_CSV, content, campaign)

    def customers(self, caller: Caller, content: Iterable[Bytes]) -> str:
        """The same for customers."""
        return self._take(caller, CUSTOMERS_CSV, content, None)

    def _take(self, caller: Caller, action_type: str, content: Iterable[Bytes], campaign: str | None) -> str:
        key = f"{_folder(caller.project_id)}/{random_id('up_')}.csv"
        size, digest = self._keep(key, content)
        if caller.idempotency is not None:
            told = hashlib.sha256(f"{caller.idempotency.request_hash} {digest}".encode()).hexdigest()
            caller = replace(caller, idempotency=Idempotency(caller.idempotency.key, told))
        try:
            intake = self._intake(action_type, key)
            payload = {"key": key, "size": size, "header": intake.header, "start": _numbers(intake.place)}

            def work(unit: Unit) -> dict[str, str]:
                asked = {**payload, "campaign_id": _campaign_id(unit, campaign)}
                return {"id": enqueue(unit, action_type, asked, request_id=caller.request_id), "key": key}

            answer = self._core.write(caller, work)
        except CounterfoilError:
            self._drop(key)
            raise
        if answer["key"] != key:
            self._drop(key)  # the same request was made before, and its own copy is kept
        self._wake()
        self._sweep(caller.project_id)
        return answer["id"]

    def _keep(self, key: str, content: Iterable[Bytes]) -> tuple[int, str]:
        """Write the upload to the store; returns its size in bytes and its SHA-256."""
        digest = hashlib.sha256()
        with self._store.create(key) as staged:
            for chunk in content:
                digest.update(chunk)
                staged.write(chunk)
            return staged.seal(), digest.hexdigest()

    def _intake(
        self, action_type: str, key: str, header: Sequence[str | None] | None = None, at: Place = _TOP
    ) -> CsvIntake:
        source = _Chunks(self._store.stream(key, at.offset))
        return CsvIntake(source, _KINDS[action_type].about, _lookup(_KINDS[action_type].about), header=header, at=at)

    def _drop(self, key: str) -> None:
        with suppress(CounterfoilError):
            self._store.delete(key)

    def _sweep(self, project_id: int) -> None:
        """Remove uploads of the project that no unfinished action needs any more."""
        with suppress(CounterfoilError):
            with self._core.read() as connection:
                payloads = async_actions.unfinished_payloads(connection, project_id, tuple(_KINDS))
            needed = {payload["key"] for payload in payloads}
            before_ms = self._core.clock.now_ms() - LEFT_OVER_MS
            for file in list(self._store.list(_folder(project_id))):
                if file.modified_ms < before_ms and file.key not in needed:
                    self._store.delete(file.key)

    # -- in the background ------------------------------------------------------------------------------------------

    def __call__(self, action: Action) -> Work:
        """The next block of rows."""
        payload: dict[str, Any] = action.payload
        start = {"at": payload["start"], "done": 0, "failed": [], "failed_count": 0, "ended": False}
        before: dict[str, Any] = action.checkpoint or start
        if before["ended"]:
            # Everything is committed, and the file goes before its action does: it may hold what nobody should keep.
            self._store.delete(payload["key"])
            return lambda _: Step(result=_result(_KINDS[action.type].words, before))
        intake = self._intake(action.type, payload["key"], payload["header"], Place(*before["at"]))
        block = next(intake.blocks(BATCH), None)
        if block is None:
            return lambda _: Step({**before, "ended": True}, 99)
        items = _read(action.type, block)

        def work(unit: Unit) -> Step:
            failed = _store(unit, action.type, items, payload["campaign_id"])
            now = {
                "at": _numbers(block.after),
                "done": before["done"] + len(items) - len(failed),
                "failed": [*before["failed"], *failed][:FAILED_MAX],
                "failed_count": before["failed_count"] + len(failed),
                "ended": False,
            }
            return Step(now, min(99, block.after.offset * 100 // max(1, payload["size"])))

        return work


class _Chunks:
    """Chunks of bytes as lines."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self._at = 0

    def readline(self, size: int, /) -> bytes:
        """The next line with its end, cut at `size` bytes; empty at the end."""
        parts: list[bytes] = []
        length = 0
        while True:
            end = self._held.find(b"\n", self._at, self._at + size - length)
            stop = end + 1 if end >= 0 else min(len(self._held), self._at + size - length)
            parts.append(self._held[self._at : stop])
            length += stop - self._at
            self._at = stop
            if end >= 0 or length >= size:
                return b"".join(parts)
            self._held, self._at = next(self._chunks, b""), 0
            if not self._held:
                return b"".join(parts)


def _folder(project_id: int) -> str:
    return f"imports/{project_id}"


def _numbers(place: Place) -> list[int]:
    return [place.offset, place.line]


def _campaign_id(unit: Unit, campaign: str | None) -> str | None:
    if campaign is None:
        return None
    row = campaigns.campaign_row(unit, unit.project_id, campaign)
    template_of(row, unit.now_ms, drawn=False)
    return row["id"]


def _lookup(about: Importable) -> Callable[[str], ImportColumn | None]:
    """Whatever is no column of the object is a property of its metadata, as the vendor says."""

    def column(label: str) -> ImportColumn | None:
        if not label.strip():
            return None
        return about.column(label) or ImportColumn(f"{MEMBER}{label}", Kind.ANY, (label,))

    return column


def _read(action_type: str, block: Block) -> list[Item]:
    if action_type == CUSTOMERS_CSV:
        return read_items(block, read_customer_upload)
    return read_items(block, lambda row: read_voucher_upload(row, in_campaign=action_type == CAMPAIGN_CSV))


def _store(unit: Unit, action_type: str, items: Sequence[Item], campaign_id: str | None) -> list[dict[str, Any]]:
    """Store what can be stored of a block; what was wrong with the rest, with the line."""
    good = [item for item in items if item.reason is None]
    values = [item.value for item in good]
    if action_type == CUSTOMERS_CSV:
        reasons = store_customers(unit, values)
    else:
        reasons = store_vouchers(unit, values, campaign_id)
    refused = [(item, item.reason) for item in items if item.reason is not None]
    refused += [(good[at], reason) for at, reason in reasons.items()]
    refused.sort(key=lambda pair: pair[0].line)
    name = "source_id" if action_type == CUSTOMERS_CSV else "code"
    return [{"line": item.line, name: item.cells.get(name), "reason": reason} for item, reason in refused]


def _result(words: str, done: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "message": f"{done['done']} {words} imported successfully, {done['failed_count']} failed.",
        "failed": done["failed"],
        "done_count": done["done"],
        "failed_count": done["failed_count"],
    }
