"""What every request passes before a route sees it: size limit, request id, trailing slash.

Plain ASGI, so that nothing is buffered twice and downloads are not slowed down.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil.clock import Clock
from counterfoil.errors import CounterfoilError, TooLarge
from counterfoil.ids import hex_id
from counterfoil.web.dialect import Dialects


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """body_bytes_max: the vendor's own limit on JSON bodies (facts 4.3: over 10 MB is 413). upload_bytes_max: for
    multipart imports, which are streamed to disk."""

    body_bytes_max: int = 10 * 1024 * 1024
    upload_bytes_max: int = 1024 * 1024 * 1024


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings, clock: Clock, dialects: Dialects) -> None:
        self._app = app
        self._settings = settings
        self._clock = clock
        self._dialects = dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            # The npm client posts to /v1/vouchers/; a redirect would cost it the body.
            scope = {**scope, "path": path.rstrip("/") or "/"}
        scope.setdefault("state", {})["request_id"] = hex_id("v-", self._clock.now_ms())
        headers = dict(scope["headers"])
        multipart = headers.get(b"content-type", b"").startswith(b"multipart/")
        limit = self._settings.upload_bytes_max if multipart else self._settings.body_bytes_max
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            refusal = self._dialects.answer(Request(scope), _too_large(limit))
            await refusal(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), _with_headers(scope, send))


def _with_headers(scope: Scope, send: Send) -> Send:
    """The same send, with the headers that were found on the way (rate limits) on every kind of answer."""

    async def sending(message: Message) -> None:
        found: dict[str, str] = scope["state"].get("reply_headers", {})
        if found and message["type"] == "http.response.start":
            more = [(name.lower().encode(), value.encode()) for name, value in found.items()]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return sending


def _too_large(limit: int) -> CounterfoilError:
    return TooLarge("payload_too_large", f"Payload content length greater than maximum allowed: {limit}")


def _counted(receive: Receive, limit: int) -> Receive:
    """The same receive, which refuses once a body without a length has grown over the limit."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return counting
