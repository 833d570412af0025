"""`counterfoil import`: the command, what it prints, its exit status, and what a kill in the middle leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from counterfoil.db.engine import Database
from counterfoil.db.schema import movements
from counterfoil.db.soundness import findings
from tests.imports.world import write_csv
from tests.waiting import until

pytestmark = pytest.mark.slow

VOUCHERS = "id,code,voucher_type,campaign,campaign_id"
TRANSACTIONS = "id,voucher_id,type,amount,balance,created_at"


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "counterfoil", "import", *arguments, "--project", "shop", "--home", str(home)]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(home, *arguments), capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The numbers of the printed table."""
    cells = [line.split("│")[1:3] for line in done.stdout.splitlines() if line.startswith("│")]
    return {name.strip(): int(number.replace(",", "")) for name, number in cells}


def cards(folder: Path, count: int) -> Path:
    rows = (
        f"v{no},C{no},{'GIFT_VOUCHER' if no % 2 else 'LOYALTY_CARD'},{'G' if no % 2 else 'L'}," for no in range(count)
    )
    return write_csv(folder / "vouchers.csv", VOUCHERS, *rows)


def history(folder: Path, count: int, cards: int) -> Path:
    """Every card in turn gains 1, so that its balance counts its movements."""
    kinds = ("POINTS_ACCRUAL", "CREDITS_ADDITION")
    rows = (
        f"t{no},v{no % cards},{kinds[no % cards % 2]},1,{no // cards + 1},2024-01-01T{no // 3600 % 24:02d}:00:00.000Z"
        for no in range(count)
    )
    return write_csv(folder / "transactions.csv", TRANSACTIONS, *rows)


def test_the_command_tells_what_became_of_the_rows(tmp_path: Path) -> None:
    home, report = tmp_path / "home", tmp_path / "refused.jsonl"
    vouchers = cards(tmp_path, 4)
    done = run(home, "voucher", str(vouchers), "--make-campaigns", "--movements-follow")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert told(done) == {"read": 4, "imported": 4, "known already": 0, "refused": 0}
    path = history(tmp_path, 200, 4)
    path.write_text(path.read_text().replace("t150,v2,", "t150,v9,") + '"t900,v1\n')
    done = run(home, "voucher_transactions", str(path), "--report", str(report), "--batch-rows", "100")
    assert done.returncode == 2
    refused = [json.loads(line) for line in report.read_text().splitlines()]
    assert told(done) == {"read": 201, "imported": 200 - len(refused) + 1, "known already": 0, "refused": len(refused)}
    assert refused[0] == {
        "line": 152, "reason": "there is no card v9 in this project: import its voucher first (or see --removed-cards)",
        "id": "t150",
    }  # fmt: skip
    assert refused[1]["reason"].startswith("the chain is broken")
    assert refused[-1] == {"line": 202, "reason": "a quote is opened here and not closed", "id": None}
    assert "line 152 (t150): there is no card v9" in done.stdout
    again = run(home, "voucher_transactions", str(history(tmp_path, 200, 4)))
    assert again.returncode == 0, again.stdout
    assert told(again) == {"read": 200, "imported": len(refused) - 1, "known already": 201 - len(refused), "refused": 0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("voucher", "missing.csv"), "There is no file missing.csv"),
        (("coupon", "a.csv"), "There is no object 'coupon' to import"),
        (("voucher", "a.csv", "--format", "xls"), "There is no format 'xls'"),
        (("voucher", "a.csv", "--batch-rows", "1"), "--batch-rows must lie between 100 and 100000"),
        (("voucher", "a.csv", "--decimals", "10"), "--decimals must lie between 0 and 9"),
        (("voucher", "bad.csv"), "There is no column 'colour' in voucher"),
        (("voucher", "a.csv", "--campaign", "Nowhere"), "There is no campaign Nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    write_csv(tmp_path / "a.csv", "id,code,voucher_type", "v1,A,GIFT_VOUCHER")
    write_csv(tmp_path / "bad.csv", "id,code,voucher_type,colour")
    done = subprocess.run(
        command(tmp_path / "home", *arguments), capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("counterfoil: ")]
    assert words in line
    assert "Traceback" not in done.stderr


def test_strict_says_where_it_stopped(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "id,code,voucher_type", "v1,A,GIFT_VOUCHER", "v2,,GIFT_VOUCHER")
    done = run(tmp_path / "home", "voucher", str(path), "--strict")
    assert done.returncode == 1
    assert "counterfoil: Line 3: code is empty" in done.stderr
    assert told(done)["imported"] == 0


@pytest.mark.crash
def test_a_killed_import_is_simply_run_again(tmp_path: Path) -> None:
    home, count = tmp_path / "home", 30_000
    path = history(tmp_path, count, 500)
    run(home, "voucher", str(cards(tmp_path, 500)), "--make-campaigns", "--movements-follow")
    database = Database(f"sqlite:///{home / 'counterfoil.db'}")

    def stored() -> int:
        with database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(movements)).scalar_one())

    killed_at: list[int] = []
    for _ in range(3):
        before = stored()
        process = subprocess.Popen(
            command(home, "voucher_transactions", str(path), "--batch-rows", "500"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda before=before: stored() > before, "some rows to be committed")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        killed_at.append(stored())
    assert killed_at[-1] < count
    assert [number % 500 for number in killed_at] == [0, 0, 0]
    done = run(home, "voucher_transactions", str(path), "--batch-rows", "700")
    assert told(done) == {
        "read": count, "imported": count - killed_at[-1], "known already": killed_at[-1], "refused": 0,
    }  # fmt: skip
    with database.read() as connection:
        assert list(findings(connection)) == []
        rows = connection.execute(sa.select(movements.c.id).order_by(movements.c.seq)).scalars().all()
    assert sorted(rows) == sorted(f"t{no}" for no in range(count))
    database.dispose()
