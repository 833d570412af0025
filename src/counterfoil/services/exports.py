"""Exports as callers use them: ask, look, list, cancel, remove, download. Running them is the worker's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.dataplane.formats import format_named
from counterfoil.db import campaigns, exports, ledger, vouchers
from counterfoil.db.exports import Export, ExportPage, ListOrder, NewExport
from counterfoil.db.unit import Unit
from counterfoil.errors import Conflict, CounterfoilError, Forbidden, Gone, InvalidInput, NotFound
from counterfoil.files.store import Store
from counterfoil.ids import random_id
from counterfoil.plan import planner
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter
from counterfoil.services.core import Caller, Core
from counterfoil.services.links import Links
from counterfoil.services.project_settings import with_settings

CARD_CAMPAIGNS = ("LOYALTY_PROGRAM", "GIFT_VOUCHERS")


@dataclass(frozen=True, slots=True)
class Ask:
    """An export to make. echo: what the dialect will show of the request. export_id: the dialect's own id for it.
    seq_max: the snapshot of an earlier export that this one goes on from; None for what the ledger holds now. path: as
    `planner.check` takes it."""

    request: ExportRequest
    dialect: str
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    channel: str = "API"
    user_id: str | None = None
    export_id: str | None = None
    seq_max: int | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A finished file. etag is its SHA-256."""

    key: str
    name: str
    size_bytes: int
    sha256: str
    format: str


class ExportService:
    """The use-cases. wake: tells a worker of this process that there is something to do. executors: what a request may
    name as the place where its tasks run."""

    def __init__(
        self, core: Core, store: Store, links: Links, wake: Callable[[], None], executors: Sequence[str] = ("local",)
    ) -> None:
        self._core = core
        self.store = store
        self._links = links
        self._wake = wake
        self._executors = tuple(executors)

    def create(self, caller: Caller, ask: Ask) -> Export:
        """Check the request and queue it, as of the ledger's last movement unless the ask says otherwise.

        Raises InvalidInput; then nothing is queued.
        """
        request = with_settings(ask.request, caller.project.settings, cuts_bytes=format_named(ask.request.format).joins)
        planner.check(request, now_ms=self._core.clock.now_ms(), path=ask.path)
        if request.executor not in (None, *self._executors):
            raise InvalidInput(
                "invalid_export_params",
                f"There is no executor {request.executor!r} here",
                field="executor",
                value=request.executor,
                allowed=self._executors,
            )

        def work(unit: Unit) -> dict[str, Any]:
            connection = unit.sql
            last_seq = ledger.last_seq(connection, caller.project_id)
            new = NewExport(
                project_id=caller.project_id,
                id=ask.export_id or random_id("exp_"),
                dialect=ask.dialect,
                object=request.object,
                request=request,
                seq_max=last_seq if ask.seq_max is None else min(ask.seq_max, last_seq),
                created_at=unit.now_ms,
                echo=ask.echo,
                channel=ask.channel,
                user_id=ask.user_id,
            )
            exports.enqueue(connection, new)
            made = exports.get_export(connection, caller.project_id, new.id)
            assert made is not None
            return asdict(made)

        made = Export(**self._core.write(caller, work))
        self._wake()
        return made

    def get(self, caller: Caller, export_id: str) -> Export:
        """An export of the caller's project. Raises NotFound."""
        with self._core.read() as connection:
            return _existing(connection, caller, export_id)

    def find(self, caller: Caller, export_id: str) -> Export | None:
        """The same, or None."""
        with self._core.read() as connection:
            return exports.get_export(connection, caller.project_id, export_id)

    def list(
        self, caller: Caller, *, limit: int, page: int, order: ListOrder, dialect: str | None = None
    ) -> ExportPage:
        """A page of the project's exports."""
        with self._core.read() as connection:
            return exports.list_exports(
                connection, caller.project_id, limit=limit, page=page, order=order, dialect=dialect
            )

    def cancel(self, caller: Caller, export_id: str) -> Export:
        """Ask a waiting or running export to stop. Raises NotFound."""

        def work(unit: Unit) -> dict[str, Any]:
            canceled = exports.request_cancel(unit.sql, caller.project_id, export_id)
            if canceled is None:
                raise NotFound("export", export_id)
            return asdict(canceled)

        return Export(**self._core.write(caller, work))

    def delete(self, caller: Caller, export_id: str) -> None:
        """Remove an export and its files; one that runs is stopped, and its worker removes what it wrote.

        The manifest stays, because the next one names it. Raises NotFound.
        """

        def work(unit: Unit) -> list[str]:
            found = _existing(unit.sql, caller, export_id)
            exports.delete_export(unit.sql, caller.project_id, export_id)
            return [file["key"] for file in (found.result or {}).get("files", ())]

        for key in self._core.write(caller, work):
            with suppress(CounterfoilError):  # the row is gone, so the sweeper removes what cannot be removed now
                self.store.delete(key)
        self._wake()

    def token(self, caller: Caller, export: Export, part: int = 0) -> str:
        """A fresh download token for the export's file, or the numbered one of several."""
        return self._links.token(caller.project, export.id, part)

    def caller_of(self, token: str) -> tuple[Caller, str, int]:
        """The caller, the export and the number of its file that a token stands for. Raises Unauthenticated."""
        found = self._links.read(token)
        return Caller(found.project), found.export_id, found.part

    def download(self, caller: Caller, export_id: str, part: int = 0) -> Download:
        """The finished file (or the numbered one of several). Raises NotFound, Gone, or Conflict while it is not done."""
        export = self.get(caller, export_id)
        if export.status == "EXPIRED":
            raise Gone("export_expired", "The file was removed at the end of its retention; ask for the export again")
        if export.result is None:
            raise Conflict("export_not_done", f"The export is {export.status}; download it once it is DONE")
        files = export.result["files"]
        if not 0 <= part < len(files):
            raise NotFound("file", f"{export_id}/{part}")
        file = files[part]
        return Download(file["key"], file["name"], file["bytes"], file["sha256"], export.request["format"])

    def manifest(self, caller: Caller, export_id: str) -> bytes:
        """The signed manifest of a finished export, as stored. Raises NotFound."""
        export = self.get(caller, export_id)
        if export.result is None or not export.result.get("manifest"):
            raise NotFound("manifest", export_id)
        return self.store.read(export.result["manifest"])

    def card_campaign(self, caller: Caller, name: str) -> str:
        """The id of a campaign of cards, by id or name.

        Raises NotFound, or Forbidden for a campaign whose vouchers have no balance (seed 000, response 403).
        """
        with self._core.read() as connection:
            row = campaigns.campaign_row(connection, caller.project_id, name)
        if row["campaign_type"] not in CARD_CAMPAIGNS:
            raise Forbidden("forbidden", "Transactions are allowed only for loyalty or gift campaigns")
        return str(row["id"])

    def voucher_id(self, caller: Caller, name: str, campaign: str | None = None) -> str:
        """The id of a voucher, by code or id; of that campaign if one is named. Raises NotFound."""
        with self._core.read() as connection:
            row = vouchers.voucher_row(connection, caller.project_id, name)
            if campaign is not None:
                owner = campaigns.campaign_row(connection, caller.project_id, campaign)
                if row["campaign_id"] != owner["id"]:
                    raise NotFound("voucher", name)
        return str(row["id"])


def only(field_name: str, *values: str) -> Filter:
    """A scope that keeps rows whose field is one of the values."""
    return Filter("and", (FieldFilter(field_name, (Condition("in", values),)),))


def _existing(connection: Connection, caller: Caller, export_id: str) -> Export:
    found = exports.get_export(connection, caller.project_id, export_id)
    if found is None:
        raise NotFound("export", export_id)
    return found
