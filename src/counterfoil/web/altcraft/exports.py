"""Altcraft's export of points transactions: ask, look, download (seed 004)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from counterfoil.clock import iso_ms
from counterfoil.db.exports import Export
from counterfoil.db.programmes import Programme
from counterfoil.services.core import Caller
from counterfoil.services.points_exports import BatchAsked, Period, PointsExportService
from counterfoil.services.programmes import ProgrammeNamed
from counterfoil.web.altcraft.call import Calling, Downloading
from counterfoil.web.altcraft.openapi import (
    FILE_ANSWERS,
    INSTANT,
    INTEGER,
    PROGRAMME,
    TEXT,
    Parameter,
    answered,
    described,
)
from counterfoil.web.altcraft.parameters import Parameters
from counterfoil.web.downloads import send
from counterfoil.web.routing import Router

MEDIA_TYPE = "application/zip"
STATES = {
    "SCHEDULED": "pending",
    "IN_PROGRESS": "in_progress",
    "DONE": "completed",
    "EXPIRED": "completed",
    "ERROR": "failed",
    "CANCELED": "canceled",
}
"""The vendor shows `completed` only; the others are ours."""

_EXPIRED = "The file was removed at the end of its retention; ask for the export again"
_CANCELED = "The export was canceled before it was finished"
_TASK_EXAMPLE = "task_b2f9fd6a-2499-4a63-b592-f15d4e3b69c5"
_ASKED = (
    *PROGRAMME,
    Parameter("date_from", INSTANT, "Period start (inclusive)", "2023-09-01T00:00:00Z", True),
    Parameter("date_to", INSTANT, "Period end (inclusive)", "2023-09-30T23:59:59Z", True),
    Parameter("from_id", TEXT, "First transaction of the batch: the next_from_id of the batch before"),
    Parameter("limit", INTEGER, "Our own addition: at most so many transactions; never more than the server's batch"),
)
_STATUS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["status", "progress", "result"],
    "properties": {
        "status": {"enum": ["pending", "in_progress", "completed", "failed", "canceled"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "result": {
            "type": "object",
            "properties": {
                "hashed_file": {"type": "string"},
                "is_api": {"type": "boolean"},
                "loyalty_id": {"type": "integer"},
                "next_from_id": {"type": "string"},
                "points_currency_iid": {"type": "integer"},
                "total": {"type": "integer"},
                "errors": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}
_STATUS_EXAMPLE: dict[str, Any] = {
    "status": "completed",
    "progress": 100,
    "result": {
        "hashed_file": "jvIXPQX2…/Transactions_loyalty_1_1_2023-09-01T00 00 00Z_2026-09-30T23 59 59Z.zip",
        "is_api": True,
        "loyalty_id": 1,
        "next_from_id": "",
        "points_currency_iid": 1,
        "total": 1000,
    },
}


def routes(service: PointsExportService, redirect_ttl_s: int | None) -> APIRouter:
    """The three calls. redirect_ttl_s: as `web.downloads.send` takes it."""
    router = Router(tags=["altcraft"])
    _asking(router, service)
    _downloads(router, service, redirect_ttl_s)
    return router


def _asking(router: APIRouter, service: PointsExportService) -> None:
    @router.post(
        "/api/v1.1/loyalty/transactions_export",
        openapi_extra=described(_ASKED),
        responses=answered(
            {"type": "object", "properties": {"task_id": {"type": "string"}}}, {"task_id": _TASK_EXAMPLE}
        ),
    )
    def transactions_export(call: Calling) -> Response:
        """Ask for a file of a programme's points transactions in a period."""
        asked = call.parameters
        programme = service.programme(call.caller, named(asked))
        # What lies between two milliseconds belongs to the later one; both ends are inclusive to the instant.
        start = asked.required("date_from", asked.instant("date_from", round_up=True))
        period = Period(start, asked.required("date_to", asked.instant("date_to")))
        stem = file_stem(programme, period)
        batch = BatchAsked(period, stem, asked.text("from_id"), asked.integer("limit"))
        return call.answer({"task_id": service.ask(call.caller, programme, batch).id})

    @router.post(
        "/api/v1.1/tasks/status",
        openapi_extra=described((Parameter("task_id", TEXT, "Export task ID", _TASK_EXAMPLE, True),)),
        responses=answered(_STATUS_SCHEMA, _STATUS_EXAMPLE),
    )
    def status(call: Calling) -> Response:
        """How far a task is, and what came of it."""
        task_id = call.parameters.required("task_id", call.parameters.text("task_id"))
        export = service.task(call.caller, task_id)
        return call.answer(
            {
                "status": STATES[export.status],
                "progress": export.percent,
                "result": _result(service, call.caller, export),
            }
        )


def _downloads(router: APIRouter, service: PointsExportService, redirect_ttl_s: int | None) -> None:
    def download(request: Request, token: str, file_name: str, caller: Downloading) -> Response:
        """The file of a finished task, at its hashed_file. Supports Range and conditional requests."""
        file = service.download(caller, token, file_name)
        return send(request, service.exports.store, file, media_type=MEDIA_TYPE, redirect_ttl_s=redirect_ttl_s)

    path = "/api/download/{token}/{file_name}"
    router.get(path, response_class=Response, responses=FILE_ANSWERS)(download)
    router.head(path, include_in_schema=False)(download)


def named(asked: Parameters) -> ProgrammeNamed:
    """The programme and currency that a call names."""
    return ProgrammeNamed(
        asked.required("loyalty_program_id", asked.integer("loyalty_program_id")),
        asked.integer("points_currency_iid"),
        asked.text("points_currency_eid"),
    )


def file_stem(programme: Programme, period: Period) -> str:
    """The file's name without extension, as seed 004 shows it: in UTC, with spaces for colons."""
    dates = "_".join(_plain(each) for each in (period.from_ms, period.to_ms))
    return f"Transactions_loyalty_{programme.iid}_{programme.currency.iid}_{dates}".replace(":", " ")


def _plain(instant_ms: int) -> str:
    return iso_ms(instant_ms).replace(".000Z", "Z")


def _result(service: PointsExportService, caller: Caller, export: Export) -> dict[str, Any]:
    if export.status == "ERROR":
        return {"errors": [export.error_message or "The export failed"]}
    if export.status == "CANCELED":
        return {"errors": [_CANCELED]}
    if export.result is None:
        return {}
    gone = export.status == "EXPIRED"
    file = export.result["files"][0]
    result: dict[str, Any] = {
        "hashed_file": "" if gone else f"{service.exports.token(caller, export)}/{file['name']}",
        "is_api": True,
        "loyalty_id": export.echo["loyalty_id"],
        "next_from_id": service.next_from_id(caller, export),
        "points_currency_iid": export.echo["points_currency_iid"],
        "total": export.result["rows"],
    }
    return result | ({"errors": [_EXPIRED]} if gone else {})
