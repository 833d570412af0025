"""The parameters of a call, wherever they came from, read with one clear error each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from counterfoil.clock import parse_instant_ms
from counterfoil.errors import InvalidInput
from counterfoil.web.altcraft import xml
from counterfoil.web.altcraft.envelope import is_xml

T = TypeVar("T")

TEXT_LENGTH_MAX = 4096
INTEGER_MAX = 2**63 - 1


class Parameters:
    """A body's parameters. From XML every value is text, so numbers may be digits there; from JSON they may not."""

    def __init__(self, values: Mapping[str, Any], *, textual: bool) -> None:
        self._values = values
        self._textual = textual

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) not in (None, "")

    def text(self, name: str) -> str | None:
        """A text, or None when absent or empty."""
        value = self._values.get(name)
        if value in (None, ""):
            return None
        if not isinstance(value, str):
            raise _wrong(name, value, "must be a string")
        if len(value) > TEXT_LENGTH_MAX:
            raise _wrong(name, value[:40] + "…", f"must have at most {TEXT_LENGTH_MAX} characters")
        return value

    def integer(self, name: str) -> int | None:
        """A whole number, or None when absent."""
        value = self._values.get(name)
        if value in (None, ""):
            return None
        if self._textual and isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 25:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > INTEGER_MAX:
            raise _wrong(name, value, "must be an integer")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false when absent."""
        value = self._values.get(name)
        if value in (None, ""):
            return False
        if self._textual and value in ("true", "1", "false", "0"):
            return value in ("true", "1")
        if not isinstance(value, bool):
            raise _wrong(name, value, "must be true or false")
        return value

    def instant(self, name: str) -> int | None:
        """An RFC 3339 instant in milliseconds, or None when absent."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse_instant_ms(value)
        except ValueError:
            raise _wrong(name, value, "must be an RFC 3339 date such as 2023-09-01T00:00:00Z") from None

    def document(self, name: str) -> dict[str, Any] | None:
        """A nested object, or None when absent."""
        value = self._values.get(name)
        if value in (None, ""):
            return None
        if not isinstance(value, dict):
            raise _wrong(name, value, "must be an object")
        return value

    @staticmethod
    def required(name: str, value: T | None) -> T:
        """The value read before, or the error that it is missing."""
        if value is None:
            raise _missing(name)
        return value


def _missing(name: str) -> InvalidInput:
    return InvalidInput("missing_parameter", "is required", field=name)


def _wrong(name: str, value: object, rule: str) -> InvalidInput:
    return InvalidInput("invalid_parameter", f"{rule}, not {value!r}", field=name, value=value)


async def read(request: Request) -> Parameters:
    """Read the body by its declared type: XML, or JSON for everything else. Raises InvalidInput."""
    body = await request.body()
    textual = is_xml(request)
    if textual:
        values: Any = xml.parse(body)
    else:
        try:
            values = msgspec.json.decode(body) if body.strip() else {}
        except msgspec.DecodeError as error:
            raise InvalidInput("invalid_json", f"The body is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInput("invalid_json", "The body must be an object with the call's parameters")
    request.scope["state"]["altcraft_format"] = values.get("format")
    return Parameters(values, textual=textual)
