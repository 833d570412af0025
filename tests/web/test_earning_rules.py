"""Earning rules over HTTP: stored, changed, switched; what a paid order earns with them, once; wrong ones refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.db.schema import movements, pending_points
from tests.fakes import FakeClock


def proportional(calculation: str, group: str, name: str, **ratio: Any) -> dict[str, Any]:
    return {"type": "PROPORTIONAL", "calculation_type": calculation, group: {name: ratio}}


def fixed(points: Any = 10) -> dict[str, Any]:
    return {"type": "FIXED", "points": points}


BY_AMOUNT = proportional("ORDER_AMOUNT", "order", "amount", every=1000, points=3)


@pytest.fixture
def programme(api: TestClient) -> str:
    """The id of a loyalty programme whose points last to the end of the next month, with the member `bob`."""
    card = {
        "points": 0,
        "expiration_rules": {"period_type": "MONTH", "period_value": 1, "rounding_type": "END_OF_MONTH"},
    }
    body = {
        "name": "Club",
        "campaign_type": "LOYALTY_PROGRAM",
        "voucher": {"type": "LOYALTY_CARD", "loyalty_card": card},
    }
    campaign = api.post("/v1/campaigns", json=body).json()
    joined(api, "Club", "bob")
    return campaign["id"]


def joined(api: TestClient, campaign: str, customer: str) -> dict[str, Any]:
    answer = api.post("/v1/publications", json={"campaign": campaign, "customer": {"source_id": customer}})
    assert answer.status_code == 200, answer.text
    return answer.json()["voucher"]


def rules(api: TestClient, *said: dict[str, Any], campaign: str = "Club") -> list[dict[str, Any]]:
    body = [{"event": "order.paid", "source": {"banner": "Paid"}, **each} for each in said]
    answer = api.post(f"/v1/loyalties/{campaign}/earning-rules", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def paid(api: TestClient, customer: str = "bob", **said: Any) -> dict[str, Any]:
    answer = api.post("/v1/orders", json={"status": "PAID", "customer": {"source_id": customer}, **said})
    assert answer.status_code == 200, answer.text
    return answer.json()


def points(api: TestClient, customer: str = "bob") -> int:
    return api.get(f"/v1/customers/{customer}").json()["loyalty"]["points"]


def rows(system: System, table: Any) -> list[dict[str, Any]]:
    with system.core.read() as connection:
        return [dict(row) for row in connection.execute(table.select()).mappings()]


# -- the rules themselves ------------------------------------------------------------------------------------------------


def test_an_array_goes_in_and_an_array_comes_out(api: TestClient, programme: str) -> None:
    said = {
        "event": "order.paid",
        "validation_rule_id": None,
        "loyalty": BY_AMOUNT,
        "source": {"banner": "Order paid"},
        "active": True,
        "start_date": "2022-11-02T13:00:00.000Z",
        "expiration_date": "2033-03-03T14:30:00.000Z",
        "validity_timeframe": {"duration": "PT1H", "interval": "P1D"},
        "validity_day_of_week": [0, 1, 2, 3, 4, 5],
        "metadata": {"Type": "Order paid"},
    }
    first, second = rules(
        api, said, {"loyalty": fixed("5"), "pending_points": {"period_type": "DAY", "period_value": 7}}
    )
    assert first.pop("id").startswith("ern_") and first.pop("automation_id").startswith("auto_")
    assert first == {
        **said,
        "created_at": "2024-10-09T09:16:32.521Z",
        "updated_at": None,
        "source": {"banner": "Order paid", "object_id": programme, "object_type": "campaign"},
        "object": "earning_rule",
    }
    assert second["loyalty"] == fixed(5) and second["pending_points"] == {"period_type": "DAY", "period_value": 7}
    assert not second.keys() & {"start_date", "validity_hours", "segment"}


def test_rules_of_any_event_are_stored_but_only_paid_orders_pay(api: TestClient, programme: str) -> None:
    found = rules(
        api,
        {"event": "customer.segment.entered", "segment": {"id": "seg_1"}, "loyalty": fixed()},
        {"event": "saw_on_facebook", "custom_event": {"schema_id": "ms_1"}, "loyalty": fixed()},
        {"event": "customer.loyalty.tier.joined", "loyalty_tier": {"id": "__ANY__"}, "loyalty": fixed()},
    )
    assert [found[0]["segment"], found[1]["custom_event"], found[2]["loyalty_tier"]] == [
        {"id": "seg_1"}, {"schema_id": "ms_1"}, {"id": "__ANY__"},
    ]  # fmt: skip
    paid(api, amount=5000)
    assert points(api) == 0


def test_rules_are_listed_found_changed_switched_and_removed(api: TestClient, programme: str, clock: FakeClock) -> None:
    first = rules(api, {"loyalty": fixed(1)})[0]
    clock.advance_ms(10)
    second = rules(api, {"loyalty": fixed(2)}, campaign=programme)[0]
    path = f"/v1/loyalties/{programme}/earning-rules"
    body = api.get(path).json()
    assert (body["object"], body["data_ref"], body["total"]) == ("list", "data", 2)
    assert body["data"] == [first, second]
    assert [each["id"] for each in api.get(f"{path}?order=-created_at&limit=1").json()["data"]] == [second["id"]]
    one = f"/v1/loyalties/Club/earning-rules/{first['id']}"
    assert api.get(one).json() == first
    changed = api.put(one, json={"loyalty": BY_AMOUNT, "source": {"banner": "New"}, "metadata": {"k": 1}}).json()
    assert (changed["loyalty"], changed["source"]["banner"], changed["metadata"]) == (BY_AMOUNT, "New", {"k": 1})
    assert changed["updated_at"] == "2024-10-09T09:16:32.531Z" and changed["event"] == "order.paid"
    assert api.put(one, json={"event": "other", "metadata": {"l": 2}}).json()["metadata"] == {"k": 1, "l": 2}
    assert api.get(one).json()["event"] == "order.paid"
    assert api.post(f"{one}/disable", json={}).json()["active"] is False
    assert api.get(one).json()["active"] is False
    assert api.post(f"{one}/enable", content=b"null", headers={"content-type": "application/json"}).json()["active"]
    assert api.delete(one).status_code == 204
    assert api.delete(one).json()["resource_type"] == "earning_rule"
    assert api.get(path).json()["total"] == 1


WRONG: list[tuple[Any, str]] = [
    ([], "Payload must have 1 to 100 items"),
    ([{}] * 101, "Payload must have 1 to 100 items"),
    ({"event": "order.paid"}, "Payload must be array"),
    ([{"loyalty": fixed()}], "Property [0] must have required property 'event'"),
    ([{"event": "order.paid"}], "Property [0] must have required property 'loyalty'"),
    ([{"event": "order.paid", "loyalty": []}], "Property [0].loyalty must be object"),
    (
        [{"event": "order.paid", "loyalty": {"type": "MORE"}}],
        "Property [0].loyalty.type should be equal to one of the allowed values [ FIXED, PROPORTIONAL ]",
    ),
    ([{"event": "order.paid", "loyalty": {"type": "FIXED"}}], "Property [0].loyalty must have required property 'points'"),
    ([{"event": "order.paid", "loyalty": fixed(0)}], "Property [0].loyalty.points must be from 1 to 1000000000"),
    ([{"event": "order.paid", "loyalty": fixed(-3)}], "Property [0].loyalty.points must be from 1 to 1000000000"),
    ([{"event": "order.paid", "loyalty": fixed(1.5)}], "Property [0].loyalty.points must be integer"),
    ([{"event": "order.paid", "loyalty": fixed("many")}], "Property [0].loyalty.points must be integer"),
    (
        [{"event": "order.paid", "loyalty": {**fixed(), "points_formula": "X"}}],
        "Property [0].loyalty.points_formula is not supported: give .points",
    ),
    (
        [{"event": "order.paid", "loyalty": {"type": "PROPORTIONAL", "calculation_type": "ORDER_TOTAL_AMOUNT"}}],
        "Loyalty order rules must contain one of the following properties - 'total_amount'",
    ),
    (
        [{"event": "order.paid", "loyalty": {**BY_AMOUNT, "order": "x"}}],
        "Loyalty order rules must contain one of the following properties - 'amount'",
    ),
    (
        [{"event": "order.paid", "loyalty": proportional("ORDER_AMOUNT", "order", "amount", every=0, points=1)}],
        "Property [0].loyalty.order.amount.every must be from 1 to 1000000000",
    ),
    (
        [{"event": "order.paid", "loyalty": proportional("ORDER_METADATA", "order", "metadata", every=1, points=1)}],
        "Property [0].loyalty.order.metadata.property must be string",
    ),
    (
        [{"event": "order.paid", "loyalty": proportional("ORDER_ITEMS_AMOUNT", "order_items", "amount", every=1,
                                                         points=1, applicable_to="x")}],
        "Property [0].loyalty.order_items.amount.applicable_to must be array of objects",
    ),
    (
        [{"event": "order.paid", "loyalty": fixed(), "pending_points": {"period_type": "DAY", "period_value": 91}}],
        "Property [0].pending_points.period_value must be a whole number from 1 to 90",
    ),
    (
        [{"event": "other", "loyalty": fixed(), "pending_points": {"period_value": 9}}],
        "Property [0].pending_points can be used only with the order.paid event",
    ),
    (
        [{"event": "order.paid", "loyalty": fixed(), "start_date": "2024-02-02", "expiration_date": "2024-01-01"}],
        "Property [0].expiration_date must not be earlier than .start_date",
    ),
    (
        [{"event": "order.paid", "loyalty": fixed(), "validity_timeframe": {"duration": "1 hour", "interval": "P1D"}}],
        "Property [0].validity_timeframe.duration must be an ISO-8601 duration of weeks, days, hours, minutes or seconds",
    ),
    (
        [{"event": "order.paid", "loyalty": fixed(), "validity_day_of_week": [7]}],
        "Property [0].validity_day_of_week[0] must be a day from 0 (Sunday) to 6",
    ),
    (
        [{"event": "order.paid", "loyalty": fixed(), "validity_hours": {"daily": ["x"]}}],
        "Property [0].validity_hours.daily must be array of objects",
    ),
    (
        [{"event": "order.paid", "loyalty": fixed(), "validity_hours": {"daily": [{"start_time": "25:00"}]}}],
        "Property [0].validity_hours.daily[0].start_time must be a time such as 09:30",
    ),
    (
        [{"event": "order.paid", "loyalty": fixed(), "expiration_rules": {"period_type": "WEEK"}}],
        "Property [0].expiration_rules.period_type should be equal to one of the allowed values [ MONTH, FIXED_DAY_OF_YEAR ]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "details"), WRONG)
def test_a_wrong_rule_is_refused_and_none_of_the_array_is_stored(
    api: TestClient, programme: str, body: Any, details: str
) -> None:
    good = {"event": "order.paid", "loyalty": fixed()}
    if isinstance(body, list) and len(body) == 1:
        body = [*body, good]
    answer = api.post("/v1/loyalties/Club/earning-rules", json=body)
    assert (answer.status_code, answer.json()["key"]) == (400, "invalid_payload"), answer.text
    assert answer.json()["details"] == details
    assert api.get("/v1/loyalties/Club/earning-rules").json()["total"] == 0


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"validation_rule_id": "val_1"}, "validation_rule"),
        (
            {"loyalty": proportional("ORDER_ITEMS_AMOUNT", "order_items", "amount", every=1, points=1,
                                     object="products_collection", id="pc_1")},
            "products_collection",
        ),
    ],
)  # fmt: skip
def test_what_does_not_exist_here_is_404(api: TestClient, programme: str, said: dict[str, Any], kind: str) -> None:
    body = [{"event": "order.paid", "loyalty": fixed(), **said}]
    answer = api.post("/v1/loyalties/Club/earning-rules", json=body)
    assert (answer.status_code, answer.json()["resource_type"]) == (404, kind)


def test_only_loyalty_programmes_have_rules(api: TestClient, stranger: TestClient, programme: str) -> None:
    gifts = {
        "name": "Gifts",
        "campaign_type": "GIFT_VOUCHERS",
        "voucher": {"type": "GIFT_VOUCHER", "gift": {"amount": 1}},
    }
    assert api.post("/v1/campaigns", json=gifts).status_code == 200
    body = [{"event": "order.paid", "loyalty": fixed()}]
    for name in ("Gifts", "Nothing"):
        answer = api.post(f"/v1/loyalties/{name}/earning-rules", json=body)
        assert (answer.status_code, answer.json()["resource_type"]) == (404, "campaign")
        assert api.get(f"/v1/loyalties/{name}/earning-rules").status_code == 404
    rule = rules(api, {"loyalty": fixed()})[0]
    for path in (f"/v1/loyalties/{programme}/earning-rules", f"/v1/loyalties/{programme}/earning-rules/{rule['id']}"):
        assert stranger.get(path).status_code == 404
    assert stranger.delete(f"/v1/loyalties/{programme}/earning-rules/{rule['id']}").status_code == 404
    assert api.get(f"/v1/loyalties/{programme}/earning-rules/{rule['id']}").status_code == 200


# -- what they pay -------------------------------------------------------------------------------------------------------


def test_a_paid_order_writes_the_documented_movement(api: TestClient, system: System, programme: str) -> None:
    rule = rules(api, {"loyalty": BY_AMOUNT})[0]
    order = paid(api, source_id="o1", amount=2999)
    card = api.get("/v1/publications").json()["publications"][0]["vouchers_id"][0]
    [movement] = rows(system, movements)
    assert {key: movement[key] for key in ("type", "amount", "balance", "source", "source_id", "reason")} == {
        "type": "POINTS_ACCRUAL", "amount": 6, "balance": 6, "source": "Automation", "source_id": None, "reason": None,
    }  # fmt: skip
    assert (movement["voucher_id"], movement["campaign_id"]) == (card, programme)
    assert movement["customer_id"] == order["customer_id"]
    listed = api.get(f"/v1/vouchers/{card}").json()["loyalty_card"]
    assert (listed["balance"], listed["next_expiration_date"], listed["next_expiration_points"]) == (6, "2024-11-30", 6)
    details = _decoded(movement["details"])
    assert details.pop("event")["type"] == "customer.order.paid"
    assert details == {
        "balance": {
            "type": "loyalty_card", "total": 6, "points": 6, "object": "balance", "balance": 6,
            "operation_type": "AUTOMATIC", "related_object": {"id": card, "type": "voucher"},
        },
        "order": {"id": order["id"], "source_id": "o1"},
        "earning_rule": {"id": rule["id"], "source": {"banner": "Paid"}},
    }  # fmt: skip


def _decoded(text: str) -> dict[str, Any]:
    return json.loads(text)


def test_an_order_earns_once_whatever_its_status_does_later(api: TestClient, programme: str) -> None:
    rules(api, {"loyalty": fixed(10)})
    api.post("/v1/orders", json={"source_id": "o1", "amount": 1, "customer": {"source_id": "bob"}})
    assert points(api) == 0
    for status in ("FULFILLED", "PAID", "PAID", "CANCELED", "PAID", "FULFILLED", "PAID"):
        api.put("/v1/orders/o1", json={"status": status})
    # Canceling takes nothing back by itself: that is a rollback's or a balance change's work.
    assert points(api) == 10


def test_an_order_without_a_customer_earns_when_it_is_paid_with_one(api: TestClient, programme: str) -> None:
    rules(api, {"loyalty": fixed(10)})
    api.post("/v1/orders", json={"source_id": "o1", "status": "PAID"})
    api.put("/v1/orders/o1", json={"customer": {"source_id": "bob"}})
    assert points(api) == 0
    api.put("/v1/orders/o1", json={"status": "CREATED"})
    api.put("/v1/orders/o1", json={"status": "PAID"})
    assert points(api) == 10


def test_imported_orders_earn_nothing_then_or_later(api: TestClient, system: System, programme: str) -> None:
    rules(api, {"loyalty": fixed(10)})
    api.post("/v1/orders/import", json=[{"source_id": "o1", "status": "PAID", "customer": {"source_id": "bob"}}])
    system.services.actions.run_due()
    api.put("/v1/orders/o1", json={"status": "CREATED"})
    api.put("/v1/orders/o1", json={"status": "PAID"})
    assert points(api) == 0


def test_every_measure_pays_for_whole_steps_only(api: TestClient, programme: str) -> None:
    phone = {"object": "product", "id": "prod_phone"}
    found = rules(
        api,
        {"loyalty": proportional("ORDER_AMOUNT", "order", "amount", every=1000, points=1)},  # 5 x 1
        {"loyalty": proportional("ORDER_TOTAL_AMOUNT", "order", "total_amount", every=1000, points=10)},  # 4 x 10
        {"loyalty": proportional("ORDER_METADATA", "order", "metadata", every=2, points=100, property="visits")},  # 3
        {"loyalty": proportional("CUSTOMER_METADATA", "customer", "metadata", every=5, points=1000, property="age")},  # 8
        {"loyalty": proportional("ORDER_ITEMS_QUANTITY", "order_items", "quantity", every=2, points=10**4, **phone)},  # 1
        {"loyalty": proportional("ORDER_ITEMS_AMOUNT", "order_items", "amount", every=1000, points=10**5, **phone)},  # 3
        {"loyalty": proportional("ORDER_ITEMS_SUBTOTAL_AMOUNT", "order_items", "subtotal_amount", every=1000,
                                 points=10**6, applicable_to=[phone, {"object": "sku", "id": "blue"}])},  # 4
    )  # fmt: skip
    assert len(found) == 7
    api.put("/v1/customers/bob", json={"metadata": {"age": 41}})
    items = [
        {"product_id": "prod_phone", "quantity": 3, "price": 1000, "discount_amount": 100},
        {"source_id": "blue", "related_object": "sku", "quantity": 1, "price": 1200},
        {"source_id": "other", "related_object": "product", "quantity": 9, "price": 100},
    ]
    order = paid(api, items=items, metadata={"visits": 7.9}, discount_amount=300)
    assert (order["amount"], order["total_amount"]) == (5100, 4700)
    assert points(api) == 5 * 1 + 4 * 10 + 3 * 100 + 8 * 1000 + 1 * 10**4 + 3 * 10**5 + 4 * 10**6


def test_nothing_is_posted_for_nothing(api: TestClient, system: System, programme: str) -> None:
    rules(api, {"loyalty": BY_AMOUNT}, {"loyalty": proportional("ORDER_METADATA", "order", "metadata", every=1, points=1,
                                                                property="x")})  # fmt: skip
    for said in ({}, {"amount": 999}, {"metadata": {"x": "5"}}, {"metadata": {"x": -4}}, {"metadata": {"x": True}}):
        paid(api, **said)
    assert rows(system, movements) == []


def test_switched_off_ended_and_off_hours_rules_do_not_pay(api: TestClient, programme: str, clock: FakeClock) -> None:
    # The clock stands on Wednesday, 9 October 2024, 09:16 UTC.
    rules(
        api,
        {"loyalty": fixed(1), "active": False},
        {"loyalty": fixed(2), "start_date": "2024-10-10"},
        {"loyalty": fixed(4), "expiration_date": "2024-10-09T09:00:00Z"},
        {"loyalty": fixed(8), "validity_day_of_week": [0, 1, 2, 4, 5, 6]},
        {"loyalty": fixed(16), "start_date": "2024-10-01T10:00:00Z",
         "validity_timeframe": {"duration": "PT1H", "interval": "P1D"}},
        {"loyalty": fixed(32), "validity_hours": {"daily": [{"start_time": "10:00", "expiration_time": "11:00"}]}},
        {"loyalty": fixed(64), "start_date": "2024-10-01", "expiration_date": "2024-11-01", "validity_day_of_week": [3]},
    )  # fmt: skip
    paid(api)
    assert points(api) == 64
    clock.advance_ms(3_600_000)  # 10:16
    paid(api)
    assert points(api) == 64 + 64 + 16 + 32


def test_rules_may_give_their_own_expiry(api: TestClient, programme: str) -> None:
    own = {"period_type": "FIXED_DAY_OF_YEAR", "fixed_month": 12, "fixed_day": 24}
    rules(api, {"loyalty": fixed(1), "expiration_rules": own}, {"loyalty": fixed(2)})
    paid(api)
    card = api.get("/v1/publications").json()["publications"][0]["vouchers_id"][0]
    found = api.get(f"/v1/vouchers/{card}").json()["loyalty_card"]
    assert (found["balance"], found["next_expiration_date"], found["next_expiration_points"]) == (3, "2024-11-30", 2)


def test_pending_points_are_promised_and_not_posted(api: TestClient, system: System, programme: str) -> None:
    rule = rules(api, {"loyalty": fixed(7), "pending_points": {"period_type": "DAY", "period_value": 90}})[0]
    order = paid(api, source_id="o1")
    assert rows(system, movements) == [] and points(api) == 0
    [promise] = rows(system, pending_points)
    assert promise["id"].startswith("lopp_")
    assert {key: promise[key] for key in ("points", "status", "activates_on", "expires_on", "source", "campaign_id")} == {
        "points": 7, "status": "PENDING", "activates_on": "2025-01-07", "expires_on": None, "source": "Automation",
        "campaign_id": programme,
    }  # fmt: skip
    assert promise["customer_id"] == order["customer_id"]
    assert promise["details"]["order"] == {"id": order["id"], "source_id": "o1"}
    assert promise["details"]["earning_rule"]["id"] == rule["id"]


def test_every_programme_pays_its_own_card_and_no_other(api: TestClient, programme: str) -> None:
    for name in ("Second", "Third"):
        card = {"type": "LOYALTY_CARD", "loyalty_card": {"points": 100}}
        api.post("/v1/campaigns", json={"name": name, "campaign_type": "LOYALTY_PROGRAM", "voucher": card})
    second = joined(api, "Second", "bob")
    joined(api, "Third", "jane")
    rules(api, {"loyalty": fixed(1)})
    rules(api, {"loyalty": fixed(10)}, campaign="Second")
    rules(api, {"loyalty": fixed(100)}, campaign="Third")
    paid(api)
    loyalty = api.get("/v1/customers/bob").json()["loyalty"]
    assert loyalty == {
        "points": 111, "referred_customers": 0,
        "campaigns": {"Club": {"points": 1, "referred_customers": 0}, "Second": {"points": 110, "referred_customers": 0}},
    }  # fmt: skip
    assert points(api, "jane") == 100
    api.post(f"/v1/vouchers/{second['code']}/disable")
    api.post("/v1/campaigns/Club/disable")
    paid(api)
    assert points(api) == 111


def test_points_beyond_the_ledger_refuse_the_whole_order(api: TestClient, programme: str) -> None:
    rules(api, {"loyalty": proportional("ORDER_AMOUNT", "order", "amount", every=1, points=10**9)})
    body = {"status": "PAID", "amount": 2**53 - 1, "customer": {"source_id": "bob"}}
    answer = api.post("/v1/orders", json=body)
    assert (answer.status_code, answer.json()["key"]) == (400, "invalid_amount")
    assert api.get("/v1/orders").json()["total"] == 0
    assert api.get("/v1/customers/bob").json()["summary"]["orders"]["total_count"] == 0
