"""The base of every request body: unknown keys pass, null is absent, numbers are not strings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from counterfoil.clock import parse_instant_ms


class Body(BaseModel):
    """A request body. Strict types, so `"5"` is no integer; keys we do not know are ignored, as the vendor does."""

    model_config = ConfigDict(strict=True, extra="ignore", populate_by_name=True)


def _instant(value: Any) -> Any:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("cannot be recognized as a ISO-8601 compliant date")
    try:
        return parse_instant_ms(value)
    except ValueError as error:
        raise ValueError("cannot be recognized as a ISO-8601 compliant date") from error


Instant = Annotated[int | None, BeforeValidator(_instant, json_schema_input_type=str | None)]
"""An ISO-8601 date or instant in the body, milliseconds inside."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number; 5.0 is one, as JSON has no other way to tell."""


def _storable(text: str) -> str:
    if "\0" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        raise ValueError("must hold no NUL and no broken characters")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""Text that every database can keep: no NUL, no half of a surrogate pair."""

Name = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_storable)]
"""A name or an id of the caller's own, 1 to 500 characters."""

DOCUMENT_DEPTH_MAX = 20


def _document(value: dict[str, Any]) -> dict[str, Any]:
    _check_value(value, DOCUMENT_DEPTH_MAX)
    return value


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError(f"must NOT be nested deeper than {DOCUMENT_DEPTH_MAX} levels")
        for part in value.items() if isinstance(value, dict) else value:
            for each in part if isinstance(part, tuple) else (part,):
                _check_value(each, depth - 1)
    elif isinstance(value, float) and value - value != 0:
        raise ValueError("must hold finite numbers only")


Document = Annotated[dict[str, Any], AfterValidator(_document)]
"""A JSON object with keys of the caller's own, such as metadata."""
