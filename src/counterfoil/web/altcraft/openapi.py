"""What Altcraft's calls say of themselves in our OpenAPI: their parameters in JSON and XML, and the envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.web.altcraft import xml
from counterfoil.web.altcraft.envelope import FORMATS, SUCCESS

TEXT: Mapping[str, Any] = {"type": "string"}
INTEGER: Mapping[str, Any] = {"type": "integer"}
FLAG: Mapping[str, Any] = {"type": "boolean"}
INSTANT: Mapping[str, Any] = {"type": "string", "format": "date-time"}
DECIMAL: Mapping[str, Any] = {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}
DOCUMENT: Mapping[str, Any] = {"type": "object"}
EMPTY: Mapping[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a call, as the vendor's tables have it."""

    name: str
    kind: Mapping[str, Any]
    about: str
    example: Any = None
    required: bool = False


PROGRAMME = (
    Parameter("loyalty_program_id", INTEGER, "Loyalty program ID: the campaign's `loyalty_program_id`", 123, True),
    Parameter("points_currency_eid", TEXT, "External points currency ID; this one or points_currency_iid", "stars"),
    Parameter("points_currency_iid", INTEGER, "Internal points currency ID"),
)
MATCHING = (
    Parameter(
        "matching", {"enum": ["email", "phone", "profile_id", "custom"]}, "How to find the profile", "email", True
    ),
    Parameter("email", TEXT, "With matching email", "ann@example.com"),
    Parameter("phone", TEXT, "With matching phone"),
    Parameter("profile_id", TEXT, "With matching profile_id"),
    Parameter("field_name", TEXT, "With matching custom: `source_id` or the name of a metadata property"),
    Parameter("field_value", TEXT, "With matching custom"),
)
_ALWAYS = (
    Parameter("token", TEXT, "The API token, where it is not in the Authorization header"),
    Parameter("format", {"enum": list(FORMATS)}, "Form of the answer; otherwise that of the request"),
)
_OUTCOME: Mapping[str, Any] = {
    "error": {"type": "integer", "description": "0, or like HTTP: 400, 401, 403, 404, 409, 413, 429, 500, 501, 503"},
    "error_text": {"type": "string"},
}
_ERROR: Mapping[str, Any] = {"type": "object", "required": list(_OUTCOME), "properties": _OUTCOME}


def described(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """`openapi_extra` of a call with these parameters."""
    rows = (*parameters, *_ALWAYS)
    properties = {row.name: {**row.kind, "description": row.about} for row in rows}
    schema: dict[str, Any] = {
        "type": "object",
        "required": [row.name for row in rows if row.required],
        "properties": properties,
    }
    example = {row.name: row.example for row in rows if row.example is not None}
    as_xml = {"schema": {**schema, "xml": {"name": xml.ROOT}}, "example": xml.render(example).decode()}
    content = {
        "application/json": {"schema": schema, "example": example},
        "application/xml": as_xml,
        "text/xml": as_xml,
    }
    return {"requestBody": {"required": True, "content": content}}


def answered(
    data: Mapping[str, Any] | None, example: Any, *, beside: Mapping[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a call. data: the schema of `data`; None where the answer stands `beside` the envelope's keys."""
    own: Mapping[str, Any] = {} if data is None else {"data": data}
    properties = {**own, **(beside or {}), **_OUTCOME}
    success = {"type": "object", "required": list(properties), "properties": properties}
    schema = {"anyOf": [success, _ERROR]}
    shown = {**({"data": example} if data is not None else example), "error": 0, "error_text": SUCCESS}
    about = "The envelope: `error` is 0, or says with `error_text` what is wrong"
    found: dict[int | str, dict[str, Any]] = {200: _in_both_forms(about, schema, shown)}
    statuses: dict[int | str, str] = {
        **dict.fromkeys((400, 401, 403, 404, 409, 501), "With altcraft_http_status=mirrored, `error` as the status"),
        413: "The body is over the limit",
        429: "Too many requests",
        500: "A failure of ours",
        503: "Something we depend on is away; try again",
    }
    return {**found, **{status: _in_both_forms(words, _ERROR, None) for status, words in statuses.items()}}


def _in_both_forms(about: str, schema: Mapping[str, Any], example: Mapping[str, Any] | None) -> dict[str, Any]:
    json: dict[str, Any] = {"schema": schema}
    as_xml: dict[str, Any] = {"schema": {**schema, "xml": {"name": xml.ROOT}}}
    if example is not None:
        json["example"] = example
        as_xml["example"] = xml.render(example).decode()
    return {"description": about, "content": {"application/json": json, "application/xml": as_xml}}


FILE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The zip", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "The part asked for by Range", "content": {"application/zip": {}}},
    302: {"description": "The store's own signed link, where the server is set to give it"},
    304: {"description": "The file is the one the client has"},
    416: {"description": "The range lies outside the file"},
    **{
        status: _in_both_forms(words, _ERROR, None)
        for status, words in {
            401: "No token in the header, or an unknown one",
            403: "The link is not good, its time is over, or it is another project's",
            404: "The file is not there (any more)",
            429: "Too many requests",
            500: "A failure of ours",
            503: "The file store is away; try again",
        }.items()
    },
}
"""`responses` of the download."""
