"""A story's rows as Arrow record batches with the columns of the ledger's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.story import CAMPAIGNS, TYPES, Ints, Story
from counterfoil.domain.buckets import bucket_id

_LETTERS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_SOURCES = ("API", "Automation", "Loyalty UI", None)
_SOURCE_SHARES = (0.6, 0.25, 0.1, 0.05)
_REASONS = (
    "Goodwill",
    'Customer said "twice charged"',
    "Return, damaged box",
    "Call centre: see note\nand the second line",
    'Correction, booked as "gift", see ticket',
    "Aniversário do cliente",
)
_BATCH_ROWS = 100_000
"""What is drawn for a row depends on its batch's beginning, so it is the same for everybody who asks."""
_DETAILS_SHARE = 0.4
_REASON_SHARE = 0.08
_SOURCE_ID_SHARE = 0.15


@dataclass(frozen=True)
class Names:
    """The ids of a story's campaigns, cards and holders, and each loyalty card's one bucket (null: a gift card)."""

    campaigns: pa.StringArray
    cards: pa.StringArray
    codes: pa.StringArray
    customers: pa.StringArray
    buckets: pa.StringArray


def names_of(story: Story) -> Names:
    """Name everything in a story; the same seed gives the same names."""
    rng = np.random.default_rng((story.seed, 1))
    cards = _random_ids(rng, b"v_", 32, story.cards)
    gift = story.is_gift(story.campaign_of_card)
    buckets = [
        None if is_gift else bucket_id(card, None, opened)
        for card, is_gift, opened in zip(cards.to_pylist(), gift.tolist(), story.opened_ms.tolist(), strict=True)
    ]
    return Names(
        _random_ids(rng, b"camp_", 24, CAMPAIGNS),
        cards,
        _random_ids(rng, b"CARD-", 10, story.cards),
        _random_ids(rng, b"cust_", 24, story.cards),
        pa.array(buckets, pa.string()),
    )


def batches(story: Story, names: Names) -> Iterator[pa.RecordBatch]:
    """The movements in seq order, with every column of the table `movements`."""
    for start in range(0, story.rows, _BATCH_ROWS):
        yield _batch(story, names, start, min(start + _BATCH_ROWS, story.rows))


def _batch(story: Story, names: Names, start: int, end: int) -> pa.RecordBatch:
    rng = np.random.default_rng((story.seed, 2, start))
    seq = np.arange(start + 1, end + 1, dtype=np.int64)
    card = pa.array(story.card[start:end])
    campaign = story.campaign_of_card[story.card[start:end]]
    recorded = story.recorded_ms[start:end]
    ids = _movement_ids(recorded, seq)
    amount = pa.array(story.amount[start:end])
    balance = pa.array(story.balance[start:end])
    card_ids = names.cards.take(card)
    columns: dict[str, Any] = {
        "project_id": pa.repeat(pa.scalar(1, pa.int64()), end - start),
        "seq": pa.array(seq),
        "id": ids,
        "voucher_id": card_ids,
        "campaign_id": names.campaigns.take(pa.array(campaign)),
        "customer_id": names.customers.take(card),
        "type": pa.array(TYPES, pa.string()).take(pa.array(story.kind[start:end])),
        "amount": amount,
        "balance": balance,
        "source": _choice(rng, _SOURCES, _SOURCE_SHARES, end - start),
        "source_id": _source_ids(rng, seq),
        "reason": _reasons(rng, seq),
        "details": _details(rng, card_ids, amount, balance, pa.array(story.is_gift(campaign))),
        "related_transaction_id": _related(story, start, end),
        "lots": _lots(names.buckets.take(card), amount),
        "created_at": pa.array(story.created_ms[start:end]),
        "recorded_at": pa.array(recorded),
    }
    return pa.RecordBatch.from_pydict(columns)


def _related(story: Story, start: int, end: int) -> pa.StringArray:
    distance = story.related[start:end]
    other = np.arange(start, end) + distance
    other_ids = _movement_ids(story.recorded_ms[other], (other + 1).astype(np.int64))
    return pc.if_else(pa.array(distance != 0), other_ids, pa.scalar(None, pa.string()))


def _source_ids(rng: np.random.Generator, seq: Ints) -> pa.StringArray:
    texts = pc.binary_join_element_wise("erp-", pa.array(seq * 7919).cast(pa.string()), "")
    return pc.if_else(pa.array(rng.random(len(seq)) < _SOURCE_ID_SHARE), texts, pa.scalar(None, pa.string()))


def _reasons(rng: np.random.Generator, seq: Ints) -> pa.StringArray:
    stock = pa.array(_REASONS, pa.string()).take(pa.array(rng.integers(0, len(_REASONS), len(seq))))
    texts = pc.binary_join_element_wise(stock, pa.array(seq % 9973).cast(pa.string()), " #")
    return pc.if_else(pa.array(rng.random(len(seq)) < _REASON_SHARE), texts, pa.scalar(None, pa.string()))


def _details(
    rng: np.random.Generator, card: pa.StringArray, amount: pa.Int64Array, balance: pa.Int64Array, gift: pa.BooleanArray
) -> pa.StringArray:
    """The vendor's balance object, as compact JSON."""
    size = len(card)
    head = pc.if_else(
        gift, '{"balance":{"type":"gift_voucher","amount":', '{"balance":{"type":"loyalty_card","points":'
    )
    tail = '","type":"voucher"}}}'
    texts = pc.binary_join_element_wise(
        head, amount.cast(pa.string()), ',"object":"balance","balance":', balance.cast(pa.string()),
        ',"related_object":{"id":"', card, tail, "",
    )  # fmt: skip
    return pc.if_else(pa.array(rng.random(size) < _DETAILS_SHARE), texts, pa.scalar(None, pa.string()))


def _lots(bucket: pa.StringArray, amount: pa.Int64Array) -> pa.StringArray:
    return pc.binary_join_element_wise('[["', bucket, '",', amount.cast(pa.string()), "]]", "")


def _choice(rng: np.random.Generator, values: tuple[str | None, ...], shares: tuple[float, ...], size: int) -> Any:
    return pa.array(values, pa.string()).take(pa.array(rng.choice(len(values), size, p=shares)))


def _random_ids(rng: np.random.Generator, prefix: bytes, length: int, count: int) -> pa.StringArray:
    text = np.empty((count, len(prefix) + length), dtype=np.uint8)
    text[:, : len(prefix)] = np.frombuffer(prefix, dtype=np.uint8)
    text[:, len(prefix) :] = _LETTERS[rng.integers(0, 62, (count, length))]
    return _texts(text)


def _movement_ids(recorded_ms: Ints, seq: Ints) -> pa.StringArray:
    """`counterfoil.ids.movement_id` over arrays: 44 bits of time and 28 of seq as 18 hex digits."""
    digits = np.empty((len(seq), 22), dtype=np.uint8)
    digits[:, :4] = np.frombuffer(b"vtx_", dtype=np.uint8)
    for place in range(11):
        digits[:, 4 + place] = _HEX[(recorded_ms >> (4 * (10 - place))) & 15]
    for place in range(7):
        digits[:, 15 + place] = _HEX[(seq >> (4 * (6 - place))) & 15]
    return _texts(digits)


def _texts(letters: Ints) -> pa.StringArray:
    """A matrix of bytes, one text a row."""
    count, width = letters.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters)))
