"""For each object: an export's rows are those of the API's own list endpoint, field by field and filter by filter."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil import settings as settings_table
from counterfoil.catalog.objects import OBJECTS
from counterfoil.compose import System, build, build_app
from tests.fakes import FakeClock
from tests.waiting import until
from tests.web.conftest import signed_in
from tests.web.listed_cells import CELLS, row

pytestmark = pytest.mark.slow

LISTS = {
    "voucher": ("/v1/vouchers", "vouchers"),
    "redemption": ("/v1/redemptions", "redemptions"),
    "customer": ("/v1/customers", "customers"),
    "publication": ("/v1/publications", "publications"),
    "order": ("/v1/orders", "orders"),
}
SHOWN_ELSEWHERE = {
    # Columns that no list endpoint shows, compared with the database by tests/db/test_exportables.py.
    "voucher": {"metadata", "customer_source_id"},
    "redemption": {"metadata", "order_amount", "gift_amount", "loyalty_points"},
    "customer": {"metadata"},
    "publication": {"metadata"},
    "order": {"metadata"},
    "voucher_transactions": {"details", "status"},
    "points_expiration": set[str](),
}


@pytest.fixture(scope="module")
def now() -> FakeClock:
    """The clock of the shop; it stands still once the shop is filled."""
    return FakeClock()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, now: FakeClock) -> Iterator[TestClient]:
    """A client of a running system with a small shop in it."""
    home: Path = tmp_path_factory.mktemp("lists")
    system: System = build(settings_table.load({"home": str(home)}, {}), now)
    system.workers.start()
    with TestClient(build_app(system), raise_server_exceptions=False) as anonymous:
        api = signed_in(system, anonymous, "shop")
        _fill(api, now)
        yield api
    system.close()


def _fill(api: TestClient, clock: FakeClock) -> None:
    def post(path: str, body: Any, *, refused: bool = False) -> Any:
        clock.advance_ms(1_001)
        answer = api.post(path, json=body)
        assert (answer.status_code < 300) != refused, (path, answer.text)
        return answer.json()

    card = {
        "type": "LOYALTY_CARD",
        "loyalty_card": {"points": 5, "expiration_rules": {"period_type": "MONTH", "period_value": 2}},
    }
    post("/v1/campaigns", {"name": "Points", "campaign_type": "LOYALTY_PROGRAM", "voucher": card})
    gift = {"type": "GIFT_VOUCHER", "gift": {"amount": 10_000}}
    post("/v1/campaigns", {"name": 'Gifts, and "more"', "campaign_type": "GIFT_VOUCHERS", "voucher": gift})
    percent = {"type": "PERCENT", "percent_off": 12.5, "amount_limit": 5000}
    discount = {"type": "DISCOUNT_VOUCHER", "discount": percent}
    post(
        "/v1/vouchers/TEN",
        {**discount, "redemption": {"quantity": 1}, "metadata": {"colour": "red"}, "category": "new"},
    )
    amount = {"type": "AMOUNT", "amount_off": 700}
    body = {
        "type": "DISCOUNT_VOUCHER",
        "discount": amount,
        "start_date": "2020-01-01T00:00:00Z",
        "expiration_date": "2030-01-01",
    }
    post("/v1/vouchers/SEVEN", {**body, "additional_info": "line\nbreak", "metadata": {"colour": 'da"rk'}})
    post("/v1/vouchers/SEVEN/disable", {})
    for number, name in enumerate(("ann", "bob", "cid")):
        address = {"city": f"City {number}", "line_1": "1, Main St", "country": "Ireland"}
        person = {"source_id": name, "name": name.title(), "email": f"{name}@example.com", "address": address}
        post("/v1/customers", {**person, "metadata": {"tier": number}, "birthdate": f"199{number}-02-0{number + 1}"})
        post("/v1/loyalties/Points/members", {"customer": {"source_id": name}, "channel": "shop"})
        order = {
            "source_id": f"o-{name}",
            "amount": 1000 * (number + 1),
            "status": ("CREATED", "PAID", "CANCELED")[number],
        }
        post("/v1/orders", {**order, "customer": {"source_id": name}, "metadata": {"payment_mean": "cash"}})
    cards = [v["code"] for v in api.get("/v1/vouchers", params={"campaign": "Points"}).json()["vouchers"]]
    for number, code in enumerate(cards):
        post(
            f"/v1/loyalties/members/{code}/balance",
            {"points": 50 + number, "reason": "Hello, you", "source_id": f"s{number}"},
        )
        post(f"/v1/loyalties/members/{code}/balance", {"points": -7})
    post(f"/v1/loyalties/Points/members/{cards[0]}/transfers", [{"code": cards[1], "points": 9}])
    published = post("/v1/publications", {"campaign": {"name": 'Gifts, and "more"'}, "customer": {"source_id": "ann"}})
    code = published["voucher"]["code"]
    item = {"object": "voucher", "id": code, "gift": {"credits": 250}}
    made = post("/v1/redemptions", {"redeemables": [item], "order": {"amount": 900}, "customer": {"source_id": "ann"}})
    post(f"/v1/redemptions/{made['redemptions'][0]['id']}/rollback", {"reason": "Returned"})
    for refused in (False, True):
        post("/v1/redemptions", {"redeemables": [{"object": "voucher", "id": "TEN"}], "order": {"amount": 900},
                                 "customer": {"source_id": "bob"}}, refused=refused)  # fmt: skip


def exported(api: TestClient, name: str, parameters: dict[str, Any]) -> list[dict[str, str]]:
    made = api.post("/v1/exports", json={"exported_object": name, "parameters": parameters})
    assert made.status_code == 200, made.text

    def done() -> dict[str, Any] | None:
        export = api.get(f"/v1/exports/{made.json()['id']}").json()
        assert export["status"] != "ERROR", export
        return export if export["status"] == "DONE" else None

    content = api.get(until(done, "the export to be done")["result"]["url"]).text
    return list(csv.DictReader(io.StringIO(content, newline="")))


def listed(api: TestClient, name: str, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    if name == "voucher_transactions":
        found = [
            item
            for campaign in api.get("/v1/campaigns").json()["campaigns"]
            for item in api.get(f"/v1/campaigns/{campaign['id']}/transactions", params={"limit": 100}).json()["data"]
        ]
        return sorted(found, key=lambda item: item["created_at"])
    if name == "points_expiration":
        cards = api.get("/v1/vouchers", params={"campaign": "Points", "limit": 100}).json()["vouchers"]
        path = "/v1/loyalties/Points/members/{}/points-expiration"
        return [item for card in cards for item in api.get(path.format(card["code"])).json()["data"]]
    path, key = LISTS[name]
    answer = api.get(path, params={"limit": 100, **(query or {})})
    assert answer.status_code == 200, answer.text
    return list(answer.json()[key])


def by_first(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    return sorted(tuple(each.values()) for each in rows)


@pytest.mark.parametrize("name", CELLS)
def test_all_fields_and_the_defaults_are_what_the_list_says(shop: TestClient, name: str) -> None:
    about = OBJECTS[name]
    fields = list(CELLS[name])
    plain = {field for field in fields if "." not in field}
    assert plain | SHOWN_ELSEWHERE[name] >= set(about.exported_names), set(about.exported_names) - plain
    items = listed(shop, name)
    assert items
    rows = exported(shop, name, {"fields": fields})
    assert list(rows[0]) == fields
    assert by_first(rows) == by_first([row(name, fields, item) for item in items])
    defaults = exported(shop, name, {})
    assert list(defaults[0]) == list(about.default_fields)
    known = [field for field in about.default_fields if field in CELLS[name]]
    shown = [{field: each[field] for field in known} for each in defaults]
    assert by_first(shown) == by_first([row(name, known, item) for item in items])


def in_query(filters: dict[str, Any]) -> dict[str, Any]:
    """The same filters as a list endpoint takes them (facts 2.4)."""
    query: dict[str, Any] = {"filters[junction]": filters["junction"]}
    for field, value in filters.items():
        if field == "junction":
            continue
        for operator, operand in value["conditions"].items():
            place = f"filters[{field}][conditions][{operator}]"
            if isinstance(operand, list):
                query |= {f"{place}[{no}]": each for no, each in enumerate(operand)}
            else:
                query[place] = str(operand).lower() if isinstance(operand, bool) else operand
    return query
