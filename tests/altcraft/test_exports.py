"""The export of points transactions from the request to the file (seed 004)."""

from __future__ import annotations

import csv
import io
import subprocess
import uuid
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import duckdb
import pytest
import sqlalchemy as sa
from defusedxml.ElementTree import fromstring

from counterfoil.catalog.importables import importable
from counterfoil.compose import System
from counterfoil.dataplane.intake_path import open_file
from counterfoil.dataplane.verify import verify
from counterfoil.db.schema import counters, exports
from counterfoil.ids import movement_uuid, seq_of_movement_uuid
from counterfoil.services.imports.report import ImportOptions
from counterfoil.services.imports.run import ImportService
from tests.altcraft.shop import ALWAYS, API, EXPORT, STATUS, Shop, named, rows_of, seal, told, work
from tests.fakes import FakeClock

# Seed 004, step 1 and step 2, as printed.
PRINTED_FROM_ID = "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8"
PRINTED_JSON = """{
"loyalty_program_id": 123,
"points_currency_eid": "bonus_points",
"date_from": "2023-09-01T00:00:00Z",
"date_to": "2023-09-30T23:59:59Z",
"from_id": "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8"
}"""
PRINTED_XML = """<xml>
<loyalty_program_id>123</loyalty_program_id>
<points_currency_eid>bonus_points</points_currency_eid>
<date_from>2023-09-01T00:00:00Z</date_from>
<date_to>2023-09-30T23:59:59Z</date_to>
<from_id>a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8</from_id>
</xml>"""
COLUMNS = [
    "transaction_id", "transaction_eid", "profile_id", "created_at", "transaction_type", "amount", "balance_before",
    "balance_after", "promo_iid", "promo_eid", "description", "activation_date", "expiration_date", "source_type",
    "source_iid", "source_eid", "points_currency_iid", "points_currency_eid",
]  # fmt: skip
SEPTEMBER = {"date_from": "2023-09-01T00:00:00Z", "date_to": "2023-09-30T23:59:59Z"}


@pytest.fixture
def printed(system: System, shop: Shop) -> dict[str, Any]:
    """Programme 123 with its currency bonus_points, and five transactions of September 2023."""
    with system.database.write() as connection:
        mine = counters.c.project_id == shop.caller.project_id
        connection.execute(counters.update().where(mine).values(campaign_iid=122))
    programme = shop.programme("My first loyalty", "bonus_points", scale=1)
    assert programme["loyalty_program_id"] == 123
    ann = shop.member(programme)
    for day, amount in enumerate(("100.1", "20", "0.5", "7.5", "12"), 1):
        at = f"2023-09-{day * 5:02}T12:34:56Z"
        shop.call("loyalty/accrue_points", **named(programme), **ann, amount=amount, created_at=at)
    return programme


def post_xml(shop: Shop, path: str, body: str, **headers: str) -> dict[str, Any]:
    """A call in XML; the answer's elements."""
    answer = shop.altcraft.post(API + path, content=body, headers={"content-type": "application/xml", **headers})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    root = fromstring(answer.text)
    assert root.tag == "xml"
    return elements(root)


def elements(element: Any) -> dict[str, Any]:
    """Nested elements as nested dicts of text."""
    return {child.tag: elements(child) if len(child) else child.text or "" for child in element}


def test_the_printed_json_requests_run(system: System, shop: Shop, printed: dict[str, Any]) -> None:
    headers = {"content-type": "application/json"}
    answer = shop.altcraft.post(API + EXPORT, content=PRINTED_JSON, headers=headers)
    text = told(answer, 404, PRINTED_FROM_ID)
    assert "next_from_id" in text
    whole = PRINTED_JSON.replace(f'"{PRINTED_FROM_ID}"', '""')
    found = shop.altcraft.post(API + EXPORT, content=whole, headers=headers).json()
    assert list(found) == ["data", "error", "error_text"] and list(found["data"]) == ["task_id"]
    task_id = found["data"]["task_id"]
    assert task_id.startswith("task_") and uuid.UUID(task_id.removeprefix("task_")).version == 4
    assert shop.status(task_id) == {"status": "pending", "progress": 0, "result": {}}
    work(system)
    status = shop.altcraft.post(API + STATUS, content=f'{{"task_id": "{task_id}"}}', headers=headers).json()
    result = status["data"].pop("result")
    assert status == {
        "data": {"status": "completed", "progress": 100},
        "error": 0,
        "error_text": "Successful operation",
    }
    token, _, name = result.pop("hashed_file").partition("/")
    assert len(token) == 96 and set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert name == "Transactions_loyalty_123_123_2023-09-01T00 00 00Z_2023-09-30T23 59 59Z.zip"
    assert result == {"is_api": True, "loyalty_id": 123, "next_from_id": "", "points_currency_iid": 123, "total": 5}
    file = shop.altcraft.get(f"/api/download/{token}/{quote(name)}")
    assert (file.status_code, file.headers["content-type"]) == (200, "application/zip")
    assert [row["amount"] for row in rows_of(file.content)] == ["100.1", "20.0", "0.5", "7.5", "12.0"]


def test_the_printed_xml_requests_run(system: System, shop: Shop, printed: dict[str, Any]) -> None:
    refused = post_xml(shop, EXPORT, PRINTED_XML)
    assert (
        refused["error"] == "404"
        and PRINTED_FROM_ID in refused["error_text"]
        and set(refused) == {"error", "error_text"}
    )
    made = post_xml(
        shop, EXPORT, PRINTED_XML.replace(PRINTED_FROM_ID, ""), **{"content-type": "text/xml; charset=utf-8"}
    )
    task_id = made["data"]["task_id"]
    assert made == {"data": {"task_id": task_id}, "error": "0", "error_text": "Successful operation"}
    work(system)
    status = post_xml(shop, STATUS, f"<xml>\n<task_id>{task_id}</task_id>\n</xml>")
    assert list(status) == ["data", "error", "error_text"]
    assert list(status["data"]) == ["status", "progress", "result"]
    result = status["data"]["result"]
    assert list(result) == ["hashed_file", "is_api", "loyalty_id", "next_from_id", "points_currency_iid", "total"]
    assert (result["is_api"], result["total"], result["next_from_id"]) == ("true", "5", "")
    assert shop.altcraft.get(f"/api/download/{result['hashed_file']}").status_code == 200


def test_a_row_has_the_columns_of_the_transaction_record(shop: Shop, clock: FakeClock) -> None:
    programme = shop.programme(scale=2, expiration_rules={"period_type": "MONTH", "period_value": 1})
    ann = shop.member(programme)
    (profile,) = [row["id"] for row in shop.voucherify.get("/v1/customers").json()["customers"]]
    shop.call(
        "loyalty/accrue_points",
        **named(programme),
        **ann,
        amount="600.60",
        transaction_eid="trans_12345",
        promotion_id=42,
        description='Summer, "half" price',
        external_data={"till": 7},
    )
    clock.advance_ms(1000)
    shop.call("loyalty/redeem_points", **named(programme), **ann, amount="100")
    batch = shop.export(programme)
    assert [list(row) for row in batch.rows] == [COLUMNS, COLUMNS]
    assert batch.rows[0] == {
        "transaction_id": movement_uuid(shop.caller.project.key, 1),
        "transaction_eid": "trans_12345",
        "profile_id": profile,
        "created_at": "2024-10-09T09:16:32.521Z",
        "transaction_type": "accrual",
        "amount": "600.60",
        "balance_before": "0.00",
        "balance_after": "600.60",
        "promo_iid": "42",
        "promo_eid": "",
        "description": 'Summer, "half" price',
        "activation_date": "",
        "expiration_date": "2024-11-09T23:59:59.999Z",
        "source_type": "",
        "source_iid": "",
        "source_eid": "",
        "points_currency_iid": "1",
        "points_currency_eid": "stars",
    }
    redemption = batch.rows[1]
    assert {name: redemption[name] for name in ("transaction_type", "amount", "balance_before", "balance_after")} == {
        "transaction_type": "redemption",
        "amount": "-100.00",
        "balance_before": "600.60",
        "balance_after": "500.60",
    }


def story(shop: Shop, programme: dict[str, Any], clock: FakeClock) -> None:
    """Movements of every kind that points have, with ties of time and dates in the past."""
    ann, bob = shop.member(programme), shop.member(programme, "bob@example.com")
    named_by = named(programme)
    cards = [
        row["code"] for row in shop.voucherify.get(f"/v1/vouchers?campaign_id={programme['id']}").json()["vouchers"]
    ]
    for no in range(6):
        shop.call("loyalty/accrue_points", **named_by, **ann, amount=str(100 + no))
    shop.call("loyalty/accrue_points", **named_by, **bob, amount="50", created_at="2024-01-31T23:59:59.999Z")
    shop.voucherify.post(f"/v1/loyalties/members/{cards[0]}/balance", json={"points": 40, "source_id": "by hand"})
    clock.advance_ms(86_400_000)
    shop.voucherify.post(f"/v1/loyalties/members/{cards[1]}/balance", json={"points": -3, "reason": "sold, twice"})
    redeemed = shop.call("loyalty/redeeme_points", **named_by, **ann, amount="30", is_temp=True)["data"]
    shop.call("loyalty/rollback_transaction", transaction_id=redeemed["transaction_id"])
    transfer = [{"code": cards[0], "points": 7}]
    path = f"/v1/loyalties/{programme['id']}/members/{cards[1]}/transfers"
    assert shop.voucherify.post(path, json=transfer).status_code == 200
    shop.call(
        "loyalty/accrue_points", **named_by, **ann, amount="9", activation_date="2024-10-12T00:00:00Z",
        expiration_date="2024-10-12T23:59:59Z", promotion_id=5,
    )  # fmt: skip
    clock.advance_ms(2 * 86_400_000)
    shop.system.services.pending_points.run_due()
    clock.advance_ms(3 * 86_400_000)
    shop.system.services.expiry.run_due()


TYPES = {
    "POINTS_ACCRUAL": "accrual",
    "PENDING_POINTS_ACTIVATION": "accrual",
    "POINTS_ADDITION": "adjustment",
    "POINTS_REMOVAL": "adjustment",
    "POINTS_REDEMPTION": "redemption",
    "POINTS_REFUND": "rollback",
    "POINTS_EXPIRATION": "expiration",
    "POINTS_TRANSFER_OUT": "transfer",
    "POINTS_TRANSFER_IN": "transfer",
}


def through_voucherify(shop: Shop, programme: dict[str, Any]) -> list[dict[str, Any]]:
    """The same movements through the other dialect's export."""
    fields = ["id", "type", "source_id", "reason", "balance", "amount", "created_at", "details"]
    path = f"/v1/campaigns/{programme['id']}/transactions/export"
    made = shop.voucherify.post(path, json={"parameters": {"fields": fields, "order": "created_at"}}).json()
    work(shop.system)
    url = shop.voucherify.get(f"/v1/exports/{made['id']}").json()["result"]["url"]
    file = shop.voucherify.get(url)
    assert file.status_code == 200
    return list(csv.DictReader(io.StringIO(file.text, newline="")))


@pytest.mark.parametrize("archived", [False, True])
def test_both_dialects_agree_row_by_row(system: System, shop: Shop, clock: FakeClock, archived: bool) -> None:
    programme = shop.programme()
    story(shop, programme, clock)
    if archived:
        seal(system, shop.caller.project_id)
    batch = shop.export(programme, archived=archived)
    ledger = shop.movements()
    assert len(batch.rows) == len(ledger) == 15
    assert {row["type"] for row in ledger} == set(TYPES)
    other = through_voucherify(shop, programme)
    for mine, theirs, row in zip(batch.rows, other, ledger, strict=True):
        seq = seq_of_movement_uuid(shop.caller.project.key, mine["transaction_id"])
        assert (seq, theirs["id"]) == (row["seq"], row["id"])
        assert mine["transaction_type"] == TYPES[theirs["type"]]
        assert (mine["amount"], mine["balance_after"]) == (theirs["amount"], theirs["balance"])
        assert int(mine["balance_before"]) + int(mine["amount"]) == int(mine["balance_after"])
        assert mine["created_at"] == theirs["created_at"]
        assert (mine["transaction_eid"], mine["description"]) == (theirs["source_id"], theirs["reason"])
    promised = next(row for row in batch.rows if row["promo_iid"] == "5")
    assert promised["activation_date"] == "2024-10-12T00:00:00.000Z"
    assert promised["expiration_date"] == "2024-10-12T23:59:59.999Z"
    moved = [row["source_type"] for row in batch.rows if row["transaction_type"] == "transfer"]
    assert moved == ["account", "account"]


def test_the_archive_gives_the_very_same_bytes(system: System, shop: Shop, clock: FakeClock) -> None:
    programme = shop.programme(scale=2)
    story(shop, programme, clock)
    by_database = shop.export(programme)
    seal(system, shop.caller.project_id)
    by_archive = shop.export(programme, archived=True)
    with system.core.read() as connection:
        mine = exports.c.project_id == shop.caller.project_id
        paths = list(connection.execute(sa.select(exports.c.path).where(mine)).scalars())
    assert {path.partition(":")[0] for path in paths} == {"archive", "database"}
    files = [unzipped(each.content) for each in (by_database, by_archive)]
    assert files[0] == files[1]


def unzipped(content: bytes) -> bytes:
    """The only file in a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(archive.namelist()[0])


def test_python_unzip_and_duckdb_read_the_same_rows(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    programme = shop.programme()
    story(shop, programme, clock)
    batch = shop.export(programme)
    name = batch.result["hashed_file"].partition("/")[2]
    file = tmp_path / name
    file.write_bytes(batch.content)
    subprocess.run(["unzip", "-q", file, "-d", tmp_path / "out"], check=True)
    (inner,) = (tmp_path / "out").iterdir()
    assert inner.name == name.removesuffix(".zip") + ".csv"
    assert inner.read_bytes() == unzipped(batch.content)
    read = duckdb.sql(f"select * from read_csv('{inner}', header=true, all_varchar=true)")
    assert read.columns == COLUMNS
    assert [tuple(value or "" for value in row) for row in read.fetchall()] == [
        tuple(row.values()) for row in batch.rows
    ]


def test_the_manifest_proves_the_file(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    programme = shop.programme(scale=2)
    story(shop, programme, clock)
    batch = shop.export(programme)
    service = shop.system.services.exports
    manifest = service.manifest(shop.caller, batch.task_id)
    name = batch.result["hashed_file"].partition("/")[2]
    file = tmp_path / name
    file.write_bytes(batch.content)
    verdict = verify(manifest, {name: file})
    assert verdict.sound, verdict.findings
    assert "sum of amount" in verdict.checked
    file.write_bytes(batch.content[:-1])
    assert not verify(manifest, {name: file}).sound


def test_both_ends_of_the_period_are_inclusive_to_the_instant(shop: Shop) -> None:
    programme = shop.programme()
    ann = shop.member(programme)
    for at in (
        "2023-08-31T23:59:59.999Z",
        "2023-09-01T00:00:00Z",
        "2023-09-30T23:59:59Z",
        "2023-09-30T23:59:59.500Z",
        "2023-10-01T00:00:00Z",
    ):
        shop.call("loyalty/accrue_points", **named(programme), **ann, amount="1", created_at=at)

    def days(**period: str) -> list[str]:
        return [row["created_at"] for row in shop.export(programme, **period).rows]

    assert days(**SEPTEMBER) == ["2023-09-01T00:00:00.000Z", "2023-09-30T23:59:59.000Z"]
    assert len(days(**{**SEPTEMBER, "date_to": "2023-09-30T23:59:59.4999999Z"})) == 2
    assert len(days(**{**SEPTEMBER, "date_to": "2023-09-30T23:59:59.5009Z"})) == 3
    assert len(days(**{**SEPTEMBER, "date_from": "2023-09-01T00:00:00.0001Z"})) == 1
    assert len(days(date_from="2023-09-01T03:00:00+03:00", date_to="2023-10-01T02:59:59+03:00")) == 2
    same = "2023-09-01T00:00:00Z"
    assert len(days(date_from=same, date_to=same)) == 1


def test_an_empty_period_is_a_file_with_a_header(shop: Shop) -> None:
    programme = shop.programme()
    batch = shop.export(programme, **SEPTEMBER)
    assert (batch.result["total"], batch.result["next_from_id"], batch.rows) == (0, "", [])
    assert unzipped(batch.content).decode().strip().split(",") == COLUMNS


def test_a_currency_may_be_named_by_its_number_or_twice(shop: Shop) -> None:
    programme = shop.programme("Gold", "gold")
    number = programme["points_currency"]["iid"]
    by_number = {"loyalty_program_id": programme["loyalty_program_id"], "points_currency_iid": number}
    assert shop.call(EXPORT, **by_number, **ALWAYS)["data"]["task_id"]
    assert shop.call(EXPORT, **by_number, points_currency_eid="gold", **ALWAYS)["data"]["task_id"]


def test_imported_opening_balances_stay_hidden(shop: Shop) -> None:
    programme = shop.programme(points=500)
    ann = shop.member(programme)
    shop.call("loyalty/redeem_points", **named(programme), **ann, amount="20")
    assert [row["type"] for row in shop.movements()] == ["OPENING_BALANCE", "POINTS_REDEMPTION"]
    (row,) = shop.export(programme).rows
    assert (row["transaction_type"], row["balance_before"], row["balance_after"]) == ("redemption", "500", "480")


def test_imported_movements_have_ids_of_their_own_too(system: System, shop: Shop, tmp_path: Path) -> None:
    programme = shop.programme(scale=2)
    shop.member(programme)
    (card,) = shop.voucherify.get("/v1/vouchers").json()["vouchers"]
    file = tmp_path / "past.csv"
    rows = (
        ("old-1", "POINTS_ADDITION", 5000, 5000, "2021-01-01T00:00:00.000Z", "till 7"),
        ("old-2", "POINTS_REDEMPTION", -1250, 3750, "2021-01-01T00:00:00.000Z", ""),
        ("old-3", "POINTS_REMOVAL", -50, 3700, "2020-12-31T23:59:59.999Z", "a, b"),
        ("old-4", "POINTS_EXPIRATION", -3700, 0, "2022-01-01T00:00:00Z", ""),
    )
    lines = [
        f'{name},{card["id"]},{kind},{amount},{balance},{at},"{said}"' for name, kind, amount, balance, at, said in rows
    ]
    file.write_text("id,voucher_id,type,amount,balance,created_at,reason\n" + "\n".join(lines) + "\n")
    with open_file(file, importable("voucher_transactions")) as content:
        ImportService(system.core).run(shop.caller, "voucher_transactions", content, ImportOptions(), lambda *_: None)
    ledger = [row for row in shop.movements() if row["type"] != "OPENING_BALANCE"]
    assert [row["id"] for row in ledger] == ["old-3", "old-1", "old-2", "old-4"]
    batch = shop.export(programme)
    assert batch.ids == [movement_uuid(shop.caller.project.key, row["seq"]) for row in ledger]
    shown = [(row["amount"], row["balance_before"], row["balance_after"], row["description"]) for row in batch.rows]
    assert shown == [
        ("-0.50", "37.50", "37.00", "a, b"),
        ("50.00", "0.00", "50.00", "till 7"),
        ("-12.50", "50.00", "37.50", ""),
        ("-37.00", "37.00", "0.00", ""),
    ]


# -- downloads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def link(shop: Shop) -> str:
    """The path of a finished file."""
    programme = shop.programme()
    ann = shop.member(programme)
    shop.call("loyalty/accrue_points", **named(programme), **ann, amount="1")
    batch = shop.export(programme)
    return "/api/download/" + quote(batch.result["hashed_file"])


def test_a_download_needs_the_projects_own_token(shop: Shop, other: Shop, link: str) -> None:
    answer = shop.client().get(link)
    told(answer, 401, "Authorization: Bearer", 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    told(shop.client().get(f"{link}?token={shop.token}"), 401, "header", 401)
    told(shop.client(Authorization="Bearer nobody").get(link), 401, "Unknown token", 401)
    told(shop.client(Authorization="Basic YTpi").get(link), 401, "Bearer", 401)
    told(other.altcraft.get(link), 403, "link", 403)
    assert shop.altcraft.get(link).status_code == 200


def test_a_link_that_is_not_good_is_refused(shop: Shop, link: str, clock: FakeClock) -> None:
    prefix, token, name = link.rpartition("/")[0].rpartition("/")[0], link.split("/")[3], link.split("/")[4]
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for wrong in (forged, "short", "!" * 96):
        told(shop.altcraft.get(f"{prefix}/{wrong}/{name}"), 403, "tasks/status", 403)
    told(shop.altcraft.get(f"{prefix}/{token}/other.zip"), 404, "other.zip", 404)
    told(shop.altcraft.get(f"{prefix}/{token}"), 404, "There is no GET", 404)
    clock.advance_ms(901_000)
    told(shop.altcraft.get(link), 403, "its time is over", 403)


def test_downloads_take_ranges_and_conditions(shop: Shop, link: str) -> None:
    whole = shop.altcraft.get(link)
    assert whole.headers["accept-ranges"] == "bytes"
    name = unquote(link.rpartition("/")[2])
    assert whole.headers["content-disposition"] == f'attachment; filename="{name}"', "curl -OJ keeps the blanks"
    part = shop.altcraft.get(link, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    unchanged = shop.altcraft.get(link, headers={"if-none-match": whole.headers["etag"]})
    assert unchanged.status_code == 304
    head = shop.altcraft.head(link)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(whole.content)), b"")


# -- tenants ------------------------------------------------------------------------------------------------------------


def test_projects_never_see_each_other(shop: Shop, other: Shop) -> None:
    programme = shop.programme()
    ann = shop.member(programme)
    shop.call("loyalty/accrue_points", **named(programme), **ann, amount="5")
    batch = shop.export(programme, limit=1)
    other.refused(EXPORT, 404, "none yet", **named(programme), **ALWAYS)
    missing = other.refused(STATUS, 404, batch.task_id, task_id=batch.task_id)
    ghost = "task_00000000-0000-4000-8000-000000000000"
    assert missing.replace(batch.task_id, "") == other.refused(STATUS, 404, ghost, task_id=ghost).replace(ghost, "")
    theirs = other.programme()
    for from_id in batch.ids:
        other.refused(EXPORT, 404, "no transaction", **named(theirs), **ALWAYS, from_id=from_id)
    other.refused("loyalty/account/balance", 404, "no profile", **named(theirs), **ann)
    other.refused("loyalty/cancel_transaction", 404, "no transaction", transaction_id=batch.ids[0])
    assert other.export(theirs).rows == []


def test_an_export_of_the_other_dialect_is_no_task(shop: Shop) -> None:
    made = shop.voucherify.post("/v1/exports", json={"exported_object": "voucher"}).json()
    shop.refused(STATUS, 404, made["id"], task_id=made["id"])
    programme = shop.programme()
    task_id = shop.ask(programme)
    assert task_id not in shop.voucherify.get("/v1/exports").text
