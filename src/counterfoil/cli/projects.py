"""`counterfoil projects`: the projects there are and what each has chosen. Works beside a running server."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from counterfoil import settings as settings_table
from counterfoil.clock import SystemClock
from counterfoil.db.engine import Database
from counterfoil.db.migrate import migrate
from counterfoil.db.projects import Project
from counterfoil.errors import InvalidInput
from counterfoil.services.access import Access
from counterfoil.services.project_settings import TABLE
from counterfoil.settings import Row


def list_projects(given: dict[str, Any]) -> None:
    """Print every project with its id and what it has set."""
    table = Table("project", "id", "set")
    with _access(given) as access:
        for project in access.all_projects():
            chosen = " ".join(f"{name}={value}" for name, value in project.settings.items())
            table.add_row(project.name, project.key, chosen)
    Console(highlight=False).print(table)


def show(given: dict[str, Any], name: str) -> None:
    """Print every setting of a project: its value, what is allowed, and what it is for."""
    with _access(given) as access:
        _print(access.known_project(name))


def change(given: dict[str, Any], name: str, assignments: Sequence[str]) -> None:
    """Set what `key=value` says, unset what `key=` says, all or none, and print the settings."""
    wanted = dict(_assignment(text) for text in assignments)
    with _access(given) as access:
        _print(access.change_settings(name, wanted))


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput("invalid_setting", f"{text!r} is no key=value; {text}= unsets a setting", value=text)
    return name.strip(), value.strip()


def _print(project: Project) -> None:
    table = Table("setting", "value", "allowed", "what it is for", title=f"{project.name} ({project.key})")
    for row in TABLE:
        value = project.settings.get(row.name)
        default = "" if row.default is None else f" ({row.default})"
        table.add_row(row.name, f"unset{default}" if value is None else str(value), _allowed(row), row.reason)
    Console(highlight=False).print(table)


def _allowed(row: Row) -> str:
    return ", ".join(row.allowed) if row.allowed else f"{row.low} to {row.high}"


@contextmanager
def _access(given: dict[str, Any]) -> Generator[Access]:
    database = Database(settings_table.load(given).database_url)
    try:
        migrate(database)
        yield Access(database, SystemClock())
    finally:
        database.dispose()
