"""Altcraft's XML: a root named `xml`, elements named like the JSON keys, values as text, lists as repeated elements.

Documents with a DTD or entities are refused before anything of them is expanded (defusedxml), and reading stops as soon
as a document is larger or deeper than any call of this API can be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from counterfoil.errors import InvalidInput

ROOT = "xml"
DEPTH_MAX = 8
ELEMENTS_MAX = 10_000
# XML 1.0 has no way to write these characters at all.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FEED_BYTES = 1 << 16


def parse(body: bytes) -> dict[str, Any]:
    """A request body as nested dicts of text. Raises InvalidInput that says what is wrong with the document."""
    target = _Reading()
    parser: Any = DefusedXMLParser(target=target, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        for at in range(0, len(body), _FEED_BYTES):
            parser.feed(body[at : at + _FEED_BYTES])
        parser.close()
    except DefusedXmlException as error:
        raise InvalidInput("invalid_xml", "XML with a DTD or entities is not accepted") from error
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidInput("invalid_xml", f"The body is not well-formed XML: {error}") from error
    return target.found


class _Reading:
    """What the parser tells, as it tells it: an element with elements in it becomes a dict, any other one its text."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self._open: list[tuple[str, dict[str, Any], list[str]]] = []
        self._elements = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if not self._open and tag != ROOT:
            raise InvalidInput("invalid_xml", f"The root element must be <{ROOT}>, not <{tag}>")
        if len(self._open) > DEPTH_MAX:
            raise InvalidInput("invalid_xml", f"Elements may be nested {DEPTH_MAX} deep at most")
        if self._elements > ELEMENTS_MAX:
            raise InvalidInput("invalid_xml", f"A document may have {ELEMENTS_MAX} elements at most")
        self._open.append((tag, {}, []))

    def data(self, data: str) -> None:
        if self._open:
            self._open[-1][2].append(data)

    def end(self, tag: str) -> None:
        _, members, texts = self._open.pop()
        if not self._open:
            self.found = members
            return
        value = members or "".join(texts).strip()  # blanks and line ends around a value are layout
        siblings = self._open[-1][1]
        if tag not in siblings:
            siblings[tag] = value
        elif isinstance(siblings[tag], list):
            siblings[tag].append(value)
        else:
            siblings[tag] = [siblings[tag], value]

    def close(self) -> None:
        """Nothing is left to do."""


def render(body: Mapping[str, Any]) -> bytes:
    """An answer as XML, keys in the order they come."""
    return f"<{ROOT}>{_children(body)}</{ROOT}>".encode()


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
