"""Ledgers made by real operations, files exported from them, and files brought in: what the tests of imports share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from counterfoil.catalog.importables import importable
from counterfoil.catalog.objects import exportable
from counterfoil.dataplane.csv_encoder import csv_encoder
from counterfoil.dataplane.encoder import Column
from counterfoil.dataplane.intake_path import open_file
from counterfoil.dataplane.jsonl import JsonLinesEncoder
from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.dataplane.stop import StopFlag
from counterfoil.db.engine import Database
from counterfoil.db.projects import get_project
from counterfoil.db.schema import movements, vouchers
from counterfoil.db.soundness import findings
from counterfoil.db.unit import Unit
from counterfoil.db.writer import GroupWriter
from counterfoil.domain import cards
from counterfoil.domain.buckets import Lots
from counterfoil.domain.cards import Card, Origin
from counterfoil.domain.customers import CustomerDraft
from counterfoil.domain.orders import OrderDraft
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.plan.planner import plan
from counterfoil.plan.request import ExportRequest
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.core import Caller, Core
from counterfoil.services.customers import upsert_customer
from counterfoil.services.imports.report import ImportOptions, Refusal, Report
from counterfoil.services.imports.run import ImportService
from counterfoil.services.issuing import insert_vouchers
from counterfoil.services.orders import save_order
from tests.fakes import FakeClock

DAY_MS = 86_400_000
CARDS = 6

CAMPAIGNS = (
    {"name": "Gifts", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 5_000}}},
    {
        "name": "Points",
        "campaign_type": "LOYALTY_PROGRAM",
        "voucher": {"loyalty_card": {"points": 0, "expiration_rules": {"period_type": "MONTH", "period_value": 2}}},
    },
    {
        "name": "Coupons, “all”",
        "campaign_type": "DISCOUNT_COUPONS",
        "voucher": {"discount": {"type": "PERCENT", "percent_off": 12.5, "effect": "APPLY_TO_ORDER"}},
    },
)


@dataclass(frozen=True)
class House:
    """A ledger database with its services, and one project's caller."""

    core: Core
    caller: Caller
    clock: FakeClock

    @property
    def project_id(self) -> int:
        return self.caller.project_id

    def write(self, work: Any) -> Any:
        return self.core.write(self.caller, work)

    def bring(self, object_name: str, path: Path, **options: Any) -> Report:
        """Import a file; refusals are told in the report."""
        return bring_in(self, object_name, path, **options)[0]

    def rows(self, statement: Any) -> list[Any]:
        with self.core.read() as connection:
            return list(connection.execute(statement).mappings())

    def card(self, card_id: str) -> Mapping[str, Any]:
        [row] = self.rows(sa.select(vouchers).where(vouchers.c.project_id == self.project_id, vouchers.c.id == card_id))
        return row

    def movements(self) -> list[Mapping[str, Any]]:
        table = movements
        return self.rows(sa.select(table).where(table.c.project_id == self.project_id).order_by(table.c.seq))

    def check(self) -> None:
        """Everything adds up: seq, balances, buckets, and every card's columns."""
        with self.core.read() as connection:
            assert list(findings(connection)) == []
            rows = connection.execute(
                sa.select(vouchers).where(
                    vouchers.c.project_id == self.project_id, vouchers.c.type != "DISCOUNT_VOUCHER"
                )
            ).mappings()
            for row in rows:
                assert row["balance"] == row["total"] - row["redeemed"] - row["expired"], row
                assert min(row["total"], row["subtracted"], row["redeemed"], row["expired"]) >= 0, row


@contextmanager
def house_on(database: Database, clock: FakeClock, project: int = 1) -> Iterator[House]:
    writer = GroupWriter(database, clock)
    with database.read() as connection:
        caller = Caller(get_project(connection, project))
    yield House(Core(database, writer, clock), caller, clock)
    writer.close()


def bring_in(
    house: House,
    object_name: str,
    path: Path,
    *,
    newest_first: bool = False,
    after: Callable[[Report], object] = lambda _: None,
    **options: Any,
) -> tuple[Report, list[Refusal]]:
    """Import a file; the report with every refusal. after: called after each batch."""
    refused: list[Refusal] = []

    def on_batch(report: Report, more: tuple[Refusal, ...]) -> None:
        refused.extend(more)
        after(report)

    with open_file(path, importable(object_name), newest_first=newest_first) as file:
        report = ImportService(house.core).run(house.caller, object_name, file, ImportOptions(**options), on_batch)
    return report, refused


# -- a shop's doings ---------------------------------------------------------------------------------------------------

Doing = tuple[str, int, int, int]
"""(what, card, amount, days until the next one)"""

DOINGS = ("add", "remove", "redeem", "refund", "accrue", "transfer", "rest", "order")


def furnish(house: House) -> None:
    """Campaigns, customers, and cards of both kinds; a coupon; some outside of any campaign."""
    campaigns = CampaignService(house.core, lambda: None)
    made = [campaigns.create(house.caller, given) for given in CAMPAIGNS]

    def work(unit: Unit) -> None:
        holders = [
            upsert_customer(unit, CustomerDraft(
                source_id=f"shop, {no}", profile={"name": f"Zoë “{no}”\nO'Neil", "address_city": "Łódź"},
                metadata={"vip": bool(no), "shoe": 40 + no},
            ))["id"]
            for no in range(3)
        ]  # fmt: skip
        drafts: list[VoucherDraft] = []
        for no in range(CARDS):
            gift = no % 2 == 0
            campaign = made[0] if gift else made[1]
            drafts.append(VoucherDraft(
                VoucherType.GIFT if gift else VoucherType.LOYALTY,
                code=f"CARD {no}, “é”",
                campaign_id=campaign["id"] if no < 4 else None,
                holder_id=holders[no % 3] if no else None,
                opening=700 * (no % 3),
                opening_expires_on="2025-03-31" if no == 1 else None,
                gift_effect="APPLY_TO_ORDER" if gift else None,
                metadata={"colour": "red, dark"} if no == 2 else None,
                validity_day_of_week=(1, 2) if no == 3 else None,
                start_date=unit.now_ms - DAY_MS if no == 0 else None,
                quantity=5 if no == 0 else None,
            ))  # fmt: skip
        drafts.append(
            VoucherDraft(
                VoucherType.DISCOUNT, code="COUPON", campaign_id=made[2]["id"],
                discount={"type": "PERCENT", "percent_off": 12.5, "effect": "APPLY_TO_ORDER"},
            )
        )  # fmt: skip
        insert_vouchers(unit, drafts)

    house.write(work)


def do(house: House, doings: Sequence[Doing]) -> None:
    """Let a shop do these things; what its cards cannot pay for is left out."""
    [*codes] = [f"CARD {no}, “é”" for no in range(CARDS)]
    spent: list[tuple[str, Lots, int]] = []
    for no, (what, at, amount, days) in enumerate(doings):
        house.write(lambda unit, now=(what, codes[at], codes[(at + 2) % CARDS], amount, no): _do(unit, spent, *now))
        house.clock.advance_ms(days * DAY_MS + 1)


def _do(unit: Unit, spent: list[tuple[str, Lots, int]], what: str, code: str, other: str, amount: int, no: int) -> None:
    card = unit.card(code)
    last_day = None if no % 3 else "2025-06-30"
    origin = Origin("API", f"ours, {no}", 'said "yes"\nand left' if no % 2 else None)
    match what:
        case "add":
            unit.post(*cards.add(card, amount, origin, last_day, unit.now_ms))
        case "remove" if card.balance >= amount:
            unit.post(*cards.remove(card, amount, origin))
        case "redeem" if card.balance >= amount:
            card, made = cards.redeem(card, amount, {"order": {"id": f"ord_{no}"}}, Origin())
            spent.append((code, made[0].lots, amount))
            unit.post(card, made)
        case "refund" if any(home == code for home, _, _ in spent):
            place = next(each for each in spent if each[0] == code)
            spent.remove(place)
            unit.post(*cards.refund(card, place[1], place[2], {}, Origin(), last_day, unit.now_ms))
        case "accrue" if card.kind is cards.CardKind.LOYALTY:
            unit.post(*cards.accrue(card, amount, {"earning_rule": {"id": "ern_ü"}}, last_day, unit.now_ms))
        case "transfer" if card.kind is cards.CardKind.LOYALTY and card.balance >= amount:
            _transfer(unit, card, unit.card(other), amount, origin)
        case "order":
            buyer = CustomerDraft(source_id="shop, 1")
            save_order(
                unit, OrderDraft(source_id=f"order {no}", status="PAID", amount=amount, customer=buyer), earn=False
            )
        case _:
            pass


def _transfer(unit: Unit, giver: Card, taker: Card, amount: int, origin: Origin) -> None:
    giver, taker, made = cards.transfer(giver, taker, amount, origin, None, unit.now_ms)
    unit.post((giver, taker), made)


# -- files -------------------------------------------------------------------------------------------------------------


def export(
    house: House, object_name: str, path: Path, *, fields: Sequence[str] = (), style: str = "names", order: str = ""
) -> bytes:
    """Write an object's rows to a file as an export does, its format by its ending; returns the bytes."""
    about = exportable(object_name)
    asked = tuple(fields) or tuple(field.name for field in about.fields if field.exported and field.listed)
    request = ExportRequest(object_name, asked, header_style=style)  # type: ignore[arg-type]
    with house.core.read() as connection:
        last = connection.execute(sa.select(sa.func.max(movements.c.seq))).scalar_one() or 0
    whole = plan(request, project_id=house.project_id, seq_max=last, now_ms=house.clock.now_ms())
    selection = whole.selection
    source = DatabaseRows(house.core.database)
    schema = source.schema(selection)
    batches = [rows.batch for task in whole.tasks for rows in source.batches(selection, task, StopFlag())]
    columns = [Column(each.field, each.label, each.scale) for each in selection.columns]
    if path.suffix == ".parquet":
        table = pa.Table.from_batches(batches, schema).select([column.name for column in columns])
        pq.write_table(table.rename_columns([column.label for column in columns]), path, row_group_size=7)
    else:
        encoder = csv_encoder(schema, columns) if path.suffix == ".csv" else JsonLinesEncoder(schema, columns)
        path.write_bytes(b"".join([bytes(encoder.begin()), *(bytes(encoder.encode(each)) for each in batches)]))
    return path.read_bytes()


def write_csv(path: Path, header: str, *rows: str, end: str = "\n") -> Path:
    """A CSV file out of its lines."""
    path.write_text(end.join([header, *rows]) + end, encoding="utf-8", newline="")
    return path


def write_jsonl(path: Path, *rows: Any) -> Path:
    """A JSON Lines file; rows that are text already are written as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
