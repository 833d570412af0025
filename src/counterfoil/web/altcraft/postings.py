"""Altcraft's calls that post points, and that settle what was posted for a time (facts/altcraft 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from counterfoil.domain.money import decimal_text, parse_decimal
from counterfoil.domain.postings import HOLD_S, HOLD_S_MAX, PostingDraft, PostingKind
from counterfoil.errors import InvalidInput
from counterfoil.services.core import Caller
from counterfoil.services.postings import Posted, PostingNamed, PostingService
from counterfoil.web.altcraft.accounts import NAME_LENGTH_MAX, matching
from counterfoil.web.altcraft.call import Call, Calling
from counterfoil.web.altcraft.exports import named
from counterfoil.web.altcraft.openapi import (
    DECIMAL,
    DOCUMENT,
    FLAG,
    INSTANT,
    INTEGER,
    MATCHING,
    PROGRAMME,
    TEXT,
    Parameter,
    answered,
    described,
)
from counterfoil.web.routing import Router

EXTERNAL_DATA_LENGTH_MAX = 10_000
_POSTING = (
    *PROGRAMME,
    *MATCHING,
    Parameter("amount", DECIMAL, "How many points", "100.50", True),
    Parameter("transaction_eid", TEXT, "Your own ID; the same request with it is done once", "trans_12345"),
    Parameter("promotion_id", INTEGER, "The promotion it belongs to"),
    Parameter("description", TEXT, "Shown with the transaction"),
    Parameter("external_data", DOCUMENT, "Anything of yours, kept with the transaction"),
    Parameter("created_at", INSTANT, "When it happened, if that was before now"),
    Parameter("is_temp", FLAG, "For a time only, until it is committed"),
    Parameter("temp_timeout_sec", INTEGER, f"For how long: 1 to {HOLD_S_MAX}, {HOLD_S} unless said"),
)
_ACCRUAL = (
    *_POSTING,
    Parameter("activation_date", INSTANT, "From when on they can be spent: from the first UTC day that begins then"),
    Parameter("expiration_date", INSTANT, "Until when, to the end of that UTC day; otherwise by the programme's rules"),
)
_NAMED = (
    Parameter(
        "transaction_id", TEXT, "The transaction; this or transaction_eid", "1148b0b0-d33d-8d27-8000-000000000007"
    ),
    Parameter("transaction_eid", TEXT, "Its external ID"),
    Parameter("loyalty_program_id", INTEGER, "The programme, where an external ID is used in several"),
)
_ANSWERED = answered(
    {"type": "object", "properties": {"transaction_id": TEXT, "balance": DECIMAL}},
    {"transaction_id": "1148b0b0-d33d-8d27-8000-000000000007", "balance": "399.50"},
)


def routes(service: PostingService) -> APIRouter:
    """Accrue, redeem, commit, roll back, cancel."""
    router = Router(tags=["altcraft"])
    _posting(router, service)
    _settling(router, "commit_transaction", service.commit, "Make a temporary transaction final.")
    _settling(router, "rollback_transaction", service.roll_back, "Undo a temporary transaction.")
    _settling(router, "cancel_transaction", service.cancel, "Undo a transaction, temporary or final.")
    return router


def _posting(router: APIRouter, service: PostingService) -> None:
    @router.post("/api/v1.1/loyalty/accrue_points", openapi_extra=described(_ACCRUAL), responses=_ANSWERED)
    def accrue_points(call: Calling) -> Response:
        """Give a member points: at once, from a day on, or for a time."""
        return _post(service, call, PostingKind.ACCRUAL)

    def redeem_points(call: Calling) -> Response:
        """Take points from a member. A temporary redemption sets them aside until it is committed or undone."""
        return _post(service, call, PostingKind.REDEMPTION)

    # The vendor's own spelling, and the right one.
    for spelling in ("redeeme_points", "redeem_points"):
        path = f"/api/v1.1/loyalty/{spelling}"
        router.post(path, name=spelling, openapi_extra=described(_POSTING), responses=_ANSWERED)(redeem_points)


def _settling(router: APIRouter, name: str, act: Callable[[Caller, PostingNamed], Posted], about: str) -> None:
    def settle(call: Calling) -> Response:
        asked = call.parameters
        wanted = PostingNamed(
            asked.text("transaction_id"),
            asked.text("transaction_eid", NAME_LENGTH_MAX),
            asked.integer("loyalty_program_id"),
        )
        return _answer(call, act(call.caller, wanted))

    path = f"/api/v1.1/loyalty/{name}"
    router.post(path, name=name, description=about, openapi_extra=described(_NAMED), responses=_ANSWERED)(settle)


def _post(service: PostingService, call: Call, kind: PostingKind) -> Response:
    asked = call.parameters
    programme = named(asked)
    text = asked.required("amount", asked.decimal("amount"))
    scale = service.currency(call.caller, programme).scale
    accrues = kind is PostingKind.ACCRUAL
    temporary = asked.flag("is_temp")
    timeout = asked.integer("temp_timeout_sec")
    if timeout is not None and not temporary:
        raise InvalidInput("invalid_timeout", "belongs to is_temp", field="temp_timeout_sec", value=timeout)
    draft = PostingDraft(
        kind,
        parse_decimal(text, scale),
        eid=asked.text("transaction_eid", NAME_LENGTH_MAX),
        description=asked.text("description"),
        promotion_iid=asked.integer("promotion_id"),
        external_data=_external_data(asked.document("external_data")),
        created_at=asked.instant("created_at"),
        activates_at=asked.instant("activation_date") if accrues else None,
        expires_at=asked.instant("expiration_date") if accrues else None,
        hold_s=(HOLD_S if timeout is None else timeout) if temporary else None,
    )
    return _answer(call, service.post(call.caller, programme, matching(asked), draft))


def _external_data(said: dict[str, Any] | None) -> dict[str, Any] | None:
    if said is not None and len(repr(said)) > EXTERNAL_DATA_LENGTH_MAX:
        raise InvalidInput(
            "invalid_parameter", f"must have at most {EXTERNAL_DATA_LENGTH_MAX} characters", field="external_data"
        )
    return said


def _answer(call: Call, posted: Posted) -> Response:
    return call.answer({"transaction_id": posted.transaction_id, "balance": decimal_text(posted.balance, posted.scale)})
