"""Lists of movements, as the dialects call them transactions: of a voucher, a campaign, a member's card."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from counterfoil.catalog.objects import exportable
from counterfoil.db import campaigns, movements, vouchers
from counterfoil.db.movements import EXPORTABLE, MovementQuery, Row
from counterfoil.domain.campaigns import CampaignType
from counterfoil.domain.vouchers import VoucherType
from counterfoil.errors import InvalidInput, NotFound
from counterfoil.plan.filters import resolve
from counterfoil.plan.request import Filter
from counterfoil.services.core import Caller, Core
from counterfoil.services.loyalty import member_row

_ALL = Filter()


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Which part of a list is wanted. starting_after_id: the last movement seen. filter: as asked, unresolved."""

    limit: int = 10
    descending: bool = True
    starting_after_id: str | None = None
    filter: Filter = _ALL


@dataclass(frozen=True, slots=True)
class Transactions:
    """A page of movements (`db.movements.Row`), and whether more follow. has_cards: whether there can be any at all."""

    rows: tuple[Row, ...]
    has_more: bool
    has_cards: bool = True


class TransactionService:
    """The use-cases of transaction lists. All raise NotFound, and InvalidInput for a starting_after_id unknown here."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def of_voucher(self, caller: Caller, name: str, page: TransactionPage) -> Transactions:
        """Those of a voucher by code or id; a discount voucher has none."""
        with self._core.read() as connection:
            row = vouchers.voucher_row(connection, caller.project_id, name)
            if row["type"] == VoucherType.DISCOUNT:
                return Transactions((), has_more=False, has_cards=False)
            return self._listed(connection, caller, page, voucher_id=row["id"])

    def of_member(
        self, caller: Caller, member: str, page: TransactionPage, campaign: str | None = None
    ) -> Transactions:
        """Those of a loyalty card by code or id. campaign: id or name of the programme it must be of."""
        with self._core.read() as connection:
            row = member_row(connection, caller.project_id, member, campaign)
            return self._listed(connection, caller, page, voucher_id=row["id"])

    def of_campaign(self, caller: Caller, name: str, page: TransactionPage, *, loyalty: bool = False) -> Transactions:
        """Those of all cards of a campaign by id or name. loyalty: it must be a loyalty programme."""
        with self._core.read() as connection:
            row = campaigns.campaign_row(connection, caller.project_id, name)
            kind = CampaignType(row["campaign_type"])
            if loyalty and kind is not CampaignType.LOYALTY:
                raise NotFound("campaign", name)
            if not any(each.card_kind for each in kind.voucher_types):
                return Transactions((), has_more=False, has_cards=False)
            return self._listed(connection, caller, page, campaign_id=row["id"])

    def _listed(
        self,
        connection: Connection,
        caller: Caller,
        page: TransactionPage,
        voucher_id: str | None = None,
        campaign_id: str | None = None,
    ) -> Transactions:
        after_seq = None
        if page.starting_after_id is not None:
            after = movements.movement_by_id(connection, caller.project_id, page.starting_after_id)
            if after is None:
                raise InvalidInput("invalid_query_params", f"No transaction has the id {page.starting_after_id}",
                                   field="starting_after_id", value=page.starting_after_id)  # fmt: skip
            after_seq = after["seq"]
        resolved = resolve(page.filter, exportable(EXPORTABLE), now_ms=self._core.clock.now_ms())
        query = MovementQuery(voucher_id, campaign_id, page.descending, after_seq, page.limit, resolved)
        rows, has_more = movements.list_movements(connection, caller.project_id, query)
        return Transactions(tuple(rows), has_more)
