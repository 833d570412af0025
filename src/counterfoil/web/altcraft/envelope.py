"""Altcraft's envelope: `{"data": …, "error": 0, "error_text": "Successful operation"}`, in JSON or XML.

The HTTP status is 200 for whatever the API itself decided (Altcraft: API interaction); `error` is the real result. The
download alone answers with real 401, 403 and 404. On an error `data` is left out.
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
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from counterfoil.web.altcraft import xml
from counterfoil.web.reply import Json

SUCCESS = "Successful operation"
DOWNLOAD_PREFIX = "/api/download/"
XML_TYPES = ("application/xml", "text/xml")

_CODES: tuple[tuple[type[CounterfoilError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Gone, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (RateLimited, 429),
    (Unavailable, 503),
)


def code_of(error: CounterfoilError) -> int:
    """The number for `error`: the HTTP meaning of the error's class, 400 for everything a caller can mend."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 400)


def success(request: Request, data: Any = None, **beside: Any) -> Response:
    """The envelope of a success; `beside` are keys that the vendor puts at the top level."""
    body: dict[str, Any] = {} if data is None else {"data": data}
    return reply(request, {**body, **beside, "error": 0, "error_text": SUCCESS}, 200)


def answer(request: Request, error: CounterfoilError | RequestValidationError | HTTPException | None) -> Response:
    """The envelope of an error; on the download path also as the HTTP status."""
    if isinstance(error, CounterfoilError):
        code, text = code_of(error), sentence(error)
    elif isinstance(error, HTTPException):
        code, text = error.status_code, str(error.detail)
    elif isinstance(error, RequestValidationError):
        code, text = 400, str(error.errors()[0]["msg"])
    else:
        code, text = 500, f"Internal error; quote {request.scope['state']['request_id']} when you report it"
    real = request.scope["path"].startswith(DOWNLOAD_PREFIX) or isinstance(error, HTTPException)
    return reply(request, {"error": code, "error_text": text}, code if real else 200)


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
    chosen = request.query_params.get("format") or request.scope["state"].get("altcraft_format")
    if chosen in {"json", "xml"}:
        return chosen == "xml"
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    named = [part for part in accepted if part and part != "*/*"]
    if named:
        return all(part in XML_TYPES for part in named)
    return is_xml(request)


def is_xml(request: Request) -> bool:
    """Whether the request's body is declared as XML."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower() in XML_TYPES
