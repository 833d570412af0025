"""Looking at an exported CSV with readers that are not ours: Python's csv and DuckDB."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb

from counterfoil.errors import Damaged

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Findings:
    """What the file holds. movements and points are by type; cards is how many chains were followed and held."""

    rows: int
    sha256: str
    cards: int
    movements: dict[str, int]
    points: dict[str, int]
    first_lines: tuple[str, ...]


def check_file(path: Path) -> Findings:
    """Follow every card's chain in file order: previous balance + amount = balance.

    The file needs voucher_id, type, amount and balance, ascending by created_at. Raises Damaged at the first break,
    or when the two readers count different rows.
    """
    balances: dict[str, int] = {}
    movements: Counter[str] = Counter()
    points: Counter[str] = Counter()
    rows = 0
    with path.open(newline="", encoding="utf-8") as file:
        for rows, row in enumerate(csv.DictReader(file), 1):
            amount, balance = int(row["amount"]), int(row["balance"])
            before = balances.get(row["voucher_id"], 0)
            if before + amount != balance:
                raise Damaged(
                    "chain_broken",
                    f"Row {rows}, card {row['voucher_id']}: {before} + {amount} is not {balance}",
                )
            balances[row["voucher_id"]] = balance
            movements[row["type"]] += 1
            points[row["type"]] += amount
    with duckdb.connect() as engine:
        found = engine.execute("select count(*) from read_csv(?, header = true)", [str(path)]).fetchone()
    if found is None or found[0] != rows:
        raise Damaged("rows_differ", f"Python reads {rows} rows of {path}, DuckDB {found and found[0]}")
    return Findings(rows, _sha256(path), len(balances), dict(movements), dict(points), _first_lines(path))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _first_lines(path: Path, count: int = 4) -> tuple[str, ...]:
    with path.open(encoding="utf-8") as file:
        return tuple(line.rstrip("\n") for line, _ in zip(file, range(count), strict=False))
