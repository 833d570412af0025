"""What Voucherify's routes say of themselves in our OpenAPI: credentials, the error object, the statuses of every route."""

from __future__ import annotations

from typing import Any

from counterfoil.web.routing import Credentials

ERROR_SCHEMA: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status again"},
        "key": {"type": "string"},
        "message": {"type": "string"},
        "details": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "resource_id": {"type": ["string", "null"]},
        "resource_type": {"type": ["string", "null"]},
    },
}
BROKEN_BODY_SCHEMA: dict[str, Any] = {
    "title": "Body parser error",
    "type": "object",
    "required": ["statusCode", "error", "message"],
    "properties": {
        "statusCode": {"type": "integer"},
        "error": {"type": "string"},
        "message": {"type": "string"},
    },
}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: _json("The request is wrong, or a rule refuses it", {"anyOf": [ERROR_SCHEMA, BROKEN_BODY_SCHEMA]}),
    401: _json("No credentials, or wrong ones", ERROR_SCHEMA),
    403: _json("The key or token may not do this", ERROR_SCHEMA),
    404: _json("No such thing in this project", ERROR_SCHEMA),
    409: _json("It collides with something that exists", ERROR_SCHEMA),
    413: _json("The body is over the limit", BROKEN_BODY_SCHEMA),
    415: _json("The body's content type says that it is no JSON", BROKEN_BODY_SCHEMA),
    429: _json("Too many requests", ERROR_SCHEMA),
    503: _json("Something we depend on is away; try again", ERROR_SCHEMA),
}
"""Every error a route can give. Routes pass it as `responses=`."""

SECURITY_SCHEMES: dict[str, Any] = {
    "X-App-Id": {"type": "apiKey", "name": "X-App-Id", "in": "header"},
    "X-App-Token": {"type": "apiKey", "name": "X-App-Token", "in": "header"},
    "X-Voucherify-OAuth": {"type": "http", "scheme": "bearer", "description": "A token of /v1/oauth/token"},
}
"""By the names of seed 000 (components.securitySchemes)."""

KEY: Credentials = ({"X-App-Id": (), "X-App-Token": ()},)
"""Both headers together."""

CREDENTIALS: Credentials = (*KEY, {"X-Voucherify-OAuth": ()})
"""What a route wants unless it says otherwise; routers pass it as `security=`."""
