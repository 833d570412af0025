"""The exports row as a worker sees it: claimed, kept by a lease, written to under its fence, and ended.

Every write names id, attempt and owner and demands a live lease in the same statement, so a worker that lost its export
cannot touch it, however late it wakes. Times are the database's clock. A lease that ran out is never revived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from counterfoil.db.now import db_now_ms, has_come
from counterfoil.db.schema import counters, export_parts, exports, manifests
from counterfoil.errors import Canceled, Conflict, LeaseLost
from counterfoil.plan.request import ExportRequest


@dataclass(frozen=True, slots=True)
class Claim:
    """An export that this worker owns for as long as its lease lives.

    attempt: fence and folder number, never used twice. tries: how many attempts its budget has paid for, this one
    included. created_at: when it was asked for, ms.
    """

    project_id: int
    export_id: str
    attempt: int
    owner: str
    tries: int
    dialect: str
    object: str
    request: ExportRequest
    seq_max: int
    created_at: int

    @property
    def folder(self) -> str:
        """Where this attempt, and no other, puts its files."""
        return f"{export_folder(self.project_id, self.export_id)}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class RecordedPart:
    """A finished part as the table has it; `sums` is what the proof needs of it."""

    no: int
    task_hash: str
    attempt: int
    key: str
    rows: int
    size_bytes: int
    sha256: str
    sums: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """A link of the project's chain: number `no`, the hash of its file, and of the one before (None: the first)."""

    no: int
    hash: str
    prev_hash: str | None
    key: str
    created_at: int


def export_folder(project_id: int, export_id: str) -> str:
    """The folder of all attempts of an export."""
    return f"exports/{project_id}/{export_id}"


# -- claiming ---------------------------------------------------------------------------------------------------------


_waiting, _running = exports.alias("waiting"), exports.alias("running")
_rows_max = sa.bindparam("rows_max", type_=sa.BigInteger)
_due = sa.and_(
    _waiting.c.status == "SCHEDULED",
    has_come(_waiting.c.available_at),
    sa.or_(_rows_max.is_(None), _waiting.c.rows_total.is_(None), _waiting.c.rows_total <= _rows_max),
)
_is_due = sa.select(sa.literal(1)).where(_due).limit(1)


def _candidate() -> sa.Select[int, str]:
    """The next export: of the project with the fewest running, the oldest.

    So one project's queue, however long, delays another's first export by no more than what runs already.
    """
    busy = (
        sa.select(sa.func.count())
        .where(_running.c.project_id == _waiting.c.project_id, _running.c.status == "IN_PROGRESS")
        .scalar_subquery()
    )
    return (
        sa.select(_waiting.c.project_id, _waiting.c.id)
        .where(_due)
        .order_by(busy, _waiting.c.created_at, _waiting.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=_waiting)
    )


_next = _candidate().cte("next_export")
_claim = (
    exports.update()
    .where(exports.c.project_id == _next.c.project_id, exports.c.id == _next.c.id, exports.c.status == "SCHEDULED")
    .values(
        status="IN_PROGRESS",
        attempt=exports.c.attempt + 1,
        tries=exports.c.tries + 1,
        lease_owner=sa.bindparam("owner"),
        lease_until=db_now_ms() + sa.bindparam("ttl_ms", type_=sa.BigInteger),
        started_at=sa.func.coalesce(exports.c.started_at, db_now_ms()),
    )
    .returning(
        exports.c.project_id,
        exports.c.id,
        exports.c.attempt,
        exports.c.lease_owner,
        exports.c.tries,
        exports.c.dialect,
        exports.c.object,
        exports.c.request,
        exports.c.seq_max,
        exports.c.created_at,
    )
)


def anything_due(connection: Connection, *, rows_max: int | None = None) -> bool:
    """Whether `claim` would find something: a look that takes no lock, for idle workers."""
    return connection.execute(_is_due, {"rows_max": rows_max}).one_or_none() is not None


def claim(connection: Connection, owner: str, ttl_ms: int, *, rows_max: int | None = None) -> Claim | None:
    """Take the next export that is due, or None.

    rows_max: take no export that is known to have more rows; a worker thread that asks so, and gives back what its
    plan shows to be larger, is never held up by a huge one. Needs a writing transaction: on SQLite BEGIN IMMEDIATE makes it alone, on PostgreSQL the row is
    locked and rows others are taking are skipped.
    """
    row = connection.execute(_claim, {"owner": owner, "ttl_ms": ttl_ms, "rows_max": rows_max}).one_or_none()
    if row is None:
        return None
    values = row._asdict()  # pyright: ignore[reportPrivateUsage] - a named tuple's public method
    request = msgspec.convert(values["request"], ExportRequest)
    return Claim(
        values["project_id"], values["id"], values["attempt"], values["lease_owner"], values["tries"],
        values["dialect"], values["object"], request, values["seq_max"], values["created_at"],
    )  # fmt: skip


# -- the fence --------------------------------------------------------------------------------------------------------


def _fence(claim: Claim) -> sa.ColumnElement[bool]:
    return sa.and_(
        exports.c.project_id == claim.project_id,
        exports.c.id == claim.export_id,
        exports.c.attempt == claim.attempt,
        exports.c.lease_owner == claim.owner,
        exports.c.status == "IN_PROGRESS",
        exports.c.lease_until > db_now_ms(),
    )


def _fenced(connection: Connection, claim: Claim, *also: sa.ColumnElement[bool], **values: Any) -> None:
    statement = exports.update().where(_fence(claim), *also).values(**values)
    if connection.execute(statement).rowcount != 1:
        raise _lost(connection, claim)


def _lost(connection: Connection, claim: Claim) -> LeaseLost | Canceled:
    """Why a fenced write touched no row. Only words depend on this second look; the row was safe already."""
    row = connection.execute(
        sa.select(exports.c.status, exports.c.attempt, exports.c.cancel_requested).where(
            exports.c.project_id == claim.project_id, exports.c.id == claim.export_id
        )
    ).one_or_none()
    if row is not None and row.attempt == claim.attempt and row.cancel_requested:
        return Canceled(claim.export_id)
    return LeaseLost(claim.export_id, claim.attempt)


# -- while it runs ----------------------------------------------------------------------------------------------------


def renew(connection: Connection, claim: Claim, ttl_ms: int, rows_done: int | None = None) -> None:
    """Extend the lease to `ttl_ms` from now and tell the progress. Raises LeaseLost, or Canceled when that was asked."""
    values: dict[str, Any] = {} if rows_done is None else {"rows_done": _never_less(rows_done)}
    until = db_now_ms() + ttl_ms
    _fenced(connection, claim, exports.c.cancel_requested.is_(False), lease_until=until, **values)


def watch(connection: Connection, claim: Claim) -> None:
    """Look, without writing, whether the export is still ours. Raises LeaseLost, or Canceled when that was asked."""
    alive = sa.select(sa.literal(1)).where(_fence(claim), exports.c.cancel_requested.is_(False))
    if connection.execute(alive).one_or_none() is None:
        raise _lost(connection, claim)


def _never_less(rows_done: int) -> sa.ColumnElement[int]:
    """rows_done as the most that any attempt has done: a new attempt begins again, its progress does not."""
    return sa.case((exports.c.rows_done > rows_done, exports.c.rows_done), else_=rows_done)


def record_plan(connection: Connection, claim: Claim, *, path: str, executor: str, rows_total: int | None) -> None:
    """Write down how this attempt goes about it, for whoever looks. Of several attempts' estimates the least counts, so
    that what is shown as done never becomes less."""
    known = {} if rows_total is None else {"rows_total": _never_more(rows_total)}
    _fenced(connection, claim, path=path, executor=executor, **known)


def record_count(connection: Connection, claim: Claim, rows_total: int) -> None:
    """Write down how many rows there will be, for whoever looks at the progress."""
    _fenced(connection, claim, rows_total=_never_more(rows_total))


def _never_more(rows_total: int) -> sa.ColumnElement[int]:
    smaller = (exports.c.rows_total < rows_total, exports.c.rows_total)
    return sa.case(smaller, else_=rows_total)


def record_part(connection: Connection, claim: Claim, part: RecordedPart, rows_done: int) -> None:
    """Remember a finished part, so that a later attempt need not make it again.

    The fenced update comes first and locks the export's row, so nobody can take the export before this commits.
    """
    _fenced(connection, claim, rows_done=_never_less(rows_done))
    row = {
        "project_id": claim.project_id,
        "export_id": claim.export_id,
        "part_no": part.no,
        "task_hash": part.task_hash,
        "attempt": part.attempt,
        "key": part.key,
        "rows": part.rows,
        "bytes": part.size_bytes,
        "sha256": part.sha256,
        "sums": part.sums,
    }
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(export_parts).values(row)
    keys = ("project_id", "export_id", "part_no")
    changed = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def recorded_parts(connection: Connection, project_id: int, export_id: str) -> dict[int, RecordedPart]:
    """Finished parts by number; whether one may be taken over is a question of its task_hash."""
    t = export_parts.c
    statement = sa.select(
        t.part_no, t.task_hash, t.attempt, t.key, t.rows, t.bytes, t.sha256, t.sums
    ).where(t.project_id == project_id, t.export_id == export_id)  # fmt: skip
    return {row[0]: RecordedPart(*row) for row in connection.execute(statement)}


# -- the end ----------------------------------------------------------------------------------------------------------

_NO_LEASE: Mapping[str, None] = {"lease_owner": None, "lease_until": None}


def last_manifest(connection: Connection, project_id: int) -> ManifestRecord | None:
    """The newest link of the project's chain of manifests."""
    t = manifests.c
    statement = sa.select(t.no, t.hash, t.prev_hash, t.key, t.created_at).where(t.project_id == project_id)
    row = connection.execute(statement.order_by(t.no.desc()).limit(1)).one_or_none()
    return None if row is None else ManifestRecord(*row)


def finish(
    connection: Connection, claim: Claim, result: Mapping[str, Any], manifest: ManifestRecord, retention_ms: int
) -> None:
    """Publish: the row becomes DONE and names the files, and the manifest takes its place in the chain.

    Raises LeaseLost, Canceled, or Conflict('manifest_chain_moved') when another export of the project took that
    place first: then the manifest must be made again on top of it. In each case the transaction must not commit.
    """
    now = db_now_ms()
    _fenced(
        connection,
        claim,
        exports.c.cancel_requested.is_(False),
        status="DONE",
        result=dict(result),
        finished_at=now,
        file_expires_at=now + retention_ms,
        rows_done=result["rows"],
        rows_total=result["rows"],
        error_code=None,
        error_message=None,
        **_NO_LEASE,
    )
    moved = connection.execute(
        counters.update()
        .where(counters.c.project_id == claim.project_id, counters.c.manifest_no == manifest.no - 1)
        .values(manifest_no=manifest.no)
    )
    if moved.rowcount != 1:
        raise Conflict("manifest_chain_moved", f"Another export became manifest {manifest.no} of the project")
    connection.execute(
        manifests.insert(),
        {"project_id": claim.project_id, "export_id": claim.export_id, "no": manifest.no, "hash": manifest.hash,
         "prev_hash": manifest.prev_hash, "key": manifest.key, "created_at": manifest.created_at},
    )  # fmt: skip


def fail(connection: Connection, claim: Claim, code: str, message: str) -> None:
    """End the export with an error that another try would meet again."""
    _fenced(
        connection,
        claim,
        status="ERROR",
        error_code=code,
        error_message=message,
        finished_at=db_now_ms(),
        **_NO_LEASE,
    )


def retry(connection: Connection, claim: Claim, code: str, message: str, backoff_ms: int) -> None:
    """Give the export back to the queue, due in `backoff_ms`, with what went wrong this time."""
    _fenced(
        connection,
        claim,
        exports.c.cancel_requested.is_(False),
        status="SCHEDULED",
        error_code=code,
        error_message=message,
        available_at=db_now_ms() + backoff_ms,
        **_NO_LEASE,
    )


def release(connection: Connection, claim: Claim) -> None:
    """Give the export back unharmed, due at once: this process stops. The try was not used up."""
    _fenced(
        connection,
        claim,
        exports.c.cancel_requested.is_(False),
        status="SCHEDULED",
        tries=exports.c.tries - 1,
        available_at=db_now_ms(),
        **_NO_LEASE,
    )


def cancel(connection: Connection, claim: Claim) -> None:
    """End the export as its caller asked. The try was not used up."""
    tries = exports.c.tries - 1
    _fenced(connection, claim, status="CANCELED", tries=tries, finished_at=db_now_ms(), **_NO_LEASE)
