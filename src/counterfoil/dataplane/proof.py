"""What can be proved of an export's rows, and the proof.

The chain of a card is only whole in a file that holds the card's movements without gaps, so it is not the file's
columns that decide (the proof scans what it needs besides) but what the filters may leave out:

* `cards`: filters name cards and campaigns only, so every card in the file is there with all its movements up to the
  snapshot. Each card is one unbroken run; its opening is what the ledger held before its first shown movement (an
  imported card's opening balance is a movement that the dialects hide). A break means that the ledger or the file is
  damaged: the export fails rather than publish it.
* `period`: besides, an interval of created_at, a cursor or a limit cuts the runs at both ends. Movements that were
  back-dated into or out of the interval leave gaps in a run; then nothing can be said of balances, and the proof says
  so and gives totals only.
* `totals`: any other filter. Rows, sums and totals by type stand in the manifest, and no chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from counterfoil.dataplane.chain import Chain, ChainTotals, settle
from counterfoil.dataplane.rows import Rows
from counterfoil.dataplane.tally import Totals
from counterfoil.errors import Damaged
from counterfoil.plan.request import Filter
from counterfoil.plan.task import Selection

Kind = Literal["cards", "period", "totals"]

_CARD_FIELDS = frozenset({"campaign_id", "voucher_id"})
_INTERVALS = frozenset({"after", "before", "at_or_after", "at_or_before", "has_value"})


@dataclass(frozen=True, slots=True)
class Provable:
    """Which kind of proof a selection allows, and why, in words for the manifest."""

    kind: Kind
    why: str


def provable(selection: Selection, *, movements: bool) -> Provable:
    """Decide what can be proved. movements: whether the object's rows are movements."""
    if not movements:
        return Provable("totals", "the object has no balance to follow")
    cut = selection.limit_rows is not None or selection.cursor is not None
    for asked in (selection.scope, selection.filter):
        for each in asked.fields:
            if each.field == "created_at" and _is_interval(asked):
                cut = True
            elif each.field not in _CARD_FIELDS:
                return Provable("totals", f"the condition on {each.field} may leave out movements between others")
    if cut:
        return Provable("period", "every movement of the cards in the period or range asked for is in the file")
    return Provable("cards", "every movement of each card up to the snapshot is in the file")


def prove(
    provable: Provable,
    totals: Totals,
    chain: Chain | None,
    rescan: Callable[[], Iterator[Rows]],
    *,
    descending: bool,
) -> dict[str, Any]:
    """The proof as it stands in the manifest, in plain JSON values.

    chain: what was gathered of the file's rows; None for the kind `totals`. rescan: gives the rows once more, for
    cards that need a second look. Raises Damaged('chain_broken') where the kind `cards` demands what does not hold.
    """
    if chain is None:
        return {"kind": "totals", "why": provable.why}
    found = chain.totals()
    if len(found.suspects):
        settle(found, iter(rescan, None), descending=descending)
    amount = sum(each[1] for each in totals.types.values())
    if found.runs != found.cards:
        return _broken(provable, found)
    if found.opening + amount != found.closing:
        raise Damaged("chain_broken", f"{found.opening} + {amount} is not {found.closing}: rows were counted otherwise")
    return {
        "kind": provable.kind,
        "why": provable.why,
        "cards": found.cards,
        "opening": found.opening,
        "amount": amount,
        "closing": found.closing,
        "shuffled_cards": found.shuffled,
    }


def _broken(provable: Provable, found: ChainTotals) -> dict[str, Any]:
    gaps = found.runs - found.cards
    if provable.kind == "period":
        return {
            "kind": "totals",
            "why": "movements that were back-dated into or out of the period leave gaps in the runs of cards",
            "cards": found.cards,
            "gaps": gaps,
        }
    places = ", ".join(f"card {card} before movement {seq}" for card, seq in found.broken)
    raise Damaged(
        "chain_broken",
        f"The balances of {gaps} places do not follow from the movements before them ({places}). Nothing was "
        "published; run `counterfoil doctor` and compare the ledger with a backup",
    )


def _is_interval(asked: Filter) -> bool:
    """Whether the conditions on created_at bound one stretch of time, so that each card's part of it has no gaps."""
    times = [each for each in asked.fields if each.field == "created_at"]
    if len(times) > 1 and asked.junction == "or":
        return False
    return all(
        condition.operator in _INTERVALS or (condition.operator == "within" and len(condition.operands) == 2)
        for each in times
        for condition in each.conditions
    )
