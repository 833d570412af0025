"""The parameters of a call, wherever they came from, read with one clear error each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from counterfoil.clock import parse_instant_ms
from counterfoil.errors import InvalidInput
from counterfoil.web.altcraft import xml
from counterfoil.web.altcraft.envelope import FORMATS, XML_TYPES, media_type

T = TypeVar("T")

TEXT_LENGTH_MAX = 4096
INTEGER_MAX = 2**63 - 1
JSON_TYPE = "application/json"
DOCUMENT_DEPTH_MAX = 8
_DIGITS = re.compile(r"-?[0-9]{1,20}\Z")
# RFC 3339, section 5.6: a date alone, or a time without an offset, is none.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_INLINE_BYTES = 1 << 16


class Parameters:
    """A body's parameters. From XML every value is text, so numbers may be digits there; from JSON they may not.

    What is absent, null or empty text counts as not said.
    """

    def __init__(self, values: Mapping[str, Any], *, textual: bool) -> None:
        self._values = values
        self._textual = textual

    def text(self, name: str, length_max: int = TEXT_LENGTH_MAX) -> str | None:
        """A text, or None when not said."""
        value = self._said(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise _wrong(name, value, "must be a string")
        if len(value) > length_max:
            raise _wrong(name, value, f"must have at most {length_max} characters")
        if not _storable(value):
            raise _wrong(name, value, "must hold no NUL and no broken characters")
        return value

    def integer(self, name: str) -> int | None:
        """A whole number, or None when not said."""
        value = self._said(name)
        if value is None:
            return None
        if self._textual and isinstance(value, str) and _DIGITS.match(value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > INTEGER_MAX:
            raise _wrong(name, value, "must be an integer")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false when not said."""
        value = self._said(name)
        if value is None:
            return False
        if self._textual and isinstance(value, str):
            value = {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower(), value)
        if not isinstance(value, bool):
            raise _wrong(name, value, "must be true or false")
        return value

    def instant(self, name: str, *, round_up: bool = False) -> int | None:
        """An RFC 3339 instant in ms, or None when not said; digits past the millisecond are cut, or rounded up."""
        value = self.text(name)
        if value is None:
            return None
        try:
            if not _RFC3339.match(value.strip()):
                raise ValueError(value)
            return parse_instant_ms(value, round_up=round_up)
        except ValueError:
            raise _wrong(name, value, "must be an RFC 3339 date with time and offset, 2023-09-01T00:00:00Z") from None

    def document(self, name: str) -> dict[str, Any] | None:
        """A nested object, or None when not said."""
        value = self._said(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _wrong(name, value, "must be an object")
        if not _all_storable(value, DOCUMENT_DEPTH_MAX):
            rule = f"may be nested {DOCUMENT_DEPTH_MAX} deep, and must hold no NUL and no broken characters"
            raise InvalidInput("invalid_parameter", rule, field=name)
        return cast("dict[str, Any]", value)

    def decimal(self, name: str) -> str | None:
        """A decimal number as the text it came as, or None when not said: `"100.50"`, or a whole number."""
        value = self._said(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, float):
            raise _wrong(name, value, 'must be a string such as "100.50", since a JSON fraction is not exact')
        return self.text(name)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """One of a few words, or None when not said."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise InvalidInput(
                "invalid_parameter", f"cannot be {_brief(value)}", field=name, value=value, allowed=allowed
            )
        return value

    @staticmethod
    def required(name: str, value: T | None) -> T:
        """The value read before, or the error that it is missing."""
        if value is None:
            raise InvalidInput("missing_parameter", "is required", field=name)
        return value

    def _said(self, name: str) -> Any:
        value = self._values.get(name)
        return None if value in (None, "") else value


def _storable(text: str) -> bool:
    """Whether every database can keep it."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))


def _all_storable(value: Any, depth: int) -> bool:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict | list):
        parts = cast("list[Any]", [*value, *value.values()] if isinstance(value, dict) else value)
        return depth > 0 and all(_all_storable(part, depth - 1) for part in parts)
    return True


def _wrong(name: str, value: object, rule: str) -> InvalidInput:
    return InvalidInput("invalid_parameter", f"{rule}, not {_brief(value)}", field=name, value=value)


def _brief(value: object) -> str:
    shown = repr(value).encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= 80 else shown[:79] + "…"


async def read(request: Request) -> Parameters:
    """Read the body by its declared type, JSON or XML. Raises InvalidInput."""
    kind = media_type(request)
    if kind not in ("", JSON_TYPE, *XML_TYPES):
        raise InvalidInput(
            "invalid_content_type",
            f"cannot be {kind!r}",
            field="Content-Type",
            value=kind,
            allowed=(JSON_TYPE, *XML_TYPES),
        )
    body = await request.body()
    parse = xml.parse if kind in XML_TYPES else _json
    values = parse(body) if len(body) <= _INLINE_BYTES else await run_in_threadpool(parse, body)
    parameters = Parameters(values, textual=kind in XML_TYPES)
    request.scope["state"]["altcraft_format"] = parameters.choice("format", FORMATS)
    Parameters(request.query_params, textual=True).choice("format", FORMATS)
    return parameters


def _json(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput("invalid_json", f"The body is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput("invalid_json", "The body must be an object with the call's parameters")
    return cast("dict[str, Any]", found)
