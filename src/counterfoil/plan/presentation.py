"""One value as a file shows it, for answers that show a few rows; whole batches are `dataplane.presentation`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from counterfoil.catalog.shown import Shown
from counterfoil.ids import movement_uuid

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def shown_text(shown: Shown, value: Any) -> str | None:
    """A value in its inner form as `shown` has it; None for nothing."""
    match shown.how:
        case "movement_uuid":
            return movement_uuid(shown.given or "", value)
        case "words":
            return None if value is None else dict(shown.words).get(value, value)
        case "member" | "first_key":
            return document_text(shown, document(value))
        case "given":
            return shown.given


def document(text: str | None) -> Any:
    """A JSON document, or None for none and for what is none: details of imported movements come from elsewhere."""
    if text is None:
        return None
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def document_text(shown: Shown, found: Any) -> str | None:
    """What a `member` or `first_key` shows of a document."""
    if shown.how == "member":
        values = (member_at(found, path) for path in shown.paths)
        return next((_text(value) for value in values if value is not None), None)
    places = (member_at(found, path) for path in shown.paths)
    return next((word for place in places for key, word in shown.words if member_at(place, (key,)) is not None), None)


def document_keys(shown: Shown) -> frozenset[str]:
    """Names of which a document has at least one where `document_text` finds something."""
    if shown.how == "first_key":
        return frozenset(key for key, _ in shown.words)
    return frozenset(path[0] for path in shown.paths)


def member_at(found: Any, path: Sequence[str]) -> Any:
    """The member that a path of names leads to; None when it leads nowhere."""
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()
