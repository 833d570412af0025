"""Redemptions: vouchers, one or several at once, taken for an order or a reward; look-ups and lists of them.

A redemption that a rule refuses is kept as a failed one and nothing else changes; the caller gets the refusal. What is
asked wrongly, or names what is not there, leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.catalog.objects import exportable
from counterfoil.clock import iso_ms
from counterfoil.db import customers, orders, summaries, vouchers
from counterfoil.db import redemptions as stored
from counterfoil.db.campaigns import find_campaign
from counterfoil.db.redemptions import EXPORTABLE, STACK, RedemptionQuery, Row
from counterfoil.db.unit import Unit
from counterfoil.domain import cards
from counterfoil.domain.cards import CardKind, Origin
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import COUNTED, OrderDraft, check_order, order_columns
from counterfoil.domain.redemptions import (
    REDEEMABLES_MAX,
    Bill,
    Effect,
    Failure,
    Redeemable,
    Target,
    failure_of,
    plan,
    refusal,
)
from counterfoil.errors import InvalidInput, NotFound
from counterfoil.ids import hex_id
from counterfoil.plan.filters import resolve
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import upsert_customer
from counterfoil.services.loyalty import member_row
from counterfoil.services.orders import link_redemptions, save_order
from counterfoil.services.rewards import give_reward, reward_terms

Shown = dict[str, Any]
"""What an answer is made of: `redemptions` (rows), `parent` (a row or None), `order` (a row or None), and by id the
`vouchers`, `customers` and `orders` that the rows name."""

# The vendor's words for what our cards say in their own.
_FAILURE_CODES = {"insufficient_credits": "gift_amount_exceeded", "insufficient_points": "loyalty_card_points_exceeded"}


@dataclass(frozen=True, slots=True)
class RedemptionAsked:
    """What a caller wants redeemed, for which order (made or updated with it) and by whom.

    customer None: tracking_id, a customer's source id, names them; without it the order's customer or the holder of the
    first card counts.
    """

    redeemables: tuple[Redeemable, ...]
    order: OrderDraft | None = None
    customer: CustomerDraft | None = None
    tracking_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class RedemptionService:
    """The use-cases of redemptions, rollbacks apart. Rows are `db.redemptions.Row`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def redeem(
        self, caller: Caller, asked: RedemptionAsked, *, check: Callable[[Unit], object] = lambda _: None
    ) -> Shown:
        """Redeem all or none. Raises NotFound, InvalidInput, and Refused, for which a failed redemption is kept.

        check: looked at first, in the same transaction; what it raises leaves nothing.
        """
        if not 0 < len(asked.redeemables) <= REDEEMABLES_MAX:
            raise InvalidInput("invalid_payload", f"Property .redeemables must have 1 to {REDEEMABLES_MAX} items",
                               field="redeemables")  # fmt: skip
        channel = channel_of(caller)

        def work(unit: Unit) -> Shown:
            check(unit)
            return _redeem(unit, asked, channel)

        found = self._core.write(caller, work, cards=(each.name for each in asked.redeemables))
        if found.get("failure") is not None:
            raise refusal(found["failure"])
        return found

    def redeem_reward(self, caller: Caller, member: str, asked: RedemptionAsked, campaign: str | None = None) -> Shown:
        """The same for a member's card, of that programme (id or name) when one is named. Raises NotFound for others."""
        return self.redeem(caller, asked, check=lambda unit: member_row(unit.peek, unit.project_id, member, campaign))

    def get(self, caller: Caller, redemption_id: str) -> Shown:
        """One redemption or rollback. Raises NotFound."""
        with self._core.read() as connection:
            row = stored.find_redemption(connection, caller.project_id, redemption_id)
            if row is None:
                raise NotFound("redemption", redemption_id)
            return shown(connection, caller.project_id, [row])

    def list_redemptions(self, caller: Caller, query: RedemptionQuery) -> tuple[Shown, int]:
        """A page of redemptions and rollbacks, and how many there are. The query's filter is as asked, not resolved."""
        about = exportable(EXPORTABLE)
        query = replace(query, filter=resolve(query.filter, about, now_ms=self._core.clock.now_ms()))
        with self._core.read() as connection:
            rows, total = stored.list_redemptions(connection, caller.project_id, query)
            return shown(connection, caller.project_id, rows), total

    def of_voucher(
        self, caller: Caller, name: str, *, limit: int = 100, page: int = 1
    ) -> tuple[vouchers.Row, Shown, int]:
        """A voucher by code or id, a page of its redemptions, latest first, and how many there are. Raises NotFound."""
        with self._core.read() as connection:
            row = vouchers.voucher_row(connection, caller.project_id, name)
            query = RedemptionQuery(limit, page, voucher_id=row["id"])
            rows, total = stored.list_redemptions(connection, caller.project_id, query)
            return row, shown(connection, caller.project_id, rows), total


def shown(connection: Connection, project_id: int, rows: Sequence[Row]) -> Shown:
    """The rows with what they name, besides removed vouchers, of which the rows keep the code."""
    named = vouchers.vouchers_by_id(connection, project_id, _ids(rows, "voucher_id") | _reward_vouchers(rows))
    full = vouchers.with_points(connection, project_id, list(named.values()))
    return {
        "redemptions": list(rows),
        "parent": None,
        "order": None,
        "vouchers": {row["id"]: row for row in full},
        "customers": customers.customers_by_id(connection, project_id, _ids(rows, "customer_id")),
        "orders": stored.orders_by_id(connection, project_id, _ids(rows, "order_id")),
    }


def channel_of(caller: Caller) -> dict[str, Any]:
    """Through which channel a redemption came, as it is stored."""
    return {"channel_id": caller.app_id, "channel_type": "API"}


# -- steps of a redemption -----------------------------------------------------------------------------------------------


def _redeem(unit: Unit, asked: RedemptionAsked, channel: dict[str, Any]) -> Shown:
    unit.lock()
    targets = [_target(unit, each) for each in asked.redeemables]
    ids = [target.voucher["id"] for target in targets]
    if len(set(ids)) < len(ids):
        raise InvalidInput(
            "duplicated_redeemables", "A voucher stands twice among the redeemables", field="redeemables"
        )
    before, bill = _bill(unit, asked.order)
    found = plan(targets, bill, unit.now_ms)
    if isinstance(found, Failure):
        customer_id = _known_customer(unit, asked, before, targets)
        return _keep_failure(unit, asked, found, bill, channel, customer_id)
    customer_id = _customer_id(unit, asked, before, targets)
    order = _save_order(unit, asked, before, found, customer_id)
    common: Row = {
        "object": "redemption",
        "customer_id": customer_id,
        "tracking_id": asked.tracking_id,
        "order_id": None if order is None else order["id"],
        "order_amount": bill.amount,
        "result": "SUCCESS",
        "status": "SUCCEEDED",
        "channel": channel,
        "metadata": dict(asked.metadata),
    }
    several = len(found) > 1
    # Sorted, so that what was redeemed first comes first and the parent before its children.
    new_ids = sorted(hex_id("r_", unit.now_ms) for _ in range(len(found) + several))
    parent = _parent_row(unit, common, new_ids.pop(0)) if several else None
    rows = [_take(unit, effect, common, new_id, parent, order) for effect, new_id in zip(found, new_ids, strict=True)]
    stored.insert_redemptions(unit.sql, [*([parent] if parent else []), *rows])
    if order is not None:
        order = link_redemptions(unit, order["id"], _links(rows, parent))
    answer = shown(unit.sql, unit.project_id, rows)
    return answer | {"parent": parent, "order": order}


def _target(unit: Unit, asked: Redeemable) -> Target:
    row = vouchers.voucher_row(unit, unit.project_id, asked.name)
    campaign_id = row["campaign_id"]
    campaign = None if campaign_id is None else find_campaign(unit.sql, unit.project_id, campaign_id)
    if row["type"] == "DISCOUNT_VOUCHER":
        return Target(asked, row, campaign)
    card = unit.card(row["id"])
    terms = None
    if card.kind is CardKind.LOYALTY and asked.reward_id is not None:
        terms = reward_terms(unit.sql, unit.project_id, card, asked.reward_id)
    return Target(asked, row, campaign, card, terms)


def _bill(unit: Unit, draft: OrderDraft | None) -> tuple[orders.Row | None, Bill]:
    """The order as it is stored, and as it will be before anything is redeemed for it."""
    if draft is None:
        return None, Bill()
    check_order(draft, ".order")
    before = None
    if draft.id:
        before = orders.order_by_id(unit.sql, unit.project_id, draft.id)
        if before is None:
            raise NotFound("order", draft.id)
    elif draft.source_id:
        before = orders.order_by_source_id(unit.sql, unit.project_id, draft.source_id)
    columns = order_columns(before, draft, None, None)
    return before, Bill(columns["amount"], columns["total_amount"] or 0, tuple(columns["items"] or ()))


def _customer_id(
    unit: Unit, asked: RedemptionAsked, before: orders.Row | None, targets: Sequence[Target]
) -> str | None:
    """Who redeems: made or updated when the caller says who, else the order's customer, else the first card's holder."""
    draft = _customer_draft(asked)
    if draft is not None:
        return upsert_customer(unit, draft)["id"]
    return _implied_customer(before, targets)


def _implied_customer(before: orders.Row | None, targets: Sequence[Target]) -> str | None:
    if before is not None and before["customer_id"] is not None:
        return before["customer_id"]
    return next((target.card.holder_id for target in targets if target.card and target.card.holder_id), None)


def _customer_draft(asked: RedemptionAsked) -> CustomerDraft | None:
    said = (asked.customer, None if asked.order is None else asked.order.customer)
    found = next((draft for draft in said if _says_who(draft)), None)
    if found is None and asked.tracking_id:
        return CustomerDraft(source_id=asked.tracking_id)
    return found


def _save_order(
    unit: Unit, asked: RedemptionAsked, before: orders.Row | None, effects: Sequence[Effect], customer_id: str | None
) -> orders.Row | None:
    """The order, paid unless the caller says otherwise, with what the redemptions take off it on top of its discounts."""
    draft = asked.order
    if draft is None:
        return None
    columns = order_columns(before, draft, None, None)
    off = sum(effect.discount for effect in effects)
    if off:
        draft = replace(
            draft,
            discount_amount=(columns["discount_amount"] or 0) + off,
            applied_discount_amount=(columns["applied_discount_amount"] or 0) + off,
        )
    known = None if before is None else before["customer_id"]
    if customer_id not in {None, known} and not (_says_who(draft.customer) and _says_who(asked.customer)):
        # Its own customer, where it has one, is the one just made or updated; or was deleted, and its id stays.
        draft = replace(draft, customer=CustomerDraft(id=customer_id))
    if draft.status is None and (before is None or before["status"] not in COUNTED):
        draft = replace(draft, status="PAID")
    return save_order(unit, draft)


def _says_who(draft: CustomerDraft | None) -> bool:
    return draft is not None and not draft.nameless


def _parent_row(unit: Unit, common: Row, new_id: str) -> Row:
    about = {"id": new_id, "related_object_type": STACK, "related_object_id": new_id}
    return stored.empty_row(unit.project_id, unit.now_ms) | common | about


def _take(unit: Unit, effect: Effect, common: Row, new_id: str, parent: Row | None, order: orders.Row | None) -> Row:
    """Redeem one target: spend from its card, give its reward, count it; the redemption's row."""
    target, voucher = effect.target, effect.target.voucher
    row = stored.empty_row(unit.project_id, unit.now_ms) | common | voucher_columns(voucher)
    row |= {"id": new_id, "parent_id": None if parent is None else parent["id"]}
    if target.reward is not None:
        row |= {"reward_id": target.reward.row["id"], "reward": give_reward(unit, target.reward, common["customer_id"])}
    if target.card is not None:
        about = about_redemption(row, order)
        card, movements = cards.redeem(unit.card(target.card.id), effect.spent, about, Origin())
        row["movement_id"] = unit.post(card, movements)[0]["id"]
        row["amount"] = effect.spent
        row["gift_amount" if card.kind is CardKind.GIFT else "loyalty_points"] = effect.spent
    stored.count_redemption(unit.sql, unit.project_id, voucher["id"], 1)
    summaries.redeemed(unit, row["customer_id"], succeeded=True, credits=effect.credits, points=effect.points)
    return row


def voucher_columns(voucher: Mapping[str, Any]) -> Row:
    """What a redemption keeps of its voucher."""
    return {
        "voucher_id": voucher["id"],
        "voucher_code": voucher["code"],
        "campaign_id": voucher["campaign_id"],
        "campaign": voucher["campaign"],
        "related_object_type": "voucher",
        "related_object_id": voucher["id"],
        "related_object_parent_id": voucher["campaign_id"],
    }


def about_redemption(row: Row, order: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the details of a redemption's movement name (facts 3.2)."""
    about: dict[str, Any] = {}
    if order is not None:
        about["order"] = {"id": order["id"], "source_id": order["source_id"]}
    about["redemption"] = {"id": row["id"]}
    if row["reward"] is not None:
        about["reward"] = {"id": row["reward"]["id"], "name": row["reward"]["name"]}
    return about


def _links(rows: Sequence[Row], parent: Row | None) -> dict[str, dict[str, Any]]:
    """Entries for the order's map of redemptions."""
    entries = {row["id"]: _link(row) for row in rows}
    if parent is None:
        return entries
    return {parent["id"]: _link(parent) | {"stacked": [row["id"] for row in rows]}, **entries}


def _link(row: Row) -> dict[str, Any]:
    about = {name: row[name] for name in ("related_object_type", "related_object_id", "related_object_parent_id")}
    return {"date": iso_ms(row["date"]), **about}


def _keep_failure(
    unit: Unit, asked: RedemptionAsked, found: Failure, bill: Bill, channel: dict[str, Any], customer_id: str | None
) -> Shown:
    row = stored.empty_row(unit.project_id, unit.now_ms) | voucher_columns(found.target.voucher)
    row |= {
        "id": hex_id("rf_", unit.now_ms),
        "object": "redemption",
        "customer_id": customer_id,
        "tracking_id": asked.tracking_id,
        "order_amount": bill.amount,
        "result": "FAILURE",
        "status": "FAILED",
        "failure_code": _FAILURE_CODES.get(found.error.code, found.error.code),
        "failure_message": found.error.message,
        "channel": channel,
        "metadata": dict(asked.metadata),
    }
    stored.insert_redemptions(unit.sql, [row])
    summaries.redeemed(unit, customer_id, succeeded=False)
    return {"failure": failure_of(found.error)}


def _known_customer(
    unit: Unit, asked: RedemptionAsked, before: orders.Row | None, targets: Sequence[Target]
) -> str | None:
    """Who tried, if they exist: a failure makes and changes nobody."""
    draft = _customer_draft(asked)
    if draft is None:
        return _implied_customer(before, targets)
    row = None
    if draft.id:
        row = customers.customer_by_id(unit.sql, unit.project_id, draft.id)
    elif draft.source_id:
        row = customers.customer_by_source_id(unit.sql, unit.project_id, draft.source_id)
    return None if row is None else row["id"]


def _ids(rows: Sequence[Row], name: str) -> set[str]:
    return {row[name] for row in rows if row[name] is not None}


def _reward_vouchers(rows: Sequence[Row]) -> set[str]:
    return {row["reward"]["voucher_id"] for row in rows if row["reward"] and row["reward"].get("voucher_id")}
