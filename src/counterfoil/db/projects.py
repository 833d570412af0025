"""Projects and their keys in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.schema import api_keys, counters, projects
from counterfoil.ids import secret_token


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant. key is its public id (`proj_…`); settings are the project's own choices (header style, …)."""

    id: int
    key: str
    name: str
    settings: dict[str, Any]
    link_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as stored: the secret only as its hash. scopes None means every scope."""

    id: int
    project: Project
    app_id: str | None
    token_hash: str
    scopes: tuple[str, ...] | None


_project_columns = (projects.c.id, projects.c.public_id, projects.c.name, projects.c.settings, projects.c.link_secret)


def _project(row: Any) -> Project:
    return Project(row.id, row.public_id, row.name, row.settings or {}, row.link_secret)


def find_project(connection: Connection, name: str) -> Project | None:
    """The project of that name."""
    row = connection.execute(sa.select(*_project_columns).where(projects.c.name == name)).one_or_none()
    return None if row is None else _project(row)


def get_project(connection: Connection, project_id: int) -> Project | None:
    """The project with that number."""
    row = connection.execute(sa.select(*_project_columns).where(projects.c.id == project_id)).one_or_none()
    return None if row is None else _project(row)


def all_projects(connection: Connection) -> list[Project]:
    """Every project, oldest first."""
    return [_project(row) for row in connection.execute(sa.select(*_project_columns).order_by(projects.c.id))]


def insert_project(connection: Connection, name: str, key: str, now_ms: int) -> Project:
    """A new project with its counters at zero and a secret of its own for links."""
    link_secret = secret_token()
    row = {"name": name, "public_id": key, "settings": {}, "link_secret": link_secret, "created_at": now_ms}
    project_id = int(connection.execute(projects.insert().returning(projects.c.id), row).scalar_one())
    connection.execute(counters.insert(), {"project_id": project_id})
    return Project(project_id, key, name, {}, link_secret)


def store_settings(connection: Connection, project_id: int, settings: dict[str, Any]) -> None:
    """Replace the project's settings."""
    statement = projects.update().where(projects.c.id == project_id).values(settings=sa.bindparam("b_settings"))
    connection.execute(statement, {"b_settings": settings})


def insert_key(
    connection: Connection,
    project_id: int,
    kind: str,
    app_id: str | None,
    token_hash: str,
    scopes: Sequence[str] | None,
    now_ms: int,
) -> int:
    """A new key; kind `app` has an app_id, kind `bearer` has none. A taken app_id raises the database's duplicate."""
    row = {
        "project_id": project_id,
        "kind": kind,
        "app_id": app_id,
        "token_hash": token_hash,
        "scopes": None if scopes is None else list(scopes),
        "created_at": now_ms,
    }
    return int(connection.execute(api_keys.insert().returning(api_keys.c.id), row).scalar_one())


def _key_query(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return (
        sa.select(api_keys.c.id.label("key_id"), api_keys.c.app_id, api_keys.c.token_hash, api_keys.c.scopes)
        .add_columns(*_project_columns)
        .join(projects, projects.c.id == api_keys.c.project_id)
        .where(api_keys.c.revoked_at.is_(None), *conditions)
    )


def _key(row: Any) -> StoredKey:
    scopes = None if row.scopes is None else tuple(row.scopes)
    return StoredKey(row.key_id, _project(row), row.app_id, row.token_hash, scopes)


def key_by_app_id(connection: Connection, app_id: str) -> StoredKey | None:
    """The live key with that app id; whether the token fits is the caller's question."""
    row = connection.execute(_key_query(api_keys.c.app_id == app_id)).one_or_none()
    return None if row is None else _key(row)


def key_by_token_hash(connection: Connection, token_hash: str) -> StoredKey | None:
    """The live bearer key with that hash."""
    found = _key_query(api_keys.c.kind == "bearer", api_keys.c.token_hash == token_hash)
    row = connection.execute(found).first()
    return None if row is None else _key(row)
