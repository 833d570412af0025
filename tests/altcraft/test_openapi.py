"""What our OpenAPI says of Altcraft's calls is true, in JSON and in XML: requests that it allows, for the real application."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.altcraft.shop import Shop

EXAMPLES = 12
# 501 is our plain word that there are no tiers; it is documented, so the other checks know it.
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.mark.slow
def test_every_answer_is_one_that_the_document_names(app: FastAPI, shop: Shop) -> None:
    shop.member(shop.programme(), "ann@example.com")
    schema = schemathesis.openapi.from_asgi("/openapi.json", app).include(path_regex="^/api/")
    headers = {"Authorization": f"Bearer {shop.token}"}
    operations = 0

    def send(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    for found in schema.get_all_operations():
        operation = found.ok()
        operations += 1
        settings = hypothesis.settings(
            max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        settings(hypothesis.given(operation.as_strategy())(send))()
    assert operations == 14


def test_each_call_shows_an_example_in_both_forms(app: FastAPI, shop: Shop) -> None:
    document: dict[str, Any] = app.openapi()
    calls = {path: about["post"] for path, about in document["paths"].items() if path.startswith("/api/v1.1/")}
    assert len(calls) == 13
    for path, call in calls.items():
        content = call["requestBody"]["content"]
        assert set(content) == {"application/json", "application/xml", "text/xml"}, path
        assert content["application/xml"]["example"].startswith("<xml>"), path
        assert {"200", "401", "413"} <= set(call["responses"]), path
    export = calls["/api/v1.1/loyalty/transactions_export"]["requestBody"]["content"]["application/json"]["schema"]
    assert export["required"] == ["loyalty_program_id", "date_from", "date_to"]
