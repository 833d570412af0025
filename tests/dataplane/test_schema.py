"""Canonical Arrow columns: out of database rows, and out of batches that hold movements as they are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from counterfoil.catalog.objects import OBJECTS, exportable
from counterfoil.dataplane.schema import INSTANT, arrow_schema, batch_of, movement_batch
from counterfoil.errors import Damaged

MOVEMENTS = pa.table(
    {
        "seq": pa.array([1, 2], pa.int64()),
        "id": ["vtx_1", "vtx_2"],
        "type": pa.array(["POINTS_ACCRUAL", "POINTS_REMOVAL"]).dictionary_encode(),
        "amount": pa.array([10, -3], pa.int64()),
        "balance": pa.array([10, 7], pa.int64()),
        "reason": pa.array([None, 'said "no", twice'], pa.string()),
        "created_at": pa.array([0, 1_732_000_000_123], INSTANT),
    }
).to_batches()[0]


@pytest.mark.parametrize("name", list(OBJECTS))
def test_every_exported_field_has_a_type_and_no_rows_make_a_batch(name: str) -> None:
    fields = [field.name for field in exportable(name).fields if field.exported]
    schema = arrow_schema(name, fields)
    assert schema.names == fields
    assert batch_of([], schema).schema == schema


def test_movements_are_projected_with_what_is_computed_and_what_is_always_empty() -> None:
    fields = ("id", "status", "type", "amount", "created_at")
    batch = movement_batch(MOVEMENTS, "voucher_transactions", fields)
    assert batch.schema == arrow_schema("voucher_transactions", fields)
    assert batch.column("status").to_pylist() == [None, None]
    assert batch.column("type").to_pylist() == ["POINTS_ACCRUAL", "POINTS_REMOVAL"]
    before = movement_batch(MOVEMENTS, "movement", ("seq", "balance_before"))
    assert before.to_pylist() == [{"seq": 1, "balance_before": 0}, {"seq": 2, "balance_before": 10}]


def test_a_value_of_another_type_is_damage_that_names_its_column() -> None:
    schema = arrow_schema("customer", ("id", "birthdate"))
    with pytest.raises(Damaged, match="birthdate"):
        batch_of([("cust_1", "last spring")], schema)
    with pytest.raises(Damaged, match="amount"):
        batch_of([(2**63,)], arrow_schema("voucher_transactions", ("amount",)))
