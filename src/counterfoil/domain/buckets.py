"""Points buckets: lots of points with one last day of use each.

A card has at most one active bucket for each last day of use. A bucket's id follows from the card, the day and the moment
it was opened, so that a clock set back over midnight can never write over a bucket that has expired.
Spending takes the bucket that expires first. The sum over active buckets is the card's balance, always.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from counterfoil.errors import Refused

ACTIVE = "ACTIVE"
EXPIRED = "EXPIRED"
_NEVER = "9999-99-99"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Lots = tuple[tuple[str, int], ...]
"""Which buckets a movement touched: (bucket id, signed points)."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Points left in one lot. expires_on is the last day of use (ISO date, UTC), None for never.

    An EXPIRED bucket keeps the number of points that expired in it.
    """

    id: str
    points: int
    expires_on: str | None
    status: str = ACTIVE
    created_at: int = 0

    @property
    def rank(self) -> tuple[str, str]:
        """Earlier days first, never last; the id breaks no real tie, since days are unique among active buckets."""
        return (self.expires_on or _NEVER, self.id)


Buckets = tuple[Bucket, ...]


def bucket_id(card_id: str, expires_on: str | None, opened_at: int = 0) -> str:
    """`lopb_` and 24 letters that follow from the card, the last day of use and the instant of opening (ms)."""
    number = int.from_bytes(hashlib.sha256(f"{card_id}|{expires_on}|{opened_at}".encode()).digest(), "big")
    letters: list[str] = []
    for _ in range(24):
        number, digit = divmod(number, 62)
        letters.append(_ALPHABET[digit])
    return "lopb_" + "".join(letters)


def active_points(buckets: Buckets) -> int:
    """The points that can be spent."""
    return sum(b.points for b in buckets if b.status == ACTIVE)


def grant(buckets: Buckets, card_id: str, points: int, expires_on: str | None, now_ms: int) -> tuple[Buckets, Lots]:
    """Add points (> 0) with a last day of use; they join the bucket of that day when there is one."""
    for at, bucket in enumerate(buckets):
        if bucket.expires_on == expires_on and bucket.status == ACTIVE:
            grown = replace(bucket, points=bucket.points + points)
            return (*buckets[:at], grown, *buckets[at + 1 :]), ((bucket.id, points),)
    opened_at, taken = now_ms, {b.id for b in buckets}
    while (fresh_id := bucket_id(card_id, expires_on, opened_at)) in taken:
        opened_at += 1
    fresh = Bucket(fresh_id, points, expires_on, ACTIVE, now_ms)
    return (*buckets, fresh), ((fresh.id, points),)


def spend(buckets: Buckets, points: int) -> tuple[Buckets, Lots]:
    """Take points (> 0), from the bucket that expires first onwards. Raises Refused when there are too few."""
    left = points
    changed: dict[str, Bucket] = {}
    lots: list[tuple[str, int]] = []
    for bucket in sorted((b for b in buckets if b.status == ACTIVE and b.points), key=lambda b: b.rank):
        taken = min(bucket.points, left)
        changed[bucket.id] = replace(bucket, points=bucket.points - taken)
        lots.append((bucket.id, -taken))
        left -= taken
        if not left:
            break
    if left:
        raise Refused("insufficient_points", "loyalty card points exceeded", field="points", value=points)
    return tuple(changed.get(b.id, b) for b in buckets), tuple(lots)


def give_back(buckets: Buckets, card_id: str, lots: Lots, expired_to: str | None, now_ms: int) -> tuple[Buckets, Lots]:
    """Return spent points to the buckets they came from.

    lots: (bucket id, points > 0) to return. Points whose bucket has expired or is unknown come back with the last day
    of use `expired_to`, so that a refund is never lost to an expiry that the spending had escaped.
    """
    returned: list[tuple[str, int]] = []
    for home_id, points in lots:
        home = next((b for b in buckets if b.id == home_id and b.status == ACTIVE), None)
        buckets, lot = grant(buckets, card_id, points, home.expires_on if home else expired_to, now_ms)
        returned.extend(lot)
    return buckets, tuple(returned)


def due(buckets: Buckets, today: str) -> Buckets:
    """Active buckets whose last day of use is before `today` (ISO date), soonest first, empty ones included."""
    late = (b for b in buckets if b.status == ACTIVE and b.expires_on is not None and b.expires_on < today)
    return tuple(sorted(late, key=lambda b: b.rank))
