"""The exports row as the API sees it: asked for, looked at, listed, canceled, removed. `db.queue` runs it.

The row is the queue, the resource and the pointer to the file at once, so there is no second place to enqueue to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.notices import announce
from counterfoil.db.now import db_now_ms
from counterfoil.db.schema import export_parts, exports
from counterfoil.plan.request import ExportRequest

ListOrder = Literal["created_at", "-created_at", "status", "-status"]
FINAL = ("DONE", "ERROR", "CANCELED", "EXPIRED")
"""States that an export does not leave, but for DONE becoming EXPIRED when its file is gone."""


@dataclass(frozen=True, slots=True)
class NewExport:
    """An export to enqueue. created_at in ms; seq_max is its snapshot; rows_total an estimate where the plan has one."""

    project_id: int
    id: str
    dialect: str
    object: str
    request: ExportRequest
    seq_max: int
    created_at: int
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    channel: str = "API"
    user_id: str | None = None
    rows_total: int | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """An exports row. Instants in ms. result: {"files": [{"key", "name", "rows", "bytes", "sha256"}], "rows", "bytes",
    "manifest"} once DONE, else None; the files are gone when status is EXPIRED."""

    project_id: int
    id: str
    dialect: str
    object: str
    channel: str
    user_id: str | None
    request: dict[str, Any]
    echo: dict[str, Any]
    seq_max: int
    status: str
    created_at: int
    available_at: int
    attempt: int
    tries: int
    cancel_requested: bool
    started_at: int | None
    finished_at: int | None
    rows_done: int
    rows_total: int | None
    path: str | None
    executor: str | None
    error_code: str | None
    error_message: str | None
    result: dict[str, Any] | None
    file_expires_at: int | None

    @property
    def final(self) -> bool:
        """Whether nobody will work on it any more."""
        return self.status in FINAL

    @property
    def percent(self) -> int:
        """How far it is: 0 to 99 until it is done, 100 then; it never becomes less."""
        if self.status in {"DONE", "EXPIRED"}:
            return 100
        return min(99, self.rows_done * 100 // self.rows_total) if self.rows_total else 0


@dataclass(frozen=True, slots=True)
class ExportPage:
    """One page of a list. total: how many rows there are on all pages."""

    rows: Sequence[Export]
    total: int


_COLUMNS = tuple(exports.c[each.name] for each in fields(Export))
_select = sa.select(*_COLUMNS)
_one = _select.where(exports.c.project_id == sa.bindparam("project"), exports.c.id == sa.bindparam("id"))


def enqueue(connection: Connection, new: NewExport) -> None:
    """Add an export as SCHEDULED, to be run at once. Durable, and visible to workers, with the caller's transaction."""
    values = {each.name: getattr(new, each.name) for each in fields(NewExport)}
    connection.execute(exports.insert().values(**values, status="SCHEDULED", available_at=db_now_ms()))
    announce(connection)


def get_export(connection: Connection, project_id: int, export_id: str) -> Export | None:
    """The export of that project, or None."""
    row = connection.execute(_one, {"project": project_id, "id": export_id}).one_or_none()
    return None if row is None else Export(*row)


def list_exports(
    connection: Connection,
    project_id: int,
    *,
    limit: int = 10,
    page: int = 1,
    order: ListOrder = "-created_at",
    dialect: str | None = None,
) -> ExportPage:
    """Page `page` (from 1) of `limit` exports; ties of the order are broken by age and id, newest first when it is."""
    own = exports.c.project_id == project_id
    if dialect is not None:
        own &= exports.c.dialect == dialect
    name = order.removeprefix("-")
    keys = [exports.c[name], *([exports.c.created_at] if name != "created_at" else []), exports.c.id]
    ordered = [key.desc() if order.startswith("-") else key.asc() for key in keys]
    statement = _select.where(own).order_by(*ordered).limit(limit).offset((page - 1) * limit)
    total = connection.execute(sa.select(sa.func.count()).select_from(exports).where(own)).scalar_one()
    return ExportPage([Export(*row) for row in connection.execute(statement)], total)


def request_cancel(connection: Connection, project_id: int, export_id: str) -> Export | None:
    """Ask that an export stop; returns the row as it is now, or None when there is none.

    One that waits is CANCELED here and now. One that runs is told so, and its worker ends it within about a second.
    One that has ended stays as it is.
    """
    mine = (exports.c.project_id == project_id) & (exports.c.id == export_id)
    connection.execute(
        exports.update()
        .where(mine, exports.c.status == "SCHEDULED")
        .values(status="CANCELED", cancel_requested=True, finished_at=db_now_ms(), error_code=None, error_message=None)
    )
    connection.execute(exports.update().where(mine, exports.c.status == "IN_PROGRESS").values(cancel_requested=True))
    return get_export(connection, project_id, export_id)


def delete_export(connection: Connection, project_id: int, export_id: str) -> bool:
    """Remove the row and its parts; returns whether it was there.

    A worker still at it finds no row to write to and stops; its files, and those of a finished export, are orphans
    from here on and the sweeper removes them. The manifests row stays: the project's chain has no holes.
    """
    mine = (export_parts.c.project_id == project_id) & (export_parts.c.export_id == export_id)
    connection.execute(export_parts.delete().where(mine))
    found = connection.execute(exports.delete().where(exports.c.project_id == project_id, exports.c.id == export_id))
    return found.rowcount > 0
