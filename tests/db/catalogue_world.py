"""A small world of rows for every exportable object, and what the catalogue's sources mean on it, in plain Python.

The rows are drawn once from a fixed seed, out of small pools of awkward values, so that random filters hit some of
them. `interpret` and `model_row` read the catalogue's sources off the Python rows: a second reading beside the SQL.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.catalog.exportable import Exportable, Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import (
    AnyOf,
    Average,
    Child,
    ChildSum,
    Choice,
    Column,
    Difference,
    FirstOf,
    JsonAt,
    JsonList,
    Nothing,
    Source,
    State,
)
from counterfoil.clock import parse_instant_ms
from counterfoil.db.schema import JsonText, metadata

NOW_MS = parse_instant_ms("2024-02-29T13:45:10.123Z")
DAY_MS = 86_400_000

WORDS = (
    "",
    "a",
    "A",
    "ab",
    "aB",
    "ba",
    "ä",
    "Ä",
    "日本",
    "a%b",
    "a_b",
    "it's",
    'say "x"',
    "a\\b",
    "10",
    "1e1",
    "-5",
    " ",
)
IDS = tuple(f"id_{n}" for n in range(8))
NUMBERS = (-7, -1, 0, 1, 2, 3, 10, 99, 100, 2**40)
INSTANTS = (
    *(NOW_MS + days * DAY_MS + shift for days in (-370, -31, -10, -1, 0, 1, 7, 30, 366) for shift in (0, 1, -1)),
    *(
        parse_instant_ms(text)
        for text in ("1969-12-31T23:59:59.999Z", "1900-02-28T12:00:00Z", "2023-02-28", "2020-02-29")
    ),
    *(
        parse_instant_ms(text)
        for text in ("2024-02-26", "2024-03-03T23:59:59.999Z", "2024-03-04", "2023-12-31T23:59:59.999Z")
    ),
)
DATES = (
    *("2024-02-29", "2024-02-28", "2024-03-01", "2024-02-26", "2023-02-28", "2020-02-29", "1990-02-28", "1985-12-31"),
    *("2024-02-19", "2024-03-10", "2025-01-01", "1999-03-01", "2024-01-31"),
)
PROPERTIES = ("color", "size", "when", 'od"d', "a.b", "ключ")
PROPERTY_VALUES: tuple[Any, ...] = (
    *("red", "RED", "", "10", "true", 10, 10.0, 12.5, -5, 0, True, False, None, [], ["red", 10], [1, 2, 3], ["x"]),
    *(
        {"a": 1},
        [["red"]],
        "2024-02-29",
        "2024-02-29T13:45:10.123Z",
        "2023-02-28T00:00:00Z",
        "2024-02-28T23:59:59.999Z",
    ),
    *("2024-02-2", "2024-xx-29", "1969-12-31"),
)
DOCUMENTS: dict[str, tuple[Any, ...]] = {
    "discount": (
        None,
        {"type": "AMOUNT", "amount_off": 1050, "effect": "APPLY_TO_ORDER"},
        {"type": "PERCENT", "percent_off": 12.5, "amount_limit": 5000},
        {"type": "PERCENT", "percent_off": 10, "percent_off_formula": "ORDER.AMOUNT / 2"},
        {"type": "UNIT", "unit_off": 2, "unit_type": "prod_1", "effect": "ADD_NEW_ITEMS"},
        {"type": "UNIT", "units": [{"unit_type": "prod_1", "effect": "ADD_NEW_ITEMS"}, {"unit_type": "prod_2", "effect": None}]},
        {"type": "FIXED", "fixed_amount": 999},
    ),
    "validity_timeframe": (None, {"interval": "P2D", "duration": "PT1H"}, {"interval": 2, "duration": None}),
    "validity_day_of_week": (None, [], [1, 2, 3, 4, 5], [0], [6, 0]),
    "items": (None, [], [{"product_id": "id_1", "quantity": 1}], [{"product_id": "id_1"}, {"sku_id": "id_2", "source_id": "a"}]),
    "channel": (None, {"channel_id": "id_1", "channel_type": "API"}, {"channel_type": "USER", "user_login": "ab"}),
    "attributes": (None, ["color", "size"], {"color": "red", "size": 10}, {}),
}  # fmt: skip

Row = dict[str, Any]
World = dict[str, list[Row]]


def build(seed: int = 7, rows: int = 40) -> World:
    """Rows of every table that the catalogue reads, for projects 1 and 2."""
    draw = random.Random(seed)
    tables = (
        "campaigns",
        "customers",
        "vouchers",
        "buckets",
        "movements",
        "redemptions",
        "publications",
        "orders",
        "products",
        "skus",
    )
    return {name: [_row(draw, name, no, project) for project in (1, 2) for no in range(rows)] for name in tables}


def store(world: World, connection: Connection) -> None:
    """Write the world's rows."""
    for name, rows in world.items():
        connection.execute(metadata.tables[name].insert(), rows)


def _row(draw: random.Random, table: str, no: int, project: int) -> Row:
    row: Row = {"project_id": project}
    for column in metadata.tables[table].columns:
        if column.name not in row:
            row[column.name] = _value(draw, column, no)
    own: dict[str, Any] = {
        "vouchers": lambda: _balances(draw) | {"type": draw.choice(("DISCOUNT_VOUCHER", "GIFT_VOUCHER", "LOYALTY_CARD"))},
        "campaigns": lambda: {"name": f"campaign {no}", "iid": no},
        "customers": lambda: {"source_id": draw.choice((f"source {no}", f"Source {no}", f"ä{no}"))},
        "buckets": lambda: {"points": draw.randrange(100), "status": draw.choice(("ACTIVE", "EXPIRED"))},
        "movements": lambda: {
            "seq": no + 1,
            "type": draw.choice(("POINTS_ACCRUAL", "OPENING_BALANCE", "CREDITS_ADDITION")),
            "details": draw.choice((None, '{"balance":{"total":1}}')),
            "lots": draw.choice((None, "[]")),
        },
        "redemptions": lambda: {"result": draw.choice(("SUCCESS", "FAILURE")), "object": draw.choice(("redemption", "redemption_rollback"))},
        "orders": lambda: {"source_id": f"source {no}"},
        "publications": lambda: {"source_id": f"source {no}"},
        "products": lambda: {"source_id": f"source {no}"},
        "skus": lambda: {"source_id": f"source {no}"},
    }  # fmt: skip
    row |= own.get(table, dict)()
    row["id"] = IDS[no] if no < len(IDS) else f"id_{no}"
    if table == "vouchers":
        row["code"] = f"{draw.choice(WORDS)}{no}"
        row["deleted_at"] = draw.choice((None, None, None, NOW_MS))
    return row


def _balances(draw: random.Random) -> Row:
    total = draw.randrange(200)
    redeemed = draw.randrange(total + 1)
    return {"total": total, "redeemed": redeemed, "expired": 0, "balance": total - redeemed, "subtracted": 0}


def _value(draw: random.Random, column: sa.Column[Any], no: int) -> Any:
    if column.nullable and draw.random() < 0.2:
        return None
    if isinstance(column.type, JsonText):
        return _document(draw, column.name)
    if isinstance(column.type, sa.Boolean):
        return draw.random() < 0.5
    if isinstance(column.type, sa.BigInteger | sa.Integer):
        return _number(draw, column.name, no)
    if column.name in {"birthdate", "birthday", "expires_on"}:
        return draw.choice(DATES)
    return draw.choice(IDS if column.name.endswith("_id") else WORDS)


def _document(draw: random.Random, name: str) -> Any:
    if name == "metadata":
        chosen = draw.sample(PROPERTIES, draw.randrange(len(PROPERTIES)))
        return {key: draw.choice(PROPERTY_VALUES) for key in chosen}
    return draw.choice(DOCUMENTS.get(name, (None, {}, [])))


def _number(draw: random.Random, name: str, no: int) -> int:
    if name == "currency_scale":
        return 0
    if name == "iid":
        return no
    if name.endswith(("_at", "_date")) or name == "date":
        return draw.choice(INSTANTS)
    return draw.choice(NUMBERS[2:] if name.endswith(("count", "amount", "quantity")) else NUMBERS)


# -- what the catalogue means -------------------------------------------------------------------------------------------


def rows_of(world: World, about: Exportable, project: int = 1) -> Iterator[Row]:
    """The object's rows that may leave at all."""
    for row in world[about.table]:
        hidden = any(row[column] == value for column, value in about.hidden)
        if row["project_id"] == project and not hidden and (about.deleted is None or row[about.deleted] is None):
            yield row


def interpret(field: Field, about: Exportable, row: Row, world: World) -> Any:
    """The field's value in a file, in its inner form."""
    value = _scalar(field.source, about, row, world)
    if value is None:
        return None
    if field.kind is Kind.JSON and not isinstance(value, str):
        return _json(value)
    return str(value) if field.kind is Kind.DECIMAL else value


def model_row(about: Exportable, row: Row, world: World, names: set[str]) -> Row:
    """The row as `plan.matching` wants it, for the named fields."""
    made: Row = {}
    for name in names:
        field = about.field(name)
        assert field is not None, name
        made[name] = _filtered(field, about, row, world)
    return made


def _filtered(field: Field, about: Exportable, row: Row, world: World) -> Any:
    match field.source:
        case State():
            names = {"quantity": "redemption_quantity", "redeemed": "redeemed_quantity"}
            parts = ("active", "start_date", "expiration_date", "quantity", "redeemed", "balance", "type")
            return {part: row[names.get(part, part)] for part in parts}
        case JsonAt(path, keys) if field.kind is Kind.ANY:
            document = row[path]
            return document.get(keys[0]) if isinstance(document, dict) else None
        case JsonList():
            return _elements(field.source, row)
        case AnyOf(sources):
            return [_scalar(each, about, row, world) for each in sources]
        case Child(table, column, on):
            return [each[column] for each in _children(world[table], on, row)]
        case _:
            return interpret(field, about, row, world)


def _children(rows: list[Row], on: tuple[tuple[str, str], ...], row: Row) -> list[Row]:
    mine = [each for each in rows if each["project_id"] == row["project_id"]]
    return [each for each in mine if all(each[theirs] is not None and each[theirs] == row[ours] for theirs, ours in on)]


def _elements(source: JsonList, row: Row) -> list[Any]:
    value = row[source.path]
    for key in source.keys:
        value = value.get(key) if isinstance(value, dict) else None
    values = value if isinstance(value, list) else [] if value is None else [value]
    if source.item is not None:
        values = [each.get(source.item) if isinstance(each, dict) else None for each in values]
    return [each for each in values if each is not None]


def _scalar(source: Source, about: Exportable, row: Row, world: World) -> Any:
    match source:
        case Column(path):
            return _column(path, about, row, world)
        case JsonAt(path, keys):
            value = _column(path, about, row, world)
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            return value if value is None or isinstance(value, str) else _json(value)
        case JsonList():
            texts = [each if isinstance(each, str) else _json(each) for each in _elements(source, row)]
            return ",".join(texts) or None
        case Nothing():
            return None
        case _:
            return _computed(source, about, row, world)


def _computed(source: Source, about: Exportable, row: Row, world: World) -> Any:
    match source:
        case Choice(by, cases):
            word = _scalar(by, about, row, world)
            return next((_scalar(case, about, row, world) for name, case in cases if name == word), None)
        case FirstOf(sources):
            values = (_scalar(each, about, row, world) for each in sources)
            return next((value for value in values if value is not None), None)
        case Difference(left, right):
            return _scalar(left, about, row, world) - _scalar(right, about, row, world)
        case Average(total, count):
            amount, number = _scalar(total, about, row, world), _scalar(count, about, row, world)
            return (2 * amount + number) // (2 * number) if number else 0
        case ChildSum(table, column, on, where, deleted):
            mine = [
                each for each in _children(world[table], on, row) if all(each[name] == value for name, value in where)
            ]
            return sum(each[column] for each in mine if deleted is None or each[deleted] is None)
        case _:
            raise AssertionError(source)


def _column(path: str, about: Exportable, row: Row, world: World) -> Any:
    name, _, column = path.rpartition(".")
    if not name:
        return row[column]
    join = next(each for each in about.joins if each.name == name)
    for other in world[join.table]:
        same = all(row[ours] is not None and other[theirs] == row[ours] for theirs, ours in join.on)
        if other["project_id"] == row["project_id"] and same:
            return other[column]
    return None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
