"""Altcraft's envelope: `{"data": …, "error": 0, "error_text": "Successful operation"}`, in JSON or XML.

The HTTP status is 200 for whatever the API itself decided (Altcraft: API interaction); `error` is the real result. Real
statuses are what the transport says: no such path, a body over the limit, too many requests, a failure of ours; and the
download's. On an error `data` is left out. The setting altcraft_http_status makes every error's code its status too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from counterfoil.errors import (
    Conflict,
    CounterfoilError,
    Forbidden,
    Gone,
    NotFound,
    RateLimited,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from counterfoil.web.altcraft import xml
from counterfoil.web.dialect import ErrorAnswer
from counterfoil.web.reply import Json

SUCCESS = "Successful operation"
DOWNLOAD_PREFIX = "/api/download/"
XML_TYPES = ("application/xml", "text/xml")
FORMATS = ("json", "xml")
MIRRORED = "mirrored"

_CODES: tuple[tuple[type[CounterfoilError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Gone, 404),
    (Conflict, 409),
    (Refused, 409),
    (TooLarge, 413),
    (RateLimited, 429),
    (Unavailable, 503),
)
_NOT_SUPPORTED = "not_supported"
_TRANSPORT = frozenset({413, 429, 500, 503})
"""Codes that are the HTTP status as well: proxies, clients' retries and monitors go by them."""


def code_of(error: CounterfoilError) -> int:
    """The number for `error`: the HTTP meaning of the error's class, 400 for everything a caller can mend."""
    if error.code == _NOT_SUPPORTED:
        return 501
    return next((code for kind, code in _CODES if isinstance(error, kind)), 400)


def success(request: Request, data: Any = None, **beside: Any) -> Response:
    """The envelope of a success; `beside` are keys that the vendor puts at the top level."""
    body: dict[str, Any] = {} if data is None else {"data": data}
    return reply(request, {**body, **beside, "error": 0, "error_text": SUCCESS}, 200)


def answers(http_status: str) -> ErrorAnswer:
    """How errors are answered. http_status: the setting, `vendor` or `mirrored`."""

    def answer(request: Request, error: CounterfoilError | RequestValidationError | HTTPException | None) -> Response:
        code, text = _told(request, error)
        path = request.scope["path"]
        real = code in _TRANSPORT or isinstance(error, HTTPException) or path.startswith(DOWNLOAD_PREFIX)
        shown = reply(request, {"error": code, "error_text": text}, code if real or http_status == MIRRORED else 200)
        if shown.status_code == 401:
            shown.headers["WWW-Authenticate"] = "Bearer"
        return shown

    return answer


def _told(request: Request, error: CounterfoilError | RequestValidationError | HTTPException | None) -> tuple[int, str]:
    if isinstance(error, CounterfoilError):
        return code_of(error), sentence(error)
    if isinstance(error, HTTPException):
        path = f"{request.method} {request.scope['path']}"
        words = {404: f"There is no {path}", 405: f"There is no {path}; calls are POST, downloads GET"}
        return error.status_code, words.get(error.status_code, str(error.detail))
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return 400, f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}"
    request_id = request.scope.get("state", {}).get("request_id")
    return 500, f"Internal error; quote {request_id} when you report it"


def sentence(error: CounterfoilError) -> str:
    """What is wrong, where, and what would be right."""
    text = error.message
    if error.field is not None:
        text = f"{error.field}: {text}"
    if error.allowed:
        text = f"{text} (allowed: {', '.join(error.allowed)})"
    return text


def reply(request: Request, body: Mapping[str, Any], status: int) -> Response:
    """A body in the form the caller asked for."""
    if wants_xml(request):
        return Response(xml.render(body), status, media_type="application/xml")
    return Json(body, status_code=status)


def wants_xml(request: Request) -> bool:
    """`format` (query, then body) decides; then an Accept that names only XML; then the request's own form."""
    for chosen in (request.query_params.get("format"), request.scope.get("state", {}).get("altcraft_format")):
        if chosen in FORMATS:
            return chosen == "xml"
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    named = [part for part in accepted if part and part != "*/*"]
    if named:
        return all(part in XML_TYPES for part in named)
    return media_type(request) in XML_TYPES


def media_type(request: Request) -> str:
    """The declared type of the request's body, without parameters; empty when none is."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()
