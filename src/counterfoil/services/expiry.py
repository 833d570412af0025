"""Points expire after their last day of use: lazily whenever a card is touched, and all the others by this duty.

Both go through `unit.kept_card`, under the project's lock, so each bucket expires once, however many duties run, and after a
long outage as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from counterfoil.clock import iso_date
from counterfoil.db import buckets, projects
from counterfoil.db.unit import Unit
from counterfoil.services.core import Core
from counterfoil.services.duty import alone

DUTY = "points_expiry"
"""The name under which the duty is taken, so that one process at a time does it."""

BATCH = 500
"""Cards expired in one transaction: a fraction of a second, so that other writes are not kept waiting."""


@dataclass(frozen=True, slots=True)
class ExpiryService:
    """The duty that expires points. batch: cards per transaction."""

    core: Core
    batch: int = BATCH

    def run_due(self) -> int:
        """Expire every bucket whose last day of use is past, in every project; returns how many cards had one.

        0 when another process is at it. Safe to run twice, and again after it was cut off: what is expired is no longer
        due.
        """
        return alone(self.core, DUTY, self.batches)

    def batches(self) -> Iterator[int]:
        """The work itself, batch by batch: how many cards each had. Correct however many go through it at once."""
        with self.core.read() as connection:
            ids = [project.id for project in projects.all_projects(connection)]
        for project_id in ids:
            before = None
            while found := self._due(project_id):
                # What a duty cannot expire stays due; it would be found for ever.
                assert found != before, f"cards of project {project_id} stay due: {found[:3]}"
                self.core.writer.run(project_id, lambda unit, ids=tuple(found): _touch(unit, ids), cards=found)
                before = found
                yield len(found)

    def _due(self, project_id: int) -> list[str]:
        today = iso_date(self.core.clock.now_ms())
        with self.core.read() as connection:
            return buckets.cards_with_due(connection, project_id, today, self.batch)


def _touch(unit: Unit, ids: tuple[str, ...]) -> None:
    for card_id in ids:
        unit.kept_card(card_id)
