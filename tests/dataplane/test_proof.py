"""What may be proved of which selection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from counterfoil.dataplane.proof import provable
from counterfoil.plan.request import Condition, FieldFilter, Filter, Order
from counterfoil.plan.task import Selection

CAMPAIGN = FieldFilter("campaign_id", (Condition("in", ("camp_1",)),))
CARDS = FieldFilter("voucher_id", (Condition("contains", ("a",)),))
SELECTION = Selection(1, "voucher_transactions", (), Filter(), Filter("and", (CAMPAIGN,)), Order("created_at"), 9)


def created(*conditions: Condition) -> Filter:
    return Filter("and", (FieldFilter("created_at", conditions),))


@pytest.mark.parametrize(
    ("selection", "kind"),
    [
        (SELECTION, "cards"),
        (replace(SELECTION, scope=Filter()), "cards"),
        (replace(SELECTION, filter=Filter("or", (CARDS, CAMPAIGN))), "cards"),
        (replace(SELECTION, limit_rows=5), "period"),
        (replace(SELECTION, cursor=(1, 2)), "period"),
        (replace(SELECTION, filter=created(Condition("after", (5,)), Condition("at_or_before", (9,)))), "period"),
        (replace(SELECTION, filter=created(Condition("within", (5, 9)))), "period"),
        (replace(SELECTION, filter=created(Condition("within", (5, 9, 12, 15)))), "totals"),
        (replace(SELECTION, filter=created(Condition("in", (5,)))), "totals"),
        (replace(SELECTION, filter=created(Condition("weekday_in", (0,)))), "totals"),
        (replace(SELECTION, filter=Filter("or", (*created(Condition("after", (5,))).fields, CARDS))), "period"),
        (replace(SELECTION, filter=Filter("or", created(Condition("after", (9,))).fields * 2)), "totals"),
        (replace(SELECTION, scope=Filter("and", (FieldFilter("type", ()),))), "totals"),
    ],
)
def test_filters_that_keep_runs_whole_allow_the_chain(selection: Selection, kind: str) -> None:
    found = provable(selection, movements=True)
    assert found.kind == kind
    assert found.why


def test_other_objects_have_totals_only() -> None:
    assert provable(SELECTION, movements=False).kind == "totals"
