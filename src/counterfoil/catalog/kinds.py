"""The kinds of value that a field holds."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a value is; it decides the operators allowed on it and how a file shows it.

    MONEY is an integer of minor units (points included). INSTANT is milliseconds since the epoch, UTC. DATE is ISO
    text. DECIMAL is an exact number kept as text, for columns that mix units (percent, amount, pieces). JSON is a
    document as text. STATE is a word that several columns and the present time decide. ANY is a value whose kind only
    the row knows: a metadata property.
    """

    STRING = "string"
    INTEGER = "integer"
    MONEY = "money"
    INSTANT = "instant"
    DATE = "date"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    JSON = "json"
    STATE = "state"
    ANY = "any"
