"""The body of an export request, as lenient as the vendor's own clients need (facts 1.8, 1.9).

`order` may stand in `parameters` or beside it; conditions may be nested or flat, scalars or arrays; null is absent.
What is echoed is what was asked, in one shape: nested conditions, a lower-case junction, no defaults filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from counterfoil.catalog.objects import OBJECTS
from counterfoil.dataplane.formats import FORMATS
from counterfoil.errors import InvalidInput
from counterfoil.plan.fields import parse_order
from counterfoil.plan.request import ExportRequest, Filter
from counterfoil.web.voucherify.export_views import PYTHON_CLIENT
from counterfoil.web.voucherify.filter_form import echo_filters, read_filters

HEADER_STYLES = ("names", "titles")
EXECUTORS = ("local", "spark")
EXPORTED_OBJECTS = tuple(name for name in OBJECTS if name not in ("movement", "points_transaction"))
"""The vendor's nine. The others are our own and Altcraft's, and the vendor's clients refuse a list with them in it."""

_PARAMETERS: dict[str, Any] = {
    "type": ["object", "null"],
    "properties": {
        "order": {"type": ["string", "null"]},
        "fields": {"type": ["array", "null"], "items": {"type": "string"}},
        "filters": {"type": ["object", "null"]},
        "campaign_id": {"type": ["string", "null"]},
        "format": {"enum": [*FORMATS, None]},
        "header_style": {"enum": [*HEADER_STYLES, None]},
        "split_rows": {"type": ["integer", "null"], "minimum": 0},
        "split_bytes": {"type": ["integer", "null"], "minimum": 0},
        "executor": {"enum": [*EXECUTORS, None]},
    },
}
KNOWN_PARAMETERS = (*_PARAMETERS["properties"], "response_format")
"""response_format is sent by the vendor's helper for agents (facts 6.5) and says nothing that `format` does not."""
SHORTCUT_BODY: dict[str, Any] = {"properties": {"parameters": _PARAMETERS, "order": {"type": ["string", "null"]}}}
EXPORT_BODY: dict[str, Any] = {
    "required": ["exported_object"],
    "properties": {
        "exported_object": {"enum": list(EXPORTED_OBJECTS)},
        "parameters": _PARAMETERS,
        "order": {"type": ["string", "null"]},
    },
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request understood: neutral, with the echo of its parameters. campaign_id: only vouchers of that campaign."""

    request: ExportRequest
    echo: dict[str, Any]
    campaign_id: str | None = None

    def scoped(self, scope: Filter) -> ExportRequest:
        """The request with what its path demands."""
        return replace(self.request, scope=scope)


def read(body: Mapping[str, Any] | None, exported_object: str | None = None) -> Asked:
    """Understand a body; exported_object is given by shortcuts, else the body names it. Raises InvalidInput."""
    body = body or {}
    name = exported_object or _object_name(body)
    parameters = _parameters(body)
    fields = _fields(parameters.get("fields"))
    order = _text(parameters, "order") or _text(body, "order", "")
    filters = parameters.get("filters")
    campaign_id = _campaign_id(parameters, name)
    request = ExportRequest(
        object=name,
        fields=fields,
        order=parse_order(order) if order else None,
        filter=read_filters(filters, ".parameters.filters"),
        format=_choice(parameters, "format", tuple(FORMATS)) or "csv",
        header_style=_header_style(parameters),
        split_rows=_whole(parameters, "split_rows"),
        split_bytes=_whole(parameters, "split_bytes"),
        executor=_choice(parameters, "executor", EXECUTORS),
    )
    echo: dict[str, Any] = {}
    if order:
        echo["order"] = order
    if fields:
        echo["fields"] = list(fields)
    if filters:
        echo["filters"] = echo_filters(filters)
    if campaign_id:
        echo["campaign_id"] = campaign_id
    extensions = ("format", "header_style", "split_rows", "split_bytes", "executor")
    echo |= {key: parameters[key] for key in extensions if parameters.get(key) is not None}
    return Asked(request, echo, campaign_id)


def echo_with(echo: Mapping[str, Any], field: str, value: str, channel: str | None) -> dict[str, Any]:
    """The echo with the condition that the path added (facts 1.8).

    The documented form is `$in` with one value. The vendor's Python client refuses it in this one answer (facts 1.9,
    6.6), so a caller that says it is that client is shown `$is`, which all of them accept.
    """
    condition = {"$is": value} if channel == PYTHON_CLIENT else {"$in": [value]}
    filters = {**echo.get("filters", {}), field: {"conditions": condition}}
    return {**echo, "filters": filters}


def _object_name(body: Mapping[str, Any]) -> str:
    name = body.get("exported_object")
    if name is None:
        raise InvalidInput("missing_property", "Payload must have required property 'exported_object'")
    if name not in EXPORTED_OBJECTS:
        raise InvalidInput(
            "invalid_export_object", "No such object", field=".exported_object", value=name, allowed=EXPORTED_OBJECTS
        )
    return str(name)


def _parameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = body.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidInput("invalid_type", "Property .parameters must be object")
    for key, value in parameters.items():
        if key not in KNOWN_PARAMETERS and value is not None:
            # A misspelt `filter` that is ignored would let everything out.
            raise InvalidInput(
                "unknown_parameter", "Unknown", field=f".parameters.{key}", value=value, allowed=KNOWN_PARAMETERS
            )
    return parameters


def _campaign_id(parameters: Mapping[str, Any], name: str) -> str | None:
    campaign_id = _text(parameters, "campaign_id")
    if campaign_id is not None and name != "voucher":
        # Ignored, it would let more out than was asked for.
        raise InvalidInput(
            "invalid_parameter",
            "Property .parameters.campaign_id is for exports of vouchers; use a filter on campaign_id where there is one",
        )
    return campaign_id


def _header_style(parameters: Mapping[str, Any]) -> Literal["names", "titles"] | None:
    match _choice(parameters, "header_style", HEADER_STYLES):
        case "names":
            return "names"
        case "titles":
            return "titles"
        case _:
            return None


def _fields(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidInput("invalid_type", "Property .parameters.fields must be array")
    for at, name in enumerate(value):
        if not isinstance(name, str):
            raise InvalidInput("invalid_type", f"Property .parameters.fields[{at}] must be string")
    return tuple(value)


def _text(source: Mapping[str, Any], name: str, path: str = ".parameters") -> str | None:
    value = source.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidInput("invalid_type", f"Property {path}.{name} must be string")
    return value


def _choice(parameters: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    value = parameters.get(name)
    if value is None:
        return None
    if value not in allowed:
        raise InvalidInput("invalid_choice", "Unknown", field=f".parameters.{name}", value=value, allowed=allowed)
    return str(value)


def _whole(parameters: Mapping[str, Any], name: str) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInput("invalid_type", f"Property .parameters.{name} must be a whole number; 0 means one file")
    return value
