"""From a claimed export to its plan: the request as asked, as of its seq, over the archive as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import exportable
from counterfoil.catalog.points_transactions import POINTS_TRANSACTION
from counterfoil.dataplane.scan_rows import reads_movements
from counterfoil.db.engine import Database
from counterfoil.db.exportables import metadata_names
from counterfoil.db.movements import count_of_campaigns
from counterfoil.db.programmes import currency_of
from counterfoil.db.projects import get_project
from counterfoil.db.queue import Claim
from counterfoil.plan import planner
from counterfoil.plan.planner import Archive, PlanLimits
from counterfoil.plan.task import Plan, Selection

ArchiveOf = Callable[[Connection, int, int], Archive | None]
"""(connection, project_id, seq_max) → what is sealed, or None."""


def no_archive(connection: Connection, project_id: int, seq_max: int) -> Archive | None:
    """Nothing is sealed."""
    return None


@dataclass(frozen=True, slots=True)
class Showing:
    """What the columns of a file need besides their rows. scales: decimal digits by field. given: see `Shown`."""

    scales: Mapping[str, int]
    given: Mapping[str, str]


def showing(connection: Connection, claim: Claim) -> Showing | None:
    """For points transactions: the project's key, and the currency of the one programme that the scope names.

    Of several programmes together amounts are shown as they are kept, and no currency. None for other objects.
    """
    about = exportable(claim.object)
    if about is not POINTS_TRANSACTION:
        return None
    project = get_project(connection, claim.project_id)
    given = {} if project is None else {"transaction_id": project.key}
    programme = _only_campaign(claim)
    currency = None if programme is None else currency_of(connection, claim.project_id, programme)
    if currency is None:
        return Showing({}, given)
    given |= {"points_currency_iid": str(currency.iid), "points_currency_eid": currency.eid}
    return Showing({each.name: currency.scale for each in about.fields if each.kind is Kind.MONEY}, given)


def _only_campaign(claim: Claim) -> str | None:
    for each in claim.request.scope.fields:
        for condition in each.conditions:
            if each.field == "campaign_id" and condition.operator == "in" and len(condition.operands) == 1:
                return str(condition.operands[0])
    return None


@dataclass(frozen=True, slots=True)
class ExportPlanner:
    """Plans claims. Every try of an export plans the same unless the archive, or the known metadata, has grown."""

    database: Database
    limits: PlanLimits = field(default_factory=PlanLimits)
    archive_of: ArchiveOf = no_archive

    def __call__(self, claim: Claim) -> Plan:
        """The plan. Raises InvalidInput for a request that cannot be planned (it was checked when it was asked)."""
        request = claim.request
        with self.database.read() as connection:
            wants_names = "metadata" in request.fields
            names = metadata_names(connection, request.object, claim.project_id) if wants_names else ()
            shown = showing(connection, claim)
            selection = planner.select(
                request,
                project_id=claim.project_id,
                seq_max=claim.seq_max,
                now_ms=claim.created_at,
                metadata_names=names,
                scales=None if shown is None else shown.scales,
                given=None if shown is None else shown.given,
            )
            indexed_rows = self._indexed_rows(connection, selection)
            archive = None
            if planner.asks_archive(selection, self.limits, indexed_rows):
                archive = self.archive_of(connection, claim.project_id, claim.seq_max)
        return planner.plan_selection(selection, archive=archive, limits=self.limits, indexed_rows=indexed_rows)

    def _indexed_rows(self, connection: Connection, selection: Selection) -> int | None:
        """How many movements the campaigns asked for have, or None when they are too many to be read by the index."""
        campaigns = planner.campaigns_asked(selection)
        at_most = planner.rows_by_index(selection, self.limits)
        if campaigns is None or not at_most or not reads_movements(selection.object):
            return None
        count = count_of_campaigns(connection, selection.project_id, campaigns, selection.seq_max, at_most + 1)
        return count if count <= at_most else None
