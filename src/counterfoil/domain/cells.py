"""Cells of a file that comes in, read into the values the ledger keeps; each reader raises InvalidInput with the reason.

A cell is text (CSV), or a JSON or Parquet value. Amounts are whole minor units unless the file is said to show money with
decimal digits; a float is never taken for an amount, since it may not be what was written.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from counterfoil.clock import MS_MAX, MS_MIN, date_start_ms, iso_date, parse_instant_ms
from counterfoil.domain.money import AMOUNT_MAX, parse_decimal
from counterfoil.errors import InvalidInput

TEXT_LENGTH_MAX = 10_000
ID_LENGTH_MAX = 500
DOCUMENT_LENGTH_MAX = 1 << 20
DOCUMENT_DEPTH_MAX = 20
_DIGITS_MAX = 40
_SHOWN_LENGTH_MAX = 60
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MS = datetime.timedelta(milliseconds=1)
_WORDS = {"true": True, "false": False}
_any = msgspec.json.Decoder().decode


def invalid_cell(name: str, rule: str, value: object) -> InvalidInput:
    """The refusal of a cell: its column, the rule, and what stood there."""
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN_LENGTH_MAX else f"{shown[:_SHOWN_LENGTH_MAX]}…"
    return InvalidInput("invalid_cell", f"{name} {rule}, and is {shown}", field=name, value=value)


def read_text(name: str, value: Any, length_max: int = TEXT_LENGTH_MAX) -> str | None:
    """Text of at most so many characters, or None for an empty cell."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid_cell(name, "must be text", value)
    if len(value) > length_max:
        raise invalid_cell(name, f"must have at most {length_max} characters", value)
    return value


def read_id(name: str, value: Any) -> str | None:
    """An id, or None for an empty cell."""
    return read_text(name, value, ID_LENGTH_MAX)


def required(name: str, value: Any) -> Any:
    """The value, or InvalidInput for an empty cell."""
    if value is None or value == "":
        raise InvalidInput("invalid_cell", f"{name} is empty", field=name)
    return value


def read_whole(name: str, value: Any) -> int | None:
    """A whole number that the ledger can hold, or None for an empty cell."""
    return None if value is None or value == "" else whole(name, value)


def whole(name: str, value: Any) -> int:
    """A whole number of at most AMOUNT_MAX either way: 12, "12", "-12"."""
    number = value
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            hint = " (of minor units, unless the file is said to have decimals)" if _is_decimal(value) else ""
            raise invalid_cell(name, f"must be a whole number{hint}", value)
        number = int(value) if len(digits) < _DIGITS_MAX else AMOUNT_MAX + 1
    if isinstance(number, bool) or not isinstance(number, int):
        raise invalid_cell(name, "must be a whole number", value)
    if not -AMOUNT_MAX <= number <= AMOUNT_MAX:
        raise invalid_cell(name, f"must lie between -{AMOUNT_MAX} and {AMOUNT_MAX}", value)
    return number


def money(name: str, value: Any, decimals: int) -> int:
    """An amount of money in minor units; decimals: how many digits after the point the file shows, 0 for minor units."""
    if decimals == 0:
        return whole(name, value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise invalid_cell(name, "must be an amount written as text or as a whole number", value)
    if isinstance(value, str) and len(value) > _DIGITS_MAX:
        raise invalid_cell(name, f"must lie between -{AMOUNT_MAX} and {AMOUNT_MAX} minor units", value)
    try:
        return parse_decimal(str(value), decimals, name)
    except InvalidInput:
        raise invalid_cell(name, f"must be an amount with at most {decimals} digits after the point", value) from None


def read_instant(name: str, value: Any, *, native: bool) -> int | None:
    """An instant in ms, or None for an empty cell. native: whole numbers are milliseconds already (Parquet)."""
    return None if value is None or value == "" else instant(name, value, native=native)


def instant(name: str, value: Any, *, native: bool) -> int:
    """An instant in ms out of ISO-8601 text; without an offset it is UTC."""
    if isinstance(value, str):
        # The form every export has, read by the quick way; all others by ours.
        if len(value) == 24 and value[23] == "Z" and value[10] == "T" and value[7] == "-" and value[19] == ".":
            try:
                return (datetime.datetime.fromisoformat(value) - _EPOCH) // _MS
            except ValueError:
                pass
        try:
            return parse_instant_ms(value)
        except ValueError:
            raise invalid_cell(name, "must be an ISO-8601 instant", value) from None
    if native and isinstance(value, int) and not isinstance(value, bool) and MS_MIN <= value <= MS_MAX:
        return value
    raise invalid_cell(name, "must be an ISO-8601 instant", value)


def read_day(name: str, value: Any) -> str | None:
    """An ISO date, or the date of an instant; None for an empty cell."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            return iso_date(date_start_ms(value)) if len(value) == 10 else iso_date(parse_instant_ms(value))
        except ValueError:
            pass
    raise invalid_cell(name, "must be an ISO-8601 date", value)


def read_flag(name: str, value: Any) -> bool | None:
    """true or false, in any case; None for an empty cell."""
    if value is None or value == "":
        return None
    found = value if isinstance(value, bool) else _WORDS.get(str(value).lower())
    if found is None:
        raise invalid_cell(name, "must be true or false", value)
    return found


def read_number(name: str, value: Any) -> int | float | None:
    """A number as JSON has it: whole where it is whole, else with digits after the point; None for an empty cell."""
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else str(value)
    number = None
    if not isinstance(value, bool):
        try:
            number = _any(text)
        except msgspec.DecodeError:
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise invalid_cell(name, "must be a number", value)
    return int(number) if isinstance(number, float) and number.is_integer() and abs(number) < 2**53 else number


def check_object(name: str, text: Any) -> None:
    """Raise InvalidInput unless a cell is empty or the text of a JSON object."""
    if text is not None and not isinstance(_decoded(name, text, "must be a JSON object"), dict):
        raise invalid_cell(name, "must be a JSON object", text)


def read_object(name: str, text: Any) -> dict[str, Any] | None:
    """A JSON object, decoded and not too deep; None for an empty cell."""
    found = read_json(name, text)
    if found is not None and not isinstance(found, dict):
        raise invalid_cell(name, "must be a JSON object", text)
    return found


def read_json(name: str, text: Any) -> Any:
    """Any JSON value, decoded and not too deep; None for an empty cell."""
    if text is None or text == "":
        return None
    found = _decoded(name, text, "must be JSON")
    if _depth(found) > DOCUMENT_DEPTH_MAX:
        raise invalid_cell(name, f"must not be nested deeper than {DOCUMENT_DEPTH_MAX} levels", text)
    return found


def _decoded(name: str, text: Any, rule: str) -> Any:
    if not isinstance(text, str):
        raise invalid_cell(name, rule, text)
    if len(text) > DOCUMENT_LENGTH_MAX:
        raise invalid_cell(name, f"must have at most {DOCUMENT_LENGTH_MAX} characters", text)
    try:
        found = _any(text)
    except (msgspec.DecodeError, RecursionError):
        raise invalid_cell(name, rule, text) from None
    if r"\u0000" in text and _holds_nul(found):
        raise invalid_cell(name, "must hold no NUL", text)
    return found


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_holds_nul(part) for part in value)


def _depth(value: Any) -> int:
    """How deep lists and objects stand in one another, looked at no deeper than matters."""
    level, depth = [value], 0
    while depth <= DOCUMENT_DEPTH_MAX:
        nested = [each for each in level if isinstance(each, dict | list) and each]
        if not nested:
            return depth
        level = [part for each in nested for part in (each.values() if isinstance(each, dict) else each)]
        depth += 1
    return depth


def read_days(name: str, value: Any) -> tuple[int, ...] | None:
    """Days of the week as a file shows them, `1,2,3` with 0 for Sunday; None for an empty cell."""
    if value is None or value == "":
        return None
    parts = [part.strip() for part in str(value).split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) <= 6 for part in parts):
        raise invalid_cell(name, "must be days of the week such as 1,2,3", value)
    return tuple(int(part) for part in parts)


def read_metadata(cells: Mapping[str, Any], column: str, prefix: str) -> dict[str, Any] | None:
    """The metadata of a row: the document of its column, and each property that has a column of its own.

    cells: the row by column name. What a property's cell holds stays the text it is; an empty cell is no property.
    """
    document = read_object(column, cells.get(column))
    found = dict(document or {})
    for name, value in cells.items():
        if name.startswith(prefix) and value is not None and value != "":
            found[name.removeprefix(prefix)] = value
    return found or document


def same_document(first: str | None, second: str | None, read: Callable[[str], Any] = _any) -> bool:
    """Whether two JSON texts say the same."""
    if first is None or second is None:
        return first is second
    return first == second or read(first) == read(second)


def _is_decimal(text: str) -> bool:
    digits = text.removeprefix("-").replace(".", "", 1)
    return "." in text and digits.isascii() and digits.isdigit()
