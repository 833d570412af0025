"""Altcraft's XML: a root named `xml`, elements named like the JSON keys, values as text, lists as repeated elements.

Documents with a DTD or entities are refused before anything of them is expanded (defusedxml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from counterfoil.errors import InvalidInput

DEPTH_MAX = 8
# XML 1.0 has no way to write these characters at all.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(body: bytes) -> dict[str, Any]:
    """A request body as nested dicts of text. Raises InvalidInput that says what is wrong with the document."""
    try:
        root = fromstring(body, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException as error:
        raise InvalidInput("invalid_xml", "XML with a DTD or entities is not accepted") from error
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidInput("invalid_xml", f"The body is not well-formed XML: {error}") from error
    if root.tag != "xml":
        raise InvalidInput(
            "invalid_xml", "The root element must be <xml>", field="xml", value=root.tag, allowed=("xml",)
        )
    found = _value(root, 0)
    return found if isinstance(found, dict) else {}


def _value(element: Element, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise InvalidInput("invalid_xml", f"Elements may be nested {DEPTH_MAX} deep at most")
    if len(element) == 0:
        return element.text or ""
    found: dict[str, Any] = {}
    for child in element:
        value = _value(child, depth + 1)
        if child.tag not in found:
            found[child.tag] = value
        elif isinstance(found[child.tag], list):
            found[child.tag].append(value)
        else:
            found[child.tag] = [found[child.tag], value]
    return found


def render(body: Mapping[str, Any]) -> bytes:
    """An answer as XML, keys in the order they come."""
    return f"<xml>{_children(body)}</xml>".encode()


def _children(body: Mapping[str, Any]) -> str:
    return "".join(_element(name, value) for name, value in body.items())


def _element(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"<{name}>{_children(value)}</{name}>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(_element(name, item) for item in value) or f"<{name}/>"
    if value is None:
        return f"<{name}/>"
    if isinstance(value, bool):
        return f"<{name}>{'true' if value else 'false'}</{name}>"
    return f"<{name}>{escape(_UNWRITABLE.sub('�', str(value)))}</{name}>"
