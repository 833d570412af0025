"""How every route of this house is made and found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI


class Router(APIRouter):
    """A router whose routes take a body that does not say what it is for JSON, as the vendors' servers do."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(strict_content_type=False, **settings)


def add_routes(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Lay the routers' routes into the application's own list, in order: the first that fits a request takes it.

    `include_router` would match each request twice in each router, which costs more than answering most calls.
    """
    for router in routers:
        app.router.routes.extend(router.routes)
