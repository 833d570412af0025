"""Bringing a file into a project, a batch at a time: each one a transaction, in which the good rows are taken in.

The next block is read while the last one commits. A file that was cut short by a crash is simply brought in again: rows
that are there already are known by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from counterfoil.dataplane.intake import Block
from counterfoil.db.unit import Unit
from counterfoil.errors import InvalidInput
from counterfoil.services.core import Caller, Core
from counterfoil.services.imports.buckets import BucketImporter
from counterfoil.services.imports.campaigns import CampaignImporter
from counterfoil.services.imports.customers import CustomerImporter
from counterfoil.services.imports.movements import MovementImporter
from counterfoil.services.imports.orders import OrderImporter
from counterfoil.services.imports.report import Importer, ImportOptions, Outcome, Refusal, Report
from counterfoil.services.imports.vouchers import VoucherImporter

_IMPORTERS: dict[str, Callable[[ImportOptions], Importer]] = {
    "campaign": CampaignImporter,
    "customer": CustomerImporter,
    "voucher": VoucherImporter,
    "order": OrderImporter,
    "points_expiration": BucketImporter,
    "voucher_transactions": MovementImporter,
    "movement": MovementImporter,
}

OnBatch = Callable[[Report, tuple[Refusal, ...]], object]
"""Called after each batch with the sums so far and the batch's refusals."""


class Blocks(Protocol):
    """A file that gives its rows in blocks."""

    def blocks(self, rows: int) -> Iterator[Block]:
        """See dataplane.intake.Intake."""
        ...


class ImportService:
    """Brings in whole files."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def run(
        self, caller: Caller, object_name: str, file: Blocks, options: ImportOptions, on_batch: OnBatch | None = None
    ) -> Report:
        """Bring a file of one kind of object (catalog.importables) into the caller's project; returns the sums.

        Raises InvalidInput where the file cannot be read on, and, when strict, at the first refused row (`row_refused`);
        Unavailable when the database goes away. What was committed before stays, and has been told to on_batch.
        """
        importer = _IMPORTERS[object_name](options)
        report = Report()
        under_way: tuple[Block, Future[Outcome]] | None = None

        def finish() -> None:
            nonlocal under_way
            if under_way is None:
                return
            (block, future), under_way = under_way, None
            outcome = future.result()
            importer.committed(outcome)
            report.add(block.rows, outcome)
            if on_batch is not None:
                on_batch(report, outcome.refused)

        with ThreadPoolExecutor(1, "counterfoil-import") as writing:
            try:
                for block in file.blocks(options.batch_rows):
                    given = importer.read(block)
                    finish()
                    under_way = block, writing.submit(self._commit, caller, importer, given, strict=options.strict)
            finally:
                finish()
        return report

    def _commit(self, caller: Caller, importer: Importer, given: object, *, strict: bool) -> Outcome:
        """One batch, in a transaction that nobody shares: a group's savepoint would copy every page a batch touches."""
        with self._core.database.write() as connection:
            unit = Unit(connection, caller.project_id, self._core.clock.now_ms())
            outcome = importer.apply(unit, given)
            if strict and outcome.refused:
                first = outcome.refused[0]
                raise InvalidInput("row_refused", f"Line {first.line}: {first.reason}", value=first.id)
            unit.flush()
        return outcome
