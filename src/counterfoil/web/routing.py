"""How every route of this house is made and found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

Credentials = Sequence[Mapping[str, Sequence[str]]]
"""What OpenAPI calls `security`: any one of these, each of which names the schemes that are needed together."""


class Router(APIRouter):
    """A router whose routes take a body that does not say what it is for JSON, as the vendors' servers do.

    security: the credentials that its routes say they want. They are told here rather than by FastAPI's own classes,
    each of which would be solved as a dependency of its own for every request.
    """

    def __init__(self, *, security: Credentials | None = None, **settings: Any) -> None:
        super().__init__(strict_content_type=False, **settings)
        self._security = security

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        if self._security is not None:
            settings["openapi_extra"] = {"security": self._security, **(settings.get("openapi_extra") or {})}
        super().add_api_route(path, endpoint, **settings)


def add_routes(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Lay the routers' routes into the application's own list, in order: the first that fits a request takes it.

    `include_router` would match each request twice in each router, which costs more than answering most calls. In front
    of the list stands a shortcut to the few routes that a request's path can mean at all.
    """
    routes = [route for router in routers for route in router.routes]
    app.router.routes.extend([_Shortcut(routes), *routes])


WORDS_MAX = 12
"""Paths of more words than this take the long way."""


class _Shortcut(BaseRoute):
    """The same routes by method, the first two words of their paths, which are fixed in all of them, and the number of
    words. What it does not find is left to the list behind it, so only the speed depends on it."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes: dict[tuple[str, str, int], list[Route]] = {}
        for route in routes:
            if isinstance(route, Route):
                section, count = _measured(route.path)
                most = WORDS_MAX if ":path}" in route.path else count
                for method, words in product(route.methods or (), range(count, most + 1)):
                    self._routes.setdefault((method, section, words), []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http":
            for route in self._routes.get((scope["method"], *_measured(scope["path"])), ()):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    return match, {**found, "counterfoil_route": route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["counterfoil_route"].handle(scope, receive, send)


def _measured(path: str) -> tuple[str, int]:
    words = path.split("/", WORDS_MAX + 1)
    return "/".join(words[:3]), len(words)
