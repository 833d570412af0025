"""Orders over HTTP: amounts, statuses, customers, import of the past; each wrong request refused, nothing written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from counterfoil.compose import System
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.services.core import Caller
from counterfoil.services.orders import save_order
from tests.fakes import FakeClock

ITEMS = [
    {
        "source_id": "prod_1",
        "related_object": "product",
        "quantity": 2,
        "product": {"name": "Apple iPhone 12", "price": 60000, "metadata": {"vendor": "mall"}, "override": True},
    },
    {
        "source_id": "ComicBook_1",
        "related_object": "sku",
        "quantity": 1,
        "product": {"source_id": "Books", "name": "Comic Books1", "price": 2100},
        "sku": {"sku": "Comics1", "source_id": "ComicBook_1", "price": 1700},
    },
]


def saved(api: TestClient, **said: Any) -> dict[str, Any]:
    answer = api.post("/v1/orders", json=said)
    assert answer.status_code == 200, answer.text
    return answer.json()


def count(api: TestClient, kind: str = "orders") -> int:
    return api.get(f"/v1/{kind}").json()["total"]


def spent(api: TestClient, customer: str) -> dict[str, Any]:
    return api.get(f"/v1/customers/{customer}").json()["summary"]["orders"]


def test_the_vendors_example_has_the_vendors_amounts(api: TestClient) -> None:
    customer, referrer = {"source_id": "bob", "name": "Bob"}, {"source_id": "jane", "name": "Jane"}
    order = saved(
        api, source_id="new", status="FULFILLED", metadata={"locations": ["L1"]}, items=ITEMS, customer=customer,
        referrer=referrer,
    )  # fmt: skip
    assert order.pop("id").startswith("ord_")
    buyer = api.get("/v1/customers/bob").json()
    recommender = api.get("/v1/customers/jane").json()
    assert (buyer["name"], recommender["name"]) == ("Bob", "Jane")
    assert order == {
        "source_id": "new",
        "created_at": "2024-10-09T09:16:32.521Z",
        "updated_at": None,
        "status": "FULFILLED",
        "amount": 121700,
        "total_amount": 121700,
        "items": [
            {
                "object": "order_item",
                "source_id": "prod_1",
                "related_object": "product",
                "quantity": 2,
                "price": 60000,
                "amount": 120000,
                "subtotal_amount": 120000,
                "product": {"name": "Apple iPhone 12", "price": 60000, "metadata": {"vendor": "mall"}},
            },
            {
                "object": "order_item",
                "source_id": "ComicBook_1",
                "related_object": "sku",
                "quantity": 1,
                "price": 1700,
                "amount": 1700,
                "subtotal_amount": 1700,
                "product": {"source_id": "Books", "name": "Comic Books1", "price": 2100},
                "sku": {"sku": "Comics1", "source_id": "ComicBook_1", "price": 1700},
            },
        ],
        "metadata": {"locations": ["L1"]},
        "customer": {"id": buyer["id"], "object": "customer"},
        "referrer": {"id": recommender["id"], "object": "customer"},
        "customer_id": buyer["id"],
        "referrer_id": recommender["id"],
        "object": "order",
    }


def test_discounts_are_taken_off_items_and_order(api: TestClient) -> None:
    items = [
        {"source_id": "a", "quantity": 1, "price": 700, "discount_amount": 70},
        {"source_id": "b", "quantity": 1, "amount": 2000, "discount_amount": 200},
    ]
    order = saved(api, items=items, discount_amount=1243, initial_amount=2700)
    assert {key: order[key] for key in order if "amount" in key} == {
        "amount": 2700,
        "initial_amount": 2700,
        "discount_amount": 1243,
        "items_discount_amount": 270,
        "total_discount_amount": 1513,
        "total_amount": 1187,
    }
    assert [item["subtotal_amount"] for item in order["items"]] == [630, 1800]


def test_an_order_without_items_has_the_amount_it_says(api: TestClient) -> None:
    order = saved(api, amount=20000, discount_amount=500)
    assert (order["status"], order["amount"], order["total_amount"]) == ("CREATED", 20000, 19500)
    assert "items" not in order and "customer" not in order and order["customer_id"] is None
    bare = saved(api)
    assert "amount" not in bare and "total_amount" not in bare and bare["metadata"] == {}


def test_posting_again_updates_by_source_id_and_by_id(api: TestClient, clock: FakeClock) -> None:
    first = saved(api, source_id="o1", amount=100, metadata={"a": 1})
    clock.advance_ms(5)
    second = saved(api, source_id="o1", status="PAID", metadata={"b": 2})
    assert second["id"] == first["id"] and second["amount"] == 100 and second["metadata"] == {"a": 1, "b": 2}
    assert second["updated_at"] == "2024-10-09T09:16:32.526Z" and second["created_at"] == first["created_at"]
    third = saved(api, id=first["id"], amount=300)
    assert (third["id"], third["status"], third["amount"]) == (first["id"], "PAID", 300)
    assert count(api) == 1


def test_put_by_id_or_source_id_changes_what_it_says(api: TestClient) -> None:
    first = saved(api, source_id="o/1", items=[{"price": 10, "quantity": 3}])
    assert api.put("/v1/orders/o/1", json={"status": "CANCELED"}).json()["status"] == "CANCELED"
    assert api.put(f"/v1/orders/{first['id']}", json={"source_id": "o2"}).json()["source_id"] == "o2"
    found = api.get("/v1/orders/o2").json()
    assert (found["id"], found["amount"], found["status"]) == (first["id"], 30, "CANCELED")
    assert api.get("/v1/orders/o%2F1").status_code == 404
    assert api.put("/v1/orders/o2", json={"items": [{"price": 7}], "discount_amount": 2}).json()["total_amount"] == 5
    assert api.put("/v1/orders/o2", json={"discount_amount": 0}).json()["total_amount"] == 7


def test_a_taken_source_id_is_409(api: TestClient) -> None:
    saved(api, source_id="o1")
    saved(api, source_id="o2")
    answer = api.put("/v1/orders/o2", json={"source_id": "o1"})
    assert (answer.status_code, answer.json()["key"]) == (409, "duplicate_found")
    assert api.get("/v1/orders/o2").json()["source_id"] == "o2"


def test_customers_come_by_id_by_source_id_or_nameless(api: TestClient) -> None:
    bob = api.post("/v1/customers", json={"source_id": "bob"}).json()["id"]
    assert saved(api, source_id="1", customer={"id": bob, "name": "Bob"})["customer_id"] == bob
    assert saved(api, source_id="2", customer={"source_id": "bob"}, referrer_id=bob)["referrer_id"] == bob
    someone = saved(api, source_id="3", customer={"email": "x@y.z"})["customer_id"]
    assert someone != bob
    # Said again, the one the order has is meant, not one more.
    again = saved(api, source_id="3", customer={"email": "new@y.z"})
    assert again["customer_id"] == someone
    assert api.get(f"/v1/customers/{someone}").json()["email"] == "new@y.z"
    assert count(api, "customers") == 2
    assert saved(api, source_id="4", customer={})["customer_id"] is None


def test_a_customers_summary_follows_every_change(api: TestClient, clock: FakeClock) -> None:
    saved(api, source_id="o1", amount=1000, status="PAID", customer={"source_id": "bob"})
    first = "2024-10-09T09:16:32.521Z"
    assert spent(api, "bob") == {
        "total_amount": 1000, "total_count": 1, "average_amount": 1000, "last_order_amount": 1000,
        "last_order_date": first,
    }  # fmt: skip
    clock.advance_ms(1000)
    saved(api, source_id="o2", amount=501, status="CREATED", customer={"source_id": "bob"})
    assert spent(api, "bob")["total_count"] == 1
    api.put("/v1/orders/o2", json={"status": "PAID"})
    assert spent(api, "bob") == {
        "total_amount": 1501, "total_count": 2, "average_amount": 751, "last_order_amount": 501,
        "last_order_date": "2024-10-09T09:16:33.521Z",
    }  # fmt: skip
    api.put("/v1/orders/o2", json={"status": "FULFILLED", "discount_amount": 1})
    assert (spent(api, "bob")["total_amount"], spent(api, "bob")["last_order_amount"]) == (1500, 500)
    api.put("/v1/orders/o2", json={"status": "CANCELED"})
    assert (spent(api, "bob")["total_amount"], spent(api, "bob")["last_order_date"]) == (1000, first)
    api.put("/v1/orders/o1", json={"customer": {"source_id": "jane"}})
    assert spent(api, "jane")["total_amount"] == 1000
    assert spent(api, "bob") == {"total_amount": 0, "total_count": 0, "average_amount": 0, "last_order_amount": 0}


def test_a_backdated_order_is_not_the_last_one(api: TestClient) -> None:
    saved(api, amount=5, status="PAID", customer={"source_id": "bob"})
    old = saved(api, amount=7, status="PAID", customer={"source_id": "bob"}, created_at="2020-01-01T00:00:00Z")
    assert old["created_at"] == "2020-01-01T00:00:00.000Z"
    assert (spent(api, "bob")["last_order_amount"], spent(api, "bob")["total_amount"]) == (5, 12)


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"amount": "10"}, "Property .amount must be integer"),
        ({"amount": 1.5}, "Property .amount must be integer"),
        ({"amount": -1}, "Property .amount cannot be lower than 0"),
        ({"amount": 2**53}, "Property .amount cannot be higher than 9007199254740991"),
        ({"discount_amount": -5}, "Property .discount_amount cannot be lower than 0"),
        (
            {"status": "LOST"},
            "Property .status should be equal to one of the allowed values [ CREATED, PAID, CANCELED, FULFILLED ]",
        ),
        ({"items": {}}, "Property .items must be array"),
        ({"items": [{"quantity": 0}]}, "Property .items[0].quantity cannot be lower than 1"),
        ({"items": [{}, {"initial_quantity": 0}]}, "Property .items[1].initial_quantity cannot be lower than 1"),
        ({"items": [{"price": -1}]}, "Property .items[0].price cannot be lower than 0"),
        ({"items": [{"product": {"price": -1}}]}, "Property .items[0].product.price cannot be lower than 0"),
        ({"items": [{"related_object": "thing"}]}, None),
        ({"items": [{}] * 501}, "Property .items must NOT have more than 500 items"),
        ({"items": [{"price": 2**52, "quantity": 2}]}, "Property .amount cannot be higher than 9007199254740991"),
        ({"customer": "bob"}, "Property .customer must be object"),
        ({"customer": {"source_id": "x", "birthdate": "no"}}, None),
        ({"metadata": "x"}, "Property .metadata must be object"),
        ({"created_at": "then"}, "Property .created_at cannot be recognized as a ISO-8601 compliant date"),
        ({"source_id": ""}, None),
    ],
)
def test_a_wrong_order_is_refused_in_the_vendors_words(
    api: TestClient, body: dict[str, Any], details: str | None
) -> None:
    answer = api.post("/v1/orders", json={"customer": {"source_id": "bob"}, **body})
    told = answer.json()
    assert answer.status_code == 400, answer.text
    assert (told["key"], told["message"]) == ("invalid_payload", "Invalid payload")
    assert details is None or told["details"] == details
    assert (count(api), count(api, "customers")) == (0, 0)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"id": "ord_none"}, "order"),
        ({"customer": {"id": "cust_none"}}, "customer"),
        ({"referrer": {"id": "cust_none"}}, "customer"),
        ({"referrer_id": "cust_none"}, "customer"),
    ],
)
def test_an_unknown_id_is_404_and_writes_nothing(api: TestClient, body: dict[str, Any], kind: str) -> None:
    answer = api.post("/v1/orders", json={"customer": {"source_id": "bob"}, **body})
    assert (answer.status_code, answer.json()["resource_type"]) == (404, kind)
    assert (count(api), count(api, "customers")) == (0, 0)


def test_sums_beyond_the_ledger_are_refused(api: TestClient, system: System) -> None:
    item = {"price": 2**53 - 1}
    draft = OrderDraft(status="PAID", customer=CustomerDraft(source_id="bob"), items=[item])
    shop = Caller(system.access.ensure_project("shop"))
    system.core.write(shop, lambda unit: [save_order(unit, draft)["id"] for _ in range(512)])
    answer = api.post("/v1/orders", json={"status": "PAID", "customer": {"source_id": "bob"}, "items": [item]})
    assert (answer.status_code, answer.json()["key"]) == (400, "invalid_amount")
    assert spent(api, "bob")["total_amount"] == 512 * (2**53 - 1) and count(api) == 512


def test_lists_are_oldest_first_paged_and_filtered(api: TestClient, clock: FakeClock) -> None:
    made: list[str] = []
    for number in range(4):
        made.append(saved(api, source_id=f"o{number}", amount=number * 100, metadata={"n": number})["id"])
        clock.advance_ms(10)
    body = api.get("/v1/orders?limit=3").json()
    assert (body["object"], body["data_ref"], body["total"]) == ("list", "orders", 4)
    assert [each["id"] for each in body["orders"]] == made[:3]
    assert [each["id"] for each in api.get("/v1/orders?limit=3&page=2").json()["orders"]] == made[3:]
    assert [each["id"] for each in api.get("/v1/orders?order=-created_at").json()["orders"]] == made[::-1]
    api.put("/v1/orders/o1", json={"status": "PAID"})
    assert api.get("/v1/orders?order=-updated_at").json()["orders"][0]["id"] == made[1]
    found = api.get("/v1/orders?filters[amount][conditions][$more_than]=100&filters[status][conditions][$is]=CREATED")
    assert [each["id"] for each in found.json()["orders"]] == made[2:]
    assert api.get("/v1/orders?filters[metadata.n][conditions][$is]=3").json()["total"] == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "page=0", "page=101", "order=status", "filters[x][$is]=1"])
def test_a_wrong_list_query_is_400(api: TestClient, query: str) -> None:
    assert api.get(f"/v1/orders?{query}").status_code == 400


def test_orders_of_the_past_are_imported_in_the_background(api: TestClient, system: System) -> None:
    orders = [
        {"source_id": "i1", "status": "PAID", "amount": 500, "customer": {"source_id": "bob", "name": "Bob"}},
        {
            "source_id": "i2",
            "status": "PAID",
            "items": [{"price": 900, "quantity": 2}],
            "customer": {"source_id": "bob"},
        },
        {"source_id": "i3", "amount": 1, "customer": {"source_id": "eve"}, "referrer": {"id": "cust_none"}},
        {"source_id": "i4", "amount": 7000, "status": "CANCELED", "created_at": "2020-02-02T00:00:00Z"},
    ]
    answer = api.post("/v1/orders/import", json=orders)
    assert answer.status_code == 200
    action_id = answer.json()["async_action_id"]
    assert count(api) == 0
    assert system.services.actions.run_due() == 1
    action = api.get(f"/v1/async-actions/{action_id}").json()
    assert (action["type"], action["status"]) == ("ORDERS.IMPORT", "DONE")
    assert action["result"] == {
        "message": "3 order(s) imported successfully, 1 failed.",
        "failed": [{"row": 3, "source_id": "i3", "reason": "Cannot find customer with id cust_none"}],
        "done_count": 3,
        "failed_count": 1,
    }
    assert count(api) == 3 and spent(api, "bob")["total_amount"] == 2300
    assert api.get("/v1/customers/eve").status_code == 404
    assert api.get("/v1/orders/i4").json()["created_at"] == "2020-02-02T00:00:00.000Z"


def test_a_large_import_is_done_in_portions_and_never_twice(api: TestClient, system: System) -> None:
    orders = [
        {"source_id": f"i{n}", "amount": n, "status": "PAID", "customer": {"source_id": "bob"}} for n in range(450)
    ]
    action_id = api.post("/v1/orders/import", json=orders).json()["async_action_id"]
    system.services.actions.run_due()
    assert api.get(f"/v1/async-actions/{action_id}").json()["result"]["done_count"] == 450
    assert (count(api), spent(api, "bob")["total_count"], spent(api, "bob")["total_amount"]) == (450, 450, 101025)


@pytest.mark.parametrize(
    ("orders", "details"),
    [
        ([], "Payload must NOT have fewer than 1 items"),
        ([{}] * 2001, "Payload must NOT have more than 2000 items"),
        (
            [{"amount": 1}, {"items": [{"initial_quantity": 0}]}],
            "Property [1].items[0].initial_quantity cannot be lower than 1",
        ),
        ([{"status": 5}], None),
        ({"amount": 1}, "Payload must be array"),
    ],
)
def test_a_wrong_import_is_refused_as_a_whole(
    api: TestClient, system: System, orders: Any, details: str | None
) -> None:
    answer = api.post("/v1/orders/import", content=json.dumps(orders), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["key"]) == (400, "invalid_payload")
    assert details is None or answer.json()["details"] == details
    assert system.services.actions.run_due() == 0


def test_projects_never_see_each_others_orders(api: TestClient, stranger: TestClient) -> None:
    mine = saved(api, source_id="o1", amount=1)
    theirs = saved(stranger, source_id="o1", amount=2)
    assert theirs["id"] != mine["id"]
    assert stranger.get(f"/v1/orders/{mine['id']}").status_code == 404
    assert stranger.put(f"/v1/orders/{mine['id']}", json={"amount": 9}).status_code == 404
    assert stranger.post("/v1/orders", json={"id": mine["id"], "amount": 9}).status_code == 404
    customer = api.post("/v1/customers", json={"source_id": "bob"}).json()["id"]
    assert stranger.post("/v1/orders", json={"customer": {"id": customer}}).status_code == 404
    assert (count(api), count(stranger), api.get("/v1/orders/o1").json()["amount"]) == (1, 1, 1)
