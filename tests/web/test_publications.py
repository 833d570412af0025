"""Publications over HTTP: both ways to make one, lists, repetitions; each refusal told, kept as a failure, nothing given."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.fakes import FakeClock

DISCOUNT = {"type": "DISCOUNT_VOUCHER", "discount": {"type": "AMOUNT", "amount_off": 300}}
GIFT = {"type": "GIFT_VOUCHER", "gift": {"amount": 5000}}
CARD = {"type": "LOYALTY_CARD", "loyalty_card": {"points": 10}}
KINDS = {"DISCOUNT_COUPONS": DISCOUNT, "GIFT_VOUCHERS": GIFT, "LOYALTY_PROGRAM": CARD}
BOB = {"source_id": "bob", "name": "Bob Jones", "email": "bob@email.com", "metadata": {"lang": "en"}}


def campaign(api: TestClient, name: str, kind: str = "DISCOUNT_COUPONS", **said: Any) -> dict[str, Any]:
    body = {"name": name, "campaign_type": kind, "voucher": KINDS[kind], "join_once": False, **said}
    answer = api.post("/v1/campaigns", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def publish(api: TestClient, query: str = "", **said: Any) -> dict[str, Any]:
    answer = api.post(f"/v1/publications{query}", json={"customer": {"source_id": "bob"}, **said})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(api: TestClient, **said: Any) -> tuple[str, str]:
    answer = api.post("/v1/publications", json={"customer": {"source_id": "bob"}, **said})
    assert answer.status_code == 400, answer.text
    return answer.json()["key"], answer.json()["details"]


def listed(api: TestClient, query: str = "") -> list[dict[str, Any]]:
    answer = api.get(f"/v1/publications?limit=100&{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["publications"]


def total(api: TestClient, kind: str = "publications") -> int:
    return api.get(f"/v1/{kind}").json()["total"]


# -- making one ----------------------------------------------------------------------------------------------------------


def test_the_vendors_example_comes_back_as_the_vendor_prints_it(api: TestClient) -> None:
    home = campaign(api, "Coupons", vouchers_count=1)
    found = publish(
        api, source_id="publication_1", campaign="Coupons", channel="myown", customer=BOB, metadata={"year": 2022}
    )
    customer = api.get("/v1/customers/bob").json()
    voucher = found.pop("voucher")
    assert found.pop("id").startswith("pub_")
    assert found == {
        "object": "publication",
        "created_at": "2024-10-09T09:16:32.521Z",
        "customer_id": customer["id"],
        "tracking_id": "bob",
        "metadata": {"year": 2022},
        "channel": "myown",
        "source_id": "publication_1",
        "result": "SUCCESS",
        "customer": {"id": customer["id"], **BOB, "object": "customer"},
        "vouchers_id": [voucher["id"]],
    }
    assert voucher == api.get(f"/v1/vouchers/{voucher['code']}").json()
    assert (voucher["campaign_id"], voucher["holder_id"]) == (home["id"], customer["id"])
    assert voucher["publish"]["count"] == 1 and voucher["updated_at"] == "2024-10-09T09:16:32.521Z"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_voucher_gets_its_holder(api: TestClient, kind: str) -> None:
    campaign(api, "C", kind)
    found = publish(api, campaign={"name": "C"})
    assert found["voucher"]["holder_id"] == found["customer_id"]
    assert found["voucher"]["type"] == KINDS[kind]["type"]
    customer = api.get("/v1/customers/bob").json()
    held = {"GIFT_VOUCHERS": 5000}.get(kind, 0), {"LOYALTY_PROGRAM": 10}.get(kind, 0)
    summary = customer["summary"]["redemptions"]
    assert (summary["gift"]["amount_to_go"], summary["loyalty_card"]["points_to_go"]) == held


def test_a_named_voucher_goes_before_the_campaign(api: TestClient) -> None:
    campaign(api, "C", vouchers_count=3)
    api.post("/v1/vouchers/MINE", json=GIFT)
    found = publish(api, voucher="MINE", campaign={"name": "C", "count": 3})
    assert (found["voucher"]["code"], found["voucher"]["campaign"], found["vouchers_id"]) == (
        "MINE", None, [found["voucher"]["id"]],
    )  # fmt: skip


def test_several_vouchers_come_by_their_codes(api: TestClient) -> None:
    home = campaign(api, "C", vouchers_count=3)
    found = publish(api, campaign={"name": home["id"], "count": 3})
    assert "voucher" not in found and len(set(found["vouchers"])) == 3
    codes = {voucher["id"]: voucher["code"] for voucher in api.get("/v1/vouchers").json()["vouchers"]}
    assert [codes[each] for each in found["vouchers_id"]] == found["vouchers"]
    [entry] = listed(api)
    assert entry["vouchers"] == found["vouchers"] and "voucher" not in entry


def test_a_growing_campaign_makes_what_it_lacks(api: TestClient) -> None:
    campaign(api, "C", "LOYALTY_PROGRAM", vouchers_count=1)
    assert total(api, "vouchers") == 1
    publish(api, campaign="C")
    publish(api, campaign="C", customer={"source_id": "eve"})
    assert total(api, "vouchers") == 2
    assert api.get("/v1/customers/eve").json()["loyalty"]["points"] == 10
    assert api.get("/v1/campaigns/C").json()["vouchers_count"] == 2


def test_a_static_campaign_runs_out(api: TestClient) -> None:
    campaign(api, "C", type="STATIC", vouchers_count=2)
    given = {publish(api, campaign="C", customer={"source_id": f"c{n}"})["vouchers_id"][0] for n in range(2)}
    assert len(given) == 2
    key, details = refused(api, campaign="C")
    assert key == "no_voucher_suitable_for_publication"
    assert details == "Couldn't find any voucher suitable for publication in campaign C"
    assert refused(api, campaign={"name": "C", "count": 2})[0] == key


def test_only_vouchers_that_can_be_used_are_given(api: TestClient, clock: FakeClock) -> None:
    campaign(api, "C", type="STATIC", vouchers_count=3)
    codes = [voucher["code"] for voucher in api.get("/v1/vouchers").json()["vouchers"]]
    api.post(f"/v1/vouchers/{codes[0]}/disable")
    api.put(f"/v1/vouchers/{codes[1]}", json={"expiration_date": "2024-10-10"})
    clock.advance_ms(3 * 86_400_000)
    assert publish(api, campaign="C")["voucher"]["code"] == codes[2]
    assert refused(api, campaign="C")[0] == "no_voucher_suitable_for_publication"
    assert refused(api, voucher=codes[0])[0] == "voucher_disabled"
    assert refused(api, voucher=codes[1])[0] == "voucher_expired"


def test_a_voucher_is_published_once(api: TestClient) -> None:
    campaign(api, "C", vouchers_count=1)
    voucher = publish(api, campaign="C")["voucher"]
    told = f"Voucher '{voucher['id']}' has already been published"
    assert refused(api, voucher=voucher["code"]) == ("voucher_already_published", told)
    assert refused(api, voucher=voucher["id"], customer={"source_id": "eve"}) == ("voucher_already_published", told)
    assert api.get(f"/v1/vouchers/{voucher['code']}").json()["publish"]["count"] == 1


def test_a_standalone_campaigns_code_goes_to_everybody(api: TestClient) -> None:
    campaign(api, "Generic", type="STANDALONE")
    api.post("/v1/campaigns/Generic/vouchers/SALE", json={})
    for customer in ("bob", "eve", "bob"):
        found = publish(api, voucher="SALE", customer={"source_id": customer})
        assert found["voucher"]["holder_id"] is None
    assert found["voucher"]["publish"]["count"] == 3
    assert [each["tracking_id"] for each in listed(api, "voucher=SALE&order=created_at")].count("bob") == 2


def test_who_joined_once_cannot_join_again_but_may_ask_again(api: TestClient, clock: FakeClock) -> None:
    campaign(api, "C", "LOYALTY_PROGRAM", join_once=True)
    first = publish(api, campaign="C")
    told = "Voucher cannot be published. Customer already joined program."
    assert refused(api, campaign="C") == ("voucher_cannot_be_published", told)
    assert publish(api, "?join_once=true", campaign="C") == first
    campaign(api, "D")
    one = publish(api, "?join_once=true", campaign="D")
    assert publish(api, "?join_once=true", campaign="D")["voucher"] == one["voucher"]
    clock.advance_ms(1)
    assert publish(api, campaign="D")["voucher"] != one["voucher"]
    assert publish(api, "?join_once=true", voucher=one["voucher"]["code"])["id"] == one["id"]


def test_what_an_erased_customer_held_is_not_given_again(api: TestClient) -> None:
    campaign(api, "C", "LOYALTY_PROGRAM")
    first = publish(api, campaign="C")
    api.delete("/v1/customers/bob")
    # Nobody holds it now, and it was published: it is not given again.
    second = publish(api, campaign="C")
    assert second["vouchers_id"] != first["vouchers_id"]


def test_a_source_id_is_safe_to_send_again_and_taken_for_others(api: TestClient) -> None:
    campaign(api, "C", vouchers_count=5)
    campaign(api, "D", vouchers_count=1)
    first = publish(api, campaign="C", source_id="p1")
    assert publish(api, campaign={"name": "C"}, source_id="p1") == first
    assert publish(api, campaign=first["voucher"]["campaign_id"], source_id="p1") == first
    taken = ("duplicate_source_id", "Publication with source_id: 'p1' already exists")
    assert refused(api, campaign="D", source_id="p1") == taken
    assert refused(api, campaign="C", source_id="p1", customer={"source_id": "eve"}) == taken
    assert refused(api, voucher=first["voucher"]["code"] + "x", source_id="p1") == taken
    assert publish(api, voucher=first["voucher"]["code"], source_id="p1") == first
    assert total(api) == 1 and api.get("/v1/customers/eve").status_code == 404


def test_vouchers_live_for_their_time_after_publication(api: TestClient) -> None:
    campaign(api, "C", vouchers_count=2, activity_duration_after_publishing="P2D", expiration_date="2024-12-01")
    assert publish(api, campaign="C")["voucher"]["expiration_date"] == "2024-10-11T09:16:32.521Z"
    campaign(api, "D", vouchers_count=1, activity_duration_after_publishing="P9000D", expiration_date="2024-12-01")
    assert publish(api, campaign="D")["voucher"]["expiration_date"] == "2024-12-01T00:00:00.000Z"


def test_a_campaign_that_is_off_or_over_gives_nothing(api: TestClient, clock: FakeClock) -> None:
    campaign(api, "C", vouchers_count=1)
    api.post("/v1/campaigns/C/disable")
    assert refused(api, campaign="C")[0] == "campaign_not_active"
    campaign(api, "D", vouchers_count=1, expiration_date="2024-10-10")
    clock.advance_ms(86_400_000)
    assert refused(api, campaign="D")[0] == "campaign_not_active"


# -- refusals ------------------------------------------------------------------------------------------------------------


def test_a_refusal_is_kept_with_why_and_gives_nothing(api: TestClient) -> None:
    campaign(api, "C", type="STATIC", vouchers_count=0)
    key, details = refused(api, campaign="C", source_id="p1", customer=BOB, metadata={"k": 1}, channel="shop")
    [entry] = listed(api)
    customer = api.get("/v1/customers/bob").json()
    assert entry.pop("id").startswith("pub_")
    assert entry == {
        "object": "publication",
        "created_at": "2024-10-09T09:16:32.521Z",
        "customer_id": customer["id"],
        "tracking_id": "bob",
        "metadata": {"k": 1},
        "channel": "shop",
        "source_id": None,
        "result": "FAILURE",
        "customer": {"id": customer["id"], **BOB, "object": "customer"},
        "failure_code": key,
        "failure_message": details,
        "vouchers": [],
        "vouchers_id": [],
    }
    # The source id was not used up by the failure.
    api.post("/v1/campaigns/C/vouchers")
    assert publish(api, campaign="C", source_id="p1")["result"] == "SUCCESS"
    assert [each["result"] for each in listed(api, "order=created_at&result=FAILURE")] == ["FAILURE"]


def test_a_refusal_is_remembered_under_its_idempotency_key(api: TestClient) -> None:
    campaign(api, "C", type="STATIC", vouchers_count=0)
    body, headers = {"campaign": "C", "customer": {"source_id": "bob"}}, {"Idempotency-Key": "k"}
    first = api.post("/v1/publications", json=body, headers=headers)
    api.post("/v1/campaigns/C/vouchers")
    again = api.post("/v1/publications", json=body, headers=headers)
    assert (first.status_code, again.status_code, total(api)) == (400, 400, 1)
    assert again.json()["key"] == first.json()["key"]


WRONG: list[tuple[dict[str, Any], str, str | None]] = [
    ({"customer": {"source_id": "x"}}, "missing_vouchers", "Either Campaign or Voucher is required"),
    ({"campaign": "C"}, "invalid_payload", "Payload must have required property 'customer'"),
    ({"campaign": "C", "customer": {}}, "missing_customer", None),
    ({"campaign": "C", "customer": 5}, "invalid_payload", "Property .customer must be object"),
    ({"campaign": 5, "customer": {"source_id": "x"}}, "invalid_payload", "Property .campaign must be object"),
    (
        {"campaign": {}, "customer": {"source_id": "x"}},
        "invalid_payload",
        "Property .campaign must have required property 'name'",
    ),
    (
        {"campaign": {"name": "C", "count": 51}, "customer": {"source_id": "x"}},
        "too_many_vouchers_requested",
        "Only up to 50 can be published",
    ),
    ({"campaign": {"name": "C", "count": 0}, "customer": {"source_id": "x"}}, "too_many_vouchers_requested", None),
    ({"campaign": {"name": "C", "count": "2"}, "customer": {"source_id": "x"}}, "invalid_payload", None),
    (
        {"campaign": {"name": "C", "count": 2}, "source_id": "p", "customer": {"source_id": "x"}},
        "too_many_vouchers_requested",
        "Only up to 1 can be published",
    ),
    ({"campaign": "C", "customer": {"source_id": "x"}, "metadata": []}, "invalid_payload", None),
    ({"campaign": "C", "customer": {"source_id": "x", "birthdate": "no"}}, "invalid_payload", None),
]


@pytest.mark.parametrize(("body", "key", "details"), WRONG)
def test_a_wrong_request_is_400_and_writes_nothing(
    api: TestClient, body: dict[str, Any], key: str, details: str | None
) -> None:
    campaign(api, "C", vouchers_count=1)
    answer = api.post("/v1/publications", json=body)
    assert (answer.status_code, answer.json()["key"]) == (400, key), answer.text
    assert details is None or answer.json()["details"] == details
    assert (total(api), total(api, "customers")) == (0, 0)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"campaign": "None", "customer": {"source_id": "x"}}, "campaign"),
        ({"voucher": "NONE", "customer": {"source_id": "x"}}, "voucher"),
        ({"campaign": "C", "customer": {"id": "cust_none"}}, "customer"),
    ],
)
def test_what_is_not_there_is_404_and_writes_nothing(api: TestClient, body: dict[str, Any], kind: str) -> None:
    campaign(api, "C", vouchers_count=1)
    answer = api.post("/v1/publications", json=body)
    assert (answer.status_code, answer.json()["resource_type"]) == (404, kind)
    assert (total(api), total(api, "customers")) == (0, 0)


# -- by query ------------------------------------------------------------------------------------------------------------


def test_a_publication_is_made_by_query_too(api: TestClient) -> None:
    campaign(api, "Black Friday", vouchers_count=2)
    query = {
        "campaign[name]": "Black Friday",
        "campaign[count]": "1",
        "customer[source_id]": "bob",
        "customer[name]": "Bob",
        "customer[metadata][lang]": "en",
        "customer[address][city]": "NY",
        "metadata[k]": "v",
        "source_id": "p1",
        "channel": "mail",
        "join_once": "true",
        # What the vendor's Python client writes for values that are not there.
        "customer[birthdate]": "None",
        "customer[address][state]": "None",
        "voucher": "None",
    }
    answer = api.get("/v1/publications/create", params=query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["channel"], found["source_id"], found["metadata"]) == ("mail", "p1", {"k": "v"})
    customer = api.get("/v1/customers/bob").json()
    assert (customer["name"], customer["metadata"], customer["address"]) == ("Bob", {"lang": "en"}, {"city": "NY"})
    short = api.get("/v1/publications/create?campaign=Black Friday&customer=eve")
    assert short.json()["tracking_id"] == "eve"
    api.post("/v1/vouchers/MINE", json=GIFT)
    assert (
        api.get("/v1/publications/create?voucher=MINE&customer[id]=" + customer["id"]).json()["voucher"]["code"]
        == "MINE"
    )


@pytest.mark.parametrize(
    ("query", "key", "details"),
    [
        ("campaign[name]=C", "invalid_query_params", "Query should have required property 'customer'"),
        ("customer[source_id]=x", "missing_vouchers", "Either Campaign or Voucher is required"),
        ("campaign[name]=C&campaign[count]=2&customer[source_id]=x", "too_many_vouchers_requested",
         "Only up to 1 can be published"),
        ("campaign[name]=C&campaign[count]=two&customer[source_id]=x", "invalid_query_params",
         "Property .campaign.count must be integer"),
        ("campaign[name=C&customer[source_id]=x", "invalid_query_params", None),
        ("campaign=C&campaign[name]=D&customer[source_id]=x", "invalid_query_params", None),
        ("campaign=C&customer[source_id]=x&join_once=maybe", "invalid_query_params", None),
    ],
)  # fmt: skip
def test_a_wrong_query_is_400_and_writes_nothing(api: TestClient, query: str, key: str, details: str | None) -> None:
    campaign(api, "C", vouchers_count=1)
    answer = api.get(f"/v1/publications/create?{query}")
    assert (answer.status_code, answer.json()["key"]) == (400, key), answer.text
    assert details is None or answer.json()["details"] == details
    assert total(api) == 0


# -- lists ---------------------------------------------------------------------------------------------------------------


def test_lists_are_ordered_narrowed_and_paged(api: TestClient, clock: FakeClock) -> None:
    for name, kind in (("Coupons", "DISCOUNT_COUPONS"), ("Club", "LOYALTY_PROGRAM"), ("Gifts", "GIFT_VOUCHERS")):
        campaign(api, name, kind)
        publish(api, campaign=name, customer={"source_id": name.lower()}, source_id=f"p-{name}")
        clock.advance_ms(5)
    names = [each["voucher"]["campaign"] for each in listed(api)]
    assert names == ["Gifts", "Club", "Coupons"]
    assert [each["tracking_id"] for each in listed(api, "order=tracking_id")] == ["club", "coupons", "gifts"]
    page = api.get("/v1/publications?limit=2&page=2").json()
    assert (page["object"], page["data_ref"], page["total"], len(page["publications"])) == (
        "list",
        "publications",
        3,
        1,
    )
    for query in (
        "campaign=Club",
        "customer=club",
        f"customer={api.get('/v1/customers/club').json()['id']}",
        "voucher_type=loyalty",
        "source_id=p-Club",
        "filters[campaign_name][conditions][$is]=Club",
        "filters[voucher_type][conditions][$in][0]=LOYALTY_CARD",
    ):
        assert [each["source_id"] for each in listed(api, query)] == ["p-Club"], query
    assert listed(api, "is_referral_code=true") == [] and listed(api, "result=FAILURE") == []
    [gift] = listed(api, "voucher_type=gift")
    assert gift["voucher"]["gift"] == {
        "amount": 5000,
        "subtracted_amount": 0,
        "balance": 5000,
        "effect": "APPLY_TO_ORDER",
    }
    of_one = api.get(f"/v1/vouchers/{gift['voucher']['code']}/publications").json()
    assert [each["id"] for each in of_one["publications"]] == [gift["id"]]


def test_a_publication_outlives_its_voucher_and_its_customer(api: TestClient) -> None:
    campaign(api, "C")
    found = publish(api, campaign="C", customer=BOB)
    api.delete(f"/v1/vouchers/{found['voucher']['code']}")
    api.delete("/v1/customers/bob")
    [entry] = listed(api)
    assert entry["voucher"] == {
        "code": found["voucher"]["code"], "object": "voucher", "campaign": "C", "is_referral_code": False,
    }  # fmt: skip
    assert entry["customer"] == {"id": found["customer_id"], "source_id": None, "metadata": {}, "object": "customer"}


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("page=1001", "page_over_limit"),
        ("page=0", "invalid_query_params"),
        ("limit=101", "invalid_query_params"),
        ("order=date", "invalid_query_params"),
        ("result=MAYBE", "invalid_query_params"),
        ("voucher_type=coupon", "invalid_query_params"),
    ],
)
def test_a_wrong_list_query_is_400(api: TestClient, query: str, key: str) -> None:
    answer = api.get(f"/v1/publications?{query}")
    assert (answer.status_code, answer.json()["key"]) == (400, key)


def test_the_page_limit_is_told_as_the_vendor_does(api: TestClient) -> None:
    told = api.get("/v1/publications?page=1001").json()
    assert told["message"] == "Listing resource above 1000 page is not supported"
    assert told["details"] == "Property .page cannot be higher than 1000"
    assert api.get("/v1/publications?page=1000").json()["publications"] == []


def test_projects_never_see_each_others_publications(api: TestClient, stranger: TestClient) -> None:
    campaign(api, "C", vouchers_count=1)
    found = publish(api, campaign="C", source_id="p1")
    assert listed(stranger) == []
    for body in (
        {"campaign": "C", "customer": {"source_id": "x"}},
        {"campaign": found["voucher"]["campaign_id"], "customer": {"source_id": "x"}},
        {"voucher": found["voucher"]["code"], "customer": {"source_id": "x"}},
    ):
        assert stranger.post("/v1/publications", json=body).status_code == 404
    campaign(stranger, "C", vouchers_count=1)
    mine = publish(stranger, campaign="C", source_id="p1")
    assert mine["id"] != found["id"]
    other = {"campaign": "C", "customer": {"id": found["customer_id"]}}
    assert stranger.post("/v1/publications", json=other).status_code == 404
