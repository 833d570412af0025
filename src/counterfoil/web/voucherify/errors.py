"""Voucherify's error object and its words (facts 4.3): `{code, key, message, details, request_id, resource_…}`.

`code` repeats the HTTP status. Services raise our own errors; this table gives each `code` of ours the vendor's status,
key and message. A code without a row falls back to its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from counterfoil.errors import (
    Conflict,
    CounterfoilError,
    Forbidden,
    Gone,
    InvalidInput,
    NotFound,
    RateLimited,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from counterfoil.web.reply import Json

_BY_CLASS: tuple[tuple[type[CounterfoilError], int, str, str], ...] = (
    (NotFound, 404, "not_found", "Resource not found"),
    (Unauthenticated, 401, "unauthorized", "Unauthorized"),
    (Forbidden, 403, "forbidden", "Forbidden"),
    (Conflict, 409, "duplicate_found", "Duplicated resource found"),
    (TooLarge, 413, "payload_too_large", "Payload too large"),
    (RateLimited, 429, "too_many_requests", "Too many requests hit the API too quickly."),
    (Gone, 404, "not_found", "Resource not found"),
    (Unavailable, 503, "unavailable", "Service unavailable"),
    (Refused, 400, "invalid_payload", "Invalid payload"),
    (InvalidInput, 400, "invalid_payload", "Invalid payload"),
)

# Our code -> (status, the vendor's key, the vendor's message).
_BY_CODE: Mapping[str, tuple[int, str, str]] = {
    "invalid_export_fields": (400, "invalid_export_fields", "Invalid Export"),
    "invalid_amount": (400, "invalid_amount", "Invalid Amount"),
    "insufficient_credits": (400, "gift_amount_exceeded", "gift amount exceeded"),
    "insufficient_points": (400, "loyalty_card_points_exceeded", "loyalty card points exceeded"),
    "voucher_disabled": (400, "voucher_disabled", "voucher is disabled"),
    "voucher_expired": (400, "voucher_expired", "voucher expired"),
    "voucher_not_active": (400, "voucher_not_active", "voucher is not active yet"),
    "invalid_expiration_date": (400, "invalid_expiration_date", "Invalid Expiration Date"),
    "invalid_query_params": (400, "invalid_query_params", "Invalid query params"),
    "missing_permission": (403, "missing_required_permission", "Missing required permission"),
    "idempotency_key_reused": (409, "idempotency_key_reused", "Idempotency key reused"),
}

# Codes of ours that are the vendor's keys already, with the vendor's message.
_SAME_KEY: Mapping[str, tuple[int, str]] = {
    "invalid_campaign": (400, "Invalid Campaign"),
    "invalid_voucher": (400, "Invalid Voucher"),
    "invalid_code_config": (400, "Invalid code config"),
    "duplicate_key": (400, "Duplicate codes"),
    "duplicate_source_id": (400, "Duplicate source_id"),
    "missing_vouchers": (400, "Missing vouchers"),
    "missing_customer": (400, "Missing customer"),
    "missing_reward": (400, "Missing reward"),
    "voucher_not_active_now": (400, "voucher is not active now"),
    "missing_order": (400, "Missing order"),
    "missing_param": (400, "Missing param"),
    "voucher_already_published": (400, "Voucher already published"),
    "voucher_cannot_be_published": (400, "Voucher cannot be published"),
    "too_many_vouchers_requested": (400, "Too many vouchers requested"),
    "no_voucher_suitable_for_publication": (400, "Couldn't find any voucher suitable for publication"),
    "page_over_limit": (400, "Listing resource above 1000 page is not supported"),
    "quantity_exceeded": (400, "quantity exceeded"),
    "already_rolled_back": (400, "Already rolled back"),
    "invalid_redemption": (400, "Invalid redemption"),
    "invalid_redemption_parent": (400, "Invalid redemption parent"),
    "duplicated_redeemables": (400, "Duplicated redeemables"),
    "campaign_not_active": (400, "campaign is not active"),
    "resource_in_use": (400, "Resource in use"),
    "member_already_exists": (409, "Member already exists"),
    "holder_assignement_duplication": (409, "Holder assignment duplication"),
    "invalid_pending_points_state": (400, "Invalid pending points state"),
    "invalid_add_balance_params": (400, "Invalid add balance params"),
    "invalid_scope": (400, "Invalid scope"),
    "invalid_grant_type": (400, "Invalid grant type"),
    "missing_parameters": (400, "Missing parameters"),
}

# Operators that other dialects need and this one does not spell.
NEUTRAL_ONLY = frozenset({"at_or_after", "at_or_before"})
_FILTER_FORM = (
    "Property .parameters.filters should match either `filters[${field}][conditions][${condition}][${index}]` or "
    "`filters[${field}][conditions][${condition}]` format"
)

_TYPE_WORDS: Mapping[str, str] = {
    "int_type": "must be integer",
    "int_parsing": "must be integer",
    "int_from_float": "must be integer",
    "float_type": "must be number",
    "float_parsing": "must be number",
    "string_type": "must be string",
    "bool_type": "must be boolean",
    "bool_parsing": "must be boolean",
    "list_type": "must be array",
    "dict_type": "must be object",
    "model_type": "must be object",
    "model_attributes_type": "must be object",
}

_BOUND_WORDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("must be > {}", "gt"),
    "greater_than_equal": ("must be >= {}", "ge"),
    "less_than": ("must be < {}", "lt"),
    "less_than_equal": ("must be <= {}", "le"),
    "string_too_short": ("must NOT have fewer than {} characters", "min_length"),
    "string_too_long": ("must NOT have more than {} characters", "max_length"),
}


def answer(request: Request, error: CounterfoilError | RequestValidationError | HTTPException | None) -> Response:
    """The vendor's error object for anything that can go wrong."""
    request_id = request.scope.get("state", {}).get("request_id")
    if isinstance(error, RequestValidationError):
        return _not_json(request, error) or _invalid(request_id, error)
    if isinstance(error, HTTPException):
        return _http(request_id, error)
    if error is None:
        body = {"code": 500, "key": "internal_error", "message": "Internal error", "request_id": request_id}
        return Json(body, status_code=500)
    if isinstance(error, Unauthenticated):
        return Json({"code": 401, "key": "unauthorized", "message": "Unauthorized"}, status_code=401)
    if isinstance(error, TooLarge):
        body = {"statusCode": 413, "error": "Request Entity Too Large", "message": error.message}
        return Json(body, status_code=413)
    status, key, message = _words(error)
    body: dict[str, Any] = {"code": status, "key": key, "message": message, "details": details(error)}
    body["request_id"] = request_id
    if error.resource_type is not None:
        body |= {"resource_id": error.resource_id, "resource_type": error.resource_type}
    headers = {"Retry-After": "1"} if status == 503 else None
    if isinstance(error, RateLimited):
        headers = {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Retry": str(error.retry_at_s)} | {
            name: str(value)
            for name, value in (("X-Rate-Limit-Limit", error.limit), ("Retry-After", error.retry_after_s))
            if value is not None
        }
    return Json(body, status_code=status, headers=headers)


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with an item of a body, as the sentence `details` would have."""
    problem = error.errors()[0]
    return _sentence("Payload", list(problem["loc"]), problem)


def details(error: CounterfoilError) -> str:
    """The sentence for `details`: what is wrong, where, and what would be right."""
    if error.code == "invalid_export_fields" and error.allowed is not None:
        return f"Unsupported field used. Allowed fields: {', '.join(error.allowed)}"
    if error.code == "invalid_filter_operator" and error.allowed is not None:
        conditions = ", ".join(f"${name}" for name in error.allowed if name not in NEUTRAL_ONLY)
        form = (
            _FILTER_FORM
            if _dotted(error.field or "").startswith(".parameters")
            else _FILTER_FORM.replace(".parameters", "")
        )
        return f"{form} and condition must be one of: {conditions}"
    if error.code == "unknown_parameter" and error.allowed is not None:
        return f"Property {error.field} is not known; there are {', '.join(error.allowed)}"
    if error.allowed is not None and error.field is not None:
        return f"Property {_dotted(error.field)} should be equal to one of the allowed values [ {', '.join(error.allowed)} ]"
    return error.message


def _dotted(field: str) -> str:
    return field if field.startswith((".", "[")) else f".{field}"


def _words(error: CounterfoilError) -> tuple[int, str, str]:
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if error.code in _SAME_KEY:
        status, message = _SAME_KEY[error.code]
        return status, error.code, message
    for kind, status, key, message in _BY_CLASS:
        if isinstance(error, kind):
            return status, key, message
    return 500, "internal_error", "Internal error"


def _http(request_id: str | None, error: HTTPException) -> Response:
    keys = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 415: "unsupported_media_type"}
    key = keys.get(error.status_code, "invalid_request")
    body = {"code": error.status_code, "key": key, "message": str(error.detail), "request_id": request_id}
    return Json(body, status_code=error.status_code, headers=error.headers)


def _not_json(request: Request, error: RequestValidationError) -> Response | None:
    """415 for a body that nobody tried to read as JSON because its own content type says that it is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind or kind.endswith(("/json", "+json")) or error.errors()[0]["loc"][0] != "body":
        return None
    message = f"Unsupported media type {kind}; send application/json"
    return Json({"statusCode": 415, "error": "Unsupported Media Type", "message": message}, status_code=415)


def _invalid(request_id: str | None, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        body: dict[str, Any] = {
            "statusCode": 400,
            "error": "Bad Request",
            "message": "Invalid request payload JSON format",
        }
        return Json(body, status_code=400)
    place, *path = first["loc"]
    in_body = place == "body"
    body = {
        "code": 400,
        "key": "invalid_payload" if in_body else "invalid_query_params",
        "message": "Invalid payload" if in_body else "Invalid query params",
        "details": _sentence("Payload" if in_body else "Query", path, first),
        "request_id": request_id,
    }
    return Json(body, status_code=400)


def _sentence(whole: str, path: list[Any], problem: Mapping[str, Any]) -> str:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    kind = problem["type"]
    context = problem.get("ctx", {})
    if kind == "missing":
        if not path:
            return f"{whole} must be an object"
        parent = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path[:-1])
        owner = f"Property {parent}" if parent else whole
        return f"{owner} must have required property '{path[-1]}'"
    subject = f"Property {where}" if where else whole
    if kind in _TYPE_WORDS:
        return f"{subject} {_TYPE_WORDS[kind]}"
    if kind in {"enum", "literal_error"}:
        allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
        return f"{subject} should be equal to one of the allowed values [ {allowed} ]"
    if kind == "too_short":
        return f"{subject} must NOT have fewer than {context['min_length']} items"
    if kind == "too_long":
        return f"{subject} must NOT have more than {context['max_length']} items"
    if kind in _BOUND_WORDS:
        words, bound = _BOUND_WORDS[kind]
        return f"{subject} {words.format(context[bound])}"
    if kind == "value_error":
        return f"{subject} {problem['msg'].removeprefix('Value error, ')}"
    return f"{subject}: {problem['msg']}"
