"""The catalogue says what the vendor's pages say, and each of its rows stands in a golden file.

After a deliberate change of the catalogue, `python -m tests.catalog.test_catalogue` writes the golden files anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.objects import OBJECTS, exportable
from counterfoil.catalog.operators import BY_NAME, OPERATORS, operators_of
from counterfoil.catalog.points_transactions import TYPE_WORDS
from counterfoil.catalog.sources import Child, ChildSum, Choice, FirstOf, Source, State, paths_of
from counterfoil.db.schema import metadata
from counterfoil.domain.movements import HIDDEN_TYPES, MovementType
from counterfoil.errors import InvalidInput

GOLDEN = Path(__file__).parent / "golden"

# Seed 002 (Defaults); product and sku: the vendor's newer page (facts 1.3).
DEFAULTS = {
    "order": "id, source_id, status",
    "voucher": "code, voucher_type, value, discount_type",
    "publication": "code, customer_id, date, channel",
    "redemption": "id, object, voucher_code, customer_id, date, result",
    "customer": "name, source_id",
    "points_expiration": "id, campaign_id, voucher_id, status, expires_at, points",
    "voucher_transactions": "id, type, source_id, status, reason, source, balance, amount, created_at",
    "product": "id, name, price, image_url, source_id, attributes, created_at",
    "sku": "id, sku, product_id, currency, price, image_url, source_id, attributes, created_at",
}

# The vendor's lists of allowed fields (facts 1.3).
FIELDS = {
    "voucher": "code, voucher_type, value, formula, discount_type, campaign, category, start_date, expiration_date, "
    "gift_balance, loyalty_balance, redemption_quantity, redemption_count, active, qr_code, bar_code, metadata, id, "
    "is_referral_code, created_at, updated_at, validity_timeframe_interval, validity_timeframe_duration, "
    "validity_day_of_week, discount_amount_limit, campaign_id, additional_info, customer_id, discount_effect, "
    "discount_unit_type, discount_unit_effect, validation_rules_id, customer_source_id",
    "redemption": "id, object, date, voucher_code, campaign, promotion_tier_id, customer_id, customer_source_id, "
    "customer_name, tracking_id, order_id, order_amount, gift_amount, loyalty_points, result, failure_code, "
    "failure_message, metadata",
    "customer": "name, id, description, email, source_id, created_at, address_city, address_state, address_line_1, "
    "address_line_2, address_country, address_postal_code, redemptions_total_redeemed, redemptions_total_failed, "
    "redemptions_total_succeeded, redemptions_total_rolled_back, redemptions_total_rollback_failed, "
    "redemptions_total_rollback_succeeded, orders_total_amount, orders_total_count, orders_average_amount, "
    "orders_last_order_amount, orders_last_order_date, loyalty_points, loyalty_referred_customers, updated_at, phone, "
    "birthday, metadata, birthdate",
    "publication": "voucher_code, customer_id, customer_source_id, date, channel, campaign, is_winner, metadata",
    "order": "id, source_id, created_at, updated_at, status, amount, discount_amount, items_discount_amount, "
    "total_discount_amount, total_amount, customer_id, referrer_id, metadata",
    "points_expiration": "id, campaign_id, voucher_id, points, status, expires_at",
    "voucher_transactions": "id, campaign_id, voucher_id, type, source_id, reason, source, balance, amount, "
    "related_transaction_id, created_at, details",
}

# The orders and filters that facts 1.3 lists; there may be more, none may be missing.
ORDERS = {
    "voucher": "created_at, updated_at, code",
    "redemption": "id, voucher_code, tracking_id, customer_id, created_at",
    "customer": "name, id, email, source_id, created_at, updated_at",
    "publication": "id, voucher_code, tracking_id, customer_id, created_at, channel",
    "order": "created_at, updated_at, status",
    "points_expiration": "expires_at",
    "voucher_transactions": "created_at",
    "sku": "product_id, sku",
}
FILTERS = {
    "voucher": "created_at, updated_at, created_date, active, redemption_status, start_date, expiration_date, "
    "validity_day_of_week, code, categories, vouchers, holder_id, is_referral_code, published_for_customer_id, "
    "validity_timeframe, category_ids, metadata.any, redemption.quantity",
    "redemption": "created_at, campaign, customer, voucher, related_object, voucher_code, related_object_id, "
    "related_object_parent_id, parent_redemption_id, failure_code, result, object, customer_id, campaign_name, "
    "user_login, status, metadata.any",
    "customer": "created_at, updated_at, email, name, city, phone, birthday, source_id, publications.created_at, "
    "publications.related_object_id, metadata.any, address.city, summary.orders.total_amount, loyalty.points",
    "publication": "created_at, campaign, customer, voucher, failure_code, result, customer_id, campaign_name, "
    "voucher_type, is_referral_code, parent_object_id, related_object_id, source_id, metadata.any",
    "order": "created_at, updated_at, status, source_id, amount, total_amount, discount_amount, "
    "total_discount_amount, items_discount_amount, metadata.any",
    "points_expiration": "campaign_id, voucher_id",
    "voucher_transactions": "created_at, voucher_id, campaign_id",
    "product": "metadata.any, attributes.any",
    "sku": "metadata.any, attributes.any",
}
# The conditions that seed 000 declares for transactions.
SEED_000 = {
    "created_at": "after, before, has_value, is_unknown, more_than, less_than",
    "voucher_id": "in, not_in, is, is_not, has_value, is_unknown, starts_with, ends_with, contains, not_contain",
}


def listed(text: str) -> list[str]:
    return text.split(", ")


@pytest.mark.parametrize("name", list(DEFAULTS))
def test_defaults_are_the_vendors(name: str) -> None:
    assert list(exportable(name).default_fields) == listed(DEFAULTS[name])


@pytest.mark.parametrize("name", list(FIELDS))
def test_allowed_fields_are_the_vendors_in_their_order(name: str) -> None:
    assert list(exportable(name).exported_names) == listed(FIELDS[name])


@pytest.mark.parametrize("name", list(ORDERS))
def test_every_order_of_the_vendor_is_offered(name: str) -> None:
    assert set(listed(ORDERS[name])) <= set(exportable(name).orders)


@pytest.mark.parametrize("name", list(FILTERS))
def test_every_filter_of_the_vendor_is_offered(name: str) -> None:
    for field_name in listed(FILTERS[name]):
        field = exportable(name).field(field_name)
        assert field is not None and field.filterable, field_name


def test_transactions_take_the_conditions_of_seed_000() -> None:
    for name, operators in SEED_000.items():
        field = exportable("voucher_transactions").field(name)
        assert field is not None
        assert set(listed(operators)) <= set(operators_of(field.kind, many=False))


@pytest.mark.parametrize("about", OBJECTS.values(), ids=list(OBJECTS))
def test_rows_of_the_catalogue_fit_together(about: Exportable) -> None:
    names = [field.name for field in about.fields]
    assert len(names) == len(set(names))
    titles = [field.title for field in about.fields if field.exported]
    assert len(titles) == len(set(titles)), "two columns would have one title"
    for name in about.default_fields:
        field = about.field(name)
        assert field is not None and field.exported
    for name in (*about.orders, about.default_order.removeprefix("-")):
        field = about.field(name)
        assert field is not None and not field.many
    joins = {join.name: metadata.tables[join.table] for join in about.joins}
    for field in about.fields:
        assert field.exported or field.filterable, f"{field.name} serves nothing"
        assert not (field.exported and isinstance(field.source, Child | State)), field.name
        assert not (field.filterable and field.kind is Kind.DECIMAL), field.name
        for path in paths_of(field.source):
            table, _, column = path.rpartition(".")
            assert column in (joins[table] if table else metadata.tables[about.table]).c, path
        for source in _sums(field.source):
            assert source.column in metadata.tables[source.table].c


def _sums(source: Source) -> list[ChildSum | Child]:
    match source:
        case ChildSum() | Child():
            return [source]
        case Choice(_, cases):
            return [found for _, case in cases for found in _sums(case)]
        case FirstOf(sources):
            return [found for each in sources for found in _sums(each)]
        case _:
            return []


def test_movements_that_the_domain_hides_never_leave_through_a_dialect() -> None:
    for name in ("voucher_transactions", "points_transaction"):
        assert {value for _, value in exportable(name).hidden} == {str(kind) for kind in HIDDEN_TYPES}


def test_every_movement_of_points_has_a_word_for_altcraft() -> None:
    wanted = {str(kind) for kind in MovementType if not kind.startswith("CREDITS_")} - {
        str(kind) for kind in HIDDEN_TYPES
    }
    assert {kind for kind, _ in TYPE_WORDS} == wanted


def test_operators_are_known_by_one_name() -> None:
    assert len(BY_NAME) == len(OPERATORS)


def test_an_unknown_object_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        exportable("api_log")
    assert caught.value.code == "invalid_export_object"
    assert caught.value.allowed == tuple(OBJECTS)


# -- golden files --------------------------------------------------------------------------------------------------------


def described(about: Exportable) -> str:
    """The object as its golden file has it: one line for each field."""
    lines = [
        f"{about.title}: defaults {', '.join(about.default_fields)}; order {about.default_order} of {', '.join(about.orders)}"
    ]
    for field in about.fields:
        uses = [word for word in ("exported", "listed", "filterable", "many") if getattr(field, word)]
        if not field.exported:
            uses.remove("listed")
        shown = "" if field.shown_as is None else f" | {field.shown_as}"
        lines.append(f"{field.name} | {field.kind} | {field.title} | {' '.join(uses)} | {field.source}{shown}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("about", OBJECTS.values(), ids=list(OBJECTS))
def test_the_catalogue_is_as_its_golden_file(about: Exportable) -> None:
    assert described(about) == (GOLDEN / f"{about.name}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in OBJECTS.values():
        (GOLDEN / f"{each.name}.txt").write_text(described(each), encoding="utf-8")
