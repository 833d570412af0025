"""Every operator on every kind of field, over HTTP: each export's rows are those that plain Python keeps of the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import OBJECTS
from counterfoil.catalog.operators import BY_NAME, STATES, Takes, operators_of
from counterfoil.web.voucherify.errors import NEUTRAL_ONLY
from tests.fakes import FakeClock
from tests.web.conftest import signed_in
from tests.web.exporting import ask, ended, rows, working
from tests.web.listed_cells import CELLS, text
from tests.web.naive_filter import holds, state_holds
from tests.web.test_exports_against_lists import LISTS, in_query, listed
from tests.web.test_exports_against_lists import _fill as fill  # pyright: ignore[reportPrivateUsage]

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000
KEYS = dict.fromkeys(CELLS, "id") | {"voucher": "code", "publication": "voucher_code"}
_NONE: dict[Kind, list[Any]] = {
    Kind.STRING: ["none"],
    Kind.ANY: ["none"],
    Kind.INTEGER: [10],
    Kind.MONEY: [10],
    Kind.INSTANT: ["2024-10-10"],
    Kind.DATE: ["2024-10-10"],
    Kind.BOOLEAN: [True],
}
"""What to ask of a field that no item has."""


@pytest.fixture(scope="module")
def now() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, now: FakeClock) -> Iterator[TestClient]:
    """A shop whose things were made on three days."""
    with working(tmp_path_factory.mktemp("operators"), now) as world:
        api = signed_in(*world, "shop")
        fill(api, now)
        now.advance_ms(DAY_MS)
        assert api.post("/v1/customers", json={"source_id": "dan", "birthdate": "2000-10-10"}).status_code == 200
        assert api.post("/v1/orders", json={"source_id": "o-dan", "amount": 4000, "status": "PAID"}).status_code == 200
        now.advance_ms(9 * DAY_MS + 3_600_000)
        yield api


@dataclass(frozen=True, slots=True)
class Question:
    """One condition on one field."""

    field: str
    operator: str
    operands: tuple[Any, ...]
    array: bool

    @property
    def filters(self) -> dict[str, Any]:
        """As it is sent: scalars bare or in an array, in turn."""
        operand: Any = list(self.operands) if self.array or len(self.operands) != 1 else self.operands[0]
        return {self.field: {"conditions": {f"${self.operator}": operand}}}


def questions(name: str, items: list[dict[str, Any]]) -> Iterator[Question]:
    """For each kind the object has: all of its operators and all of its fields, paired until both are used up."""
    about = OBJECTS[name]
    by_kind: dict[tuple[Kind, bool], list[str]] = {}
    for field_name in filterable(name):
        field = about.field(field_name)
        assert field is not None
        by_kind.setdefault((field.kind, field.many), []).append(field_name)
    number = 0
    for (kind, many), names in by_kind.items():
        operators = [each for each in operators_of(kind, many=many) if each not in NEUTRAL_ONLY]
        count = max(len(names), len(operators))
        for field_name, operator in islice(zip(cycle(names), cycle(operators), strict=False), count):
            if operator.startswith("count") and not many:
                continue
            number += 1
            yield question(name, items, field_name, operator, number)


def filterable(name: str) -> list[str]:
    """The fields of an object that the lists show and filters know."""
    fields = {each: OBJECTS[name].field(each) for each in CELLS[name]}
    return [each for each, field in fields.items() if field is not None and field.filterable]


def question(name: str, items: list[dict[str, Any]], field_name: str, operator: str, number: int) -> Question:
    """A condition whose operands the number chooses among what the list shows."""
    field = OBJECTS[name].field(field_name)
    assert field is not None
    values = [each for item in items for each in values_of(name, field_name, item) if each is not None]
    return Question(field_name, operator, operands(operator, values or _NONE[field.kind], number), number % 2 == 0)


def operands(operator: str, values: list[Any], number: int) -> tuple[Any, ...]:
    """Operands of which most find something: values that the list shows, and small numbers."""
    one, other = values[number % len(values)], values[number * 7 % len(values)]
    match BY_NAME[operator].takes:
        case Takes.NOTHING:
            return (("", True)[number % 2],)
        case Takes.VALUES:
            return tuple(dict.fromkeys((one, other)))
        case Takes.VALUE if operator in {"after", "before"}:
            return (one if str(one)[4:5] == "-" else "2024-10-10",)
        case Takes.VALUE if not isinstance(one, str):
            return (one,)
        case Takes.TEXTS:
            return (str(one)[-2:] if operator == "ends_with" else str(one)[:2],)
        case Takes.PARTS:
            return {"is_day": (3, 4), "is_day_of_month": (1, 9), "is_month": (10,)}.get(operator, (2024,))
        case Takes.YEARS:
            return (0, 24)
        case Takes.DAYS | Takes.COUNTS:
            return (number % 3, 10)
        case _:
            return ((2, 5, 10, 100)[number % 4],)


def values_of(name: str, field: str, item: dict[str, Any]) -> list[Any]:
    """A listed item's values of a field: several where the field has several."""
    value = CELLS[name][field](item)
    if field == "validity_day_of_week":
        return list(item.get("validity_day_of_week") or [])
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", CELLS)
def test_each_operator_keeps_what_plain_python_keeps(
    shop: TestClient, now: FakeClock, told: Callable[[str], None], name: str
) -> None:
    items = listed(shop, name)
    moment = datetime.fromtimestamp(now.now_ms() / 1000, UTC)
    asked = list(questions(name, items))
    key = KEYS[name]
    made = [ask(shop, name, {"fields": [key], "filters": question.filters}) for question in asked]
    found_some, wrong = 0, list[Any]()
    for question, export_id in zip(asked, made, strict=True):
        export = ended(shop, export_id)
        assert export["status"] == "DONE", (question, export)
        found = sorted(row[key] for row in rows(shop.get(export["result"]["url"]).text))
        expected = sorted(
            text(CELLS[name][key](item))
            for item in items
            if holds(question.operator, question.operands, values_of(name, question.field, item), moment)
        )
        found_some += 0 < len(found) < len(items)
        if found != expected:
            wrong.append((question, found, expected))
    assert not wrong
    told(f"{name}: {len(asked)} conditions, {len({q.operator for q in asked})} operators; {found_some} kept some rows")
    assert found_some > 8


@st.composite
def random_questions(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str, int]]]:
    """An object, a junction, and some (field, operator, number that chooses operands)."""
    name = draw(st.sampled_from(sorted(CELLS)))
    chosen: list[tuple[str, str, int]] = []
    for field_name in draw(st.lists(st.sampled_from(filterable(name)), min_size=1, max_size=3, unique=True)):
        field = OBJECTS[name].field(field_name)
        assert field is not None
        allowed = [each for each in operators_of(field.kind, many=field.many) if each not in NEUTRAL_ONLY]
        allowed = [each for each in allowed if field.many or not each.startswith("count")]
        chosen.append((field_name, draw(st.sampled_from(allowed)), draw(st.integers(0, 99))))
    return name, draw(st.sampled_from(["AND", "or"])), chosen


def test_export_list_and_plain_python_agree_on_random_filters(
    shop: TestClient, now: FakeClock, told: Callable[[str], None]
) -> None:
    drawn: Counter[tuple[str, str]] = Counter()
    examples = 0

    @settings(max_examples=100)  # so many that no object is left out by chance
    @given(asked=random_questions())
    def agree(asked: tuple[str, str, list[tuple[str, str, int]]]) -> None:
        nonlocal examples
        examples += 1
        drawn.update((asked[0], operator) for _, operator, _ in asked[2])
        check_agreement(shop, now, *asked)

    agree()
    objects, operators = ({each[at] for each in drawn} for at in (0, 1))
    told(f"{examples} random filters of {len(objects)} objects, {len(operators)} operators: all three agree")
    assert objects == set(CELLS)


def check_agreement(
    shop: TestClient, now: FakeClock, name: str, junction: str, chosen: list[tuple[str, str, int]]
) -> None:
    """Export, list (where it takes filters) and plain Python find the same."""
    items = listed(shop, name)
    moment = datetime.fromtimestamp(now.now_ms() / 1000, UTC)
    conditions = [question(name, items, *each) for each in chosen]
    filters: dict[str, Any] = {"junction": junction}
    for each in conditions:
        filters |= each.filters
    together = all if junction == "AND" else any
    kept = [
        item
        for item in items
        if together(holds(c.operator, c.operands, values_of(name, c.field, item), moment) for c in conditions)
    ]
    key = KEYS[name]
    expected = sorted(text(CELLS[name][key](item)) for item in kept)
    export = ended(shop, ask(shop, name, {"fields": [key], "filters": filters}))
    assert sorted(row[key] for row in rows(shop.get(export["result"]["url"]).text)) == expected
    if name in LISTS:
        assert sorted(text(CELLS[name][key](item)) for item in listed(shop, name, in_query(filters))) == expected


@pytest.mark.parametrize("word", STATES)
def test_each_state_of_vouchers(shop: TestClient, now: FakeClock, word: str) -> None:
    moment = datetime.fromtimestamp(now.now_ms() / 1000, UTC)
    expected = sorted(item["code"] for item in listed(shop, "voucher") if state_holds(word, item, moment))
    for conditions in ({f"${word}": True}, {"$is": word}, {"$in": [word]}):
        filters = {"redemption_status": {"conditions": conditions}}
        export = ended(shop, ask(shop, "voucher", {"fields": ["code"], "filters": filters}))
        assert sorted(row["code"] for row in rows(shop.get(export["result"]["url"]).text)) == expected
