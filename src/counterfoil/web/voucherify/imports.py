"""Voucherify's bulk endpoints that take files, and those that take many customers (facts 3.5).

Each answers with the id of an async action; what became of every row stands in its result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Body, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from counterfoil.errors import InvalidInput
from counterfoil.services.csv_imports import CsvImports
from counterfoil.services.customer_imports import CustomerImports
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router
from counterfoil.web.voucherify.bodies import Body as RequestBody
from counterfoil.web.voucherify.bodies import Document, Name, Text
from counterfoil.web.voucherify.caller import Calling
from counterfoil.web.voucherify.customer_bodies import CustomerBody
from counterfoil.web.voucherify.openapi import CREDENTIALS, ERRORS

_CHUNK_BYTES = 1 << 20
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "CSV with a header, UTF-8"}
                    },
                }
            }
        },
    }
}


class MetadataBody(RequestBody):
    """Voucherify: Update Customers' Metadata in Bulk."""

    source_ids: list[Name]
    metadata: Document


def routes(files: CsvImports, customers: CustomerImports) -> APIRouter:
    """The routes under /v1/vouchers, /v1/campaigns and /v1/customers; to be asked before those of single names."""
    router = Router(responses=ERRORS, security=CREDENTIALS)
    _uploads(router, files)

    @router.post("/v1/customers/bulk/async", status_code=202, tags=["customers"])
    def update_many(caller: Calling, body: Annotated[list[CustomerBody], Body()]) -> Response:
        """Update many customers, or make them where their source id is new, in the background."""
        return _accepted(customers.update_many(caller, [each.draft() for each in body]))

    @router.post("/v1/customers/metadata/async", status_code=202, tags=["customers"])
    def update_metadata(caller: Calling, body: MetadataBody) -> Response:
        """Lay the same metadata over that of many customers, in the background."""
        return _accepted(customers.update_metadata(caller, body.source_ids, body.metadata))

    return router


def _uploads(router: APIRouter, files: CsvImports) -> None:
    @router.post("/v1/vouchers/importCSV", status_code=202, tags=["vouchers"], openapi_extra=_FILE)
    async def import_vouchers(caller: Calling, request: Request) -> Response:
        """Make vouchers out of a CSV file in the background; columns that are not a voucher's become metadata."""
        return _accepted(await _taken(request, lambda content: files.vouchers(caller, content)))

    @router.post("/v1/campaigns/{name:path}/importCSV", tags=["campaigns"], openapi_extra=_FILE)
    async def import_campaign_vouchers(caller: Calling, name: Text, request: Request) -> Response:
        """Make vouchers of a campaign out of a CSV file in the background; a code that exists is updated."""
        action_id = await _taken(request, lambda content: files.campaign_vouchers(caller, name, content))
        return _accepted(action_id, status_code=200)

    @router.post("/v1/customers/importCSV", status_code=202, tags=["customers"], openapi_extra=_FILE)
    async def import_customers(caller: Calling, request: Request) -> Response:
        """Make or update customers out of a CSV file in the background; other columns become metadata."""
        return _accepted(await _taken(request, lambda content: files.customers(caller, content)))


async def _taken(request: Request, take: Callable[[Iterator[bytes]], str]) -> str:
    """Hand the uploaded file on. It is read after the caller is known, and lies on disk while it is not in the store."""
    try:
        async with request.form(max_files=1, max_fields=20) as form:
            found = form.get("file")
            if not isinstance(found, UploadFile):
                raise InvalidInput("invalid_payload", "Payload must have required property 'file'", field="file")
            return await run_in_threadpool(take, _chunks(found.file))
    except HTTPException as error:
        raise InvalidInput("invalid_payload", f"The body is not multipart/form-data: {error.detail}") from None


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _accepted(action_id: str, *, status_code: int = 202) -> Response:
    return Json({"async_action_id": action_id}, status_code=status_code)
