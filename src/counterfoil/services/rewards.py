"""Rewards and their assignments to loyalty programmes; what a reward costs a card, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from counterfoil.db import rewards as stored
from counterfoil.db.campaigns import campaign_row
from counterfoil.db.rewards import Row
from counterfoil.db.unit import Unit
from counterfoil.domain import cards
from counterfoil.domain.campaigns import CampaignType, template_of
from counterfoil.domain.cards import Card, Origin
from counterfoil.domain.money import AMOUNT_MAX
from counterfoil.domain.movements import AUTOMATION
from counterfoil.domain.redemptions import RewardTerms
from counterfoil.domain.rewards import checked_parameters
from counterfoil.errors import Conflict, InvalidInput, NotFound
from counterfoil.ids import random_id
from counterfoil.services.core import Caller, Core
from counterfoil.services.issuing import insert_voucher
from counterfoil.services.vouchers import points_expire_on


@dataclass(frozen=True, slots=True)
class RewardDraft:
    """What a caller says of a reward; None leaves what is there. stock: units there are, None for any number."""

    name: str | None = None
    parameters: Mapping[str, Any] | None = None
    stock: int | None = None
    attributes: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None


class RewardService:
    """The use-cases of rewards. Rows are `db.rewards.Row`; a campaign is named by id or name and must be a programme."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def create(self, caller: Caller, draft: RewardDraft) -> Row:
        """Make a reward. Raises InvalidInput, and NotFound for the campaign of a CAMPAIGN reward."""
        if not draft.name:
            raise InvalidInput("invalid_payload", "Payload must have required property 'name'", field="name")

        def work(unit: Unit) -> Row:
            row = {
                "project_id": unit.project_id,
                "id": random_id("rew_"),
                "redeemed": 0,
                "created_at": unit.now_ms,
                "updated_at": None,
                "deleted_at": None,
                **_columns(unit, draft, {"stock": None, "attributes": None, "metadata": None}),
            }
            stored.insert_reward(unit.sql, row)
            return row

        return self._core.write(caller, work)

    def get(self, caller: Caller, reward_id: str) -> Row:
        """One reward. Raises NotFound."""
        with self._core.read() as connection:
            return _reward_row(connection, caller.project_id, reward_id)

    def list_rewards(self, caller: Caller, *, limit: int = 10, page: int = 1) -> tuple[list[Row], int]:
        """A page of rewards, newest first, and how many there are."""
        with self._core.read() as connection:
            return stored.list_rewards(connection, caller.project_id, limit, page)

    def update(self, caller: Caller, reward_id: str, draft: RewardDraft) -> Row:
        """Change what the draft says. Raises NotFound, InvalidInput: the type stays, and stock is at least `redeemed`."""

        def work(unit: Unit) -> Row:
            unit.lock()
            row = _reward_row(unit.sql, unit.project_id, reward_id)
            values = _columns(unit, draft, row)
            if values["type"] != row["type"]:
                raise InvalidInput("invalid_payload", f"A reward of type {row['type']} stays one", field="parameters")
            if values["stock"] is not None and values["stock"] < row["redeemed"]:
                raise InvalidInput("invalid_payload", f"Property .stock cannot be lower than {row['redeemed']}",
                                   field="stock", value=values["stock"])  # fmt: skip
            values["updated_at"] = unit.now_ms
            stored.update_reward(unit.sql, unit.project_id, reward_id, values)
            return row | values

        return self._core.write(caller, work)

    def delete(self, caller: Caller, reward_id: str) -> None:
        """Remove a reward and its assignments; redemptions keep what they gave. Raises NotFound."""

        def work(unit: Unit) -> None:
            _reward_row(unit.sql, unit.project_id, reward_id)
            stored.update_reward(unit.sql, unit.project_id, reward_id, {"deleted_at": unit.now_ms})
            stored.delete_assignments(unit.sql, unit.project_id, reward_id=reward_id)

        self._core.write(caller, work)

    # -- assignments -------------------------------------------------------------------------------------------------

    def assign(self, caller: Caller, campaign: str, prices: Sequence[tuple[str, int | None]]) -> list[Row]:
        """Let a programme's points be spent on rewards: (reward id, price in points; None for rewards that pay orders).

        All or none. Raises NotFound, InvalidInput for a price, Conflict when a reward is assigned there already.
        """

        def work(unit: Unit) -> list[Row]:
            unit.lock()
            home = _programme(unit.sql, unit.project_id, campaign)
            return [_assign(unit, home, reward_id, points) for reward_id, points in prices]

        return self._core.write(caller, work)

    def find_assignment(self, caller: Caller, assignment_id: str, **of: str) -> Row:
        """One assignment. of: `reward` (id) or `campaign` (id or name) that it must belong to. Raises NotFound."""
        with self._core.read() as connection:
            return _assignment_row(connection, caller.project_id, assignment_id, of)

    def list_assignments(
        self, caller: Caller, *, limit: int = 10, page: int = 1, assignment_id: str | None = None, **of: str
    ) -> tuple[list[Row], int]:
        """A page of assignments and how many there are. of: as for `find_assignment`. Raises NotFound for what is named."""
        with self._core.read() as connection:
            named = _named(connection, caller.project_id, of)
            if assignment_id is not None:
                named["id"] = assignment_id
            return stored.list_assignments(connection, caller.project_id, limit, page, **named)

    def change_price(self, caller: Caller, assignment_id: str, points: int | None, **of: str) -> Row:
        """Another price. Raises NotFound, InvalidInput."""

        def work(unit: Unit) -> Row:
            unit.lock()
            row = _assignment_row(unit.sql, unit.project_id, assignment_id, of)
            reward = _reward_row(unit.sql, unit.project_id, row["reward_id"])
            values = {"points": _checked_price(reward, points), "updated_at": unit.now_ms}
            stored.update_assignment(unit.sql, unit.project_id, assignment_id, values)
            return row | values

        return self._core.write(caller, work)

    def unassign(self, caller: Caller, assignment_id: str, **of: str) -> None:
        """Remove an assignment. Raises NotFound."""

        def work(unit: Unit) -> None:
            _assignment_row(unit.sql, unit.project_id, assignment_id, of)
            stored.delete_assignments(unit.sql, unit.project_id, id=assignment_id)

        self._core.write(caller, work)


# -- what redemptions need ---------------------------------------------------------------------------------------------


def reward_terms(connection: Connection, project_id: int, card: Card, reward_id: str) -> RewardTerms:
    """A reward as the card's programme offers it, by the reward's id or the assignment's. Raises NotFound."""
    found = None
    if card.campaign_id is not None:
        for name in ("reward_id", "id"):
            named = {name: reward_id, "campaign_id": card.campaign_id}
            found = found or stored.find_assignment(connection, project_id, **named)
    if found is None:
        raise NotFound("reward", reward_id, f"The card's programme offers no reward with id {reward_id}")
    return RewardTerms(_reward_row(connection, project_id, found["reward_id"]), found["id"], found["points"])


def give_reward(unit: Unit, terms: RewardTerms, customer_id: str | None) -> dict[str, Any]:
    """Count a reward as redeemed and give what it gives; what the redemption shows of it.

    A CAMPAIGN reward tops up the customer's card of that campaign, or issues a voucher of it to them.
    """
    row = terms.row
    stored.update_reward(unit.sql, unit.project_id, row["id"], {"redeemed": row["redeemed"] + 1})
    shown = {name: row[name] for name in ("id", "name", "type", "parameters", "metadata", "created_at", "updated_at")}
    shown |= {"assignment_id": terms.assignment_id, "voucher_id": None}
    if row["type"] == "CAMPAIGN":
        shown["voucher_id"] = _give_voucher(unit, row["parameters"]["campaign"], customer_id)
    return shown


def take_back_reward(unit: Unit, reward_id: str) -> None:
    """Count one redemption of a reward less, after it was rolled back. The voucher it gave stays with the customer."""
    row = stored.rewards_by_id(unit.sql, unit.project_id, (reward_id,))[reward_id]
    stored.update_reward(unit.sql, unit.project_id, reward_id, {"redeemed": max(0, row["redeemed"] - 1)})


def _give_voucher(unit: Unit, given: Mapping[str, Any], customer_id: str | None) -> str:
    campaign = campaign_row(unit.sql, unit.project_id, given["id"])
    balance = int(given.get("balance") or 0)
    held = None if customer_id is None else stored.held_card(unit.sql, unit.project_id, campaign["id"], customer_id)
    if held is None:
        draft = replace(template_of(campaign, unit.now_ms, drawn=True), holder_id=customer_id)
        if draft.type.card_kind is not None:
            draft = replace(draft, opening=draft.opening + balance)
        return insert_voucher(unit, draft)["id"]
    if balance:
        card = unit.card(held)
        expires_on = points_expire_on(unit, card)
        unit.post(*cards.add(card, balance, Origin(AUTOMATION), expires_on, unit.now_ms))
    return held


# -- steps -------------------------------------------------------------------------------------------------------------


def _columns(unit: Unit, draft: RewardDraft, before: Mapping[str, Any]) -> dict[str, Any]:
    """The columns a draft decides, laid over what is there."""
    values: dict[str, Any] = {
        "name": draft.name or before["name"],
        "stock": before["stock"] if draft.stock is None else draft.stock,
        "attributes": before["attributes"] if draft.attributes is None else dict(draft.attributes),
        "metadata": {**(before["metadata"] or {}), **draft.metadata} if draft.metadata else before["metadata"],
    }
    if draft.parameters is None and "type" in before:
        return values | {"type": before["type"], "parameters": before["parameters"]}
    kind, parameters = checked_parameters(draft.parameters)
    if kind == "CAMPAIGN":
        campaign = campaign_row(unit, unit.project_id, parameters["campaign"]["id"])
        parameters["campaign"] |= {"id": campaign["id"], "type": campaign["campaign_type"]}
        template_of(campaign, unit.now_ms, drawn=True)
    return values | {"type": kind, "parameters": parameters}


def _reward_row(connection: Connection, project_id: int, reward_id: str) -> Row:
    row = stored.find_reward(connection, project_id, reward_id)
    if row is None:
        raise NotFound("reward", reward_id)
    return row


def _programme(connection: Connection, project_id: int, campaign: str) -> str:
    row = campaign_row(connection, project_id, campaign)
    if row["campaign_type"] != CampaignType.LOYALTY:
        raise NotFound("campaign", campaign)
    return row["id"]


def _assign(unit: Unit, campaign_id: str, reward_id: str, points: int | None) -> Row:
    reward = _reward_row(unit.sql, unit.project_id, reward_id)
    if stored.find_assignment(unit.sql, unit.project_id, reward_id=reward_id, campaign_id=campaign_id) is not None:
        raise Conflict("duplicate_found", f"Reward {reward_id} is assigned to campaign {campaign_id} already",
                       resource_type="reward_assignment", resource_id=reward_id)  # fmt: skip
    row = {
        "project_id": unit.project_id,
        "id": random_id("rewa_"),
        "reward_id": reward_id,
        "campaign_id": campaign_id,
        "points": _checked_price(reward, points),
        "created_at": unit.now_ms,
        "updated_at": None,
    }
    stored.insert_assignment(unit.sql, row)
    return row


def _checked_price(reward: Row, points: int | None) -> int:
    """The price; a reward that pays orders has none, its price is the points each order takes."""
    if reward["type"] == "COIN":
        return 0
    if points is None or not 0 < points <= AMOUNT_MAX:
        raise InvalidInput("invalid_amount", "Amount has to be a valid positive number",
                           field="parameters.loyalty.points", value=points)  # fmt: skip
    return points


def _named(connection: Connection, project_id: int, of: Mapping[str, str]) -> dict[str, str]:
    """Columns of an assignment from names of what it belongs to; NotFound for a name that is not there."""
    named: dict[str, str] = {}
    if "reward" in of:
        named["reward_id"] = _reward_row(connection, project_id, of["reward"])["id"]
    if "campaign" in of:
        named["campaign_id"] = _programme(connection, project_id, of["campaign"])
    return named


def _assignment_row(connection: Connection, project_id: int, assignment_id: str, of: Mapping[str, str]) -> Row:
    named = _named(connection, project_id, of) | {"id": assignment_id}
    row = stored.find_assignment(connection, project_id, **named)
    if row is None:
        raise NotFound("reward_assignment", assignment_id)
    return row
