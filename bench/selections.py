"""Parts of the ledger: one campaign, the last 30 days, a thousand cards, one card; every field, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from bench import columns, story
from bench.case import Case, Contender, Context
from bench.full import REQUEST
from bench.market import Market
from bench.ours import home_of, serving

_CAMPAIGN_SHARE = 0.005
_LAST_MS = 30 * 86_400_000
_CARDS = 1_000


def cases(context: Context) -> Iterator[Case]:
    """`campaign`, `last-30-days`, `1000-cards`, `one-card`."""
    chosen = [each for each in _selections(context) if context.wanted(each[0])]
    if not chosen:
        return
    market = Market(context)
    home = home_of(context)
    inputs = [home / "files" / "segments", home / "counterfoil.db"]
    with serving(home) as server:
        for name, title, filters, peers in chosen:
            request = {**REQUEST, "filters": filters}
            by_campaign = market.contender("duckdb", "table by campaign", **peers) if name == "campaign" else []
            yield Case(
                name,
                title,
                [
                    Contender("Counterfoil", partial(server.run, request), inputs=inputs),
                    *market.contender("postgres", "psql", **peers),
                    *market.contender("duckdb", "selection", **peers),
                    *by_campaign,
                    *market.contender("chdb", "ORDER BY", **peers),
                ],
            )


def _selections(context: Context) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Name, title, our filters, the peers' selection."""
    tale = story.tell(context.rows)
    names = columns.names_of(tale)
    shares = np.bincount(tale.campaign_of_card[tale.card], minlength=story.CAMPAIGNS) / tale.rows
    campaign = str(names.campaigns[int(np.argmin(np.abs(shares - _CAMPAIGN_SHARE)))])
    yield "campaign", "One campaign of 0.5 %", _is("campaign_id", "$is", campaign), {"campaign": campaign}
    since_ms = int(tale.created_ms.max()) - _LAST_MS
    since = datetime.fromtimestamp(since_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{since_ms % 1000:03d}Z"
    yield "last-30-days", "The last 30 days", _is("created_at", "$after", since), {"since_ms": since_ms}
    cards = tuple(str(card) for card in names.cards[: min(_CARDS, tale.cards // 2)])
    yield "1000-cards", f"{len(cards):,} cards", _is("voucher_id", "$in", *cards), {"cards": cards}
    yield "one-card", "One card", _is("voucher_id", "$is", cards[0]), {"cards": cards[:1]}


def _is(field: str, operator: str, *operands: str) -> dict[str, Any]:
    return {field: {"conditions": {operator: list(operands)}}}
