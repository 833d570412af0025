"""Vouchers made in bulk: codes never repeat, balances follow from movements, counts stay true; and they are found again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from counterfoil.db import campaigns as campaign_rows
from counterfoil.db import vouchers as rows
from counterfoil.db.engine import Database
from counterfoil.db.projects import get_project
from counterfoil.db.schema import campaigns, movements
from counterfoil.db.unit import Unit
from counterfoil.db.vouchers import VoucherQuery
from counterfoil.db.writer import GroupWriter
from counterfoil.domain.codes import CodeShape
from counterfoil.domain.vouchers import VoucherDraft, VoucherType
from counterfoil.errors import Conflict, CounterfoilError, InvalidInput, NotFound
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.core import Caller, Core
from counterfoil.services.issuing import insert_voucher, insert_vouchers
from counterfoil.services.vouchers import VoucherService, points_expire_on
from tests.databases import postgres_ledger, sqlite_ledger
from tests.fakes import FakeClock
from tests.services import PostgresServer

GIFT = VoucherDraft(VoucherType.GIFT, opening=500)
SMALL = CodeShape(charset="0123456789", pattern="S##")
"""A shape of a hundred codes."""


@dataclass
class House:
    """A core over a database with two projects."""

    core: Core
    caller: Caller
    stranger: Caller

    def do(self, work: Callable[[Unit], Any], caller: Caller | None = None) -> Any:
        return self.core.write(caller or self.caller, work)

    def make(self, *drafts: VoucherDraft, caller: Caller | None = None) -> list[str]:
        return self.do(lambda unit: [row["code"] for row in insert_vouchers(unit, drafts)], caller)

    def listed(self, **query: Any) -> list[str]:
        found, total = VoucherService(self.core).list_vouchers(self.caller, VoucherQuery(limit=100, **query))
        assert total == len(found)
        return [row["code"] for row in found]


@contextmanager
def house_on(database: Database) -> Iterator[House]:
    clock = FakeClock()
    writer = GroupWriter(database, clock)
    with database.read() as connection:
        callers = [Caller(get_project(connection, no)) for no in (1, 2)]
    yield House(Core(database, writer, clock), *callers)
    writer.close()


class Contract:
    def test_what_is_returned_is_what_is_stored(self, house: House) -> None:
        draft = VoucherDraft(
            VoucherType.LOYALTY, "CARD", opening=70, opening_expires_on="2025-01-31", category="vip", start_date=1,
            expiration_date=2, validity_timeframe={"interval": "P2D", "duration": "P1D"}, validity_day_of_week=(0, 6),
            active=False, additional_info="i", metadata={"ü": [1, None]}, holder_id="cust_1", is_referral_code=True,
            quantity=3, created_at=77,
        )  # fmt: skip
        made = house.do(lambda unit: insert_voucher(unit, draft))
        with house.core.read() as connection:
            stored = rows.voucher_row(connection, 1, "CARD")
            shown = rows.with_points(connection, 1, [stored])[0]
            opened = connection.execute(sa.select(movements)).mappings().one()
        assert stored == {**made, "validity_day_of_week": [0, 6]}
        assert (stored["balance"], stored["total"], stored["created_at"]) == (70, 70, 77)
        assert (shown["next_expiration_date"], shown["next_expiration_points"], shown["pending_points"]) == (
            "2025-01-31", 70, 0,
        )  # fmt: skip
        assert (opened["type"], opened["amount"], opened["balance"], opened["created_at"]) == (
            "OPENING_BALANCE",
            70,
            70,
            77,
        )
        assert (opened["voucher_id"], opened["customer_id"]) == (stored["id"], "cust_1")

    def test_drawn_codes_never_repeat_to_the_last_one(self, house: House) -> None:
        draft = replace(GIFT, shape=SMALL)
        codes = [*house.make(*[draft] * 60), *house.make(*[draft] * 39), *house.make(draft)]
        assert sorted(codes) == sorted(SMALL.code(number) for number in range(100))
        with pytest.raises(InvalidInput) as refused:
            house.make(draft)
        assert refused.value.code == "invalid_code_config"
        assert len(house.listed()) == 100

    def test_a_freed_code_can_be_drawn_again(self, house: House) -> None:
        draft = replace(GIFT, shape=SMALL)
        house.make(*[draft] * 100)
        VoucherService(house.core).delete(house.caller, "S42")
        assert house.make(draft) == ["S42"]

    def test_a_large_space_nearly_full_is_refused_not_searched_for_ever(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("counterfoil.services.issuing._LISTED_MAX", 1)
        draft = replace(GIFT, shape=CodeShape(charset="01", pattern="##"))
        codes = [code for _ in range(4) for code in house.make(draft)]
        assert sorted(codes) == ["00", "01", "10", "11"]
        with pytest.raises(InvalidInput, match="longer pattern"):
            house.make(draft)

    def test_given_and_drawn_codes_of_one_call_do_not_collide(self, house: House) -> None:
        shape = CodeShape(charset="01", pattern="#")
        assert house.make(replace(GIFT, shape=shape), replace(GIFT, code="0")) == ["1", "0"]

    def test_a_taken_code_is_refused_and_nothing_is_made(self, house: House) -> None:
        house.make(replace(GIFT, code="A"))
        with pytest.raises(Conflict, match="Duplicated voucher exists with id A"):
            house.make(replace(GIFT, code="B"), replace(GIFT, code="A"))
        with pytest.raises(InvalidInput, match="Duplicate codes: C"):
            house.make(replace(GIFT, code="C"), replace(GIFT, code="C"))
        assert house.listed() == ["A"]
        with house.core.read() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(movements)).scalar_one() == 1

    def test_another_project_has_codes_of_its_own(self, house: House) -> None:
        house.make(replace(GIFT, code="A"))
        house.make(replace(GIFT, code="A"), caller=house.stranger)
        house.do(lambda unit: rows.voucher_row(unit, 2, "A"), house.stranger)
        with house.core.read() as connection:
            assert rows.voucher_row(connection, 1, "A")["id"] != rows.voucher_row(connection, 2, "A")["id"]

    def test_writers_at_once_take_each_code_once(self, house: House) -> None:
        refused: list[CounterfoilError] = []
        writers = [GroupWriter(house.core.database, house.core.clock) for _ in range(4)]

        def draw(writer: GroupWriter) -> None:
            for _ in range(30):
                try:
                    writer.run(1, lambda unit: insert_vouchers(unit, [replace(GIFT, shape=SMALL)])[0]["code"])
                except CounterfoilError as error:
                    refused.append(error)

        threads = [threading.Thread(target=draw, args=(writer,)) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for writer in writers:
            writer.close()
        assert len(house.listed()) == len(set(house.listed())) == 100
        assert {error.code for error in refused} == {"invalid_code_config"}
        assert len(refused) == 20

    def test_a_campaign_counts_its_vouchers(self, house: House) -> None:
        service = CampaignService(house.core, lambda: None)
        campaign = service.create(
            house.caller, {"name": "G", "campaign_type": "GIFT_VOUCHERS", "voucher": {"gift": {"amount": 5}}},
            vouchers_count=7,
        )  # fmt: skip
        house.make(replace(GIFT, campaign_id=campaign["id"]), GIFT)
        VoucherService(house.core).delete(house.caller, house.listed(campaign="G")[0])
        with house.core.read() as connection:
            stored = connection.execute(sa.select(campaigns.c.vouchers_count)).scalar_one()
        assert stored == len(house.listed(campaign_id=campaign["id"])) == 7

    def test_points_follow_the_programmes_rules_of_the_moment(self, house: House) -> None:
        service = CampaignService(house.core, lambda: None)
        club = service.create(house.caller, {"name": "Club", "campaign_type": "LOYALTY_PROGRAM"})
        house.make(VoucherDraft(VoucherType.LOYALTY, "CARD", campaign_id=club["id"]))

        def last_day(unit: Unit) -> str | None:
            return points_expire_on(unit, unit.card("CARD"))

        def change(unit: Unit) -> None:
            rules = {"period_type": "MONTH", "period_value": 1}
            values = {"voucher": {**club["voucher"], "loyalty_card": {"points": 0, "expiration_rules": rules}}}
            campaign_rows.update_campaign(unit.sql, 1, club["id"], values)

        def refused(unit: Unit) -> None:
            change(unit)
            assert last_day(unit) == "2024-11-09"
            raise InvalidInput("invalid_payload", "no")

        with house.core.database.write() as connection:
            unit = Unit(connection, 1, FakeClock.START_MS)
            assert unit.run(last_day) is None
            with pytest.raises(InvalidInput):
                unit.run(refused)
            assert unit.run(last_day) is None
            unit.run(change)
            assert unit.run(last_day) == "2024-11-09"

    def test_a_voucher_is_found_by_its_code_before_its_id(self, house: House) -> None:
        first = house.do(lambda unit: insert_voucher(unit, replace(GIFT, code="A")))
        house.make(replace(GIFT, code=first["id"]))
        with house.core.read() as connection:
            assert rows.voucher_row(connection, 1, first["id"])["code"] == first["id"]
            assert rows.voucher_row(connection, 1, "A")["id"] == first["id"]
            with pytest.raises(NotFound, match="Cannot find voucher with id a"):
                rows.voucher_row(connection, 1, "a")

    def test_the_list_has_one_order_on_every_database(self, house: House) -> None:
        house.make(
            *(
                replace(GIFT, code=code, created_at=at)
                for code, at in (("b", 2), ("B", 1), ("ä", 3), ("a", 2), ("_", 2))
            )
        )
        assert house.listed(order="code") == ["B", "_", "a", "b", "ä"]
        assert house.listed(order="-code") == ["ä", "b", "a", "_", "B"]
        newest = house.listed(order="-created_at")
        assert (newest[0], set(newest[1:4]), newest[4]) == ("ä", {"a", "b", "_"}, "B")
        assert house.listed(order="created_at") == newest[::-1]
        VoucherService(house.core).update(house.caller, "B", {"category": "late"})
        assert house.listed(order="-updated_at") == ["B", *newest[:-1]]

    def test_the_list_picks_what_is_asked_for(self, house: House) -> None:
        drafts = [replace(GIFT, code=f"V{at}", category=f"c{at % 2}", created_at=at) for at in range(6)]
        made = house.do(lambda unit: insert_vouchers(unit, drafts))
        house.make(replace(GIFT, code="V0"), caller=house.stranger)
        assert house.listed(order="code", category="c1") == ["V1", "V3", "V5"]
        assert house.listed(order="code", created_after=1, created_before=4) == ["V2", "V3"]
        assert house.listed(code="V3") == ["V3"]
        assert house.listed(order="code", ids=(made[1]["id"], made[4]["id"], "v_none")) == ["V1", "V4"]
        assert house.listed(customer="nobody") == house.listed(campaign="none") == house.listed(updated_after=0) == []


class TestOnSqlite(Contract):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[House]:
        with sqlite_ledger(tmp_path) as database, house_on(database) as house:
            yield house


class TestOnPostgres(Contract):
    @pytest.fixture
    def house(self, postgres_server: PostgresServer) -> Iterator[House]:
        with postgres_ledger(postgres_server) as database, house_on(database) as house:
            yield house
