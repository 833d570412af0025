"""Vouchers that come in, with their own ids and balances. A card's balance begins as a movement that the dialects hide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from counterfoil.dataplane.intake import Block
from counterfoil.db import bulk
from counterfoil.db.campaigns import find_campaign
from counterfoil.db.schema import buckets, campaigns, customers, movements, vouchers
from counterfoil.db.unit import Unit
from counterfoil.domain.campaigns import CampaignType
from counterfoil.domain.cards import CardKind
from counterfoil.domain.imports import OPENING, ImportedCard, open_with, opening_movement_id, unplaced_bucket_id
from counterfoil.domain.voucher_rows import VoucherRow, read_voucher
from counterfoil.domain.vouchers import VoucherDraft
from counterfoil.errors import InvalidInput
from counterfoil.ids import random_id
from counterfoil.services.imports.campaigns import make_campaign
from counterfoil.services.imports.report import ImportOptions, Item, Outcome, read_items
from counterfoil.services.imports.rows import Once, difference

_encode = msgspec.json.Encoder().encode

# Which column of ours a column of the file is compared with; empty cells of the last ones say nothing.
_COMPARED = {
    "category": "category", "start_date": "start_date", "expiration_date": "expiration_date",
    "validity_timeframe_interval": "validity_timeframe", "validity_timeframe_duration": "validity_timeframe",
    "validity_day_of_week": "validity_day_of_week", "additional_info": "additional_info",
    "redemption_quantity": "redemption_quantity", "customer_id": "holder_id", "customer_source_id": "holder_id",
    "metadata": "metadata",
}  # fmt: skip
_COMPARED_IF_SAID = {
    "active": "active", "is_referral_code": "is_referral_code", "redemption_count": "redeemed_quantity",
    "created_at": "created_at", "campaign_id": "campaign_id", "campaign": "campaign_id",
}  # fmt: skip
_CONTENT = tuple(dict.fromkeys(
    ("id", "code", "type", "discount", *_COMPARED.values(), *_COMPARED_IF_SAID.values())
))  # fmt: skip
_COLUMNS = tuple(column.name for column in vouchers.c)
_JSON = frozenset({"discount", "validity_timeframe", "validity_day_of_week", "metadata"})
_CAMPAIGN = ("id", "name", "campaign_type", "deleted_at")


@dataclass(slots=True)
class _Around:
    """What a batch meets: campaigns and customers that its rows refer to, by id and by name, and vouchers with its ids and
    codes. only: the campaign that every row belongs to, if one was said."""

    only: Mapping[str, Any] | None
    campaigns: dict[str, Any]
    named_campaigns: dict[str, Any]
    holders: Mapping[str, Any]
    named_holders: Mapping[str, Any]
    ids_of_codes: Mapping[str, Any]
    stored: Mapping[str, Any]
    cards: Mapping[str, Any]


@dataclass(slots=True)
class _Writing:
    """What a batch writes. opened: cards with a balance to begin with; settled: those of them that were there before."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    opened: list[ImportedCard] = field(default_factory=list[ImportedCard])
    settled: list[ImportedCard] = field(default_factory=list[ImportedCard])


class VoucherImporter:
    """The importer of vouchers."""

    def __init__(self, options: ImportOptions) -> None:
        self._options = options

    def read(self, block: Block) -> list[Item]:
        return read_items(block, lambda row: read_voucher(row, decimals=self._options.decimals, native=block.native))

    def apply(self, unit: Unit, given: list[Item]) -> Outcome:
        connection = unit.sql
        unit.lock()
        once = Once()
        items = list(once.pass_on(given, ("id", "code")))
        around = self._look_around(connection, unit.project_id, [item.value for item in items])
        writing = _Writing()
        written = known = 0
        for item in items:
            try:
                draft = self._placed(unit, around, item.value)
                took = self._take(unit, around, writing, item, draft)
            except InvalidInput as error:
                once.refuse(item, error.message)
                continue
            written += took
            known += not took
        _write(unit, connection, writing)
        return Outcome(written, once.known + known, once.sorted)

    def committed(self, outcome: Outcome) -> None:
        pass  # nothing is remembered from one batch to the next

    # -- what is there ------------------------------------------------------------------------------------------------

    def _look_around(self, connection: Connection, project_id: int, rows: Sequence[VoucherRow]) -> _Around:
        only = None
        if self._options.campaign is not None:
            only = find_campaign(connection, project_id, self._options.campaign)
            if only is None:
                raise InvalidInput("not_found", f"There is no campaign {self._options.campaign}", field="campaign")

        def named(
            table: Any, key: str, values: set[str | None], columns: Sequence[str], *, live: bool = True
        ) -> dict[str, Any]:
            wanted = [value for value in values if value is not None]
            return bulk.rows_by(connection, table, project_id, key, wanted, columns, live=live) if wanted else {}

        ids_of_codes = named(vouchers, "code", {row.draft.code for row in rows}, ("id",))
        ids = {row.draft.id for row in rows if row.draft.id is not None} | {row.id for row in ids_of_codes.values()}
        return _Around(
            only=only,
            campaigns=named(campaigns, "id", {row.campaign_id for row in rows}, _CAMPAIGN, live=False),
            named_campaigns=named(campaigns, "name", {row.campaign or row.campaign_id for row in rows}, _CAMPAIGN),
            holders=named(customers, "id", {row.holder_id for row in rows}, ("id",)),
            named_holders=named(customers, "source_id", {row.holder_source_id for row in rows}, ("id",)),
            ids_of_codes=ids_of_codes,
            stored=bulk.rows_by(connection, vouchers, project_id, "id", ids, _CONTENT) if ids else {},
            cards={row.id: row for row in bulk.cards_by_id(connection, project_id, ids)} if ids else {},
        )

    def _placed(self, unit: Unit, around: _Around, row: VoucherRow) -> VoucherDraft:
        """The row's draft in its campaign and with its holder. Raises InvalidInput where one is not there."""
        holder_id = _holder_id(around, row)
        return replace(row.draft, campaign_id=self._campaign_id(unit, around, row), holder_id=holder_id)

    def _campaign_id(self, unit: Unit, around: _Around, row: VoucherRow) -> str | None:
        found = None if row.campaign_id is None else around.campaigns.get(row.campaign_id)
        if row.campaign_id is None and row.campaign is not None:
            found = around.named_campaigns.get(row.campaign)
        asked = row.campaign_id or row.campaign
        if around.only is not None:
            if asked is not None and (found is None or found.id != around.only["id"]):
                raise InvalidInput(
                    "invalid_cell", f"campaign is {asked}, and not {around.only['name']}", field="campaign"
                )
            _check_type(around.only["campaign_type"], row.draft)
            return around.only["id"]
        if asked is None:
            return None
        if found is None:
            found = self._made_campaign(unit, around, row, asked)
        if found.deleted_at is not None:
            raise InvalidInput("not_found", f"campaign {asked} was here and was removed", field="campaign")
        if row.campaign is not None and found.name != row.campaign:
            raise InvalidInput("invalid_cell", f"campaign is {row.campaign}, and {found.id} is named {found.name}")
        _check_type(found.campaign_type, row.draft)
        return found.id

    def _made_campaign(self, unit: Unit, around: _Around, row: VoucherRow, asked: str) -> Any:
        if not self._options.make_campaigns:
            message = f"there is no campaign {asked}: import it first, or let it be made with --make-campaigns"
            raise InvalidInput("not_found", message, field="campaign")
        name = row.campaign or asked
        taken = around.named_campaigns.get(name)
        if taken is not None:
            raise InvalidInput("duplicate_found", f"campaign {taken.id} has the name {name} already", field="campaign")
        found = make_campaign(unit, row.campaign_id, name, row.draft)
        around.campaigns[found.id] = around.named_campaigns[found.name] = found
        return found

    # -- taking -------------------------------------------------------------------------------------------------------

    def _take(self, unit: Unit, around: _Around, writing: _Writing, item: Item, draft: VoucherDraft) -> bool:
        """Whether the row is written; False when all it says is so already. Raises InvalidInput."""
        row: VoucherRow = item.value
        by_code = around.ids_of_codes.get(draft.code or "")
        voucher_id = draft.id or (None if by_code is None else by_code.id)
        if by_code is not None and by_code.id != voucher_id:
            raise InvalidInput("duplicate_found", f"the voucher {by_code.id} has this code already", field="code")
        card = None if voucher_id is None else around.cards.get(voucher_id)
        if card is not None:
            return self._settle(around, writing, item, draft, card)
        voucher_id = voucher_id or random_id("v_", 32)
        values = _values(unit, row, draft, voucher_id)
        writing.rows.append(values)
        if draft.type.card_kind is not None and draft.opening and not self._options.movements_follow:
            opened = ImportedCard(
                voucher_id, draft.type.card_kind, draft.campaign_id, draft.holder_id, values["created_at"]
            )  # fmt: skip
            open_with(opened, draft.opening)
            writing.opened.append(opened)
            values |= {"balance": opened.balance, "total": opened.total}
        return True

    def _settle(self, around: _Around, writing: _Writing, item: Item, draft: VoucherDraft, card: Any) -> bool:
        """A voucher that is there must be the one that the row tells of. A card that never moved gets its balance."""
        if card.deleted_at is not None:
            raise InvalidInput("duplicate_found", "a voucher with this id was here and was removed", field="id")
        wrong = difference(around.stored[card.id]._mapping, _said(item, draft, around.stored[card.id]), "the voucher")
        if wrong is not None:
            raise InvalidInput("duplicate_found", wrong)
        balance = item.value.balance
        if balance is None or balance == card.balance or self._options.movements_follow:
            return False
        if card.last_type is not None or card.balance:
            message = f"the voucher is there already, with a balance of {card.balance}, and here it is {balance}"
            raise InvalidInput("duplicate_found", message, field="balance")
        opened = ImportedCard(
            card.id, CardKind(card.type), card.campaign_id, card.holder_id, card.created_at, card.balance, card.total,
            card.subtracted, card.redeemed, card.expired,
        )  # fmt: skip
        open_with(opened, balance)
        writing.opened.append(opened)
        writing.settled.append(opened)
        return True


def _holder_id(around: _Around, row: VoucherRow) -> str | None:
    by_id = None if row.holder_id is None else around.holders.get(row.holder_id)
    by_source = None if row.holder_source_id is None else around.named_holders.get(row.holder_source_id)
    if row.holder_id is not None and by_id is None:
        raise InvalidInput("not_found", f"there is no customer {row.holder_id}: import it first", field="customer_id")
    if by_id is None and row.holder_source_id is not None and by_source is None:
        message = f"there is no customer with source_id {row.holder_source_id}: import it first"
        raise InvalidInput("not_found", message, field="customer_source_id")
    if by_id is not None and by_source is not None and by_id.id != by_source.id:
        message = f"customer_id is {by_id.id}, and customer_source_id is that of {by_source.id}"
        raise InvalidInput("invalid_cell", message, field="customer_source_id")
    found = by_id or by_source
    return None if found is None else found.id


def _check_type(campaign_type: str, draft: VoucherDraft) -> None:
    if draft.type not in CampaignType(campaign_type).voucher_types:
        message = f"a voucher of type {draft.type} cannot belong to a {campaign_type} campaign"
        raise InvalidInput("invalid_cell", message, field="voucher_type")


def _values(unit: Unit, row: VoucherRow, draft: VoucherDraft, voucher_id: str) -> dict[str, Any]:
    """Every column of a new voucher, its balance still 0."""
    return dict.fromkeys(_COLUMNS) | {
        "project_id": unit.project_id,
        "id": voucher_id,
        "code": draft.code,
        "campaign_id": draft.campaign_id,
        "type": draft.type.value,
        "category": draft.category,
        "discount": draft.discount,
        "gift_effect": draft.gift_effect,
        "balance": 0,
        "total": 0,
        "subtracted": 0,
        "redeemed": 0,
        "expired": 0,
        "start_date": draft.start_date,
        "expiration_date": draft.expiration_date,
        "validity_timeframe": draft.validity_timeframe,
        "validity_day_of_week": draft.validity_day_of_week,
        "active": draft.active,
        "additional_info": draft.additional_info,
        "metadata": draft.metadata,
        "holder_id": draft.holder_id,
        "is_referral_code": draft.is_referral_code,
        "redemption_quantity": draft.quantity,
        "redeemed_quantity": row.redeemed_quantity,
        "publications_count": 0,
        "created_at": unit.now_ms if draft.created_at is None else draft.created_at,
        "updated_at": row.updated_at,
    }


def _said(item: Item, draft: VoucherDraft, stored: Any) -> dict[str, Any]:
    """What the row says of the voucher, by column of the table."""
    row: VoucherRow = item.value
    values: dict[str, Any] = {
        "category": draft.category, "start_date": draft.start_date, "expiration_date": draft.expiration_date,
        "validity_timeframe": draft.validity_timeframe, "validity_day_of_week": draft.validity_day_of_week,
        "additional_info": draft.additional_info, "redemption_quantity": draft.quantity, "holder_id": draft.holder_id,
        "metadata": draft.metadata, "active": draft.active, "is_referral_code": draft.is_referral_code,
        "redeemed_quantity": row.redeemed_quantity, "created_at": draft.created_at, "campaign_id": draft.campaign_id,
    }  # fmt: skip
    said: dict[str, Any] = {"code": draft.code, "type": draft.type.value}
    for name, cell in item.cells.items():
        column = _COMPARED.get("metadata" if name.startswith("metadata.") else name)
        if column is None and cell is not None:
            column = _COMPARED_IF_SAID.get(name)
        if column is not None:
            said[column] = values[column]
    if draft.discount is not None:
        # The file shows the parts of a discount that have a column; what else the stored one says is its own.
        parts: Mapping[str, Any] = stored.discount or {}
        said["discount"] = {**parts, **draft.discount}
    return said


def _write(unit: Unit, connection: Connection, writing: _Writing) -> None:
    rows = [
        tuple(_text(values[name]) if name in _JSON else values[name] for name in _COLUMNS) for values in writing.rows
    ]
    bulk.insert_rows(connection, vouchers, _COLUMNS, rows)
    settled = [
        (card.id, card.balance, card.total, card.subtracted, card.redeemed, card.expired) for card in writing.settled
    ]
    bulk.update_sums(connection, unit.project_id, settled)
    counted = Counter(values["campaign_id"] for values in writing.rows if values["campaign_id"] is not None)
    bulk.count_vouchers(connection, counted, unit.project_id)
    bulk.insert_rows(connection, movements, bulk.MOVEMENT_COLUMNS, [
        (
            unit.project_id, seq, opening_movement_id(card.id), card.id, card.campaign_id, card.holder_id, OPENING,
            card.balance, card.balance, None, None, None, None, None, None, card.created_at, unit.now_ms,
        )
        for seq, card in zip(unit.next_seqs(len(writing.opened)), writing.opened, strict=True)
    ])  # fmt: skip
    bulk.insert_rows(connection, buckets, bulk.BUCKET_COLUMNS, [
        (
            unit.project_id, unplaced_bucket_id(card.id), card.id, card.campaign_id, card.balance, None, "ACTIVE",
            unit.now_ms, unit.now_ms,
        )
        for card in writing.opened
        if card.kind is CardKind.LOYALTY
    ])  # fmt: skip


def _text(document: Any) -> str | None:
    return None if document is None else _encode(document).decode()
