"""The vendor's own Python client (PyPI voucherify 6.1.1), unchanged, with its model validation on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import voucherify

from counterfoil.catalog.objects import exportable
from tests.e2e.server import Server
from tests.waiting import until

pytestmark = [pytest.mark.clients, pytest.mark.xdist_group("clients")]

OBJECTS = {
    "voucher": ["code", "voucher_type", "value", "discount_type"],
    "redemption": ["id", "object", "voucher_code", "customer_id", "date", "result"],
    "publication": ["voucher_code", "customer_id", "date", "channel"],
    "customer": ["name", "source_id"],
    "order": ["id", "source_id", "status"],
    "points_expiration": ["id", "campaign_id", "voucher_id", "status", "expires_at", "points"],
    "voucher_transactions": ["id", "type", "source_id", "reason", "source", "balance", "amount", "created_at"],
    "product": ["id", "name", "price", "image_url", "source_id", "attributes", "created_at"],
    "sku": ["id", "sku", "product_id", "currency", "price", "image_url", "source_id", "attributes", "created_at"],
}


@pytest.fixture
def client(server: Server, keys: dict[str, str], shop: dict[str, Any]) -> Iterator[voucherify.ApiClient]:
    """The client as its README says, pointed at the running server."""
    credentials = {"X-App-Id": keys["app_id"], "X-App-Token": keys["app_token"]}
    configuration = voucherify.Configuration(host=server.url, api_key=credentials)
    with voucherify.ApiClient(configuration) as api:
        yield api


def downloaded(client: voucherify.ApiClient, export_id: str) -> list[dict[str, str]]:
    """Poll, then download with the token of the link; the rows of the file."""
    exports = voucherify.ExportsApi(client)

    def done() -> Any:
        export = exports.get_export(export_id)
        assert export.status != "ERROR", export
        return export if export.status == "DONE" else None

    export = until(done, "the export to be done")
    token = parse_qs(urlsplit(export.result.url).query)["token"][0]
    content = exports.download_export(export_id, token=token)
    return list(csv.DictReader(io.StringIO(content, newline="")))


@pytest.mark.parametrize("name", OBJECTS)
def test_each_object_is_created_polled_listed_downloaded_and_deleted(client: voucherify.ApiClient, name: str) -> None:
    exports = voucherify.ExportsApi(client)
    body = {"exported_object": name, "parameters": {"fields": OBJECTS[name]}}
    made = exports.create_export(voucherify.ExportsCreateRequestBody.from_dict(body))
    assert made.status == "SCHEDULED" and made.exported_object == name
    rows = downloaded(client, made.id)
    if rows:
        assert list(rows[0]) == OBJECTS[name]
    assert bool(rows) == (name not in {"product", "sku"})
    assert [export.id for export in exports.list_exports(limit=5, page=1, order="-created_at").exports] == [made.id]
    exports.delete_export(made.id)
    with pytest.raises(voucherify.exceptions.NotFoundException):
        exports.get_export(made.id)


@pytest.mark.filterwarnings("ignore:POST /v1/loyalties:DeprecationWarning")
def test_every_shortcut_passes_the_clients_models(client: voucherify.ApiClient, shop: dict[str, Any]) -> None:
    vouchers, campaigns = voucherify.VouchersApi(client), voucherify.CampaignsApi(client)
    loyalties, orders = voucherify.LoyaltiesApi(client), voucherify.OrdersApi(client)
    made = {
        "card": vouchers.export_voucher_transactions("LOYAL-1"),
        "campaign": campaigns.export_campaign_transactions(shop["points"]),
        "programme": loyalties.export_loyalty_campaign_transactions(shop["points"]),
        "member": loyalties.export_loyalty_card_transactions("LOYAL-1"),
        "campaign's member": loyalties.export_loyalty_card_transactions1(shop["points"], "LOYAL-1"),
        "expirations": loyalties.create_points_expiration_export(shop["points"]),
        "orders": orders.create_order_export(),
    }
    rows = {name: downloaded(client, export.id) for name, export in made.items()}
    assert len(rows["card"]) == len(rows["member"]) == len(rows["campaign's member"]) == 2
    assert len(rows["campaign"]) == len(rows["programme"]) == 3
    assert {row["type"] for row in rows["campaign"]} == {
        "POINTS_ADDITION",
        "POINTS_TRANSFER_OUT",
        "POINTS_TRANSFER_IN",
    }
    assert len(rows["expirations"]) == 2 and len(rows["orders"]) == 1


@pytest.mark.parametrize("name", OBJECTS)
def test_every_field_and_order_passes_the_clients_models(client: voucherify.ApiClient, name: str) -> None:
    exports = voucherify.ExportsApi(client)
    about = exportable(name)
    for parameters in ({"fields": list(about.exported_names)}, *({"order": order} for order in about.order_names)):
        body = {"exported_object": name, "parameters": parameters}
        made = exports.create_export(voucherify.ExportsCreateRequestBody.from_dict(body))
        found = exports.get_export(made.id).parameters.to_dict()
        assert {key: found[key] for key in parameters} == parameters
    assert list(downloaded(client, made.id)[:1]) or name in {"product", "sku"}


def test_what_others_ask_for_does_not_keep_the_client_from_listing(
    client: voucherify.ApiClient, server: Server, keys: dict[str, str]
) -> None:
    asked = {
        "fields": ["id", "metadata.payment_mean", "metadata.shop"],
        "filters": {"junction": "OR", "status": {"$in": ["PAID"]}, "metadata.shop": {"conditions": {"$is": 1}}},
        "split_rows": 1,
        "header_style": "titles",
    }
    with server.client(keys) as plain:
        body = {"exported_object": "order", "parameters": asked, "order": "-created_at"}
        made = plain.post("/v1/exports", json=body).json()
        assert made["parameters"]["fields"] == asked["fields"]
        exports = voucherify.ExportsApi(client)
        rows = downloaded(client, made["id"])
        assert list(rows[0]) == ["ID", "Metadata payment_mean", "Metadata shop"]
        found = exports.get_export(made["id"])
        assert found.parameters.fields == ["id", "metadata"]
        assert [export.id for export in exports.list_exports().exports] == [made["id"]]
        assert plain.get(f"/v1/exports/{made['id']}").json()["parameters"]["fields"] == asked["fields"]


def test_errors_are_the_clients_own_exceptions(client: voucherify.ApiClient, server: Server) -> None:
    exports = voucherify.ExportsApi(client)
    with pytest.raises(voucherify.exceptions.NotFoundException, match="Cannot find export with id exp_none"):
        exports.get_export("exp_none")
    stranger = voucherify.Configuration(host=server.url, api_key={"X-App-Id": "nobody", "X-App-Token": "x"})
    with voucherify.ApiClient(stranger) as api, pytest.raises(voucherify.exceptions.UnauthorizedException):
        voucherify.ExportsApi(api).list_exports()
