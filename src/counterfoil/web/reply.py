"""Answers as JSON, encoded once by msgspec."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode


class Json(Response):
    """A JSON answer of plain values, dataclasses or msgspec structs."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the content; bytes are taken as JSON already."""
        return content if isinstance(content, bytes) else _encode(content)


def no_content() -> Response:
    """204 with an empty body."""
    return Response(status_code=204)
