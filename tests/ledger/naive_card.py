"""A card as anyone would write it down: points by their last day of use."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

NEVER = "9999"

Came = list[tuple[str, int, int]]
"""Where points came from: (day, which opening of that day's lot, points)."""


@dataclass
class NaiveCard:
    """lots: last day of use -> points. opened: how often that day's lot was opened. Gift cards have the lot NEVER only."""

    loyalty: bool
    lots: Counter[str] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    expired_lots: list[tuple[str, int]] = field(default_factory=list)
    total: int = 0
    subtracted: int = 0
    redeemed: int = 0

    @property
    def balance(self) -> int:
        return sum(self.lots.values())

    @property
    def expired(self) -> int:
        return sum(points for _, points in self.expired_lots)

    def gain(self, points: int, day: str | None) -> None:
        """Put points on, without saying why."""
        day = (day or NEVER) if self.loyalty else NEVER
        if day not in self.lots:
            self.opened[day] += 1
        self.lots[day] += points

    def take(self, points: int) -> Came:
        """Take points off, soonest expiry first, without saying why."""
        came: Came = []
        for day in sorted(self.lots):
            taken = min(points, self.lots[day])
            self.lots[day] -= taken
            points -= taken
            if taken:
                came.append((day, self.opened[day], taken))
        assert points == 0
        return came

    def add(self, points: int, day: str | None) -> None:
        """Grant points."""
        self.gain(points, day)
        self.total += points

    def remove(self, points: int) -> None:
        """Take points away by hand."""
        self.take(points)
        self.total -= points
        self.subtracted += points

    def spend(self, points: int) -> Came:
        """Redeem points."""
        self.redeemed += points
        return self.take(points)

    def give_back(self, came: Came, expired_to: str | None) -> None:
        """Undo a spending: points return to the lots they came from, or to `expired_to` where that lot has expired."""
        for day, opening, points in came:
            lives = day in self.lots and self.opened[day] == opening
            self.gain(points, None if day == NEVER else day if lives else expired_to)
            self.redeemed -= points

    def expire(self, today: str) -> list[int]:
        """Drop the lots whose day is past; the movements that this makes."""
        late = sorted(day for day in self.lots if day != NEVER and day < today)
        gone = [(day, self.lots.pop(day)) for day in late]
        self.expired_lots += gone
        return [-points for _, points in gone if points]
