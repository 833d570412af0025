"""OAuth access tokens in the database, by the hash of their secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from counterfoil.db.projects import Project, get_project
from counterfoil.db.schema import access_tokens, api_keys


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A live token: its project, the app id of the key that asked for it, its scopes, when it ends (ms)."""

    project: Project
    key_id: int
    app_id: str
    scopes: tuple[str, ...]
    expires_at: int


def insert_token(
    connection: Connection,
    token_hash: str,
    project_id: int,
    key_id: int,
    scopes: Sequence[str],
    now_ms: int,
    expires_at: int,
) -> None:
    """Remember a token."""
    connection.execute(
        access_tokens.insert(),
        {
            "token_hash": token_hash,
            "project_id": project_id,
            "key_id": key_id,
            "scopes": list(scopes),
            "created_at": now_ms,
            "expires_at": expires_at,
        },
    )


def find_token(connection: Connection, token_hash: str, now_ms: int) -> StoredToken | None:
    """The token with that hash, while it and its key live."""
    table = access_tokens
    row = connection.execute(
        sa.select(table.c.project_id, table.c.key_id, api_keys.c.app_id, table.c.scopes, table.c.expires_at)
        .join(api_keys, api_keys.c.id == table.c.key_id)
        .where(table.c.token_hash == token_hash, table.c.expires_at > now_ms, api_keys.c.revoked_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    project = get_project(connection, row.project_id)
    assert project is not None, "tokens go with their project"
    return StoredToken(project, row.key_id, row.app_id, tuple(row.scopes), row.expires_at)


def delete_token(connection: Connection, token_hash: str, project_id: int) -> bool:
    """Forget a token of the project; returns whether it was there."""
    found = connection.execute(
        access_tokens.delete().where(access_tokens.c.token_hash == token_hash, access_tokens.c.project_id == project_id)
    )
    return found.rowcount > 0


def count_live(connection: Connection, project_id: int, now_ms: int) -> int:
    """How many tokens of the project live; those past their time are forgotten on the way."""
    connection.execute(
        access_tokens.delete().where(access_tokens.c.project_id == project_id, access_tokens.c.expires_at <= now_ms)
    )
    counted = sa.select(sa.func.count()).select_from(access_tokens).where(access_tokens.c.project_id == project_id)
    return int(connection.execute(counted).scalar_one())
