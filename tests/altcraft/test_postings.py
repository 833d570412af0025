"""Points accrued and redeemed by calls: at once, for a time, from a day on; and what may be done with them after."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.compose import System, build_app
from counterfoil.db.schema import movements
from counterfoil.ids import movement_uuid
from tests.altcraft.account import ACCRUE, CANCEL, COMMIT, REDEEM, ROLL_BACK, Account
from tests.altcraft.shop import API, Shop, named, opened
from tests.fakes import FakeClock
from tests.ledger.truth import ledger_faults

DAY_MS = 86_400_000


@pytest.fixture
def account(shop: Shop) -> Account:
    return Account(shop)


@pytest.fixture(autouse=True)
def sound(system: System, shop: Shop) -> Any:
    """After each test the project's cards, buckets and movements add up."""
    yield
    with system.core.read() as connection:
        found = ledger_faults(connection, shop.caller.project_id)
    # What is redeemed by a call of its own has no redemption of the other dialect.
    assert [fault for fault in found if "belongs to no redemption" not in fault] == []


# -- at once --------------------------------------------------------------------------------------------------------------


def test_points_come_and_go_with_the_balance_told(account: Account) -> None:
    assert account.accrue() == {"transaction_id": account.uuid(1), "balance": "100.50"}
    assert account.redeem("100.5") == {"transaction_id": account.uuid(2), "balance": "0.00"}
    assert account.story == [("POINTS_ACCRUAL", 10050), ("POINTS_REDEMPTION", -10050)]
    assert account.balances == ("0.00", "0.00")


def test_the_right_spelling_does_the_same(account: Account) -> None:
    account.accrue("5")
    answer = account.shop.call("loyalty/redeem_points", **account.body, amount=5)
    assert answer["data"] == {"transaction_id": account.uuid(2), "balance": "0.00"}


def test_calls_in_xml_post_too(account: Account) -> None:
    body = (
        "<xml><loyalty_program_id>1</loyalty_program_id><points_currency_eid>stars</points_currency_eid>"
        "<matching>email</matching><email>ann@example.com</email><amount>12.25</amount><is_temp>true</is_temp>"
        "<temp_timeout_sec>60</temp_timeout_sec><external_data><till>7</till></external_data></xml>"
    )
    answer = account.shop.altcraft.post(API + ACCRUE, content=body, headers={"content-type": "text/xml"})
    assert "<balance>0.00</balance></data><error>0</error>" in answer.text
    assert account.balances == ("0.00", "12.25")


def test_the_same_eid_is_posted_once(account: Account) -> None:
    first = account.accrue("10", transaction_eid="t-1", promotion_id=3)
    assert account.accrue("10.00", transaction_eid="t-1", promotion_id=3) == first
    assert account.redeem("4", transaction_eid="t-2")["balance"] == "6.00"
    again = account.redeem("4", transaction_eid="t-2")
    assert again == {"transaction_id": account.uuid(2), "balance": "6.00"}
    for change in (
        {"amount": "11", "promotion_id": 3},
        {"amount": "10"},
        {"amount": "10", "promotion_id": 3, "is_temp": True},
    ):
        account.shop.refused(ACCRUE, 409, "'t-1' was used for another", **account.body, **change, transaction_eid="t-1")
    account.shop.refused(REDEEM, 409, "'t-1' was used", **account.body, amount="10", transaction_eid="t-1")
    assert len(account.story) == 2


def test_an_eid_is_the_programmes_own(account: Account) -> None:
    gold = account.shop.programme("Gold", "gold")
    account.shop.member(gold)
    account.accrue("10", transaction_eid="t-1")
    body = {**named(gold), **account.ann, "amount": "10", "transaction_eid": "t-1"}
    assert account.shop.call(ACCRUE, **body)["data"]["balance"] == "10"
    account.shop.refused(CANCEL, 409, "several programmes", transaction_eid="t-1")
    number = gold["loyalty_program_id"]
    assert account.settle(CANCEL, transaction_eid="t-1", loyalty_program_id=number)["balance"] == "0"
    account.shop.refused(
        CANCEL, 404, "no transaction with the transaction_eid", transaction_eid="t-1", loyalty_program_id=9
    )


def test_equal_requests_at_once_post_once(account: Account) -> None:
    answers: list[Any] = []
    client = account.shop.altcraft
    body = {**account.body, "amount": "10", "transaction_eid": "race"}
    threads = [
        threading.Thread(target=lambda: answers.append(client.post(API + ACCRUE, json=body).json())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer["data"]["transaction_id"] for answer in answers} == {account.uuid(1)}
    assert account.story == [("POINTS_ACCRUAL", 1000)]


def test_a_posting_may_be_dated_back(account: Account) -> None:
    account.accrue("10", created_at="2024-01-01T00:00:00+02:00")
    account.redeem("4", created_at="2024-01-02T00:00:00.5Z")
    dates = [row["created_at"] for row in account.shop.export(account.programme).rows]
    assert dates == ["2023-12-31T22:00:00.000Z", "2024-01-02T00:00:00.500Z"]


def test_too_few_points_are_refused(account: Account) -> None:
    account.accrue("10")
    account.shop.refused(REDEEM, 409, "loyalty card points exceeded", **account.body, amount="10.01")
    assert account.balances == ("10.00", "10.00")


# -- from a day on, and until one -----------------------------------------------------------------------------------------


def test_points_for_later_are_promised_and_come_on_their_day(
    system: System, account: Account, clock: FakeClock
) -> None:
    made = account.accrue("7", activation_date="2024-10-11T00:00:00Z", transaction_eid="later", description="soon")
    assert made["balance"] == "0.00" and account.balances == ("0.00", "7.00")
    clock.advance_ms(DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("0.00", "7.00"), "not before their day"
    clock.advance_ms(DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("7.00", "7.00")
    (row,) = account.shop.export(account.programme).rows
    shown = {
        name: row[name] for name in ("transaction_eid", "transaction_type", "amount", "description", "activation_date")
    }
    assert shown == {
        "transaction_eid": "later", "transaction_type": "accrual", "amount": "7.00", "description": "soon",
        "activation_date": "2024-10-11T00:00:00.000Z",
    }  # fmt: skip
    repeated = account.accrue("7", activation_date="2024-10-11T00:00:00Z", transaction_eid="later", description="soon")
    assert repeated == {"transaction_id": account.uuid(1), "balance": "7.00"}


def test_points_are_never_there_before_their_instant(system: System, account: Account, clock: FakeClock) -> None:
    account.accrue("7", activation_date="2024-10-10T15:00:00Z")
    clock.advance_ms(DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("0.00", "7.00")
    clock.advance_ms(DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("7.00", "7.00")


def test_a_promise_may_be_canceled_before_and_after_its_day(system: System, account: Account, clock: FakeClock) -> None:
    for eid in ("a", "b"):
        account.accrue("7", activation_date="2024-10-10T00:00:00Z", transaction_eid=eid)
    assert account.settle(CANCEL, transaction_eid="a")["balance"] == "0.00"
    clock.advance_ms(DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("7.00", "7.00")
    assert account.settle(CANCEL, transaction_eid="b") == {"transaction_id": account.uuid(1), "balance": "0.00"}
    assert account.story == [("PENDING_POINTS_ACTIVATION", 700), ("POINTS_REMOVAL", -700)]


def test_points_expire_after_the_day_that_was_said(system: System, account: Account, clock: FakeClock) -> None:
    account.accrue("1", expiration_date="2024-10-09T23:59:59Z")
    account.accrue("2", expiration_date="2024-10-10T00:00:00Z")
    account.accrue("4", expiration_date="2024-10-10T00:00:01Z")
    account.accrue("8")
    expiring = {"date_from": "2024-10-09T00:00:00Z", "date_to": "2024-10-09T23:59:59Z"}
    data = account.shop.call("loyalty/account/expiring_points", **account.body, **expiring)["data"]
    assert data == {"expiring_points": "3.00"}
    clock.advance_ms(DAY_MS)
    assert account.balances == ("12.00", "12.00"), "also before the duty has expired them"
    system.services.expiry.run_due()
    assert account.balances == ("12.00", "12.00")
    clock.advance_ms(DAY_MS)
    assert account.redeem("8")["balance"] == "0.00"


def test_a_promise_keeps_its_own_expiry(system: System, account: Account, clock: FakeClock) -> None:
    account.accrue("3", activation_date="2024-10-10T00:00:00Z", expiration_date="2024-10-10T12:00:00Z")
    clock.advance_ms(DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("3.00", "3.00")
    clock.advance_ms(DAY_MS)
    assert account.balances == ("0.00", "0.00")


# -- for a time -----------------------------------------------------------------------------------------------------------


def test_a_temporary_redemption_sets_points_aside_at_once(account: Account) -> None:
    account.accrue("100")
    held = account.redeem("40", is_temp=True, transaction_eid="hold")
    assert held["balance"] == "60.00" and account.balances == ("60.00", "100.00")
    account.shop.refused(REDEEM, 409, "exceeded", **account.body, amount="60.01")
    assert account.settle(COMMIT, transaction_eid="hold") == {"transaction_id": account.uuid(2), "balance": "60.00"}
    assert account.balances == ("60.00", "60.00")
    assert account.settle(COMMIT, transaction_id=held["transaction_id"])["balance"] == "60.00", "again changes nothing"
    account.shop.refused(ROLL_BACK, 409, "is final; cancel_transaction", transaction_eid="hold")
    assert account.story == [("POINTS_ACCRUAL", 10000), ("POINTS_REDEMPTION", -4000)]


def test_a_temporary_redemption_gives_back_what_it_took(account: Account) -> None:
    account.accrue("30", expiration_date="2024-12-31T00:00:00Z")
    account.accrue("30")
    held = account.redeem("40", is_temp=True)
    for _ in range(2):
        assert account.settle(ROLL_BACK, transaction_id=held["transaction_id"])["balance"] == "60.00"
    assert account.balances == ("60.00", "60.00")
    account.shop.refused(COMMIT, 409, "was rolled back", transaction_id=held["transaction_id"])
    december = {"date_from": "2024-12-30T00:00:00Z", "date_to": "2024-12-30T00:00:00Z"}
    data = account.shop.call("loyalty/account/expiring_points", **account.body, **december)["data"]
    assert data == {"expiring_points": "30.00"}, "the points went back to where they came from"
    kinds = [row["transaction_type"] for row in account.shop.export(account.programme).rows]
    assert kinds == ["accrual", "accrual", "redemption", "rollback"]


def test_a_temporary_accrual_is_a_promise_until_it_is_committed(
    system: System, account: Account, clock: FakeClock
) -> None:
    held = account.accrue("25", is_temp=True, temp_timeout_sec=3 * 86_400, transaction_eid="hold")
    assert held["balance"] == "0.00" and account.balances == ("0.00", "25.00") and account.story == []
    clock.advance_ms(DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("0.00", "25.00"), "no day brings it"
    done = account.settle(COMMIT, transaction_eid="hold")
    assert done == {"transaction_id": account.uuid(1), "balance": "25.00"} and done != held
    assert account.settle(COMMIT, transaction_id=held["transaction_id"]) == done, "both of its ids name it"
    assert account.settle(COMMIT, transaction_id=done["transaction_id"]) == done
    assert account.story == [("PENDING_POINTS_ACTIVATION", 2500)]


def test_a_temporary_accrual_for_later_waits_for_its_day_after_the_commit(
    system: System, account: Account, clock: FakeClock
) -> None:
    account.accrue("5", is_temp=True, activation_date="2024-10-12T00:00:00Z", transaction_eid="hold")
    assert account.settle(COMMIT, transaction_eid="hold")["balance"] == "0.00"
    assert account.balances == ("0.00", "5.00")
    clock.advance_ms(3 * DAY_MS)
    system.services.pending_points.run_due()
    assert account.balances == ("5.00", "5.00")


def test_what_is_neither_committed_nor_undone_times_out(system: System, account: Account, clock: FakeClock) -> None:
    account.accrue("100")
    account.redeem("40", is_temp=True, temp_timeout_sec=60, transaction_eid="out")
    account.accrue("7", is_temp=True, temp_timeout_sec=60, transaction_eid="in")
    clock.advance_ms(59_999)
    system.services.postings.run_due()
    assert account.held == 2 and account.balances == ("60.00", "107.00")
    clock.advance_ms(1)
    assert account.balances == ("100.00", "100.00"), "at once, whenever the duty comes"
    account.shop.refused(COMMIT, 409, "has timed out", transaction_eid="out")
    assert system.services.postings.run_due() >= 2
    assert system.services.postings.run_due() == 0 and account.held == 0
    assert account.balances == ("100.00", "100.00")
    for eid in ("in", "out"):
        account.shop.refused(COMMIT, 409, "has timed out", transaction_eid=eid)
        account.settle(CANCEL, transaction_eid=eid)
    account.shop.refused(REDEEM, 409, "has timed out; use a new transaction_eid", **account.body, amount="40", is_temp=True, temp_timeout_sec=60, transaction_eid="out")  # fmt: skip
    assert account.story == [("POINTS_ACCRUAL", 10000), ("POINTS_REDEMPTION", -4000), ("POINTS_REFUND", 4000)]


def test_points_of_a_hold_past_its_time_can_be_spent_before_the_duty_comes(account: Account, clock: FakeClock) -> None:
    account.accrue("100")
    account.redeem("80", is_temp=True, temp_timeout_sec=60)
    clock.advance_ms(60_000)
    assert account.redeem("100")["balance"] == "0.00"


def test_a_hold_whose_promise_was_kept_by_hand_is_final(system: System, account: Account, clock: FakeClock) -> None:
    account.accrue("7", is_temp=True, transaction_eid="hold")
    (code,) = [card["code"] for card in account.shop.voucherify.get("/v1/vouchers").json()["vouchers"]]
    (pending,) = account.shop.voucherify.get(f"/v1/loyalties/members/{code}/pending-points").json()["data"]
    path = f"/v1/loyalties/members/{code}/pending-points/{pending['id']}/activate"
    assert account.shop.voucherify.post(path).status_code == 200
    clock.advance_ms(2 * 3_600_000)
    system.services.postings.run_due()
    assert account.held == 0 and account.balances == ("7.00", "7.00")
    assert account.settle(COMMIT, transaction_eid="hold") == {"transaction_id": account.uuid(1), "balance": "7.00"}


def test_a_hold_whose_promise_was_taken_back_by_hand_cannot_be_committed(account: Account) -> None:
    account.accrue("7", is_temp=True, transaction_eid="hold")
    (code,) = [card["code"] for card in account.shop.voucherify.get("/v1/vouchers").json()["vouchers"]]
    (pending,) = account.shop.voucherify.get(f"/v1/loyalties/members/{code}/pending-points").json()["data"]
    path = f"/v1/loyalties/members/{code}/pending-points/{pending['id']}/cancel"
    assert account.shop.voucherify.post(path).status_code == 204
    account.shop.refused(COMMIT, 409, "was canceled", transaction_eid="hold")
    assert account.settle(ROLL_BACK, transaction_eid="hold")["balance"] == "0.00"


def test_a_hold_is_settled_once_whoever_comes_first(account: Account) -> None:
    account.accrue("100")
    held = account.redeem("40", is_temp=True)["transaction_id"]
    client, answers = account.shop.altcraft, list[tuple[str, int]]()

    def settle(path: str) -> None:
        answers.append((path, client.post(API + path, json={"transaction_id": held}).json()["error"]))

    threads = [threading.Thread(target=settle, args=(path,)) for path in (COMMIT, ROLL_BACK) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = {path for path, error in answers if error == 0}
    assert len(won) == 1 and len(answers) == 8
    assert account.balances[0] == ("60.00" if won == {COMMIT} else "100.00")


# -- undone ---------------------------------------------------------------------------------------------------------------


def test_a_final_transaction_is_canceled_once(account: Account) -> None:
    accrued, redeemed = account.accrue("100"), account.redeem("40")
    for _ in range(2):
        assert account.settle(CANCEL, transaction_id=redeemed["transaction_id"])["balance"] == "100.00"
    for _ in range(2):
        assert account.settle(CANCEL, transaction_id=accrued["transaction_id"].upper())["balance"] == "0.00"
    assert [kind for kind, _ in account.story] == [
        "POINTS_ACCRUAL",
        "POINTS_REDEMPTION",
        "POINTS_REFUND",
        "POINTS_REMOVAL",
    ]
    account.shop.refused(COMMIT, 409, "was canceled", transaction_id=redeemed["transaction_id"])
    account.shop.refused(COMMIT, 409, "is not temporary", transaction_id=account.accrue("1")["transaction_id"])


def test_an_accrual_that_is_spent_cannot_be_canceled(account: Account) -> None:
    accrued = account.accrue("100")
    account.redeem("40")
    account.shop.refused(CANCEL, 409, "points exceeded", transaction_id=accrued["transaction_id"])
    assert account.balances == ("60.00", "60.00")


def test_what_the_other_dialect_posted_can_be_canceled_where_that_is_whole(account: Account) -> None:
    shop = account.shop
    (code,) = [card["code"] for card in shop.voucherify.get("/v1/vouchers").json()["vouchers"]]
    shop.voucherify.post(f"/v1/loyalties/members/{code}/balance", json={"points": 5000})
    assert account.settle(CANCEL, transaction_id=account.uuid(1))["balance"] == "0.00"
    shop.voucherify.post(f"/v1/loyalties/members/{code}/balance", json={"points": 5000})
    shop.refused(CANCEL, 409, "POINTS_REMOVAL, which cannot be undone here", transaction_id=account.uuid(2))
    reward = {"name": "Mug", "parameters": {"coin": {"exchange_ratio": 1, "points_ratio": 1}}}
    reward_id = shop.voucherify.post("/v1/rewards", json=reward).json()["id"]
    path = f"/v1/loyalties/{account.programme['id']}/rewards"
    assert shop.voucherify.post(path, json=[{"reward": reward_id}]).status_code == 200
    redeem = {"redeemables": [{"object": "voucher", "id": code, "reward": {"id": reward_id, "points": 100}}], "order": {"amount": 1000}}  # fmt: skip
    answer = shop.voucherify.post("/v1/redemptions", json=redeem)
    assert answer.status_code == 200, answer.text
    shop.refused(CANCEL, 409, "it belongs to redemption r_", transaction_id=account.uuid(4))


def test_an_imported_redemption_that_tells_no_lots_can_be_canceled(tmp_path: Path) -> None:
    with opened(tmp_path, FakeClock()) as system:
        account = Account(Shop(system, build_app(system)))
        account.accrue("100")
        spent = account.redeem("30")["transaction_id"]
        with system.database.write() as connection:
            connection.execute(sa.text("drop trigger movements_no_update"))
            connection.execute(movements.update().where(movements.c.seq == 2).values(lots=None))
        assert account.settle(CANCEL, transaction_id=spent)["balance"] == "100.00"
        assert account.redeem("100")["balance"] == "0.00"


@pytest.mark.parametrize("path", [COMMIT, ROLL_BACK, CANCEL])
def test_a_transaction_that_is_none_is_not_found(shop: Shop, other: Shop, path: str) -> None:
    shop.refused(path, 400, "transaction_id: is required, or transaction_eid")
    shop.refused(path, 404, "There is no transaction 'x'", transaction_id="x")
    shop.refused(path, 404, "no transaction", transaction_id=movement_uuid(shop.caller.project.key, 1))
    shop.refused(path, 404, "no transaction with the transaction_eid 'x'", transaction_eid="x")
    theirs = Account(other).accrue("5", transaction_eid="theirs", is_temp=True)
    shop.refused(path, 404, "no transaction", transaction_id=theirs["transaction_id"])
    shop.refused(path, 404, "no transaction", transaction_eid="theirs")


def test_an_opening_balance_is_no_transaction(shop: Shop) -> None:
    shop.member(shop.programme(points=10))
    shop.refused(CANCEL, 404, "no transaction", transaction_id=movement_uuid(shop.caller.project.key, 1))


def test_two_ids_of_one_transaction_are_taken_and_of_two_are_not(account: Account) -> None:
    first, second = account.accrue("1", transaction_eid="a"), account.accrue("2", transaction_eid="b")
    account.shop.refused(
        CANCEL, 400, "another transaction than", transaction_id=second["transaction_id"], transaction_eid="a"
    )
    assert account.settle(CANCEL, transaction_id=first["transaction_id"], transaction_eid="a")["balance"] == "2.00"


def test_a_card_that_is_switched_off_neither_gets_nor_gives(account: Account) -> None:
    account.accrue("10")
    (code,) = [card["code"] for card in account.shop.voucherify.get("/v1/vouchers").json()["vouchers"]]
    account.shop.voucherify.post(f"/v1/vouchers/{code}/disable")
    for path in (ACCRUE, REDEEM):
        account.shop.refused(path, 409, "voucher is disabled", **account.body, amount="1")
