"""A good request for every route that writes, each about things of its own, for tests that go through all of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
GIFT = {"type": "GIFT_VOUCHER", "gift": {"amount": 10000}}
PROGRAMME = {"campaign_type": "LOYALTY_PROGRAM", "voucher": {"type": "LOYALTY_CARD", "loyalty_card": {"points": 100}}}
RULE = {"event": "order.paid", "loyalty": {"type": "FIXED", "points": 3}, "source": {"banner": "Three"}}
THING = {"name": "Mug", "type": "MATERIAL", "parameters": {"product": {"id": "prod_mug"}}}


@dataclass(frozen=True)
class Asked:
    """What to send. body: JSON, a CSV file's text, or None. Names in it are of this shop."""

    method: str
    path: str
    body: Any = None

    def send(self, api: TestClient, **headers: str) -> Any:
        """Send it; the answer."""
        if isinstance(self.body, str):
            files = {"file": ("some.csv", self.body, "text/csv")}
            return api.request(self.method, self.path, files=files, headers=headers)
        return api.request(self.method, self.path, json=self.body, headers=headers)

    def differing(self) -> Asked:
        """The same with another body, or another query where there is none."""
        if isinstance(self.body, dict):
            return Asked(self.method, self.path, {**self.body, "another": 1})
        if isinstance(self.body, list):
            return Asked(self.method, self.path, [{**self.body[0], "another": 1}, *self.body[1:]])
        if isinstance(self.body, str):
            return Asked(self.method, self.path, self.body.replace("5", "6"))
        return Asked(self.method, f"{self.path}{'&' if '?' in self.path else '?'}another=1")


class Shop:
    """Makes what requests are about, new each time it is asked."""

    def __init__(self, api: TestClient) -> None:
        self._api = api
        self._numbers = itertools.count(1)

    def do(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """A request that must succeed; its answer."""
        answer = self._api.request(method, path, json=body)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json() if answer.content else None

    def name(self, word: str) -> str:
        """A name that nothing has yet."""
        return f"{word}-{next(self._numbers)}"

    def gift(self) -> str:
        """The code of a gift card with 100.00."""
        return self.do(f"/v1/vouchers/{self.name('G')}", GIFT)["code"]

    def programme(self) -> str:
        """The id of a loyalty programme."""
        return self.do("/v1/campaigns", {"name": self.name("P"), **PROGRAMME})["id"]

    def gifts(self) -> str:
        """The id of a campaign of gift cards."""
        body = {"name": self.name("C"), "campaign_type": "GIFT_VOUCHERS", "voucher": GIFT}
        return self.do("/v1/campaigns", body)["id"]

    def member(self, programme: str | None = None) -> str:
        """The code of a card with 100 points that somebody holds."""
        customer = {"source_id": self.name("who")}
        return self.do(f"/v1/loyalties/{programme or self.programme()}/members", {"customer": customer})["code"]

    def customer(self) -> str:
        """The id of a customer."""
        return self.do("/v1/customers", {"source_id": self.name("who")})["id"]

    def order(self) -> str:
        """The id of an order."""
        return self.do("/v1/orders", {"source_id": self.name("order"), "amount": 100})["id"]

    def rule(self) -> str:
        """The path of an earning rule."""
        rules = f"/v1/loyalties/{self.programme()}/earning-rules"
        return f"{rules}/{self.do(rules, [RULE])[0]['id']}"

    def reward(self) -> str:
        """The id of a reward."""
        return self.do("/v1/rewards", THING)["id"]

    def assignment(self, *, of_campaign: bool = False) -> str:
        """The path of an assignment, below its reward or its programme."""
        programme, reward = self.programme(), self.reward()
        body = {"campaign": programme, "parameters": {"loyalty": {"points": 10}}}
        found = self.do(f"/v1/rewards/{reward}/assignments", body)["id"]
        return (
            f"/v1/loyalties/{programme}/rewards/{found}" if of_campaign else f"/v1/rewards/{reward}/assignments/{found}"
        )

    def redemption(self, cards: int = 1) -> str:
        """The id of a redemption, of a stack's parent when there are several cards."""
        wanted = [{"object": "voucher", "id": self.gift(), "gift": {"credits": 5}} for _ in range(cards)]
        found = self.do("/v1/redemptions", {"redeemables": wanted, "order": {"amount": 100}})
        return found["redemptions"][0]["id"] if cards == 1 else found["parent_redemption"]["id"]

    def spending(self) -> tuple[str, str, str]:
        """(programme, member, reward) where the member can have the reward."""
        programme, reward = self.programme(), self.reward()
        body = {"campaign": programme, "parameters": {"loyalty": {"points": 10}}}
        self.do(f"/v1/rewards/{reward}/assignments", body)
        return programme, self.member(programme), reward

    def pending(self) -> str:
        """The path of pending points."""
        programme = self.programme()
        rule = {**RULE, "pending_points": {"period_type": "DAY", "period_value": 5}}
        self.do(f"/v1/loyalties/{programme}/earning-rules", [rule])
        member = self.member(programme)
        holder = self.do(f"/v1/vouchers/{member}", method="GET")["holder_id"]
        self.do("/v1/orders", {"status": "PAID", "amount": 1000, "customer": {"id": holder}})
        home = f"/v1/loyalties/members/{member}/pending-points"
        return f"{home}/{self.do(home, method='GET')['data'][0]['id']}"

    def export(self) -> str:
        """The id of an export."""
        return self.do("/v1/exports", {"exported_object": "voucher"})["id"]


def _post(path: Callable[[Shop], str], body: Any = None, method: str = "POST") -> Callable[[Shop], Asked]:
    return lambda shop: Asked(method, path(shop), body(shop) if callable(body) else body)


def _transfer(shop: Shop) -> Asked:
    programme = shop.programme()
    giver, taker = shop.member(programme), shop.member(programme)
    return Asked("POST", f"/v1/loyalties/{programme}/members/{taker}/transfers", [{"code": giver, "points": 5}])


def _of_member(path: str, body: Any) -> Callable[[Shop], Asked]:
    def asked(shop: Shop) -> Asked:
        programme = shop.programme()
        return Asked("POST", path.format(programme=programme, member=shop.member(programme)), body)

    return asked


def _reward(path: str) -> Callable[[Shop], Asked]:
    def asked(shop: Shop) -> Asked:
        programme, member, reward = shop.spending()
        return Asked("POST", path.format(programme=programme, member=member), {"reward": {"id": reward}})

    return asked


def _assigning(shop: Shop) -> Asked:
    body = {"campaign": shop.programme(), "parameters": {"loyalty": {"points": 10}}}
    return Asked("POST", f"/v1/rewards/{shop.reward()}/assignments", body)


def _assigning_below(shop: Shop) -> Asked:
    body = [{"reward": shop.reward(), "parameters": {"loyalty": {"points": 10}}}]
    return Asked("POST", f"/v1/loyalties/{shop.programme()}/rewards", body)


def _redeemables(shop: Shop) -> dict[str, Any]:
    return {"redeemables": [{"object": "voucher", "id": shop.gift(), "gift": {"credits": 5}}], "order": {"amount": 9}}


_PRICE = {"parameters": {"loyalty": {"points": 20}}}
_EVERYTHING: Mapping[str, Callable[[Shop], Asked]] = {
    "POST /v1/exports": _post(lambda _: "/v1/exports", {"exported_object": "voucher"}),
    "DELETE /v1/exports/{export_id}": _post(lambda s: f"/v1/exports/{s.export()}", method="DELETE"),
    "POST /v1/campaigns/{campaign_id}/transactions/export": _post(
        lambda s: f"/v1/campaigns/{s.gifts()}/transactions/export", {}
    ),
    "POST /v1/loyalties/{campaign_id}/transactions/export": _post(
        lambda s: f"/v1/loyalties/{s.programme()}/transactions/export", {}
    ),
    "POST /v1/loyalties/{campaign_id}/points-expiration/export": _post(
        lambda s: f"/v1/loyalties/{s.programme()}/points-expiration/export", {}
    ),
    "POST /v1/orders/export": _post(lambda _: "/v1/orders/export", {}),
    "POST /v1/vouchers/{code}/transactions/export": _post(lambda s: f"/v1/vouchers/{s.gift()}/transactions/export", {}),
    "POST /v1/loyalties/members/{member_id}/transactions/export": _of_member(
        "/v1/loyalties/members/{member}/transactions/export", {}
    ),
    "POST /v1/loyalties/{campaign_id}/members/{member_id}/transactions/export": _of_member(
        "/v1/loyalties/{programme}/members/{member}/transactions/export", {}
    ),
    "POST /v1/vouchers/importCSV": _post(
        lambda _: "/v1/vouchers/importCSV", lambda s: f"Code,Voucher Type,Value\n{s.name('V')},GIFT_VOUCHER,5\n"
    ),
    "POST /v1/campaigns/{name}/importCSV": _post(
        lambda s: f"/v1/campaigns/{s.gifts()}/importCSV", lambda s: f"Code\n{s.name('W5')}\n"
    ),
    "POST /v1/customers/importCSV": _post(lambda _: "/v1/customers/importCSV", "Source_id,Name\nz5,Zoe\n"),
    "POST /v1/customers/bulk/async": _post(
        lambda _: "/v1/customers/bulk/async", lambda s: [{"source_id": s.name("b"), "name": "Bob"}]
    ),
    "POST /v1/customers/metadata/async": _post(
        lambda _: "/v1/customers/metadata/async", {"source_ids": ["x"], "metadata": {"a": 1}}
    ),
    "POST /v1/campaigns": _post(lambda _: "/v1/campaigns", lambda s: {"name": s.name("N"), **PROGRAMME}),
    "POST /v1/campaigns/{name}/vouchers": _post(lambda s: f"/v1/campaigns/{s.gifts()}/vouchers", {}),
    "POST /v1/campaigns/{name}/vouchers/{code}": _post(
        lambda s: f"/v1/campaigns/{s.gifts()}/vouchers/{s.name('X')}", {}
    ),
    "POST /v1/campaigns/{name}/import": _post(
        lambda s: f"/v1/campaigns/{s.gifts()}/import", lambda s: [{"code": s.name("I")}]
    ),
    "POST /v1/campaigns/{name}/enable": _post(lambda s: f"/v1/campaigns/{s.gifts()}/enable"),
    "POST /v1/campaigns/{name}/disable": _post(lambda s: f"/v1/campaigns/{s.gifts()}/disable"),
    "PUT /v1/campaigns/{name}": _post(lambda s: f"/v1/campaigns/{s.gifts()}", {"description": "New"}, "PUT"),
    "DELETE /v1/campaigns/{name}": _post(lambda s: f"/v1/campaigns/{s.gifts()}", method="DELETE"),
    "POST /v1/vouchers": _post(lambda _: "/v1/vouchers", GIFT),
    "POST /v1/vouchers/import": _post(lambda _: "/v1/vouchers/import", lambda s: [{"code": s.name("I"), **GIFT}]),
    "POST /v1/vouchers/{code}": _post(lambda s: f"/v1/vouchers/{s.name('Y')}", GIFT),
    "POST /v1/vouchers/{code}/enable": _post(lambda s: f"/v1/vouchers/{s.gift()}/enable"),
    "POST /v1/vouchers/{code}/disable": _post(lambda s: f"/v1/vouchers/{s.gift()}/disable"),
    "POST /v1/vouchers/{code}/balance": _post(lambda s: f"/v1/vouchers/{s.gift()}/balance", {"amount": 7}),
    "PUT /v1/vouchers/{code}": _post(lambda s: f"/v1/vouchers/{s.gift()}", {"category": "New"}, "PUT"),
    "DELETE /v1/vouchers/{code}": _post(lambda s: f"/v1/vouchers/{s.gift()}", method="DELETE"),
    "POST /v1/customers": _post(lambda _: "/v1/customers", lambda s: {"source_id": s.name("who")}),
    "POST /v1/customers/{customer_id}/permanent-deletion": _post(
        lambda s: f"/v1/customers/{s.customer()}/permanent-deletion"
    ),
    "PUT /v1/customers/{customer_id}": _post(lambda s: f"/v1/customers/{s.customer()}", {"name": "New"}, "PUT"),
    "DELETE /v1/customers/{customer_id}": _post(lambda s: f"/v1/customers/{s.customer()}", method="DELETE"),
    "POST /v1/orders": _post(lambda _: "/v1/orders", {"amount": 500}),
    "POST /v1/orders/import": _post(lambda _: "/v1/orders/import", lambda s: [{"source_id": s.name("o"), "amount": 1}]),
    "PUT /v1/orders/{order_id}": _post(lambda s: f"/v1/orders/{s.order()}", {"status": "PAID"}, "PUT"),
    "POST /v1/loyalties/{campaign_id}/earning-rules": _post(
        lambda s: f"/v1/loyalties/{s.programme()}/earning-rules", [RULE]
    ),
    "PUT /v1/loyalties/{campaign_id}/earning-rules/{rule_id}": _post(
        lambda s: s.rule(), {"source": {"banner": "New"}}, "PUT"
    ),
    "DELETE /v1/loyalties/{campaign_id}/earning-rules/{rule_id}": _post(lambda s: s.rule(), method="DELETE"),
    "POST /v1/loyalties/{campaign_id}/earning-rules/{rule_id}/enable": _post(lambda s: f"{s.rule()}/enable"),
    "POST /v1/loyalties/{campaign_id}/earning-rules/{rule_id}/disable": _post(lambda s: f"{s.rule()}/disable"),
    "POST /v1/publications": _post(
        lambda _: "/v1/publications", lambda s: {"voucher": s.gift(), "customer": {"source_id": "p"}}
    ),
    "GET /v1/publications/create": _post(
        lambda s: f"/v1/publications/create?voucher={s.gift()}&customer[source_id]=p", method="GET"
    ),
    "POST /v1/redemptions": _post(lambda _: "/v1/redemptions", _redeemables),
    "POST /v1/vouchers/{code}/redemption": _post(
        lambda s: f"/v1/vouchers/{s.gift()}/redemption", {"gift": {"credits": 5}, "order": {"amount": 9}}
    ),
    "POST /v1/redemptions/{redemption_id}/rollback": _post(lambda s: f"/v1/redemptions/{s.redemption()}/rollback"),
    "POST /v1/redemptions/{redemption_id}/rollbacks": _post(lambda s: f"/v1/redemptions/{s.redemption(2)}/rollbacks"),
    "POST /v1/rewards": _post(lambda _: "/v1/rewards", THING),
    "PUT /v1/rewards/{reward_id}": _post(lambda s: f"/v1/rewards/{s.reward()}", {"name": "New"}, "PUT"),
    "DELETE /v1/rewards/{reward_id}": _post(lambda s: f"/v1/rewards/{s.reward()}", method="DELETE"),
    "POST /v1/rewards/{reward_id}/assignments": _assigning,
    "PUT /v1/rewards/{reward_id}/assignments/{assignment_id}": _post(lambda s: s.assignment(), _PRICE, "PUT"),
    "DELETE /v1/rewards/{reward_id}/assignments/{assignment_id}": _post(lambda s: s.assignment(), method="DELETE"),
    "POST /v1/loyalties/{campaign_id}/rewards": _assigning_below,
    "PUT /v1/loyalties/{campaign_id}/rewards/{assignment_id}": _post(
        lambda s: s.assignment(of_campaign=True), _PRICE, "PUT"
    ),
    "DELETE /v1/loyalties/{campaign_id}/rewards/{assignment_id}": _post(
        lambda s: s.assignment(of_campaign=True), method="DELETE"
    ),
    "POST /v1/loyalties/members/{member_id}/pending-points/{pending_points_id}/activate": _post(
        lambda s: f"{s.pending()}/activate"
    ),
    "POST /v1/loyalties/members/{member_id}/pending-points/{pending_points_id}/balance": _post(
        lambda s: f"{s.pending()}/balance", {"points": 2}
    ),
    "POST /v1/loyalties/members/{member_id}/pending-points/{pending_points_id}/cancel": _post(
        lambda s: f"{s.pending()}/cancel"
    ),
    "POST /v1/loyalties/{campaign_id}/members": _post(
        lambda s: f"/v1/loyalties/{s.programme()}/members", lambda s: {"customer": {"source_id": s.name("who")}}
    ),
    "POST /v1/loyalties/members/{member_id}/balance": _of_member(
        "/v1/loyalties/members/{member}/balance", {"points": 5}
    ),
    "POST /v1/loyalties/{campaign_id}/members/{member_id}/balance": _of_member(
        "/v1/loyalties/{programme}/members/{member}/balance", {"points": 5}
    ),
    "POST /v1/loyalties/{campaign_id}/members/{member_id}/transfers": _transfer,
    "POST /v1/loyalties/members/{member_id}/redemption": _reward("/v1/loyalties/members/{member}/redemption"),
    "POST /v1/loyalties/{campaign_id}/members/{member_id}/redemption": _reward(
        "/v1/loyalties/{programme}/members/{member}/redemption"
    ),
    "POST /v1/loyalties": _post(lambda _: "/v1/loyalties", lambda s: {"name": s.name("L"), **PROGRAMME}),
    "PUT /v1/loyalties/{campaign_id}": _post(lambda s: f"/v1/loyalties/{s.programme()}", {"description": "New"}, "PUT"),
    "DELETE /v1/loyalties/{campaign_id}": _post(lambda s: f"/v1/loyalties/{s.programme()}", method="DELETE"),
}
EVERY_WRITE = _EVERYTHING
"""Route -> a request for it, made of a shop's own things."""


def written_routes(app: FastAPI) -> Iterator[str]:
    """Every route of Voucherify's dialect that writes, as `METHOD /path`; those that give out secrets excepted."""
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            label = f"{method.upper()} {path}"
            writes = method.upper() in WRITES or label == "GET /v1/publications/create"
            if writes and path.startswith("/v1/") and not path.startswith("/v1/oauth/"):
                yield label
