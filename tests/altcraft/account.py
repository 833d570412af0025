"""An account whose points are posted by calls, for the tests of postings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from counterfoil.db.schema import postings
from counterfoil.ids import movement_uuid
from tests.altcraft.shop import Shop, named

ACCRUE, REDEEM = "loyalty/accrue_points", "loyalty/redeeme_points"
COMMIT, ROLL_BACK, CANCEL = (f"loyalty/{name}_transaction" for name in ("commit", "rollback", "cancel"))


class Account:
    """Ann's account in a programme with two decimal digits."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.programme = shop.programme(scale=2)
        self.ann = shop.member(self.programme)
        self.body = {**named(self.programme), **self.ann}

    def accrue(self, amount: str = "100.50", **body: Any) -> dict[str, str]:
        return self.shop.call(ACCRUE, **self.body, amount=amount, **body)["data"]

    def redeem(self, amount: str = "40", **body: Any) -> dict[str, str]:
        return self.shop.call(REDEEM, **self.body, amount=amount, **body)["data"]

    def settle(self, path: str, **body: Any) -> dict[str, str]:
        return self.shop.call(path, **body)["data"]

    @property
    def balances(self) -> tuple[str, str]:
        """(active, total)"""
        data = self.shop.call("loyalty/account/balance", **self.body)["data"]
        return data["active_balance"], data["total_balance"]

    @property
    def held(self) -> int:
        """How many postings are held."""
        mine = (postings.c.project_id == self.shop.caller.project_id, postings.c.status == "HELD")
        with self.shop.system.core.read() as connection:
            return len(connection.execute(sa.select(postings.c.id).where(*mine)).all())

    @property
    def story(self) -> list[tuple[str, int]]:
        """Type and amount of every movement."""
        return [(row["type"], row["amount"]) for row in self.shop.movements()]

    def uuid(self, seq: int) -> str:
        return movement_uuid(self.shop.caller.project.key, seq)
