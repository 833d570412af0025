"""From a request to a plan: defaults, labels, metadata, the path taken, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from counterfoil.catalog.exportable import Field
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import OBJECTS, exportable
from counterfoil.catalog.sources import Column
from counterfoil.dataplane.schema import arrow_schema
from counterfoil.db.exportables import Rows, select_object
from counterfoil.errors import InvalidInput
from counterfoil.plan.planner import (
    Archive,
    PlanLimits,
    campaigns_asked,
    cards_asked,
    check,
    plan,
    plan_selection,
    rows_by_index,
    select,
    time_window,
)
from counterfoil.plan.request import Condition, ExportRequest, FieldFilter, Filter, Order
from counterfoil.plan.slices import Window
from counterfoil.plan.task import Plan, SegmentRef, Selection, task_hash

NOW_MS = 1_732_000_000_000
SEGMENTS = tuple(
    SegmentRef(f"s{n}", f"k{n}", "arrow", "h", 100, 9, n * 100 + 1, n * 100 + 100, n * 10, n * 10 + 9) for n in range(5)
)
ARCHIVE = Archive(SEGMENTS, 500, 45, 60)


def planned(request: ExportRequest, **more: Any) -> Plan:
    arguments: dict[str, Any] = {
        "project_id": 1,
        "seq_max": 600,
        "now_ms": NOW_MS,
        "limits": PlanLimits(100, 10),
        **more,
    }
    return plan(request, **arguments)


def selected(request: ExportRequest, **more: Any) -> Selection:
    return select(request, project_id=1, seq_max=600, now_ms=NOW_MS, **more)


def on(field: str, operator: str, *operands: Any, junction: str = "and") -> Filter:
    return Filter("or" if junction == "or" else "and", (FieldFilter(field, (Condition(operator, operands),)),))


@pytest.mark.parametrize("name", list(OBJECTS))
def test_a_bare_request_gets_the_objects_defaults(name: str) -> None:
    about = exportable(name)
    found = selected(ExportRequest(name))
    assert tuple(column.field for column in found.columns) == about.default_fields
    assert tuple(column.label for column in found.columns) == about.default_fields
    assert found.order == Order(about.default_order.removeprefix("-"), about.default_order.startswith("-"))


def test_titles_are_the_dashboards() -> None:
    request = ExportRequest("voucher", fields=("id", "code", "voucher_type", "value"), header_style="titles")
    assert [column.label for column in selected(request).columns] == ["ID", "Code", "Voucher Type", "Value"]


def test_metadata_becomes_a_column_for_each_known_property() -> None:
    request = ExportRequest("voucher", fields=("id", "metadata", "metadata.size"))
    names = [column.field for column in selected(request, metadata_names=("size", "color")).columns]
    assert names == ["id", "metadata.color", "metadata.size"]
    titled = selected(replace(request, header_style="titles"), metadata_names=("size", "color"))
    assert [column.label for column in titled.columns] == ["ID", "Metadata color", "Metadata size"]
    alone = selected(ExportRequest("voucher", fields=("metadata",)))
    assert [column.field for column in alone.columns] == ["metadata"]


def test_scales_go_to_their_columns() -> None:
    found = selected(ExportRequest("voucher_transactions", fields=("id", "amount")), scales={"amount": 2})
    assert [column.scale for column in found.columns] == [0, 2]


REFUSED = [
    (ExportRequest("api_log"), "invalid_export_object"),
    (ExportRequest("voucher", fields=("colour",)), "invalid_export_fields"),
    (ExportRequest("voucher", fields=("redemption_status",)), "invalid_export_fields"),
    (ExportRequest("voucher", fields=("id", "id")), "invalid_export_fields"),
    (ExportRequest("voucher", fields=("metadata.\0",)), "invalid_export_fields"),
    (ExportRequest("points_expiration", fields=("metadata.x",)), "invalid_export_fields"),
    (ExportRequest("voucher", order=Order("balance")), "invalid_export_order"),
    (ExportRequest("voucher", filter=on("colour", "is", "red")), "invalid_filter_field"),
    (ExportRequest("voucher", scope=on("campaign_id", "gt", "x")), "invalid_filter_operator"),
    (ExportRequest("voucher", filter=on("created_at", "after", 5)), "invalid_filter_value"),
    (ExportRequest("voucher", limit_rows=0), "invalid_export_params"),
    (ExportRequest("voucher", split_bytes=-1), "invalid_export_params"),
]


@pytest.mark.parametrize(("request_", "code"), REFUSED, ids=[f"{n}-{each[1]}" for n, each in enumerate(REFUSED)])
def test_wrong_requests_are_refused_before_anything_is_planned(request_: ExportRequest, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(request_, now_ms=NOW_MS)
    assert caught.value.code == code
    assert caught.value.field


def test_errors_say_what_is_allowed() -> None:
    with pytest.raises(InvalidInput) as fields:
        check(ExportRequest("voucher_transactions", fields=("colour",)), now_ms=NOW_MS)
    assert fields.value.allowed == exportable("voucher_transactions").exported_names
    with pytest.raises(InvalidInput) as order:
        check(ExportRequest("points_expiration", order=Order("points")), now_ms=NOW_MS)
    assert order.value.allowed == ("expires_at", "-expires_at")


def test_what_can_change_is_read_in_one_snapshot() -> None:
    found = planned(ExportRequest("voucher"), archive=ARCHIVE)
    assert found.path == "database"
    assert [(task.reads, task.segments, task.tail) for task in found.tasks] == [("rows", (), None)]


def test_movements_come_from_the_archive_and_the_tail() -> None:
    found = planned(ExportRequest("voucher_transactions"), archive=ARCHIVE)
    assert found.path == "archive"
    # The tail begins at 45, amid the last segment, which is read on both sides of that.
    assert [[each.id for each in task.segments] for task in found.tasks] == [
        ["s0"],
        ["s1"],
        ["s2"],
        ["s3"],
        ["s4"],
        ["s4"],
    ]
    assert [task.tail for task in found.tasks] == [None, None, None, None, None, (501, 600)]
    assert found.tasks[0].created_from is None
    assert found.tasks[-1].created_to is None


def test_the_database_is_read_when_nothing_is_sealed() -> None:
    for archive in (None, Archive((), 0)):
        found = planned(ExportRequest("voucher_transactions"), archive=archive)
        assert (found.path, [task.tail for task in found.tasks]) == ("database", [(1, 600)])
        assert found.reason
    assert planned(ExportRequest("voucher_transactions"), seq_max=0).tasks == ()


def test_an_archive_that_does_not_add_up_is_not_read() -> None:
    found = planned(ExportRequest("voucher_transactions"), archive=replace(ARCHIVE, segments=SEGMENTS[1:]))
    assert found.path == "database"
    assert "add up" in found.reason


def test_few_cards_are_read_by_their_index() -> None:
    few = ExportRequest("voucher_transactions", filter=on("voucher_id", "in", *"abc"))
    assert planned(few, archive=ARCHIVE).path == "database"
    assert planned(few, archive=ARCHIVE).rows_estimate is None  # not the whole ledger, so huge exports do not delay it
    many = ExportRequest("voucher_transactions", filter=on("voucher_id", "in", *map(str, range(11))))
    assert planned(many, archive=ARCHIVE).path == "archive"
    scoped = replace(many, scope=on("voucher_id", "is", "v_1"))
    assert planned(scoped, archive=ARCHIVE).path == "database"


def test_a_campaign_that_was_counted_is_read_by_its_index() -> None:
    request = ExportRequest("voucher_transactions", filter=on("campaign_id", "in", "a", "b"), limit_rows=3)
    assert campaigns_asked(selected(request)) == ("a", "b")
    assert planned(request, archive=ARCHIVE).path == "archive"
    found = plan_selection(selected(request), archive=ARCHIVE, limits=PlanLimits(), indexed_rows=5)
    assert (found.path, found.rows_estimate, found.tasks[0].rows_estimate) == ("database", 3, 5)
    assert rows_by_index(selected(request), PlanLimits()) == 6


def test_cards_under_an_or_bound_nothing() -> None:
    both = Filter("or", (*on("voucher_id", "is", "a").fields, *on("campaign_id", "is", "b").fields))
    assert cards_asked(selected(ExportRequest("voucher_transactions", filter=both))) is None
    alone = on("voucher_id", "is", "a", junction="or")
    assert cards_asked(selected(ExportRequest("voucher_transactions", filter=alone))) == 1
    others = on("voucher_id", "not_in", "a")
    assert cards_asked(selected(ExportRequest("voucher_transactions", filter=others))) is None


def test_fields_of_other_tables_are_read_from_the_database() -> None:
    for request in (
        ExportRequest("movement", fields=("id", "voucher_code")),
        ExportRequest("movement", fields=("id",), filter=on("campaign", "is", "x")),
    ):
        assert planned(request, archive=ARCHIVE).path == "database"
    assert planned(ExportRequest("movement", fields=("id", "balance_before")), archive=ARCHIVE).path == "archive"


def test_a_period_leaves_out_the_segments_beyond_it() -> None:
    period = Filter("and", (FieldFilter("created_at", (Condition("at_or_after", (12,)), Condition("before", (25,)))),))
    request = ExportRequest("voucher_transactions", scope=period)
    assert time_window(selected(request)) == Window(12, 25)
    found = planned(request, archive=ARCHIVE)
    assert {each.id for task in found.tasks for each in task.segments} == {"s1", "s2"}
    assert all(task.tail is None for task in found.tasks)
    assert (found.tasks[0].created_from, found.tasks[-1].created_to) == (12, 25)


def test_a_period_under_an_or_with_others_leaves_out_nothing() -> None:
    either = Filter("or", (*on("created_at", "after", "2024-01-01").fields, *on("amount", "more_than", 5).fields))
    assert time_window(selected(ExportRequest("voucher_transactions", filter=either))) == Window()


def test_a_cursor_leaves_out_what_is_exported_already() -> None:
    up = ExportRequest("voucher_transactions", cursor=(20, 7))
    assert time_window(selected(up)) == Window(20, None)
    down = replace(up, order=Order("created_at", descending=True))
    assert time_window(selected(down)) == Window(None, 21)


def test_an_older_snapshot_does_not_read_what_was_sealed_later() -> None:
    found = planned(ExportRequest("voucher_transactions"), archive=ARCHIVE, seq_max=250)
    assert {each.id for task in found.tasks for each in task.segments} == {"s0", "s1", "s2"}
    assert all(task.tail is None for task in found.tasks)


def test_plans_survive_json_and_their_tasks_keep_their_hash() -> None:
    request = ExportRequest("voucher_transactions", filter=on("created_at", "less_than", 10), cursor=(1, 2))
    stored = msgspec.json.decode(msgspec.json.encode(request), type=ExportRequest)
    assert stored == request
    made, again = planned(request, archive=ARCHIVE), planned(stored, archive=ARCHIVE)
    assert made == again == msgspec.json.decode(msgspec.json.encode(made), type=Plan)
    assert [task_hash(made.selection, task) for task in made.tasks] == [
        task_hash(again.selection, task) for task in again.tasks
    ]


def test_a_new_field_is_one_row_of_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Field("initial_amount_shown", Kind.MONEY, "Initial Amount", "As first sent.", Column("initial_amount"))
    about = exportable("order")
    monkeypatch.setitem(OBJECTS, "order", replace(about, fields=(*about.fields, row)))
    request = ExportRequest(
        "order", fields=("id", row.name), filter=on(row.name, "more_than", 5), header_style="titles"
    )
    found = selected(request)
    assert [column.label for column in found.columns] == ["ID", "Initial Amount"]
    assert str(arrow_schema("order", request.fields).field(row.name).type) == "int64"
    statement = str(select_object("order", request.fields, Rows(1, filter=found.filter)))
    assert "orders.initial_amount AS initial_amount_shown" in statement
    assert "orders.initial_amount > " in statement
