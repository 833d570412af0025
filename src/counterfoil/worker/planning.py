"""From a claimed export to its plan: the request as asked, as of its seq, over the archive as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from counterfoil.db.engine import Database
from counterfoil.db.exportables import metadata_names
from counterfoil.db.queue import Claim
from counterfoil.plan import planner
from counterfoil.plan.planner import Archive, PlanLimits
from counterfoil.plan.task import Plan

ArchiveOf = Callable[[Connection, int, int], Archive | None]
"""(connection, project_id, seq_max) → what is sealed, or None."""

ScalesOf = Callable[[Connection, Claim], Mapping[str, int] | None]
"""(connection, claim) → decimal digits of amounts by field, or None."""


def no_archive(connection: Connection, project_id: int, seq_max: int) -> Archive | None:
    """Nothing is sealed."""
    return None


def no_scales(connection: Connection, claim: Claim) -> Mapping[str, int] | None:
    """Amounts are shown as they are kept."""
    return None


@dataclass(frozen=True, slots=True)
class ExportPlanner:
    """Plans claims. Every try of an export plans the same unless the archive, or the known metadata, has grown."""

    database: Database
    limits: PlanLimits = field(default_factory=PlanLimits)
    archive_of: ArchiveOf = no_archive
    scales_of: ScalesOf = no_scales

    def __call__(self, claim: Claim) -> Plan:
        """The plan. Raises InvalidInput for a request that cannot be planned (it was checked when it was asked)."""
        request = claim.request
        with self.database.read() as connection:
            wants_names = "metadata" in request.fields
            names = metadata_names(connection, request.object, claim.project_id) if wants_names else ()
            archive = self.archive_of(connection, claim.project_id, claim.seq_max)
            scales = self.scales_of(connection, claim)
        return planner.plan(
            request,
            project_id=claim.project_id,
            seq_max=claim.seq_max,
            now_ms=claim.created_at,
            archive=archive,
            metadata_names=names,
            scales=scales,
            limits=self.limits,
        )
