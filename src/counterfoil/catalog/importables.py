"""What files can be brought in: each object's columns, by the names and the titles that exports give them.

Most objects come in as they went out, so their columns are those of the exportable object. Columns that the ledger works
out for itself (a customer's sums, a code's QR image) may stand in a file and are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from counterfoil.catalog.customers import CUSTOMER
from counterfoil.catalog.exportable import Exportable
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.orders import ORDER
from counterfoil.catalog.points import POINTS_EXPIRATION
from counterfoil.catalog.transactions import MOVEMENT, VOUCHER_TRANSACTIONS
from counterfoil.catalog.vouchers import VOUCHER
from counterfoil.errors import InvalidInput

METADATA = "metadata"
MEMBER = f"{METADATA}."
_TITLE_OF_MEMBER = "Metadata "
_NO_LETTERS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class ImportColumn:
    """A column that a file may have. labels: the headers it goes by. used: whether its values are taken in."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    used: bool = True


@dataclass(frozen=True, slots=True)
class Importable:
    """An object whose rows can be brought in. required: columns without which no row can be understood.

    documents: whether `metadata.NAME` (or `Metadata NAME`) may stand for one property of the metadata.
    """

    name: str
    title: str
    columns: tuple[ImportColumn, ...]
    required: tuple[str, ...]
    documents: bool = False

    def column(self, label: str) -> ImportColumn | None:
        """The column that goes by this header, or None. Case, blanks and signs do not matter, so `Voucher Type`,
        `voucher_type` and `voucher type` are one."""
        plain = plain_label(label)
        for column in self.columns:
            if any(plain_label(known) == plain for known in column.labels):
                return column
        member = _member(label) if self.documents else None
        return ImportColumn(f"{MEMBER}{member}", Kind.ANY, (label,)) if member else None

    @property
    def labels(self) -> tuple[str, ...]:
        """Every column by name, for the error that lists them."""
        names = tuple(column.name for column in self.columns)
        return (*names, f"{MEMBER}NAME") if self.documents else names


def plain_label(label: str) -> str:
    """A header without what people write differently: `Is referral code?` is `is_referral_code`."""
    return _NO_LETTERS.sub("_", label.lower()).strip("_")


def _member(label: str) -> str | None:
    for prefix in (MEMBER, _TITLE_OF_MEMBER):
        if label.startswith(prefix) and label != prefix:
            return label.removeprefix(prefix)
    return None


def _from_export(
    about: Exportable, required: tuple[str, ...], *, passed: tuple[str, ...] = (), more: tuple[ImportColumn, ...] = ()
) -> Importable:
    """The columns of an export. passed: those that are passed over, by name or (with a `_` at its end) by beginning."""
    beginnings = tuple(name for name in passed if name.endswith("_"))
    columns = tuple(
        ImportColumn(
            each.name,
            Kind.STRING if each.many else each.kind,
            (each.name, each.title),
            used=each.name not in passed and not each.name.startswith(beginnings),
        )
        for each in about.fields
        if each.exported
    )
    return Importable(about.name, about.title, columns + more, required, documents=bool(about.documents))


def _plain(name: str, kind: Kind, *labels: str, used: bool = True) -> ImportColumn:
    return ImportColumn(name, kind, (name, *labels), used)


# The vendor's campaign object, as its API lists it (facts 3.5); campaigns cannot be exported.
_CAMPAIGN = Importable(
    name="campaign",
    title="Campaigns",
    columns=(
        *(_plain(name, Kind.STRING) for name in ("id", "name", "description", "campaign_type", "type", "category")),
        *(_plain(name, Kind.JSON) for name in ("voucher", METADATA, "validity_timeframe", "validity_day_of_week")),
        *(_plain(name, Kind.BOOLEAN) for name in ("active", "auto_join", "join_once", "use_voucher_metadata_schema")),
        *(_plain(name, Kind.INSTANT) for name in ("start_date", "expiration_date", "created_at", "updated_at")),
        _plain("activity_duration_after_publishing", Kind.STRING),
        *(
            _plain(name, Kind.ANY, used=False)
            for name in (
                "object", "vouchers_count", "creation_status", "vouchers_generation_status", "protected", "category_id",
                "categories", "validation_rules_assignments", "promotion", "referral_program", "loyalty_tiers_expiration",
                "options", "winners_count", "unique_winners_per_draw", "unique_winners", "access_settings_assignments",
                "readonly", "validity_hours",
            )
        ),
    ),
    required=("name", "campaign_type"),
    documents=True,
)  # fmt: skip

_VOUCHER = _from_export(
    VOUCHER, ("code", "voucher_type"), passed=("qr_code", "bar_code", "validation_rules_id"),
    more=(_plain("discount_aggregated_amount_limit", Kind.STRING, "Discount Aggregated Amount Limit", used=False),),
)  # fmt: skip
_CUSTOMER = _from_export(CUSTOMER, (), passed=("redemptions_", "orders_", "loyalty_"))
_ORDER = _from_export(ORDER, ("status",))
_POINTS = _from_export(POINTS_EXPIRATION, ("id", "voucher_id", "points"))
_MOVEMENT_REQUIRED = ("id", "voucher_id", "type", "amount", "balance", "created_at")
_TRANSACTIONS = _from_export(VOUCHER_TRANSACTIONS, _MOVEMENT_REQUIRED, passed=("status",))
_MOVEMENT = _from_export(
    MOVEMENT, _MOVEMENT_REQUIRED,
    passed=("seq", "balance_before", "recorded_at", "lots", "voucher_code", "voucher_type", "campaign",
            "customer_source_id"),
)  # fmt: skip

IMPORTABLES: dict[str, Importable] = {
    each.name: each for each in (_CAMPAIGN, _CUSTOMER, _VOUCHER, _TRANSACTIONS, _POINTS, _ORDER, _MOVEMENT)
}
"""By name, in the order in which a project is best filled; `movement` is our own, fuller form of the transactions."""

# What the vendor's own CSV uploads may hold (Voucherify: Import Vouchers using CSV, Import Vouchers to Campaign by CSV,
# Import Customers using CSV). Whatever else stands in the header is metadata.
VOUCHER_UPLOAD = Importable(
    name="voucher_upload",
    title="Vouchers",
    columns=(
        *(
            _plain(name, Kind.STRING)
            for name in (
                "code",
                "voucher_type",
                "discount_type",
                "discount_effect",
                "formula",
                "category",
                "additional_info",
            )
        ),
        *(_plain(name, Kind.INSTANT) for name in ("start_date", "expiration_date")),
        _plain("value", Kind.DECIMAL, "Balance"),
        _plain("gift_amount", Kind.MONEY),
        _plain("loyalty_points", Kind.MONEY),
        _plain("redemption_quantity", Kind.INTEGER, "Redemption Limit"),
        _plain("redeemed_quantity", Kind.INTEGER, "Redemption Count"),
        _plain("redeemed_amount", Kind.MONEY),
        _plain("active", Kind.BOOLEAN),
        *(_plain(name, Kind.STRING, used=False) for name in ("validation_rule_id", "validation_rules_id", "id")),
    ),
    required=("code",),
    documents=True,
)
CUSTOMER_UPLOAD = Importable(
    name="customer_upload",
    title="Customers",
    columns=tuple(
        _plain(name, Kind.DATE if name.startswith("birth") else Kind.STRING)
        for name in (
            "id", "source_id", "name", "description", "email", "phone", "birthday", "birthdate", "address_city",
            "address_state", "address_line_1", "address_line_2", "address_country", "address_postal_code",
        )
    ),
    required=(),
    documents=True,
)  # fmt: skip


def importable(name: str) -> Importable:
    """The object of that name. Raises InvalidInput `invalid_import_object` with the names there are."""
    found = IMPORTABLES.get(name)
    if found is None:
        raise InvalidInput(
            "invalid_import_object",
            f"There is no object {name!r} to import; choose one of {', '.join(IMPORTABLES)}",
            field="object",
            value=name,
            allowed=tuple(IMPORTABLES),
        )
    return found
