"""What a worker is told, and why each default is what it is."""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil.errors import Misconfigured

MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Knobs of one worker process.

    threads: exports run at once; with two or more, one thread is kept for exports of at most `quick_rows_max` rows, so
    that a small one never waits for huge ones (a huge one uses every core by itself anyway).
    lease_ttl_s: how long a silent worker keeps an export. Short enough that a killed worker's export goes on while
    somebody waits for it, long enough for a stalled disk or a slow failover of the database.
    watch_s: how often a running export looks whether it was canceled or lost; with the time to the next batch this
    keeps the stop within a second. Reading costs nearly nothing, renewing (a write) happens at a third of the lease.
    poll_s: how often an idle worker looks for exports that another process queued.
    tries_max: attempts that may be spent on crashes and passing failures before the export ends as ERROR.
    backoff_s, backoff_max_s: the wait before the second try, doubled for each further one, and its bound.
    parts_rows_min: from so many rows on, a local export is made in parts that a later attempt takes over. Parts are
    written twice (once each, once joined), so below that repeating the work after a crash is cheaper: 50 million rows
    are some fifteen seconds on two cores.
    count_after_s: how long an export runs before its rows are counted for its progress; most are done by then.
    spark_from_rows: from so many rows on, an export for which nobody named an executor runs on Spark. None: never. A job
    there costs some seconds whatever its size, and a local core does two million rows a second.
    retention_days: how long files are kept; then the export is EXPIRED.
    record_retention_days: how long the record of an ended export without a file is kept.
    split_files_max: into how many files one export may be cut; more ends it as ERROR that says so.
    duties_every_s: how often somebody looks for lost workers and ended retention.
    orphans_every_s: how often the whole store is compared with the table; listing it costs requests.
    remnant_age_s: how old an unsealed file must be to be taken for a dead writer's; longer than any export runs.
    """

    threads: int = 2
    lease_ttl_s: float = 15.0
    watch_s: float = 0.5
    poll_s: float = 1.0
    tries_max: int = 5
    backoff_s: float = 2.0
    backoff_max_s: float = 300.0
    quick_rows_max: int = 2_000_000
    parts_rows_min: int = 50_000_000
    count_after_s: float = 2.0
    spark_from_rows: int | None = None
    retention_days: int = 30
    record_retention_days: int = 365
    split_files_max: int = 1_000
    duties_every_s: float = 30.0
    orphans_every_s: float = 3_600.0
    remnant_age_s: float = 86_400.0

    def __post_init__(self) -> None:
        """Raise Misconfigured for values that contradict each other."""
        if self.watch_s >= self.lease_ttl_s / 3:
            raise Misconfigured(
                "invalid_setting",
                f"watch_s ({self.watch_s}) must be below a third of lease_ttl_s ({self.lease_ttl_s}), or leases run "
                "out between two looks",
            )

    @property
    def lease_ttl_ms(self) -> int:
        """The lease in ms."""
        return round(self.lease_ttl_s * 1000)

    @property
    def retention_ms(self) -> int:
        """How long files are kept, ms."""
        return self.retention_days * MS_PER_DAY

    @property
    def record_retention_ms(self) -> int:
        """How long records are kept, ms."""
        return self.record_retention_days * MS_PER_DAY

    def backoff_ms(self, tries: int) -> int:
        """The wait after the try of that number, ms."""
        return round(1000 * min(self.backoff_s * 2.0 ** max(0, tries - 1), self.backoff_max_s))
