"""Altcraft's calls about a member's points account (facts/altcraft 7 and 8)."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter
from starlette.responses import Response

from counterfoil.domain.money import decimal_text
from counterfoil.errors import CounterfoilError, InvalidInput
from counterfoil.services.memberships import SOURCE_ID, MatchBy, Matching, MembershipService
from counterfoil.services.point_accounts import PointAccountService
from counterfoil.web.altcraft.call import Calling
from counterfoil.web.altcraft.exports import named
from counterfoil.web.altcraft.openapi import (
    DECIMAL,
    INSTANT,
    INTEGER,
    MATCHING,
    PROGRAMME,
    TEXT,
    Parameter,
    answered,
    described,
)
from counterfoil.web.altcraft.parameters import Parameters
from counterfoil.web.altcraft.transaction_view import transactions
from counterfoil.web.routing import Router

LIMIT = 20
LIMIT_MAX = 100
MATCHINGS = ("email", "phone", "profile_id", "custom")
NAME_LENGTH_MAX = 500


def routes(accounts: PointAccountService, memberships: MembershipService) -> APIRouter:
    """Balance, transactions, expiring points, tiers, and becoming a member."""
    router = Router(tags=["altcraft"])
    _balances(router, accounts)
    _transactions(router, accounts)
    _members(router, memberships)
    return router


def _balances(router: APIRouter, accounts: PointAccountService) -> None:
    @router.post(
        "/api/v1.1/loyalty/account/balance",
        openapi_extra=described((*PROGRAMME, *MATCHING)),
        responses=answered(
            {"type": "object", "properties": {"total_balance": DECIMAL, "active_balance": DECIMAL}},
            {"total_balance": "1000.00", "active_balance": "800.50"},
        ),
    )
    def balance(call: Calling) -> Response:
        """What can be spent now, and what there is besides: promised, or set aside by temporary redemptions."""
        asked = call.parameters
        found = accounts.balance(call.caller, named(asked), matching(asked))
        return call.answer(
            {
                "total_balance": decimal_text(found.total, found.scale),
                "active_balance": decimal_text(found.active, found.scale),
            }
        )

    @router.post(
        "/api/v1.1/loyalty/account/expiring_points",
        openapi_extra=described(
            (
                *PROGRAMME,
                *MATCHING,
                Parameter("date_from", INSTANT, "Period start (inclusive)", "2023-09-01T00:00:00Z", True),
                Parameter("date_to", INSTANT, "Period end (inclusive)", "2023-09-30T23:59:59Z", True),
            )
        ),
        responses=answered(
            {"type": "object", "properties": {"expiring_points": DECIMAL}}, {"expiring_points": "120.00"}
        ),
    )
    def expiring_points(call: Calling) -> Response:
        """How many of the points held now have their last day of use in the period (days in UTC)."""
        asked = call.parameters
        period = [asked.required(name, asked.instant(name)) for name in ("date_from", "date_to")]
        points, scale = accounts.expiring(call.caller, named(asked), matching(asked), *period)
        return call.answer({"expiring_points": decimal_text(points, scale)})


def _transactions(router: APIRouter, accounts: PointAccountService) -> None:
    @router.post(
        "/api/v1.1/loyalty/account/transactions",
        openapi_extra=described(
            (
                *PROGRAMME,
                *MATCHING,
                Parameter("from_id", TEXT, "The last transaction seen; those behind it follow"),
                Parameter("limit", INTEGER, f"1 to {LIMIT_MAX}, {LIMIT} unless said"),
            )
        ),
        responses=answered({"type": "array", "items": {"type": "object"}}, [{"transaction_type": "accrual"}]),
    )
    def account_transactions(call: Calling) -> Response:
        """The account's transactions in the order in which they were posted, with the columns of the export."""
        asked = call.parameters
        limit = asked.integer("limit")
        limit = LIMIT if limit is None else limit
        if not 0 < limit <= LIMIT_MAX:
            raise InvalidInput("invalid_limit", f"must be from 1 to {LIMIT_MAX}, not {limit}", field="limit")
        found = accounts.transactions(call.caller, named(asked), matching(asked), asked.text("from_id"), limit)
        return call.answer(transactions(found.rows, found.programme, call.caller.project.key))

    @router.post(
        "/api/v1.1/loyalty/account/tiers",
        openapi_extra=described((*PROGRAMME, Parameter("tiers_group_id", INTEGER, "Tiers group"), *MATCHING)),
        responses=answered(None, {}),
    )
    def tiers(call: Calling) -> Response:
        """Always an error: programmes here have no tiers."""
        raise CounterfoilError("not_supported", "Programmes have no tiers here, so nobody has one")


def _members(router: APIRouter, memberships: MembershipService) -> None:
    @router.post(
        "/api/v1.1/loyalty/register_member",
        openapi_extra=described(
            (
                PROGRAMME[0],
                *MATCHING,
                Parameter("registration_date", INSTANT, "Since when; kept with the member's card"),
            )
        ),
        responses=answered(None, {"profile_id": "cust_…"}, beside={"profile_id": TEXT}),
    )
    def register_member(call: Calling) -> Response:
        """Make a profile a member of a programme; one that is a member stays as it is."""
        asked = call.parameters
        programme = asked.required("loyalty_program_id", asked.integer("loyalty_program_id"))
        since = asked.instant("registration_date")
        customer_id = memberships.register(call.caller, programme, matching(asked), since)
        return call.answer(profile_id=customer_id)


def matching(asked: Parameters) -> Matching:
    """Whom a call is about."""
    by = cast("MatchBy", asked.required("matching", asked.choice("matching", MATCHINGS)))
    if by != "custom":
        return Matching(by, asked.required(by, asked.text(by, NAME_LENGTH_MAX)))
    field = asked.required("field_name", asked.text("field_name", NAME_LENGTH_MAX))
    value = asked.required("field_value", asked.text("field_value", NAME_LENGTH_MAX))
    return Matching(by, value, field or SOURCE_ID)
