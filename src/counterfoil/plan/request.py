"""What was asked, in no vendor's words: the dialect-neutral export request and its filters.

Dialects parse their wire form into these; planner, list endpoints and previews all read the same ones. They encode to
JSON and back without loss (msgspec), because the exports row stores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scalar = str | int | float | bool | None

Junction = Literal["and", "or"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on a field. Operands are always a tuple: a scalar operand is a tuple of one, none is empty.

    operator: a neutral name, the vendor's without its dollar (`in`, `is_not`, `after`, `more_than`, …), and
    `at_or_after` / `at_or_before` for dialects with inclusive bounds. Day distances and date words are resolved to
    instants when the request is planned, so that a retry asks for exactly the same rows.
    """

    operator: str
    operands: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldFilter:
    """All conditions on one field; every one of them must hold."""

    field: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Field filters joined by one junction. No field filters means every row."""

    junction: Junction = "and"
    fields: tuple[FieldFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """The field to order by. Ties are broken by the object's own unique key; descending reverses both."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An export as asked for, after the dialect understood it and before it is planned.

    fields: column names in file order; empty means the object's defaults. scope: what the path or the dialect demands
    besides the caller's filter (a campaign, a card, a period); it always holds, whatever the filter's junction.
    limit_rows: stop after so many rows (Altcraft's batches). after_seq: only movements behind this seq in the order.
    """

    object: str
    fields: tuple[str, ...] = ()
    order: Order | None = None
    filter: Filter = Filter()
    scope: Filter = Filter()
    format: str = "csv"
    compression: str | None = None
    header_style: Literal["names", "titles"] | None = None
    layout: str = "default"
    split_rows: int | None = None
    split_bytes: int | None = None
    limit_rows: int | None = None
    cursor: tuple[int, int] | None = None
    """(created_at ms, seq) of the last row already exported; only rows behind it in the order are wanted."""
    executor: str | None = None
    file_name: str | None = None
