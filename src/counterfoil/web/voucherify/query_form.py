"""Objects in query strings: `filters[name][conditions][$is][0]=x`, `customer[source_id]=y` (facts 2.4).

The vendor's clients write arrays as `[0]`, as `[]`, or by repeating a name, and one of them writes absent values as the
word None.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from fastapi import Request

from counterfoil.errors import InvalidInput
from counterfoil.plan.request import Filter
from counterfoil.web.voucherify.filter_form import read_filters

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PARTS = re.compile(r"\[([^\[\]]*)\]")
_DEPTH_MAX = 8
_LIST = re.compile(r"\[.*\]\Z", re.DOTALL)


def read_query_filters(request: Request) -> Filter:
    """The filters of a list endpoint's query string. Raises InvalidInput for what cannot be understood."""
    return read_filters(_with_lists(deep_object(request.query_params.multi_items(), "filters")), ".filters")


def deep_object(items: Iterable[tuple[str, str]], root: str) -> Any:
    """What the parameters `root`, `root[…]` say together: text, a dict, a list, or None when there are none.

    Keys that are all numbers make a list in their order; the word None is absent. Raises InvalidInput for broken brackets and for names that
    contradict each other.
    """
    tree: dict[str, Any] = {}
    for name, value in items:
        if value == "None" or (name != root and not name.startswith(f"{root}[")):
            continue
        matched = _NAME.match(name)
        if matched is None:
            raise _bad(name)
        path = [root, *_PARTS.findall(matched[2])]
        if len(path) > _DEPTH_MAX:
            raise _bad(name)
        _plant(tree, path, value, name)
    return _grown(tree.get(root))


def _plant(tree: dict[str, Any], path: list[str], value: str, name: str) -> None:
    node: Any = tree
    for key in path[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise _bad(name)
    key = path[-1] or str(len(node))
    known = node.get(key)
    if known is None:
        node[key] = value
    elif isinstance(known, dict):
        raise _bad(name)
    else:
        node[key] = [*(known if isinstance(known, list) else [known]), value]


def _grown(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isascii() and key.isdigit() and len(key) < 10 for key in node):
        return [_grown(node[key]) for key in sorted(node, key=int)]
    return {key: _grown(value) for key, value in node.items()}


def _with_lists(node: Any) -> Any:
    """The same with Python's own way of writing a list read as one."""
    if isinstance(node, dict):
        return {key: _with_lists(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_lists(value) for value in node]
    return _listed(node) if isinstance(node, str) else node


def _listed(text: str) -> Any:
    if not _LIST.match(text):
        return text
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return found if isinstance(found, list) and all(isinstance(each, str | int) for each in found) else text


def _bad(name: str) -> InvalidInput:
    return InvalidInput("invalid_query_params", f"Property .{name} cannot be understood", field=name)
