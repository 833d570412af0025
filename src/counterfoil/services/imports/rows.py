"""What the importers of mutable objects share: rows compared with those that are there, and one row only once a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from counterfoil.services.imports.report import Item, Refusal


def difference(stored: Mapping[str, Any], said: Mapping[str, Any], what: str) -> str | None:
    """Why a row is not the one that is there: the first column that differs; None when all that was said is so."""
    for name, value in said.items():
        if not _alike(stored[name], value):
            return f"{what} is there already, with another {name} ({stored[name]!r}, and here {value!r})"
    return None


def _alike(stored: Any, said: Any) -> bool:
    if stored == said:
        return True
    if isinstance(stored, list) and isinstance(said, tuple):
        return tuple(stored) == said
    # An empty document and none are the same to whoever reads them.
    return not stored and not said and isinstance(stored or said or {}, dict | list | tuple) and stored is not said


class Once:
    """Items of a batch by what must be theirs alone (an id, a code): the second of two is known or refused."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], Item] = {}
        self.known = 0
        self.refused: list[Refusal] = []

    def pass_on(self, items: Iterable[Item], names: tuple[str, ...]) -> Iterable[Item]:
        """The items that stand for themselves; names: the columns that must differ. Unreadable ones are refused here."""
        for item in items:
            if item.reason is not None:
                self.refused.append(item.refusal(item.reason))
                continue
            keys = [(name, str(item.cells[name])) for name in names if item.cells.get(name)]
            before = next((self._first[key] for key in keys if key in self._first), None)
            if before is None:
                self._first |= dict.fromkeys(keys, item)
                yield item
            elif before.cells == item.cells:
                self.known += 1
            else:
                self.refused.append(item.refusal(f"the same row stands in line {before.line}, with other content"))

    def refuse(self, item: Item, reason: str) -> None:
        """Refuse an item that was passed on."""
        self.refused.append(item.refusal(reason))

    @property
    def sorted(self) -> tuple[Refusal, ...]:
        """The refusals in the order of the file."""
        return tuple(sorted(self.refused, key=lambda refusal: refusal.line))
