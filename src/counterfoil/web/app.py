"""The HTTP application: dialect routers behind one edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from counterfoil import __version__
from counterfoil.clock import Clock
from counterfoil.errors import CounterfoilError
from counterfoil.web.dialect import Dialect, Dialects
from counterfoil.web.edge import Edge, EdgeSettings
from counterfoil.web.reply import Json

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
        return dialects.answer(request, error)

    for kind in (CounterfoilError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, on_error)
    for router in parts.routers:
        app.include_router(router)
    app.include_router(_health(parts))
    app.add_middleware(Edge, settings=parts.edge, clock=parts.clock, dialects=dialects)
    return app


def _health(parts: AppParts) -> APIRouter:
    router = APIRouter(tags=["health"])

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
