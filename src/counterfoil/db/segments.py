"""Segments: which columnar files hold which movements, and the movements themselves as a sealer reads them.

The table is the archive's only truth: what no LIVE row names is never read. LIVE segments of a project never share a
movement and together hold the movements 1..sealed_seq, so that their rows add up to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.catalog.objects import exportable
from counterfoil.db.duckdb_dialect import rendered
from counterfoil.db.exportables import field_values
from counterfoil.db.filters import compile_filter
from counterfoil.db.now import db_now_ms
from counterfoil.db.schema import counters, exports, movements, segments
from counterfoil.errors import Conflict
from counterfoil.plan.planner import Archive
from counterfoil.plan.request import Filter
from counterfoil.plan.task import SegmentRef

MOVEMENT_VALUES = (
    *("id", "campaign_id", "voucher_id", "type", "source_id", "reason", "source", "balance", "amount"),
    *("related_transaction_id", "created_at", "details", "seq", "customer_id", "recorded_at", "lots"),
)
"""The columns of a movement in the order of `movement_values` and of a segment: all of them but the project."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A LIVE segment. level: 0 as it was sealed, higher as it was rewritten. stats: see `archive.segment_file`."""

    ref: SegmentRef
    level: int
    stats: dict[str, Any]

    @property
    def late(self) -> bool:
        """Whether it holds movements dated before others that had been sealed already, so that it lies over them."""
        return bool(self.stats.get("late"))

    @property
    def damaged(self) -> bool:
        """Whether a reader found it damaged or missing."""
        return bool(self.stats.get("damaged"))


_names = ("id", "key", "format", "hash", "rows", "bytes", "seq_from", "seq_to", "created_from", "created_to")
_refs = sa.select(*(segments.c[name] for name in _names))
_live = (segments.c.project_id == sa.bindparam("project")) & (segments.c.status == "LIVE")
_sealed = sa.select(
    sa.func.coalesce(sa.func.max(segments.c.seq_to), 0), sa.func.coalesce(sa.func.sum(segments.c.rows), 0)
).where(_live)
_live_refs = _refs.where(_live).order_by(segments.c.created_from, segments.c.seq_from)
_live_rows = _live_refs.add_columns(segments.c.level, segments.c.stats)
_values = (
    sa.select(*(movements.c[name] for name in MOVEMENT_VALUES))
    .where(
        movements.c.project_id == sa.bindparam("project"),
        movements.c.seq.between(sa.bindparam("seq_from"), sa.bindparam("seq_to")),
    )
    .order_by(movements.c.seq)
)
_tail_bounds = sa.select(sa.func.min(movements.c.created_at), sa.func.max(movements.c.created_at)).where(
    movements.c.project_id == sa.bindparam("project"),
    movements.c.seq.between(sa.bindparam("seq_from"), sa.bindparam("seq_to")),
)


def live_segments(connection: Connection, project_id: int) -> list[Segment]:
    """Every LIVE segment of the project, by created_from."""
    rows: Any = connection.execute(_live_rows, {"project": project_id})
    count = len(_names)
    return [Segment(SegmentRef(*row[:count]), row.level, row.stats or {}) for row in rows]


def sealed_seq(connection: Connection, project_id: int) -> int:
    """The last movement that is sealed. Raises Conflict `archive_has_holes` when segments do not add up to it."""
    highest, rows = connection.execute(_sealed, {"project": project_id}).one()
    if highest != rows:
        raise Conflict("archive_has_holes", f"Project {project_id}: {rows} rows are sealed, the last is {highest}")
    return int(highest)


def archive_of(connection: Connection, project_id: int, seq_max: int) -> Archive | None:
    """The archive as a plan needs it, for an export as of seq_max; None when nothing is sealed.

    Looks at the time range of the movements that are not sealed: about a millisecond for some thousands of them.
    """
    refs = tuple(SegmentRef(*row) for row in connection.execute(_live_refs, {"project": project_id}))
    if not refs:
        return None
    sealed = max(ref.seq_to for ref in refs)
    if sealed >= seq_max:
        return Archive(refs, sealed)
    values = {"project": project_id, "seq_from": sealed + 1, "seq_to": seq_max}
    created_from, created_to = connection.execute(_tail_bounds, values).one()
    return Archive(refs, sealed, created_from, created_to)


def latest_created(connection: Connection, project_id: int) -> int | None:
    """The latest created_at in the archive, ms; None when it is empty."""
    statement = sa.select(sa.func.max(segments.c.created_to)).where(_live)
    return connection.execute(statement, {"project": project_id}).scalar_one()


def unsealed(connection: Connection) -> list[tuple[int, int]]:
    """(project, movements that are not sealed) for every project that has some, the most first."""
    sealed = (
        sa.select(sa.func.coalesce(sa.func.sum(segments.c.rows), 0))
        .where(segments.c.project_id == counters.c.project_id, segments.c.status == "LIVE")
        .scalar_subquery()
    )
    rows = (counters.c.movement_seq - sealed).label("unsealed")
    statement = sa.select(counters.c.project_id, rows).where(counters.c.movement_seq > sealed).order_by(rows.desc())
    return [(int(row[0]), int(row[1])) for row in connection.execute(statement)]


def archived_projects(connection: Connection) -> list[int]:
    """Projects that have segments, retired ones too."""
    statement = sa.select(segments.c.project_id).distinct().order_by(segments.c.project_id)
    return list(connection.execute(statement).scalars())


def damaged_projects(connection: Connection) -> set[int]:
    """Projects with a LIVE segment that a reader found damaged."""
    statement = sa.select(segments.c.project_id, segments.c.stats).where(
        segments.c.status == "LIVE", sa.type_coerce(segments.c.stats, sa.Text).contains('"damaged":true')
    )
    return {row[0] for row in connection.execute(statement) if row[1].get("damaged")}


def movement_values(connection: Connection, project_id: int, seq_from: int, seq_to: int) -> list[tuple[Any, ...]]:
    """The movements seq_from..seq_to in the order of seq: one tuple of MOVEMENT_VALUES each, instants in ms."""
    values = {"project": project_id, "seq_from": seq_from, "seq_to": seq_to}
    # The driver's own tuples: every column is text or an integer, so there is nothing for SQLAlchemy to convert.
    cursor: Any = connection.execute(_values, values).cursor
    return cursor.fetchall()


def mask_statement(object_name: str, asked: Filter) -> tuple[str, list[Any]]:
    """DuckDB's SQL that gives one boolean for each row of the relation `movements`, and its parameters.

    asked: a resolved filter over fields that are columns of the movements table; instants must be BIGINT ms there.
    """
    about = exportable(object_name)
    test = compile_filter(asked, about, field_values(about, asked, {"": movements}))
    return rendered(sa.select(test.label("wanted")).select_from(movements))


# -- writing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment whose file is sealed already, and what is known of it."""

    ref: SegmentRef
    level: int
    stats: Mapping[str, Any]


def add_sealed(connection: Connection, project_id: int, behind_seq: int, new: Sequence[NewSegment]) -> None:
    """Record segments that hold what follows the movement behind_seq, without a hole.

    Raises Conflict `archive_moved` when another sealer was there first. In a transaction that holds the duty.
    """
    if sealed_seq(connection, project_id) != behind_seq:
        raise Conflict("archive_moved", f"Project {project_id}: what follows movement {behind_seq} is sealed already")
    _insert(connection, project_id, new)
    sealed_seq(connection, project_id)


def swap(connection: Connection, project_id: int, old: Sequence[Segment], new: Sequence[NewSegment]) -> None:
    """Put new segments in the place of old ones that hold the same movements, and retire those.

    Raises Conflict `archive_moved` when one of them is not LIVE any more, and when rows would appear or vanish.
    """
    if sum(segment.ref.rows for segment in old) != sum(segment.ref.rows for segment in new):
        raise Conflict("archive_moved", f"Project {project_id}: a rewrite would change the number of rows")
    ids = [segment.ref.id for segment in old]
    retired = connection.execute(
        segments.update()
        .where(segments.c.project_id == project_id, segments.c.id.in_(ids), segments.c.status == "LIVE")
        .values(status="RETIRED", retired_at=db_now_ms())
    )
    if retired.rowcount != len(ids):
        raise Conflict("archive_moved", f"Project {project_id}: a segment was rewritten by another")
    _insert(connection, project_id, new)
    sealed_seq(connection, project_id)


def store_stats(connection: Connection, project_id: int, segment_id: str, stats: Mapping[str, Any]) -> None:
    """Replace what is known of a segment."""
    mine = (segments.c.project_id == project_id) & (segments.c.id == segment_id)
    connection.execute(segments.update().where(mine).values(stats=dict(stats)))


def mark_damaged(connection: Connection, project_id: int, segment_id: str) -> bool:
    """Note that a reader could not read a LIVE segment; whether it was news."""
    mine = (segments.c.project_id == project_id) & (segments.c.id == segment_id) & (segments.c.status == "LIVE")
    stats = connection.execute(sa.select(segments.c.stats).where(mine)).scalar_one_or_none()
    if stats is None or stats.get("damaged"):
        return False
    store_stats(connection, project_id, segment_id, {**stats, "damaged": True})
    return True


def _insert(connection: Connection, project_id: int, new: Iterable[NewSegment]) -> None:
    for segment in new:
        ref = segment.ref
        connection.execute(
            segments.insert().values(
                project_id=project_id, id=ref.id, status="LIVE", level=segment.level, seq_from=ref.seq_from,
                seq_to=ref.seq_to, created_from=ref.created_from, created_to=ref.created_to, rows=ref.rows,
                bytes=ref.size_bytes, format=ref.format, hash=ref.hash, key=ref.key, stats=dict(segment.stats),
                created_at=db_now_ms(),
            )
        )  # fmt: skip


# -- the end of a segment ---------------------------------------------------------------------------------------------


def removable(connection: Connection, project_id: int, retired_ms_ago: int) -> list[tuple[str, str]]:
    """(id, key) of segments retired so long ago, and before every export that runs now began: nobody reads them."""
    running = sa.select(sa.func.min(exports.c.started_at)).where(exports.c.status == "IN_PROGRESS").scalar_subquery()
    statement = sa.select(segments.c.id, segments.c.key).where(
        segments.c.project_id == project_id,
        segments.c.status == "RETIRED",
        segments.c.retired_at <= db_now_ms() - retired_ms_ago,
        sa.or_(running.is_(None), segments.c.retired_at < running),
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]


def remove_retired(connection: Connection, project_id: int, ids: Sequence[str]) -> None:
    """Forget retired segments whose files are gone."""
    connection.execute(
        segments.delete().where(
            segments.c.project_id == project_id, segments.c.id.in_(ids), segments.c.status == "RETIRED"
        )
    )


def named_keys(connection: Connection, project_id: int) -> set[str]:
    """Keys of every file that the table names, LIVE or RETIRED."""
    return set(connection.execute(sa.select(segments.c.key).where(segments.c.project_id == project_id)).scalars())
