"""The base of every request body: unknown keys pass, null is absent, numbers are not strings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

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
