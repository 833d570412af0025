"""Points by expiry: the buckets of loyalty cards.

Fields and definitions: seed 002 (Points Expirations) and seed 003, whose ACTIVE and EXPIRED are the words of `status`;
titles: our own, the vendor's are unknown.
"""

from __future__ import annotations

from counterfoil.catalog.exportable import Exportable, Field, Join
from counterfoil.catalog.kinds import Kind
from counterfoil.catalog.sources import Column

POINTS_EXPIRATION = Exportable(
    name="points_expiration",
    title="Points expirations",
    table="buckets",
    key="id",
    fields=(
        Field("id", Kind.STRING, "ID", "Loyalty points bucket ID.", Column("id")),
        Field("campaign_id", Kind.STRING, "Campaign ID", "The parent loyalty campaign.", Column("campaign_id")),
        Field("voucher_id", Kind.STRING, "Voucher ID", "The parent loyalty card.", Column("voucher_id")),
        Field("points", Kind.MONEY, "Points", "Number of points.", Column("points")),
        Field("status", Kind.STRING, "Status", "ACTIVE or EXPIRED.", Column("status")),
        Field("expires_at", Kind.DATE, "Expiration Date", "Last day of use; empty for never.", Column("expires_on")),
        Field(
            "created_at", Kind.INSTANT, "Creation Date", "When the points came.", Column("created_at"), exported=False
        ),
        Field("voucher_code", Kind.STRING, "Voucher Code", "The card's code.", Column("voucher.code"), exported=False),
    ),
    default_fields=("id", "campaign_id", "voucher_id", "status", "expires_at", "points"),
    orders=("expires_at",),
    default_order="expires_at",
    joins=(Join("voucher", "vouchers", (("id", "voucher_id"),)),),
)
