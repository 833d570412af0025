"""Who may come in: projects, their keys, and which scope opens what."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from counterfoil.clock import Clock
from counterfoil.db import projects
from counterfoil.db.engine import Database
from counterfoil.db.projects import Project, StoredKey
from counterfoil.errors import Conflict, InvalidInput, NotFound, Unauthenticated, did_you_mean
from counterfoil.ids import new_uuid, random_id, same_secret, secret_hash, secret_token
from counterfoil.services.project_settings import changed

NAME_LENGTH_MAX = 200
# A key removed or changed by another process is noticed after this long (the vendor allows itself a minute).
_KEY_CACHE_TTL_MS = 5_000
_KEY_CACHE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Fresh credentials; the secrets are shown here once and stored only hashed."""

    project: str
    app_id: str
    app_token: str
    altcraft_token: str


class Access:
    """Makes projects and keys, and recognises keys."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._cache: dict[str, tuple[int, StoredKey]] = {}
        self._lock = threading.Lock()

    def ensure_project(self, name: str) -> Project:
        """The project of that name, made when there is none."""
        if not name or len(name) > NAME_LENGTH_MAX:
            raise InvalidInput(
                "invalid_name", f"A project's name has 1 to {NAME_LENGTH_MAX} characters", field="project", value=name
            )
        with self._database.write() as connection:
            found = projects.find_project(connection, name)
            return found or projects.insert_project(connection, name, random_id("proj_"), self._clock.now_ms())

    def known_project(self, name: str) -> Project:
        """The project of that name. Raises NotFound, with the names there are."""
        with self._database.read() as connection:
            found = projects.find_project(connection, name)
            if found is not None:
                return found
            names = [project.name for project in projects.all_projects(connection)]
        listed = ", ".join(names) or "none yet"
        raise NotFound("project", name, f"There is no project {name!r}{did_you_mean(name, names)}; there are: {listed}")

    def all_projects(self) -> list[Project]:
        """Every project, oldest first."""
        with self._database.read() as connection:
            return projects.all_projects(connection)

    def change_settings(self, name: str, given: Mapping[str, str | None]) -> Project:
        """Change settings of a project, all or none; returns it as it is now. Errors as `known_project` and `changed`."""
        project = self.known_project(name)
        with self._database.write() as connection:
            current = projects.get_project(connection, project.id) or project
            settings = changed(current.settings, given)
            projects.store_settings(connection, project.id, settings)
        with self._lock:
            self._cache.clear()
        return replace(current, settings=settings)

    def create_keys(
        self,
        project_name: str,
        *,
        app_id: str | None = None,
        app_token: str | None = None,
        scopes: Sequence[str] | None = None,
    ) -> NewKeys:
        """An id and token pair for one HTTP dialect and a bearer token for the other, in one project.

        Raises Conflict when the app id is taken, by whichever project.
        """
        project = self.ensure_project(project_name)
        keys = NewKeys(project.name, app_id or new_uuid(), app_token or new_uuid(), secret_token(24))
        now_ms = self._clock.now_ms()
        with self._database.write() as connection:
            if projects.key_by_app_id(connection, keys.app_id) is not None:
                raise Conflict(
                    "duplicate_found",
                    f"The app id {keys.app_id} is taken; choose another",
                    field="app_id",
                    value=keys.app_id,
                )
            projects.insert_key(connection, project.id, "app", keys.app_id, secret_hash(keys.app_token), scopes, now_ms)
            projects.insert_key(
                connection, project.id, "bearer", None, secret_hash(keys.altcraft_token), scopes, now_ms
            )
        return keys

    def by_app_key(self, app_id: str, app_token: str) -> StoredKey:
        """The key with that id and token. Raises Unauthenticated; takes the same time whichever of the two is wrong."""
        key = self._cached(f"app:{app_id}", lambda c: projects.key_by_app_id(c, app_id))
        return _proven(key, app_token)

    def recall_app_key(self, app_id: str, app_token: str) -> StoredKey | None:
        """The same where the key is remembered; None where the database would have to be asked. Does not block."""
        key = self._remembered(f"app:{app_id}")
        return None if key is None else _proven(key, app_token)

    def by_bearer(self, token: str) -> StoredKey:
        """The bearer key with that secret. Raises Unauthenticated."""
        hashed = secret_hash(token)
        key = self._cached(f"bearer:{hashed}", lambda c: projects.key_by_token_hash(c, hashed))
        if key is None:
            raise Unauthenticated
        return key

    def _remembered(self, name: str) -> StoredKey | None:
        with self._lock:
            found = self._cache.get(name)
        fresh = found is not None and self._clock.now_ms() - found[0] < _KEY_CACHE_TTL_MS
        return found[1] if found is not None and fresh else None

    def _cached(self, name: str, load: Callable[[Connection], StoredKey | None]) -> StoredKey | None:
        remembered = self._remembered(name)
        if remembered is not None:
            return remembered
        now_ms = self._clock.now_ms()
        with self._database.read() as connection:
            key = load(connection)
        with self._lock:
            if len(self._cache) >= _KEY_CACHE_MAX:
                self._cache.clear()
            # Only keys that exist are kept, so a new key works at once and strangers cannot fill the cache.
            if key is not None:
                self._cache[name] = (now_ms, key)
        return key


def _proven(key: StoredKey | None, app_token: str) -> StoredKey:
    stored = key.token_hash if key is not None else "0" * 64
    if not same_secret(app_token, stored) or key is None:
        raise Unauthenticated
    return key
