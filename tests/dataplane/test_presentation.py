"""Columns that a file shows as text of their own: whole batches agree with single values, whatever their layout."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.catalog.points_transactions import POINTS_TRANSACTION, TYPE_WORDS
from counterfoil.dataplane.csv_encoder import csv_encoder
from counterfoil.dataplane.presentation import movement_uuids, presenting
from counterfoil.dataplane.schema import arrow_schema
from counterfoil.ids import cursor_uuid, movement_uuid, read_cursor_uuid, seq_of_movement_uuid
from counterfoil.plan.fields import output_columns
from counterfoil.plan.presentation import shown_text

FIELDS = ("transaction_id", "transaction_type", "promo_iid", "promo_eid", "activation_date", "source_type", "source_iid", "source_eid", "points_currency_iid")  # fmt: skip
GIVEN = {"transaction_id": "proj_abc", "points_currency_iid": "7"}
COLUMNS = output_columns(POINTS_TRANSACTION, FIELDS, given=GIVEN)
LABELS = [column.label for column in COLUMNS]

ids = st.integers(0, 2**62 - 1)
words = st.sampled_from([kind for kind, _ in TYPE_WORDS] + ["CREDITS_ADDITION", "new", None])
leaves = st.one_of(st.none(), st.text(max_size=5), st.integers(-9, 9), st.booleans(), st.just({"a": 1}), st.just([1]))
parts = st.dictionaries(st.sampled_from(["iid", "eid", "id", "source_id", "code"]), leaves, max_size=3)
members = st.dictionaries(
    st.sampled_from(["promotion", "earning_rule", "order", "reward", "source_voucher", "activation_date", "balance"]),
    st.one_of(parts, leaves),
    max_size=3,
)
promises = members.map(lambda inner: {"pending_points": {"id": "lopp_1", "details": inner}})
documents = st.one_of(
    st.none(), st.sampled_from(['{"balance":{}}', "not json", '"promotion"', "[]"]), st.one_of(members, promises).map(json.dumps)
)  # fmt: skip
rows = st.lists(st.tuples(ids, words, documents), max_size=12)


def batch_of(found: list[tuple[int, str | None, str | None]], *, coded: bool) -> pa.RecordBatch:
    """A batch as a source gives it. coded: types as a dictionary, as the archive keeps them."""
    by_field: dict[str, Any] = {"transaction_id": [seq for seq, _, _ in found], "transaction_type": [kind for _, kind, _ in found]}  # fmt: skip
    details: Any = pa.array([text for _, _, text in found], pa.string())
    schema = arrow_schema("points_transaction", FIELDS)
    arrays: list[Any] = []
    for field in schema:
        if field.name in by_field:
            arrays.append(pa.array(by_field[field.name], field.type))
        else:
            arrays.append(pa.nulls(len(found), pa.string()) if field.name.startswith("points_") else details)
    if coded:
        arrays[1] = arrays[1].dictionary_encode()
    return pa.RecordBatch.from_arrays(arrays, names=list(FIELDS))


def cells(found: list[tuple[int, str | None, str | None]]) -> list[list[str]]:
    """What each row shows, one value at a time."""
    shown: list[list[str]] = []
    for seq, kind, text in found:
        inner = {"transaction_id": seq, "transaction_type": kind, "points_currency_iid": None}
        texts = [shown_text(c.shown_as, inner.get(c.field, text)) for c in COLUMNS if c.shown_as is not None]
        shown.append(["" if each is None else each for each in texts])
    return shown


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


@given(rows, st.booleans())
def test_batches_show_what_single_values_show(found: list[Any], coded: bool) -> None:
    batch = batch_of(found, coded=coded)
    encoder = presenting(csv_encoder, batch.schema, COLUMNS)
    assert read(bytes(encoder.begin())) == [LABELS]
    assert read(bytes(encoder.encode(batch))) == cells(found)
    assert read(bytes(encoder.encode(batch.slice(1)))) == cells(found[1:])


@given(rows, st.data(), st.booleans())
def test_only_the_chosen_rows_are_shown_in_their_order(found: list[Any], data: st.DataObject, reverse: bool) -> None:
    batch = batch_of(found, coded=True)
    encoder = presenting(csv_encoder, batch.schema, COLUMNS)
    mask = data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    wanted = [row for row, chosen in zip(found, mask, strict=True) if chosen]
    ordered = cells(wanted[::-1] if reverse else wanted)
    assert read(bytes(encoder.encode(batch, reverse=reverse, selection=pa.array(mask, pa.bool_())))) == ordered
    numbers = pa.array([no for no, chosen in enumerate(mask) if chosen], pa.int64())
    assert read(bytes(encoder.encode(batch, reverse=reverse, selection=numbers))) == ordered


def test_files_without_shown_columns_are_encoded_as_ever() -> None:
    schema = arrow_schema("points_transaction", ["amount"])
    encoder = presenting(csv_encoder, schema, output_columns(POINTS_TRANSACTION, ["amount"], scales={"amount": 2}))
    assert bytes(encoder.encode(pa.record_batch([pa.array([1050], pa.int64())], schema=schema))) == b"10.50\n"


@given(st.lists(ids, max_size=20), st.text(min_size=1, max_size=8))
def test_every_movement_has_one_uuid_and_it_leads_back(seqs: list[int], key: str) -> None:
    texts = movement_uuids(key, pa.array(seqs, pa.int64())).to_pylist()
    assert texts == [movement_uuid(key, seq) for seq in seqs]
    assert [seq_of_movement_uuid(key, text) for text in texts] == seqs
    assert all(seq_of_movement_uuid(key + "x", text) is None for text in texts)


@given(st.integers(1, 2**40), st.integers(0, 2**40), st.text(min_size=1, max_size=8))
def test_a_cursor_says_what_comes_next_and_of_which_snapshot(seq: int, more: int, key: str) -> None:
    text = cursor_uuid(key, seq, seq + more)
    assert read_cursor_uuid(key, text) == read_cursor_uuid(key, text.upper()) == (seq, seq + more)
    assert seq_of_movement_uuid(key, text) is None
    assert read_cursor_uuid(key, movement_uuid(key, seq)) is None
    assert read_cursor_uuid(key + "x", text) is None


@pytest.mark.parametrize("text", ["", "a1b2c3d4-e5f6-7890-g1h2-i3j4k5l6m7n8", "{1148b0b0-d33d-4d27-b582-8058ce7fc740}", "1148b0b0-d33d-4d27-b582-8058ce7fc740"])  # fmt: skip
def test_what_is_no_id_of_ours_is_none(text: str) -> None:
    assert seq_of_movement_uuid("k", text) is None
    assert read_cursor_uuid("k", text) is None
