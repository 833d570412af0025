"""How fast a million movements come in: `python -m bench.imports --rows 1000000 [--database postgresql://…]`.

Makes a vouchers file and a transactions file from a seed, imports both with the command as anyone would, and prints one
JSON object: rows, seconds, rows a second, the process's peak memory, and the file's size. The files are kept for the
next run.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.case import Case, Contender, Context, Run

ROWS_MAX = 1_000_000
ROWS_PER_CARD = 10
START_MS = 1_700_000_000_000
STEP_MS = 60_000
VOUCHERS = ("id", "code", "voucher_type", "campaign", "campaign_id", "created_at")
TRANSACTIONS = (
    "id", "campaign_id", "voucher_id", "type", "source_id", "reason", "source", "balance", "amount",
    "related_transaction_id", "created_at", "details",
)  # fmt: skip
_GIFT = ("CREDITS_ADDITION", "CREDITS_REDEMPTION", "CREDITS_REFUND", "CREDITS_REMOVAL")
_LOYALTY = ("POINTS_ACCRUAL", "POINTS_REDEMPTION", "POINTS_ADDITION", "POINTS_REMOVAL")


def make_files(folder: Path, rows: int, seed: int = 7) -> tuple[Path, Path]:
    """The vouchers and the transactions as Voucherify would export them, made once."""
    cards = max(1, rows // ROWS_PER_CARD)
    vouchers, transactions = folder / f"vouchers-{rows}.csv", folder / f"transactions-{rows}.csv"
    if vouchers.exists() and transactions.exists():
        return vouchers, transactions
    draw = random.Random(seed)
    with vouchers.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(VOUCHERS)
        for no in range(cards):
            gift = no % 2 == 0
            writer.writerow((
                f"v_{no:032d}", f"CARD-{no:08d}", "GIFT_VOUCHER" if gift else "LOYALTY_CARD",
                "Gifts" if gift else "Points", "camp_gifts" if gift else "camp_points", _iso(START_MS),
            ))  # fmt: skip
    balances, totals = [0] * cards, [0] * cards
    with transactions.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(TRANSACTIONS)
        for no in range(rows):
            writer.writerow(_transaction(no, draw.randrange(cards), balances, totals, draw))
    return vouchers, transactions


def _transaction(no: int, card: int, balances: list[int], totals: list[int], draw: random.Random) -> tuple[Any, ...]:
    gift = card % 2 == 0
    which = draw.randrange(4)
    amount = draw.randrange(1, 5_000)
    if which in (1, 3):
        amount = -min(amount, balances[card])
        which = which if amount else 0
        amount = amount or 500
    kind = (_GIFT if gift else _LOYALTY)[which]
    balances[card] += amount
    if which not in (1, 2) or not gift:
        totals[card] += amount
    created_at = START_MS + no * STEP_MS // 60
    details = {
        "balance": {
            "type": "gift_voucher" if gift else "loyalty_card", "total": totals[card],
            "amount" if gift else "points": amount, "object": "balance", "balance": balances[card],
            "operation_type": "MANUAL", "related_object": {"id": f"v_{card:032d}", "type": "voucher"},
        },
        "order": {"id": f"ord_{no:024d}", "source_id": f"order-{no}"},
    }  # fmt: skip
    return (
        f"vtx_{no:018x}", "camp_gifts" if gift else "camp_points", f"v_{card:032d}", kind, "",
        'Correction, booked as "gift"' if no % 12 == 0 else "", "API", balances[card], amount, "", _iso(created_at),
        json.dumps(details, separators=(",", ":")),
    )  # fmt: skip


def _iso(at_ms: int) -> str:
    seconds, ms = divmod(at_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ms:03d}Z"


def measure(folder: Path, rows: int, database: str | None = None) -> dict[str, Any]:
    """Import the files into a fresh database and say how long the transactions took."""
    vouchers, transactions = make_files(folder, rows)
    with tempfile.TemporaryDirectory(dir=folder) as home:
        where = ["--home", home, *(["--database", database] if database else [])]
        _run(["voucher", str(vouchers), "--make-campaigns", "--movements-follow", *where])
        took_s, peak_mb = _run(["voucher_transactions", str(transactions), *where])
        stored = Path(home, "counterfoil.db")
        return {
            "case": f"import, {'PostgreSQL' if database else 'SQLite'}", "system": "counterfoil", "rows": rows,
            "median_s": round(took_s, 2), "rows_per_s": round(rows / took_s), "peak_mb": round(peak_mb),
            "bytes": transactions.stat().st_size, "database_bytes": stored.stat().st_size if stored.exists() else None,
            "load_average": round(os.getloadavg()[0], 1),
        }  # fmt: skip


def cases(context: Context) -> Iterator[Case]:
    """`import`: the command on a transactions file, into an empty SQLite; seconds and peak memory of the process."""
    if context.wanted("import"):
        rows = min(context.rows, ROWS_MAX)
        title = "The vendor's file of movements, imported by the command"
        yield Case("import", title, [Contender("Counterfoil", lambda: _measured(context, rows), rounds_max=2)])


def _measured(context: Context, rows: int) -> Run:
    folder = context.folder / "imports"
    folder.mkdir(exist_ok=True)
    found = measure(folder, rows)
    return Run(found["median_s"], found["peak_mb"], rows, found["bytes"])


def _run(arguments: list[str]) -> tuple[float, float]:
    command = [sys.executable, "-m", "counterfoil", "import", *arguments, "--project", "bench"]
    started_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak: list[float] = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    words, _ = process.communicate()
    took_s = time.perf_counter() - started_s
    watcher.join()
    assert process.returncode == 0, words
    return took_s, peak[0]


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    """Note the largest resident size that the system saw of the process, until it ends."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        except OSError:
            return
        if found:
            peak[0] = max(peak[0], int(found[0].split()[1]) / 1024)
        time.sleep(0.05)


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "counterfoil-bench-imports")
    parser.add_argument("--database")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print(json.dumps(measure(given.folder, given.rows, given.database)))


if __name__ == "__main__":
    main()
