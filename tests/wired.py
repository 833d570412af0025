"""A whole system and its application, wired once and made new as often as a test wants."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from counterfoil import settings as settings_table
from counterfoil.compose import build, build_app
from tests.fakes import FakeClock


class House:
    """One system and its application for all tests of this process: to wire them costs more than most tests.

    It keeps nothing in memory about a project but its keys, which never come again; all else is in the database.
    """

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock()
        self.system = build(settings_table.load({"home": str(home)}, {}), self.clock)
        self.app = build_app(self.system)
        self._empty = sqlite3.connect(":memory:")
        self._copy(self._file(), self._empty)

    def clean(self) -> None:
        """Make it new: an empty database, and the clock at its start."""
        self._copy(self._empty, self._file())
        self.clock.set_ms(FakeClock.START_MS)

    def close(self) -> None:
        """End its threads and connections."""
        self.system.close()
        self._empty.close()

    def _file(self) -> sqlite3.Connection:
        return sqlite3.connect(str(self.system.database.url.database))

    def _copy(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        source.backup(target)
        for each in {source, target} - {self._empty}:
            each.close()
