"""The HTTP application: dialect routers behind one edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from counterfoil import __version__
from counterfoil.clock import Clock
from counterfoil.errors import CounterfoilError
from counterfoil.web.dialect import Dialect, Dialects
from counterfoil.web.edge import Edge, EdgeSettings
from counterfoil.web.reply import Json
from counterfoil.web.routing import Router, add_routes

# Threads that run the synchronous services; each may hold one database connection.
REQUEST_THREADS = 40


@dataclass(frozen=True, slots=True)
class AppParts:
    """What compose hands over: the dialects with their routers, and what `/health/ready` asks."""

    dialects: Sequence[Dialect]
    routers: Sequence[APIRouter]
    clock: Clock
    ready: Callable[[], None]
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None


def create_app(parts: AppParts) -> FastAPI:
    """The ASGI application."""
    dialects = Dialects(parts.dialects)
    app = FastAPI(
        title="Counterfoil",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=parts.lifespan,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )

    async def on_error(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            error.headers = {**(error.headers or {}), "Allow": ", ".join(_methods(parts.routers, request))}
        return dialects.answer(request, error)

    for kind in (CounterfoilError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, on_error)
    add_routes(app, (*parts.routers, _health(parts)))
    app.openapi = partial(_document, app.openapi, parts.dialects)
    app.add_middleware(Edge, settings=parts.edge, clock=parts.clock, dialects=dialects)
    return app


def _document(made: Callable[[], dict[str, Any]], spoken: Sequence[Dialect]) -> dict[str, Any]:
    """The OpenAPI document with the dialects' kinds of credentials, and without the 422 that FastAPI adds everywhere: what
    it would say there, dialects say in 400."""
    document = made()
    for dialect in spoken:
        document["components"].setdefault("securitySchemes", {}).update(dialect.security_schemes)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"].get("schemas", {}).pop(name, None)
    return document


def _methods(routers: Sequence[APIRouter], request: Request) -> list[str]:
    """Every method of the path that was asked for: a path may have a route for each."""
    found: set[str] = set()
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


def _health(parts: AppParts) -> APIRouter:
    router = Router(tags=["health"])

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """The process runs."""
        return {"status": "live"}

    @router.get("/health/ready", responses={503: {"description": "Not ready; the body says why"}})
    async def ready() -> Response:
        """The database answers and its schema is the one needed."""
        try:
            await anyio.to_thread.run_sync(parts.ready)
        except CounterfoilError as error:
            return Json({"status": "not_ready", "reason": error.message}, status_code=503)
        return Json({"status": "ready"})

    return router


def set_request_threads() -> None:
    """Bound the threads for synchronous routes; call inside the running event loop."""
    limiter: Any = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = REQUEST_THREADS
