"""One run of one peer, in a process of its own so that its memory is its own: `python -m bench.peer SYSTEM JSON`.

JSON says what is wanted (`Wanted`); printed is JSON of seconds, peak_mb, rows and size_bytes. Opening a database and
importing a library is not counted, and nothing is hashed or flushed to the disk.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.case import Run
from bench.machine import peak_mb

COLUMNS = (
    "id", "campaign_id", "voucher_id", "type", "source_id", "reason", "source", "balance", "amount",
    "related_transaction_id", "created_at", "details",
)  # fmt: skip
"""Columns of the peers' tables and of the files, in order. Their tables have `seq` besides."""

SYSTEMS = {"duckdb": "DuckDB", "polars": "Polars", "chdb": "ClickHouse", "postgres": "PostgreSQL"}
"""Modules of bench.peers, and how they are called."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """folder: where the peer keeps its data. out: the file to write. how: which of the peer's ways. campaign, since_ms,
    cards: what is selected; None: everything. url: of a server that runs already."""

    folder: str
    out: str
    how: str
    campaign: str | None = None
    since_ms: int | None = None
    cards: tuple[str, ...] | None = None
    url: str | None = None

    def where(self, at: Callable[[int], str]) -> str:
        """The selection as SQL's condition. at: an instant in ms as the peer's SQL has it."""
        if self.campaign is not None:
            return f"where campaign_id = '{self.campaign}'"
        if self.since_ms is not None:
            return f"where created_at > {at(self.since_ms)}"
        if self.cards is not None:
            return f"where voucher_id in ({', '.join(repr(card) for card in self.cards)})"
        return ""


def installed(system: str) -> bool:
    """Whether the peer can be asked here."""
    found = {"duckdb": "duckdb", "polars": "polars", "chdb": "chdb", "postgres": "psycopg"}[system]
    return importlib.util.find_spec(found) is not None


def run(system: str, wanted: Wanted) -> Run:
    """Run a peer in a new process; the file is left for the caller to look at and remove."""
    command = [sys.executable, "-m", "bench.peer", system, json.dumps(asdict(wanted))]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 0, f"{system} failed: {told.stderr[-4000:]}"
    return Run(**json.loads(told.stdout.splitlines()[-1]))


def main() -> None:
    """Run the peer named on the command line in this process."""
    system, given = sys.argv[1:]
    values: dict[str, Any] = json.loads(given)
    cards = values.pop("cards")
    wanted = Wanted(**values, cards=None if cards is None else tuple(cards))
    module = importlib.import_module(f"bench.peers.{system}")
    Path(wanted.out).unlink(missing_ok=True)
    with module.opened(wanted) as act:
        started_s = time.perf_counter()
        rows = act()
        seconds = time.perf_counter() - started_s
    size_bytes = Path(wanted.out).stat().st_size
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "rows": rows, "size_bytes": size_bytes}))


if __name__ == "__main__":
    main()
