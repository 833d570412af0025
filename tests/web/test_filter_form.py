"""The wire form of filters: every shape that the vendor's pages and clients use, and what is refused (facts 1.9, 2.4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from starlette.requests import Request

from counterfoil.errors import InvalidInput
from counterfoil.plan.request import Condition, FieldFilter, Filter
from counterfoil.web.voucherify.export_form import read
from counterfoil.web.voucherify.filter_form import echo_filters, read_filters
from counterfoil.web.voucherify.query_form import read_query_filters

PATH = ".parameters.filters"
AFTER = "2024-10-01T00:00:00.000Z"


def one(field: str, operator: str, *operands: Any, junction: str = "and") -> Filter:
    return Filter("or" if junction == "or" else "and", (FieldFilter(field, (Condition(operator, operands),)),))


BODIES: list[tuple[str, Any, Filter]] = [
    ("nothing", None, Filter()),
    ("an empty object", {}, Filter()),
    ("nested, an array (seed 000)", {"created_at": {"conditions": {"$after": [AFTER]}}}, one("created_at", "after", AFTER)),
    ("nested, a scalar", {"created_at": {"conditions": {"$after": AFTER}}}, one("created_at", "after", AFTER)),
    ("flat (the Python models)", {"created_at": {"$after": AFTER}}, one("created_at", "after", AFTER)),
    ("flat, with a null beside", {"created_at": {"$after": AFTER, "conditions": None, "$before": None}}, one("created_at", "after", AFTER)),
    ("all null (Python's from_dict)", {"junction": None, "created_at": {"$after": None, "$before": None}, "voucher_id": None}, Filter()),
    ("an array", {"voucher_id": {"conditions": {"$in": ["v_1", "v_2"]}}}, one("voucher_id", "in", "v_1", "v_2")),
    ("an empty array", {"voucher_id": {"conditions": {"$in": []}}}, one("voucher_id", "in")),
    ("an ignored operand", {"created_at": {"conditions": {"$has_value": ""}}}, one("created_at", "has_value", "")),
    ("a bare true", {"created_at": {"conditions": {"$is_unknown": True}}}, one("created_at", "is_unknown", True)),
    ("a number", {"created_at": {"conditions": {"$more_than": 10}}}, one("created_at", "more_than", 10)),
    ("AND", {"junction": "AND", "voucher_id": {"conditions": {"$is": "v"}}}, one("voucher_id", "is", "v")),
    ("Or", {"junction": "Or", "voucher_id": {"conditions": {"$is": "v"}}}, one("voucher_id", "is", "v", junction="or")),
    ("metadata", {"metadata.color": {"conditions": {"$is": ["red"]}}}, one("metadata.color", "is", "red")),
    (
        "several conditions",
        {"created_at": {"conditions": {"$after": AFTER, "$before": [AFTER]}}},
        Filter("and", (FieldFilter("created_at", (Condition("after", (AFTER,)), Condition("before", (AFTER,)))),)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), [each[1:] for each in BODIES], ids=[each[0] for each in BODIES])
def test_bodies_in_every_shape(body: Any, wanted: Filter) -> None:
    assert read_filters(body, PATH) == wanted


REFUSED: list[tuple[str, Any]] = [
    ("no object", []),
    ("text", "created_at"),
    ("a bare value", {"voucher_id": "v_1"}),
    ("a list of conditions", {"voucher_id": {"conditions": ["v_1"]}}),
    ("an operator without its dollar", {"voucher_id": {"conditions": {"is": "v_1"}}}),
    ("a stray key", {"voucher_id": {"condition": {"$is": "v_1"}}}),
    ("an object for an operand", {"voucher_id": {"conditions": {"$is": {"id": "v_1"}}}}),
    ("a list in a list", {"voucher_id": {"conditions": {"$in": [["v_1"]]}}}),
    ("an unknown junction", {"junction": "xor"}),
    ("a contradiction", {"created_at": {"$after": AFTER, "conditions": {"$after": "2020-01-01"}}}),
]


@pytest.mark.parametrize("body", [each[1] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_bodies_that_cannot_be_understood_are_refused(body: Any) -> None:
    with pytest.raises(InvalidInput):
        read_filters(body, PATH)


def test_the_echo_has_one_shape_and_reads_back_the_same() -> None:
    body = {
        "junction": "AND",
        "created_at": {"$after": AFTER},
        "voucher_id": {"conditions": {"$in": ["v"]}},
        "campaign_id": None,
    }
    shown = echo_filters(body)
    assert shown == {
        "junction": "and",
        "created_at": {"conditions": {"$after": AFTER}},
        "voucher_id": {"conditions": {"$in": ["v"]}},
    }
    assert read_filters(shown, PATH) == read_filters(body, PATH)


def from_query(query: str) -> Filter:
    return read_query_filters(Request({"type": "http", "query_string": query.encode(), "headers": []}))


QUERIES: list[tuple[str, str, Filter]] = [
    ("no filters", "limit=10&order=-id", Filter()),
    ("the documented form", "filters[voucher_id][conditions][$is]=v_1", one("voucher_id", "is", "v_1")),
    ("indexed", "filters[voucher_id][conditions][$in][0]=v_1&filters[voucher_id][conditions][$in][1]=v_2", one("voucher_id", "in", "v_1", "v_2")),
    ("indexed out of order", "filters[a][conditions][$in][10]=c&filters[a][conditions][$in][2]=b", one("a", "in", "b", "c")),
    ("empty brackets", "filters[a][conditions][$in][]=b&filters[a][conditions][$in][]=c", one("a", "in", "b", "c")),
    ("repeated", "filters[a][conditions][$in]=b&filters[a][conditions][$in]=c", one("a", "in", "b", "c")),
    ("without conditions", "filters[a][$is]=b", one("a", "is", "b")),
    ("percent-encoded", urlencode({"filters[metadata.color][conditions][$is]": "red & blue"}), one("metadata.color", "is", "red & blue")),
    ("a junction", "filters[junction]=OR&filters[a][conditions][$is][0]=b&filters[a][conditions][$is][1]=c", one("a", "is", "b", "c", junction="or")),
    ("Python's list", f"filters[voucher_id][$in]={quote(str(['v_1', 'v_2']))}", one("voucher_id", "in", "v_1", "v_2")),
    ("Python's None", "filters[voucher_id][$in]=None&filters[created_at]=None&filters[junction]=None", Filter()),
    ("only None", "filters=None", Filter()),
    ("text that looks like a list", "filters[a][$is]=[draft", one("a", "is", "[draft")),
]  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), [each[1:] for each in QUERIES], ids=[each[0] for each in QUERIES])
def test_query_strings_in_every_shape(query: str, wanted: Filter) -> None:
    assert from_query(query) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "filters[a=b",
        "filters[a]]=b",
        "filters[a][conditions]=b",
        "filters=everything",
        "filters[a][$is]=b&filters[a][$is][x]=c",
        "filters[a][conditions][is]=b",
        f"filters[a][$in][{'9' * 5000}]=b",
        "filters" + "[a]" * 20 + "=b",
    ],
)
def test_query_strings_that_cannot_be_understood_are_refused(query: str) -> None:
    with pytest.raises(InvalidInput):
        from_query(query)


def test_the_order_may_stand_beside_the_parameters_but_theirs_comes_first() -> None:
    beside = read({"order": "-created_at", "parameters": {"fields": ["id"]}}, "voucher_transactions")
    assert beside.request.order is not None and beside.request.order.descending
    both = read({"order": "-created_at", "parameters": {"order": "created_at"}}, "voucher_transactions")
    assert both.request.order is not None and not both.request.order.descending
    blank = read({"order": None, "parameters": {"order": "", "fields": None, "filters": None}}, "voucher_transactions")
    assert blank.request.order is None and blank.echo == {}
