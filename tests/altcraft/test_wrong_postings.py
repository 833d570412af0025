"""Wrong postings: each is told what would be right, and posts nothing."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.compose import System
from counterfoil.db.schema import postings
from tests.altcraft.account import ACCRUE, Account
from tests.altcraft.shop import Shop
from tests.fakes import FakeClock

WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"amount": None}, 400, "amount: is required"),
    ({"amount": "0"}, 400, "amount: must be more than 0"),
    ({"amount": "-5"}, 400, "amount: must be more than 0"),
    ({"amount": "1.005"}, 400, "at most 2 digits after the point"),
    ({"amount": "1e3"}, 400, "Amount must be a decimal number"),
    ({"amount": "1,5"}, 400, "Amount must be a decimal number"),
    ({"amount": 1.5}, 400, "must be a string such as"),
    ({"amount": True}, 400, "amount: must be a string"),
    ({"amount": "9" * 30}, 400, "amount"),
    ({"matching": None}, 400, "matching: is required"),
    ({"matching": "name"}, 400, "matching: cannot be 'name' (allowed: email, phone, profile_id, custom)"),
    ({"matching": "phone"}, 400, "phone: is required"),
    ({"matching": "custom"}, 400, "field_name: is required"),
    ({"matching": "custom", "field_name": "x"}, 400, "field_value: is required"),
    ({"email": "nobody@example.com"}, 404, "There is no profile with email 'nobody@example.com'"),
    ({"created_at": "2024-10-09T09:16:32.522Z"}, 400, "created_at: lies in the future"),
    ({"created_at": "2024-10-09"}, 400, "created_at: must be an RFC 3339 date"),
    ({"expiration_date": "2024-10-09T00:00:00Z"}, 400, "expiration_date: lies before"),
    ({"activation_date": "2024-11-01T00:00:00Z", "expiration_date": "2024-10-31T23:59:59Z"}, 400, "lies before"),
    ({"is_temp": "yes"}, 400, "is_temp: must be true or false"),
    ({"is_temp": True, "temp_timeout_sec": 0}, 400, "temp_timeout_sec: must be from 1 to 2592000 seconds"),
    ({"is_temp": True, "temp_timeout_sec": 2592001}, 400, "temp_timeout_sec: must be from 1"),
    ({"temp_timeout_sec": 60}, 400, "temp_timeout_sec: belongs to is_temp"),
    ({"promotion_id": "summer"}, 400, "promotion_id: must be an integer"),
    ({"external_data": [1]}, 400, "external_data: must be an object"),
    ({"external_data": {"a": "\u0000"}}, 400, "external_data: may be nested 8 deep"),
    ({"external_data": {"a": "x" * 10_000}}, 400, "external_data: must have at most 10000"),
    ({"transaction_eid": "x" * 501}, 400, "transaction_eid: must have at most 500 characters"),
    ({"loyalty_program_id": 9}, 404, "no loyalty programme 9"),
    ({"points_currency_eid": "moons"}, 404, "no points currency"),
]  # fmt: skip


@pytest.fixture(scope="module")
def wronged(system: System, app: Any) -> Account:
    assert isinstance(system.clock, FakeClock)
    system.clock.set_ms(FakeClock.START_MS)
    return Account(Shop(system, app, "wronged"))


@pytest.mark.parametrize(("change", "code", "words"), WRONG, ids=[f"{w[0]}"[:60] for w in WRONG])
def test_a_wrong_posting_is_told_what_would_be_right_and_posts_nothing(
    wronged: Account, clock: FakeClock, change: dict[str, Any], code: int, words: str
) -> None:
    body = {name: value for name, value in {**wronged.body, "amount": "5", **change}.items() if value is not None}
    wronged.shop.refused(ACCRUE, code, words, **body)
    assert wronged.story == []
    with wronged.shop.system.core.read() as connection:
        mine = postings.c.project_id == wronged.shop.caller.project_id
        assert connection.execute(sa.select(postings.c.id).where(mine)).all() == []


def test_nested_data_is_bounded(wronged: Account, clock: FakeClock) -> None:
    deep: dict[str, Any] = {}
    for _ in range(12):
        deep = {"a": deep}
    wronged.shop.refused(ACCRUE, 400, "nested 8 deep", **wronged.body, amount="1", external_data=deep)
