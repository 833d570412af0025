"""Objects in query strings, in every way that clients write them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from counterfoil.errors import InvalidInput
from counterfoil.plan.request import Condition, FieldFilter, Filter
from counterfoil.web.voucherify.query_form import deep_object, read_query_filters


def asked(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", None),
        ("other=1&rooted[a]=2", None),
        ("root=x", "x"),
        ("root=", ""),
        ("root[a]=1&root[b][c]=2", {"a": "1", "b": {"c": "2"}}),
        ("root%5Ba%5D=1", {"a": "1"}),
        ("root[a][0]=x&root[a][1]=y", {"a": ["x", "y"]}),
        ("root[a][10]=k&root[a][9]=j", {"a": ["j", "k"]}),
        ("root[a][]=x&root[a][]=y", {"a": ["x", "y"]}),
        ("root[a]=x&root[a]=y&root[a]=z", {"a": ["x", "y", "z"]}),
        ("root=None", None),
        ("root[a]=None&root[b]=1&root[c][d]=None", {"b": "1"}),
        ("root[metadata.size]=1", {"metadata.size": "1"}),
    ],
)
def test_parameters_make_an_object(query: str, found: Any) -> None:
    assert deep_object(asked(query).query_params.multi_items(), "root") == found


@pytest.mark.parametrize(
    "query",
    ["root[a=1", "root[a]]=1", "root[a]x=1", "root=1&root[a]=2", "root[a]=1&root[a][b]=2", "root[a][b]=1&root[a]=2",
     "root" + "[a]" * 9 + "=1"],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(query: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be understood") as error:
        deep_object(asked(query).query_params.multi_items(), "root")
    assert error.value.code == "invalid_query_params"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("filters=None", ()),
        ("filters[name]=None", ()),
        ("filters[name][conditions][$is]=None", ()),
        ("filters[name][conditions][$is]=x", (("name", "is", ("x",)),)),
        ("filters[name][$is]=x", (("name", "is", ("x",)),)),
        ("filters[name][conditions][$is][0]=x&filters[name][conditions][$is][1]=y", (("name", "is", ("x", "y")),)),
        ("filters[name][conditions][$in]=['x', 'y']", (("name", "in", ("x", "y")),)),
        ("filters[name][conditions][$in]=['x', {}]", (("name", "in", ("['x', {}]",)),)),
        ("filters[name][conditions][$in]=[x]", (("name", "in", ("[x]",)),)),
        ("filters[name][conditions][$has_value]=", (("name", "has_value", ("",)),)),
    ],
)
def test_filters_are_read_from_a_query(query: str, fields: tuple[tuple[str, str, tuple[str, ...]], ...]) -> None:
    found = tuple(FieldFilter(name, (Condition(operator, values),)) for name, operator, values in fields)
    assert read_query_filters(asked(query)) == Filter("and", found)


def test_the_junction_of_a_query_is_of_any_case() -> None:
    assert read_query_filters(asked("filters[a][$is]=1&filters[junction]=OR")).junction == "or"
    with pytest.raises(InvalidInput):
        read_query_filters(asked("filters[a][$is]=1&filters[junction]=XOR"))
