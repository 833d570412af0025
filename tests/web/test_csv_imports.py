"""Bulk endpoints over HTTP: uploaded CSV files and lists of customers, brought in by the background."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import async_actions
from counterfoil.db.soundness import findings
from counterfoil.services import csv_imports
from tests.fakes import FakeClock


def upload(api: TestClient, path: str, content: str | bytes, **headers: str) -> Any:
    content = content.encode() if isinstance(content, str) else content
    return api.post(path, files={"file": ("any.csv", content, "text/csv")}, headers=headers)


def finished(system: System, api: TestClient, answer: Any) -> dict[str, Any]:
    """The async action behind an answer, once it is done."""
    assert answer.status_code in (200, 202), answer.text
    system.services.actions.run_due()
    action = api.get(f"/v1/async-actions/{answer.json()['async_action_id']}").json()
    assert action["status"] == "DONE", action
    return action


def kept_uploads(system: System) -> list[str]:
    return [file.key for file in system.store.list("imports")]


CAMPAIGN = {"name": "Gifts / 1", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 500}}}
PROGRAMME = {
    "name": "Points",
    "campaign_type": "LOYALTY_PROGRAM",
    "voucher": {"loyalty_card": {"points": 7, "expiration_rules": {"period_type": "MONTH", "period_value": 3}}},
}


def test_vouchers_of_every_type(system: System, api: TestClient) -> None:
    answer = upload(api, "/v1/vouchers/importCSV", (
        "Code,Voucher Type,Value,Discount Type,Category,Start Date,Expiration Date,Redemption Limit,Redeemed Quantity,"
        "Redeemed Amount,Active,Additional Info,Shoe size\n"
        "OFF-1,DISCOUNT_VOUCHER,10.5,PERCENT,New,2024-01-01,2025-01-01T10:00:00Z,5,2,,TRUE,any,44\n"
        "GIFT-1,GIFT_VOUCHER,2000,,,,,,3,500,false,,\n"
        '"CARD, ""1""",LOYALTY_CARD,30,,,,,,,,,,\n'
    ))  # fmt: skip
    assert answer.status_code == 202
    action = finished(system, api, answer)
    assert action["type"] == "VOUCHERS.IMPORT_CSV"
    assert action["result"] == {
        "message": "3 voucher(s) imported successfully, 0 failed.", "failed": [], "done_count": 3, "failed_count": 0,
    }  # fmt: skip
    off = api.get("/v1/vouchers/OFF-1").json()
    assert off["discount"] == {"type": "PERCENT", "percent_off": 10.5}
    assert (off["category"], off["start_date"], off["active"]) == ("New", "2024-01-01T00:00:00.000Z", True)
    assert (off["redemption"]["quantity"], off["redemption"]["redeemed_quantity"]) == (5, 2)
    assert off["metadata"] == {"Shoe size": "44"}
    gift = api.get("/v1/vouchers/GIFT-1").json()
    assert (gift["gift"]["amount"], gift["gift"]["balance"], gift["active"]) == (2000, 1500, False)
    assert (gift["redemption"]["redeemed_amount"], gift["redemption"]["redeemed_quantity"]) == (500, 3)
    assert api.get('/v1/vouchers/CARD, "1"').json()["loyalty_card"]["balance"] == 30
    with system.core.read() as connection:
        assert list(findings(connection)) == []
    assert kept_uploads(system) == []


def test_vouchers_of_a_campaign(system: System, api: TestClient) -> None:
    made = api.post("/v1/campaigns", json=CAMPAIGN).json()
    first = upload(api, "/v1/campaigns/Gifts%20%2F%201/importCSV", "Code,Gift Amount,Category\nA,,\nB,900,x\n")
    assert first.status_code == 200
    assert finished(system, api, first)["type"] == "CAMPAIGN.VOUCHERS_IMPORT_CSV"
    assert [api.get(f"/v1/vouchers/{code}").json()["gift"]["balance"] for code in "AB"] == [500, 900]
    assert api.get(f"/v1/campaigns/{made['id']}").json()["vouchers_count"] == 2
    again = upload(
        api, f"/v1/campaigns/{made['id']}/importCSV", "Code,Gift Amount,Category,Active\nB,5,y,false\nC,1,,\n"
    )
    assert finished(system, api, again)["result"]["done_count"] == 2
    changed = api.get("/v1/vouchers/B").json()
    assert (changed["category"], changed["active"], changed["gift"]["balance"]) == ("y", False, 900)


def test_loyalty_points_expire_by_the_programmes_rules(system: System, api: TestClient) -> None:
    api.post("/v1/campaigns", json=PROGRAMME)
    finished(system, api, upload(api, "/v1/campaigns/Points/importCSV", "Code,Loyalty Points\nL1,40\nL2,\n"))
    cards = [api.get(f"/v1/vouchers/{code}").json()["loyalty_card"] for code in ("L1", "L2")]
    assert [card["balance"] for card in cards] == [40, 7]
    assert {card["next_expiration_date"] for card in cards} == {"2025-01-09"}


BAD_VOUCHERS = [
    ("Y,NONE,,,", "voucher_type must be one of DISCOUNT_VOUCHER, GIFT_VOUCHER, LOYALTY_CARD, and is 'NONE'"),
    (",GIFT_VOUCHER,1,,", "code is empty"),
    ("Y,GIFT_VOUCHER,,,", "value is empty"),
    (
        "Y,GIFT_VOUCHER,1.50,,",
        "value must be a whole number (of minor units, unless the file is said to have decimals), and is '1.50'",
    ),
    ("Y,GIFT_VOUCHER,-1,,", "value must not be below 0, and is '-1'"),
    ("Y,GIFT_VOUCHER,5,,9", "redeemed_amount 9 is more than was granted, 5"),
    ("Y,DISCOUNT_VOUCHER,5,HALF,", "discount_type must be one of AMOUNT, PERCENT, UNIT, FIXED, and is 'HALF'"),
    ("Y,DISCOUNT_VOUCHER,101,PERCENT,", "Property .discount.percent_off must be <= 100"),
    ("Y,GIFT_VOUCHER", "the row has 2 cells, the header has 5"),
    ("X,GIFT_VOUCHER,5,,", "Duplicate codes: X"),
]


def test_bad_rows_are_told_by_line_and_the_rest_comes_in(system: System, api: TestClient) -> None:
    lines = [
        "Code,Voucher Type,Value,Discount Type,Redeemed Amount",
        "X,LOYALTY_CARD,3,,",
        *(row for row, _ in BAD_VOUCHERS),
    ]
    result = finished(system, api, upload(api, "/v1/vouchers/importCSV", "\r\n".join(lines)))["result"]
    told = [(each["line"], each["reason"]) for each in result["failed"]]
    assert told == [(line, reason) for line, (_, reason) in enumerate(BAD_VOUCHERS, 3)]
    assert (result["done_count"], result["failed_count"]) == (1, len(BAD_VOUCHERS))
    assert result["failed"][0]["code"] == "Y"


@pytest.mark.parametrize(
    ("content", "details"),
    [
        (b"", "The file is empty; its first line must name the columns"),
        (b"Voucher Type\nGIFT_VOUCHER\n", "The file has no column code"),
        (b"Code,code\nA,B\n", "The column code stands there twice (names and titles count alike)"),
        (b"Code,\nA,B\n", "There is no column '' in voucher_upload"),
        (b"\xff\xfeC\x00", "The file is UTF-16; save it as UTF-8"),
    ],
)
def test_a_file_without_a_header_is_refused_at_once(
    system: System, api: TestClient, content: bytes, details: str
) -> None:
    answer = upload(api, "/v1/vouchers/importCSV", content)
    assert answer.status_code == 400
    assert answer.json()["key"] == "invalid_payload"
    assert answer.json()["details"].startswith(details)
    assert kept_uploads(system) == []


def test_what_is_not_an_upload_is_refused(api: TestClient) -> None:
    for answer in (
        api.post("/v1/vouchers/importCSV", json={}),
        api.post("/v1/vouchers/importCSV", files={"other": ("a.csv", b"Code\nA\n")}),
        api.post("/v1/vouchers/importCSV", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=b"}),
        api.post("/v1/vouchers/importCSV", content=b"x", headers={"Content-Type": "multipart/form-data"}),
    ):
        assert answer.status_code == 400, answer.text
        assert answer.json()["key"] == "invalid_payload"


def test_nobody_uploads_without_a_key(anonymous: TestClient) -> None:
    assert upload(anonymous, "/v1/vouchers/importCSV", "Code\nA\n").status_code == 401


def test_unknown_and_unfit_campaigns(system: System, api: TestClient, stranger: TestClient) -> None:
    stranger.post("/v1/campaigns", json=CAMPAIGN)
    assert upload(api, "/v1/campaigns/Gifts%20%2F%201/importCSV", "Code\nA\n").status_code == 404
    promotion = {"name": "Tiers", "campaign_type": "PROMOTION"}
    assert api.post("/v1/campaigns", json=promotion).status_code == 200
    assert upload(api, "/v1/campaigns/Tiers/importCSV", "Code\nA\n").json()["key"] == "invalid_campaign"
    assert kept_uploads(system) == []


def test_customers_are_made_and_updated(system: System, api: TestClient) -> None:
    api.post("/v1/customers", json={"source_id": "a", "name": "Old", "phone": "1", "metadata": {"x": "kept"}})
    answer = upload(api, "/v1/customers/importCSV", (
        "Id,Name,Email,Phone,Birthdate,Source_id,Address_line_1,Address_Postal_Code,Loves\n"
        ',"New\nName",a@b.c,,1990-05-06,a,Main 1,01-001,tea\n'
        ",Ann,,,not a day,b,,,\n"
        "cust_nobody,Bob,,,,,,,\n"
        ",Eve,,,,c,,,\n"
    ))  # fmt: skip
    action = finished(system, api, answer)
    assert action["type"] == "CUSTOMERS.IMPORT_CSV"
    assert action["result"]["message"] == "2 customer(s) imported successfully, 2 failed."
    assert action["result"]["failed"] == [
        {"line": 4, "source_id": "b", "reason": "birthdate must be an ISO-8601 date, and is 'not a day'"},
        {"line": 5, "source_id": None, "reason": "Cannot find customer with id cust_nobody"},
    ]
    old = api.get("/v1/customers/a").json()
    assert (old["name"], old["phone"], old["birthdate"]) == ("New\nName", "1", "1990-05-06")
    assert old["metadata"] == {"x": "kept", "Loves": "tea"}
    assert old["address"]["postal_code"] == "01-001"
    assert api.get("/v1/customers/c").json()["name"] == "Eve"


def test_customers_in_bulk(system: System, api: TestClient) -> None:
    body = [{"source_id": "a", "name": "A"}, {"source_id": "b", "metadata": {"n": 1}}]
    answer = api.post("/v1/customers/bulk/async", json=body)
    assert answer.status_code == 202
    assert finished(system, api, answer)["type"] == "CUSTOMERS.BULK_UPDATE"
    told = api.post("/v1/customers/metadata/async", json={"source_ids": ["b", "c", "b"], "metadata": {"lang": "en"}})
    action = finished(system, api, told)
    assert (action["type"], action["result"]["done_count"]) == ("CUSTOMERS.METADATA_UPDATE", 2)
    assert api.get("/v1/customers/b").json()["metadata"] == {"n": 1, "lang": "en"}
    assert api.get("/v1/customers/c").json()["metadata"] == {"lang": "en"}
    for wrong in ([], [{"name": "nobody"}], {"source_id": "a"}):
        assert api.post("/v1/customers/bulk/async", json=wrong).status_code == 400
    assert api.post("/v1/customers/metadata/async", json={"source_ids": [], "metadata": {}}).status_code == 400


def test_a_repeated_upload_is_done_once(system: System, api: TestClient) -> None:
    first = upload(
        api, "/v1/vouchers/importCSV", "Code,Voucher Type,Value\nA,GIFT_VOUCHER,5\n", **{"Idempotency-Key": "k"}
    )
    second = upload(
        api, "/v1/vouchers/importCSV", "Code,Voucher Type,Value\nA,GIFT_VOUCHER,5\n", **{"Idempotency-Key": "k"}
    )
    assert first.json() == second.json()
    assert len(kept_uploads(system)) == 1
    other = upload(
        api, "/v1/vouchers/importCSV", "Code,Voucher Type,Value\nB,GIFT_VOUCHER,5\n", **{"Idempotency-Key": "k"}
    )
    assert (other.status_code, other.json()["key"]) == (409, "idempotency_key_reused")
    assert len(kept_uploads(system)) == 1
    assert finished(system, api, first)["result"]["done_count"] == 1
    assert kept_uploads(system) == []


class Pulled(BaseException):
    """What a power cut is to a running step: nothing catches it."""


def test_a_crash_loses_nothing_and_doubles_nothing(
    system: System, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_imports, "BATCH", 3)
    rows = [f'{no},GIFT_VOUCHER,{no + 1},"two\nlines, {no}"' for no in range(10)] + ["bad,GIFT_VOUCHER,x,"]
    answer = upload(
        api, "/v1/vouchers/importCSV", "\ufeffCode,Voucher Type,Value,Note\r\n" + "\r\n".join(rows) + "\r\n"
    )
    whole = csv_imports._store
    seen = 0

    def pulled(*arguments: Any) -> Any:
        nonlocal seen
        stored = whole(*arguments)
        seen += 1
        if seen in (2, 4):
            raise Pulled
        return stored

    monkeypatch.setattr(csv_imports, "_store", pulled)
    for _ in range(2):
        with pytest.raises(Pulled):
            system.services.actions.run_one()
        with system.core.database.write() as connection:
            connection.execute(async_actions.update().values(lease_until=0))
    result = finished(system, api, answer)["result"]
    assert (result["done_count"], result["failed_count"]) == (10, 1)
    # Ten rows of two lines each behind the header.
    assert result["failed"] == [{"line": 22, "code": "bad", "reason": "value must be a whole number, and is 'x'"}]
    assert [api.get(f"/v1/vouchers/{no}").json()["gift"]["balance"] for no in range(10)] == list(range(1, 11))
    assert api.get("/v1/vouchers/7").json()["metadata"] == {"Note": "two\nlines, 7"}
    with system.core.read() as connection:
        assert list(findings(connection)) == []


def test_what_nobody_needs_is_swept(system: System, api: TestClient, clock: FakeClock) -> None:
    system.store.put("imports/1/up_left.csv", b"Code\n")
    with system.core.read() as connection:
        assert connection.execute(sa.select(async_actions)).first() is None
    clock.set_ms(4_000_000_000_000)
    answer = upload(api, "/v1/vouchers/importCSV", "Code,Voucher Type,Value\nA,GIFT_VOUCHER,5\n")
    [kept] = kept_uploads(system)
    assert kept != "imports/1/up_left.csv"
    finished(system, api, answer)
