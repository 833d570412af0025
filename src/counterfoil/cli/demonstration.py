"""`counterfoil demo`: the main job, end to end, on real-size purchases."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from counterfoil import log
from counterfoil import settings as settings_table
from counterfoil.cli import panel as purchases
from counterfoil.cli.chains import check_file
from counterfoil.cli.client import Client, ServerProcess
from counterfoil.cli.replay import (
    EXPIRATION_RULES,
    GIFT_OPENING_CENTS,
    Replay,
    gift_code,
    loyalty_code,
)
from counterfoil.cli.verifying import MANIFEST_ENDING, verify
from counterfoil.clock import MS_PER_DAY, SystemClock
from counterfoil.compose import System, build
from counterfoil.dataplane.signature import Signer
from counterfoil.db.unit import Unit
from counterfoil.db.vouchers import Row
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.errors import CounterfoilError, InvalidInput
from counterfoil.services.core import Caller
from counterfoil.services.customers import upsert_customer
from counterfoil.services.issuing import insert_vouchers

PROJECT = "demo"
LOYALTY = "Grocery points"
GIFT = "Grocery gift cards"
QUICK_ONE_IN = 12
MARK_FILE = ".counterfoil-demo"
FIELDS = ["id", "type", "voucher_id", "amount", "balance", "created_at", "source", "reason", "related_transaction_id"]
_CARDS_PER_PIECE = 500
_ASK_EVERY_S = 0.05


def run(home: str | None, *, quick: bool) -> None:
    """Replay, serve, export over HTTP, check. Ends with one line: `export: PATH rows=N sha256=HEX`."""
    console = Console(stderr=False, highlight=False)
    settings = settings_table.load({"home": home or "demo-home"})
    log.configure("warning")
    _clear(settings.home_path)
    console.print(f"[bold]Counterfoil demo[/bold]: a year of grocery baskets, in {settings.home_path}")
    panel = purchases.load(one_in=QUICK_ONE_IN if quick else 1, until_ms=SystemClock().now_ms())
    console.print(
        f"The Complete Journey (84.51°), which its package calls simulated: {len(panel.baskets):,} baskets of "
        f"{len(panel.households):,} households, {len(panel.coupons):,} coupons redeemed; the year 2017, moved to end now"
    )
    system = build(settings)
    try:
        campaign_id, keys = _prepare(system, panel, console)
        _replay(system, panel, console)
    finally:
        system.close()
    with ServerProcess(settings.home_path) as server:
        console.print(f"Serving on {server.url}")
        path = _export(Client(server.url, keys.app_id, keys.app_token), campaign_id, settings.home_path, console)
    _report(path, console)


def _clear(home: Path) -> None:
    """Make the folder new. What an earlier demo left in it goes; anything else is somebody's, and is left alone."""
    mark = home / MARK_FILE
    if home.exists() and not mark.exists() and any(home.iterdir()):
        raise InvalidInput(
            "home_in_use",
            f"{home} holds something that no demo made; give the demo a folder of its own with --home",
            field="home",
            value=str(home),
        )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    mark.touch()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def _prepare(system: System, panel: purchases.Panel, console: Console) -> tuple[str, Any]:
    """Campaigns, customers and cards; the credentials for the HTTP part."""
    keys = system.access.create_keys(PROJECT)
    caller = Caller(system.access.ensure_project(PROJECT))
    loyalty = system.services.campaigns.create(
        caller,
        {
            "name": LOYALTY,
            "campaign_type": "LOYALTY_PROGRAM",
            "voucher": {
                "type": "LOYALTY_CARD",
                "loyalty_card": {"points": 0, "expiration_rules": EXPIRATION_RULES},
            },
        },
    )
    gift = system.services.campaigns.create(
        caller,
        {
            "name": GIFT,
            "campaign_type": "GIFT_VOUCHERS",
            "voucher": {"type": "GIFT_VOUCHER", "gift": {"amount": GIFT_OPENING_CENTS}},
        },
    )
    with _progress(console) as progress:
        bar = progress.add_task("Cards", total=2 * len(panel.households))
        for at in range(0, len(panel.households), _CARDS_PER_PIECE):
            households = panel.households[at : at + _CARDS_PER_PIECE]
            _make_cards(system, caller, (loyalty, gift), households, panel.baskets[0].at_ms // MS_PER_DAY * MS_PER_DAY)
            progress.advance(bar, 2 * len(households))
    return loyalty["id"], keys


def _make_cards(
    system: System, caller: Caller, campaigns: tuple[Row, Row], households: tuple[int, ...], started_ms: int
) -> None:
    """A customer with a points card and a gift card for each household. campaigns: of points, of gift cards."""
    loyalty, gift = campaigns

    def work(unit: Unit) -> None:
        # The programme starts with the year of the baskets.
        moment, unit.now_ms = unit.now_ms, started_ms
        drafts: list[VoucherDraft] = []
        for household in households:
            holder = upsert_customer(unit, CustomerDraft(source_id=f"household-{household}"))["id"]
            points = VoucherDraft(
                VoucherType.LOYALTY, loyalty_code(household), campaign_id=loyalty["id"], holder_id=holder
            )
            money = VoucherDraft(
                VoucherType.GIFT,
                gift_code(household),
                campaign_id=gift["id"],
                holder_id=holder,
                opening=GIFT_OPENING_CENTS,
                gift_effect="APPLY_TO_ORDER",
            )
            drafts += [points, money]
        insert_vouchers(unit, drafts)
        unit.now_ms = moment

    system.core.write(caller, work)


def _replay(system: System, panel: purchases.Panel, console: Console) -> None:
    caller = Caller(system.access.ensure_project(PROJECT))
    days = list(Replay(panel).days())
    started_s, movements = system.clock.monotonic_s(), 0
    with _progress(console) as progress:
        bar = progress.add_task("Days replayed", total=len(days))
        for _, codes, work in days:
            movements += system.core.write(caller, work, cards=codes)
            progress.advance(bar)
    took_s = system.clock.monotonic_s() - started_s
    console.print(f"{movements:,} movements posted in {took_s:.1f} s ({movements / took_s:,.0f}/s), each one durable")


def _export(client: Client, campaign_id: str, home: Path, console: Console) -> Path:
    """POST, poll until DONE, download: what any client of the API does."""
    asked = client.post(
        f"/v1/campaigns/{campaign_id}/transactions/export", {"parameters": {"order": "created_at", "fields": FIELDS}}
    )
    clock = SystemClock()
    with _progress(console) as progress:
        bar = progress.add_task("Export (rows)", total=None)
        while True:
            export = client.get(f"/v1/exports/{asked['id']}")
            seen = export.get("progress") or {}
            progress.update(bar, total=seen.get("rows_total"), completed=seen.get("rows_done", 0))
            if export["status"] in {"DONE", "ERROR"}:
                break
            clock.sleep_s(_ASK_EVERY_S)
    if export["status"] != "DONE":
        raise CounterfoilError("export_failed", f"The export ended as {export['status']}: {export.get('error')}")
    path = home / f"{asked['id']}.csv"
    with _progress(console) as progress:
        bar = progress.add_task("Download (bytes)", total=None)
        for done, size in client.download(export["result"]["url"], path):
            progress.update(bar, total=size, completed=done)
    client.fetch(export["result"]["manifest"], path.with_name(path.name + MANIFEST_ENDING))
    return path


def _report(path: Path, console: Console) -> None:
    found = check_file(path)
    console.print(f"Every chain holds: {found.cards:,} cards, previous balance + amount = balance, row after row")
    table = Table("type", Column("movements", justify="right"), Column("points", justify="right"))
    for kind in sorted(found.movements):
        table.add_row(kind, f"{found.movements[kind]:,}", f"{found.points[kind]:,}")
    table.add_row("[bold]all", f"{found.rows:,}", f"{sum(found.points.values()):,}")
    console.print(table)
    for line in found.first_lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print("\nThe same proof from the signed manifest, as `counterfoil verify` gives it to anyone, offline:")
    signer = Signer.of_home(path.parent)
    if verify(path.with_name(path.name + MANIFEST_ENDING), trusted=[signer.fingerprint], console=console) != 0:
        raise CounterfoilError("export_damaged", f"{path} is not what its manifest says")
    sys.stdout.write(f"export: {path} rows={found.rows} sha256={found.sha256}\n")
