"""From settings to wired objects: the one place that knows who implements what."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI

from counterfoil.clock import Clock, SystemClock
from counterfoil.db.engine import Database
from counterfoil.db.migrate import migrate, require_current
from counterfoil.db.writer import GroupWriter
from counterfoil.errors import Unauthenticated
from counterfoil.services.access import Access
from counterfoil.services.core import Caller, Core
from counterfoil.settings import Settings
from counterfoil.web.app import AppParts, create_app, set_request_threads
from counterfoil.web.dialect import Dialect
from counterfoil.web.voucherify import errors as voucherify_errors


@dataclass(frozen=True, slots=True)
class System:
    """One process's objects. close() ends its threads and connections."""

    settings: Settings
    clock: Clock
    database: Database
    core: Core
    access: Access
    services: Services

    def close(self) -> None:
        """Finish what was accepted, then let go of everything."""
        self.core.writer.close()
        self.database.dispose()


@dataclass(frozen=True, slots=True)
class Services:
    """Every use-case, for the dialects to stand on."""


def build(settings: Settings, clock: Clock | None = None) -> System:
    """Open the database (migrated), the store and the services."""
    clock = clock or SystemClock()
    database = Database(settings.database_url)
    migrate(database)
    core = Core(database, GroupWriter(database, clock), clock)
    return System(settings, clock, database, core, Access(database, clock), _services(core))


def _services(core: Core) -> Services:
    return Services()


def routers(services: Services) -> Sequence[APIRouter]:
    """Every route of every dialect."""
    return ()


def build_app(system: System) -> FastAPI:
    """The ASGI application over a system."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        set_request_threads()
        yield

    app = create_app(
        AppParts(
            dialects=(Dialect("voucherify", ("/",), voucherify_errors.answer),),
            routers=routers(system.services),
            clock=system.clock,
            ready=lambda: require_current(system.database),
            lifespan=lifespan,
        )
    )
    app.state.recognise = lambda app_id, token, bearer: recognise(system.access, app_id, token, bearer)
    return app


def recognise(access: Access, app_id: str | None, app_token: str | None, bearer: str | None) -> Caller:
    """The caller behind Voucherify's credentials."""
    if app_id and app_token:
        key = access.by_app_key(app_id, app_token)
        scopes = None if key.scopes is None else frozenset(key.scopes)
        return Caller(key.project, scopes, key_id=key.id)
    raise Unauthenticated
