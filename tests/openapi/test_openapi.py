"""Our OpenAPI is true to the code: schemathesis makes requests that it allows, for the real application.

No answer may be a 5xx, and none may have a status that the document does not name for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from counterfoil import settings as settings_table
from counterfoil.compose import build, build_app
from tests.fakes import FakeClock

pytestmark = pytest.mark.slow

EXAMPLES = 30
CHECKS = (not_a_server_error, status_code_conformance)


def test_no_request_brings_an_answer_that_the_document_does_not_name(
    tmp_path_factory: pytest.TempPathFactory, told: Callable[[str], None]
) -> None:
    system = build(settings_table.load({"home": str(tmp_path_factory.mktemp("openapi"))}, {}), FakeClock())
    keys = system.access.create_keys("shop")
    headers = {"X-App-Id": keys.app_id, "X-App-Token": keys.app_token}
    schema = schemathesis.openapi.from_asgi("/openapi.json", build_app(system))
    sent, wrong = 0, dict[str, str]()

    def send(case: schemathesis.Case) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(headers=headers, checks=CHECKS)

    for found in schema.get_all_operations():
        operation = found.ok()
        search = hypothesis.given(operation.as_strategy())(send)
        settings = hypothesis.settings(
            max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        try:
            settings(search)()
        except BaseExceptionGroup as error:
            wrong[operation.label] = str(error.exceptions[0])
        except Exception as error:  # noqa: BLE001 - every operation is to be looked at
            wrong[operation.label] = str(error)
    system.close()
    told(f"{sent} requests to {len(list(schema.get_all_operations()))} operations of the OpenAPI document")
    assert not wrong, "\n\n".join(f"{label}\n{text}" for label, text in wrong.items())
    assert sent > 1000


def test_the_document_says_which_credentials_go_together(tmp_path: Path) -> None:
    """Seed 000: an app id with its token, or an OAuth token; links with a token of their own need neither."""
    system = build(settings_table.load({"home": str(tmp_path)}, {}), FakeClock())
    document = build_app(system).openapi()
    system.close()
    schemes = set(document["components"]["securitySchemes"])
    key, oauth = {"X-App-Id": (), "X-App-Token": ()}, {"X-Voucherify-OAuth": ()}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            said = [{name: tuple(scopes) for name, scopes in each.items()} for each in operation.get("security", ())]
            assert {name for each in said for name in each} <= schemes, path
            if path.startswith("/v1/oauth"):
                assert said == [key], path
            elif path == "/v1/exports/{export_id}" and method == "get":
                assert said == [key, oauth, {}]
            elif path.startswith("/v1/"):
                assert said == [key, oauth], path
            elif path.startswith("/health"):
                assert not said, path
            else:
                assert len(said) == 1, path
