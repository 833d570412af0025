"""Which HTTP dialect a request speaks, by its path, and how that dialect words an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from counterfoil.db.engine import translated_errors
from counterfoil.errors import CounterfoilError

log = structlog.get_logger(__name__)

ErrorAnswer = Callable[[Request, CounterfoilError | RequestValidationError | HTTPException | None], Response]
"""Words an error in the dialect's shape; None is an unexpected failure of ours (500, nothing inside is told)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A family of paths and its wording of errors.

    security_schemes: what OpenAPI's document says of the credentials that its routers name.
    """

    name: str
    prefixes: tuple[str, ...]
    answer: ErrorAnswer
    security_schemes: Mapping[str, Any] = field(default_factory=dict)


class Dialects:
    """The dialects in the order they are asked; the last one takes every path."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._dialects = tuple(dialects)

    def answer(self, request: Request, error: Exception) -> Response:
        """The response for an error, whatever raised it."""
        path = request.scope["path"]
        chosen = next((d for d in self._dialects if path.startswith(d.prefixes)), self._dialects[-1])
        if isinstance(error, CounterfoilError | RequestValidationError | HTTPException):
            return chosen.answer(request, error)
        if isinstance(error, SQLAlchemyError):
            try:
                with translated_errors():
                    raise error
            except CounterfoilError as translated:
                return chosen.answer(request, translated)
            except SQLAlchemyError:
                pass
        request_id = request.scope.get("state", {}).get("request_id")
        log.error("request_failed", path=path, request_id=request_id, exc_info=error)
        return chosen.answer(request, None)
