"""Rollbacks: redemptions undone, alone or a whole stack at once; what was spent goes back where it came from.

A rollback that a rule refuses is kept as a failed one, as redemptions are. Source: Voucherify, Rollback Redemption and
Rollback Stackable Redemptions (facts 3.5): a child of a stack is undone with its parent alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from counterfoil.clock import MS_PER_DAY, iso_ms
from counterfoil.db import movements, orders, summaries
from counterfoil.db import redemptions as stored
from counterfoil.db.redemptions import STACK, Row
from counterfoil.db.unit import Unit
from counterfoil.domain import cards
from counterfoil.domain.cards import Origin
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.domain.redemptions import failure_of, refusal
from counterfoil.errors import NotFound, Refused
from counterfoil.ids import hex_id
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import upsert_customer
from counterfoil.services.orders import link_redemptions, save_order
from counterfoil.services.redemptions import Shown, about_redemption, channel_of, shown
from counterfoil.services.rewards import take_back_reward
from counterfoil.services.vouchers import points_expire_on

ROLLBACK_DAYS = 92
"""How long a redemption can be rolled back unless settings say otherwise: the vendor's three months."""

# What a rollback takes over from the redemption it undoes.
_KEPT = (
    "customer_id", "voucher_id", "voucher_code", "campaign_id", "campaign", "promotion_tier_id", "related_object_type",
    "related_object_id", "related_object_parent_id", "order_id", "order_amount", "gift_amount", "loyalty_points",
    "reward_id", "reward",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RollbackAsked:
    """What a caller says of a rollback. customer: changes to the redemption's customer."""

    reason: str | None = None
    tracking_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    customer: CustomerDraft | None = None


@dataclass(frozen=True, slots=True)
class _Undoing:
    """One rollback on its way: what is undone (several for a stack), and what all its rows say."""

    original: Row
    parts: tuple[Row, ...]
    common: Row


class RollbackService:
    """The use-cases of rollbacks. days: how long a redemption can be rolled back."""

    def __init__(self, core: Core, days: int = ROLLBACK_DAYS) -> None:
        self._core = core
        self._days = days

    def roll_back(self, caller: Caller, redemption_id: str, asked: RollbackAsked) -> Shown:
        """Undo one redemption. Raises NotFound; Refused (invalid_redemption) for what can never be undone alone; and

        Refused for what was undone already or too long ago, for which a failed rollback is kept.
        """
        return self._undo(caller, redemption_id, asked, _single)

    def roll_back_stack(self, caller: Caller, parent_id: str, asked: RollbackAsked) -> Shown:
        """Undo all redemptions of a stack. Raises as `roll_back`, with invalid_redemption_parent for what is no stack."""
        return self._undo(caller, parent_id, asked, _stack)

    def _undo(
        self, caller: Caller, redemption_id: str, asked: RollbackAsked, parts_of: Callable[[Unit, Row], list[Row]]
    ) -> Shown:
        channel = channel_of(caller)

        def work(unit: Unit) -> Shown:
            unit.lock()
            original = stored.find_redemption(unit.sql, unit.project_id, redemption_id)
            if original is None:
                raise NotFound("redemption", redemption_id)
            common = {
                "object": "redemption_rollback",
                "tracking_id": asked.tracking_id or original["tracking_id"],
                "reason": asked.reason,
                "metadata": dict(asked.metadata),
                "channel": channel,
            }
            undoing = _Undoing(original, tuple(parts_of(unit, original)), common)
            refused = self._refused(original, unit.now_ms)
            if refused is not None:
                return _keep_failure(unit, undoing, refused)
            if asked.customer is not None and original["customer_id"] is not None:
                upsert_customer(unit, replace(asked.customer, id=original["customer_id"], source_id=None))
            return _roll_back(unit, undoing)

        found = self._core.write(caller, work)
        if found.get("failure") is not None:
            raise refusal(found["failure"])
        return found

    def _refused(self, original: Row, now_ms: int) -> Refused | None:
        about = {"resource_type": "redemption", "resource_id": original["id"]}
        if original["status"] == "ROLLED_BACK":
            return Refused("already_rolled_back", "Redemption was already rolled back", **about)
        if now_ms >= original["date"] + self._days * MS_PER_DAY:
            return Refused("invalid_redemption", f"Redemptions can be rolled back for {self._days} days", **about)
        return None


def _single(_: Unit, original: Row) -> list[Row]:
    about = {"resource_type": "redemption", "resource_id": original["id"]}
    if original["object"] != "redemption" or original["result"] != "SUCCESS":
        raise Refused("invalid_redemption", "Only a redemption that succeeded can be rolled back", **about)
    if original["related_object_type"] == STACK or original["parent_id"] is not None:
        parent_id = original["parent_id"] or original["id"]
        raise Refused("invalid_redemption", "A redemption of several vouchers is rolled back as a whole: POST "
                      f"/v1/redemptions/{parent_id}/rollbacks", **about)  # fmt: skip
    return [original]


def _stack(unit: Unit, original: Row) -> list[Row]:
    if original["object"] != "redemption" or original["related_object_type"] != STACK:
        raise Refused("invalid_redemption_parent", f"{original['id']} is not the parent of a redemption of several",
                      resource_type="redemption", resource_id=original["id"])  # fmt: skip
    return stored.children_of(unit.sql, unit.project_id, original["id"])


def _roll_back(unit: Unit, undoing: _Undoing) -> Shown:
    original = undoing.original
    several = original["related_object_type"] == STACK
    order = (
        None if original["order_id"] is None else orders.order_by_id(unit.sql, unit.project_id, original["order_id"])
    )
    new_ids = sorted(hex_id("rr_", unit.now_ms) for _ in range(len(undoing.parts) + several))
    parent = _row(unit, original, undoing.common | {"id": new_ids.pop(0)}) if several else None
    rows = [
        _give_back(unit, part, undoing.common | {"id": new_id, "parent_id": parent["id"] if parent else None}, order)
        for part, new_id in zip(undoing.parts, new_ids, strict=True)
    ]
    stored.insert_redemptions(unit.sql, [*([parent] if parent else []), *rows])
    undone = [part["id"] for part in undoing.parts]
    stored.mark_rolled_back(unit.sql, unit.project_id, list({original["id"], *undone}), unit.now_ms)
    if order is not None:
        save_order(unit, OrderDraft(id=order["id"], status="CANCELED"))
        order = link_redemptions(unit, order["id"], _links(unit, rows, parent))
    return shown(unit.sql, unit.project_id, rows) | {"parent": parent, "order": order}


def _row(unit: Unit, part: Row, values: Row) -> Row:
    row = stored.empty_row(unit.project_id, unit.now_ms) | {name: part[name] for name in _KEPT}
    row |= {"redemption_id": part["id"], "result": "SUCCESS", "status": "SUCCEEDED"}
    return row | values


def _give_back(unit: Unit, part: Row, values: Row, order: orders.Row | None) -> Row:
    """Undo one redemption: what it spent goes back to the card, what it counted is counted less; the rollback's row."""
    row = _row(unit, part, values)
    if part["movement_id"] is not None:
        row["movement_id"] = _refund(unit, part, row["id"], order)
        row["amount"] = -part["amount"]
    if part["reward_id"] is not None:
        take_back_reward(unit, part["reward_id"])
    stored.count_redemption(unit.sql, unit.project_id, part["voucher_id"], -1)
    credits, points = part["gift_amount"] or 0, part["loyalty_points"] or 0
    summaries.rolled_back(unit, row["customer_id"], succeeded=True, credits=credits, points=points)
    return row


def _refund(unit: Unit, part: Row, rollback_id: str, order: orders.Row | None) -> str:
    """Post the refund, to a card that was switched off, expired or removed since as well; the movement's id.

    Points whose bucket has expired since come back as if granted today: the spending had saved them from expiring.
    """
    spent = movements.movement_by_id(unit.sql, unit.project_id, part["movement_id"])
    assert spent is not None, part["movement_id"]
    lots = tuple((str(bucket), int(points)) for bucket, points in msgspec.json.decode(spent["lots"] or "[]"))
    card = unit.kept_card(part["voucher_id"])
    about = about_redemption(part, order)
    reward = about.pop("reward", None)
    about["rollback"] = {"id": rollback_id}
    if reward is not None:
        about["reward"] = reward
    expired_to = points_expire_on(unit, card)
    card, found = cards.refund(card, lots, -spent["amount"], about, Origin(), expired_to, unit.now_ms)
    return unit.post(card, found)[0]["id"]


def _links(unit: Unit, rows: Sequence[Row], parent: Row | None) -> dict[str, dict[str, Any]]:
    """Entries that the order's map of redemptions gets besides what it has."""
    date = iso_ms(unit.now_ms)
    entries: dict[str, dict[str, Any]] = {
        row["redemption_id"]: {"rollback_id": row["id"], "rollback_date": date} for row in rows
    }
    if parent is not None:
        stacked = [row["id"] for row in rows]
        entries[parent["redemption_id"]] = {
            "rollback_id": parent["id"], "rollback_date": date, "rollback_stacked": stacked
        }  # fmt: skip
    return entries


def _keep_failure(unit: Unit, undoing: _Undoing, error: Refused) -> Shown:
    """One failed rollback for what was asked to be undone; a stack's counts as one."""
    row = _row(unit, undoing.original, undoing.common | {"id": hex_id("rrf_", unit.now_ms)})
    row |= {
        "result": "FAILURE",
        "status": "FAILED",
        "failure_code": error.code,
        "failure_message": error.message,
        "gift_amount": None,
        "loyalty_points": None,
    }
    stored.insert_redemptions(unit.sql, [row])
    if row["related_object_type"] != STACK:
        summaries.rolled_back(unit, row["customer_id"], succeeded=False)
    return {"failure": failure_of(error)}
