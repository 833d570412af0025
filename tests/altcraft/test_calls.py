"""What every call has in common: token, form, envelope, and what is said of a wrong request."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from defusedxml.ElementTree import fromstring
from fastapi import FastAPI
from starlette.testclient import TestClient

from counterfoil.compose import System, build_app
from counterfoil.db.schema import exports
from counterfoil.web import dialect
from tests.altcraft.shop import ALWAYS, API, EXPORT, STATUS, Shop, named, opened, told
from tests.fakes import FakeClock

XML = {"content-type": "application/xml"}
BALANCE = API + "loyalty/account/balance"


def ask(client: TestClient, body: Any, path: str = API + EXPORT, **more: Any) -> Any:
    return client.post(path, json=body, **more)


# Wrong requests write nothing, so they can all be made to one project.
@pytest.fixture(scope="module")
def shop(system: System, app: FastAPI) -> Shop:
    return Shop(system, app)


@pytest.fixture(scope="module")
def programme(shop: Shop) -> dict[str, Any]:
    return shop.programme("Points", "stars", scale=2)


@pytest.fixture
def good(programme: dict[str, Any]) -> dict[str, Any]:
    """A body that is all right."""
    return {**named(programme), **ALWAYS}


def queued(system: System) -> int:
    with system.core.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(exports)).scalar_one()


# -- the token ----------------------------------------------------------------------------------------------------------


def test_the_token_may_stand_in_the_header_the_body_or_the_url(shop: Shop, good: dict[str, Any]) -> None:
    nobody = shop.client()
    assert ask(shop.altcraft, good).json()["error"] == 0
    assert ask(nobody, {**good, "token": shop.token}).json()["error"] == 0
    assert ask(nobody, good, f"{API}{EXPORT}?token={shop.token}").json()["error"] == 0
    assert ask(shop.altcraft, {**good, "token": shop.token}, f"{API}{EXPORT}?token={shop.token}").json()["error"] == 0
    body = f"<xml><token>{shop.token}</token><task_id>task_x</task_id></xml>"
    assert "<error>404</error>" in nobody.post(API + STATUS, content=body, headers=XML).text


def test_xml_may_be_laid_out_over_lines(shop: Shop, good: dict[str, Any]) -> None:
    task = ask(shop.altcraft, good).json()["data"]["task_id"]
    body = f"<xml>\n  <token>\n    {shop.token}\n  </token>\n  <task_id>\n\t{task}\n  </task_id>\n</xml>\n"
    assert "<error>0</error>" in shop.client().post(API + STATUS, content=body, headers=XML).text


def test_different_tokens_are_refused_even_if_one_is_good(
    system: System, app: FastAPI, shop: Shop, good: dict[str, Any]
) -> None:
    other = Shop(system, app, "other-shop")
    told(ask(shop.altcraft, {**good, "token": other.token}), 401, "Different tokens")
    told(ask(shop.altcraft, good, f"{API}{EXPORT}?token={other.token}"), 401, "Different tokens")
    before = queued(system)
    told(ask(shop.client(), {**good, "token": shop.token}, f"{API}{EXPORT}?token=x"), 401, "Different tokens")
    assert queued(system) == before


def test_without_a_good_token_nothing_is_told(shop: Shop, good: dict[str, Any]) -> None:
    nobody = shop.client()
    told(ask(nobody, good), 401, "API token required")
    told(ask(nobody, {**good, "token": ""}), 401, "API token required")
    told(ask(nobody, {**good, "token": "bfc505684d774e52b188fa1f003cd5ed"}), 401, "Unknown token")
    told(ask(nobody, {**good, "token": 7}), 400, "token: must be a string")
    told(ask(shop.client(Authorization="Bearer wrong"), {**good, "token": shop.token}), 401, "Unknown token")
    told(ask(shop.client(Authorization=f"Token {shop.token}"), good), 401, "Authorization header")
    told(shop.voucherify.post(API + EXPORT, json=good), 401, "API token required")
    assert shop.client(Authorization=f"bearer {shop.token}").post(API + EXPORT, json=good).json()["error"] == 0


def test_a_wrong_token_is_refused_before_the_body_is_read(shop: Shop) -> None:
    told(shop.client(Authorization="Bearer wrong").post(API + EXPORT, content=b"{"), 401, "Unknown token")


def test_scopes_divide_exports_from_accounts(system: System, app: FastAPI, shop: Shop, good: dict[str, Any]) -> None:
    exporter, teller = Shop(system, app, scopes=["exports"]), Shop(system, app, scopes=["loyalties"])
    assert ask(exporter.altcraft, good).json()["error"] == 0
    told(ask(exporter.altcraft, good, BALANCE), 403, "scope 'loyalties'")
    told(ask(teller.altcraft, good), 403, "scope 'exports'")
    told(ask(teller.altcraft, good, BALANCE), 400, "matching")
    told(teller.altcraft.get("/api/download/x/y.zip"), 403, "scope 'exports'", 403)
    assert ask(Shop(system, app, scopes=["api"]).altcraft, good).json()["error"] == 0


def test_a_key_may_ask_only_so_often(tmp_path: Path, clock: FakeClock) -> None:
    with opened(tmp_path, clock, rate_limit_per_min=2) as system:
        shop = Shop(system, build_app(system))
        for _ in range(2):
            told(ask(shop.altcraft, {}, API + STATUS), 400, "task_id: is required")
        told(ask(shop.altcraft, {}, API + STATUS), 429, "More than 2", 429)


# -- the form -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "accept", "query", "in_body", "xml"),
    [
        ("application/json", None, None, None, False),
        ("application/xml", None, None, None, True),
        ("text/xml", None, None, None, True),
        ("text/xml; charset=utf-8", "*/*", None, None, True),
        ("application/json", "application/xml", None, None, True),
        ("application/json", "text/xml, application/xml;q=0.9", None, None, True),
        ("application/xml", "application/json", None, None, False),
        ("application/xml", "text/html, application/xml", None, None, False),
        ("application/json", "application/xml", None, "json", False),
        ("application/json", None, None, "xml", True),
        ("application/xml", None, None, "json", False),
        ("application/xml", None, "json", "xml", False),
        ("application/json", None, "xml", "json", True),
    ],
)
def test_the_answer_has_the_form_asked_for(
    shop: Shop, content_type: str, accept: str | None, query: str | None, in_body: str | None, xml: bool
) -> None:
    form = "" if in_body is None else in_body
    if "xml" in content_type:
        body = f"<xml><task_id>task_x</task_id><format>{form}</format></xml>"
    else:
        body = f'{{"task_id": "task_x", "format": "{form}"}}'
    headers = {"content-type": content_type, **({} if accept is None else {"accept": accept})}
    path = API + STATUS + ("" if query is None else f"?format={query}")
    answer = shop.altcraft.post(path, content=body, headers=headers)
    assert answer.status_code == 200
    if xml:
        assert answer.headers["content-type"].startswith("application/xml")
        assert [child.tag for child in fromstring(answer.text)] == ["error", "error_text"]
    else:
        assert answer.headers["content-type"] == "application/json" and answer.json()["error"] == 404


def test_a_form_that_there_is_not_is_refused_wherever_it_is_asked_for(shop: Shop) -> None:
    for body, path in (({"format": "yaml"}, API + STATUS), ({}, API + STATUS + "?format=yaml")):
        told(ask(shop.altcraft, body, path), 400, "format: cannot be 'yaml' (allowed: json, xml)")


def test_text_is_safe_in_xml(shop: Shop) -> None:
    answer = shop.altcraft.post(API + STATUS, json={"task_id": "<a> & \u0001 ]]> ä"}, headers={"accept": "text/xml"})
    text = fromstring(answer.text).findtext("error_text")
    assert text is not None and text.endswith("<a> & \ufffd ]]> ä")


# -- the envelope ---------------------------------------------------------------------------------------------------------


def test_errors_are_mirrored_in_the_status_where_that_is_set(tmp_path: Path, clock: FakeClock) -> None:
    with opened(tmp_path, clock, altcraft_http_status="mirrored") as system:
        shop = Shop(system, build_app(system))
        told(ask(shop.altcraft, {"task_id": "task_x"}, API + STATUS), 404, "task_x", 404)
        told(ask(shop.altcraft, {}, API + STATUS), 400, "task_id", 400)
        answer = ask(shop.client(), {}, API + STATUS)
        told(answer, 401, "API token required", 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_paths_that_are_none_have_real_statuses_in_the_envelope(shop: Shop) -> None:
    told(ask(shop.altcraft, {}, API + "loyalty/nothing"), 404, "There is no POST /api/v1.1/loyalty/nothing", 404)
    told(shop.altcraft.get(API + EXPORT), 405, "calls are POST", 405)
    assert shop.voucherify.get("/v1/nothing").json()["key"] == "not_found", "the other dialect keeps its own words"


def test_a_failure_of_ours_is_a_500_that_tells_nothing(
    system: System, shop: Shop, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret inside")

    logged: list[str] = []
    monkeypatch.setattr(system.services.points_exports.exports.__class__, "create", broken)
    monkeypatch.setattr(dialect, "log", SimpleNamespace(error=lambda event, **_: logged.append(event)))
    text = told(ask(shop.altcraft, good), 500, "Internal error; quote v-", 500)
    assert "secret" not in text and logged == ["request_failed"]


def test_a_trailing_slash_does_no_harm(shop: Shop, good: dict[str, Any]) -> None:
    assert ask(shop.altcraft, good, f"{API}{EXPORT}/").json()["error"] == 0


# -- wrong requests -------------------------------------------------------------------------------------------------------


class _Without:
    """Marks a parameter that is left out."""

    def __repr__(self) -> str:
        return "WITHOUT"


WITHOUT = _Without()
WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"loyalty_program_id": WITHOUT}, 400, "loyalty_program_id: is required"),
    ({"loyalty_program_id": "1"}, 400, "loyalty_program_id: must be an integer, not '1'"),
    ({"loyalty_program_id": 1.0}, 400, "loyalty_program_id: must be an integer"),
    ({"loyalty_program_id": True}, 400, "loyalty_program_id: must be an integer"),
    ({"loyalty_program_id": {"id": 1}}, 400, "loyalty_program_id: must be an integer"),
    ({"loyalty_program_id": 10**30}, 400, "loyalty_program_id: must be an integer"),
    ({"loyalty_program_id": 99}, 404, "There is no loyalty programme 99; there are: 1 (Points)"),
    ({"loyalty_program_id": -1}, 404, "There is no loyalty programme -1"),
    ({"loyalty_program_id": 0}, 404, "There is no loyalty programme 0"),
    ({"points_currency_eid": WITHOUT}, 400, "points_currency_eid: is required, or points_currency_iid"),
    ({"points_currency_eid": ""}, 400, "points_currency_eid: is required"),
    ({"points_currency_eid": "Stars"}, 404, "has no points currency 'Stars'; it has 'stars', which is 1"),
    ({"points_currency_eid": "moons"}, 404, "no points currency 'moons'"),
    ({"points_currency_eid": WITHOUT, "points_currency_iid": 7}, 404, "no points currency 7"),
    ({"points_currency_iid": 7}, 400, "not the same currency"),
    ({"points_currency_eid": "moons", "points_currency_iid": 1}, 400, "not the same currency"),
    ({"points_currency_eid": "moons", "points_currency_iid": 7}, 404, "no points currency"),
    ({"points_currency_eid": 5}, 400, "points_currency_eid: must be a string"),
    ({"points_currency_eid": "\u0000"}, 400, "points_currency_eid: must hold no NUL"),
    ({"points_currency_eid": "\ud800"}, 400, ""),
    ({"date_from": WITHOUT}, 400, "date_from: is required"),
    ({"date_to": None}, 400, "date_to: is required"),
    ({"date_from": "2100-01-01T00:00:01Z"}, 400, "date_from: is after date_to"),
    ({"date_from": "2023-09-01"}, 400, "date_from: must be an RFC 3339 date with time and offset"),
    ({"date_from": "2023-09-01T00:00:00"}, 400, "RFC 3339"),
    ({"date_from": "2023-13-01T00:00:00Z"}, 400, "RFC 3339"),
    ({"date_from": "2023-02-29T00:00:00Z"}, 400, "RFC 3339"),
    ({"date_from": "2023-02-28T24:00:00Z"}, 400, "RFC 3339"),
    ({"date_from": "2023-09-01T00:00:00+25:00"}, 400, "RFC 3339"),
    ({"date_from": "0000-01-01T00:00:00Z"}, 400, "RFC 3339"),
    ({"date_from": "0001-01-01T00:00:00+01:00"}, 400, "RFC 3339"),
    ({"date_to": "9999-12-31T23:59:59-01:00"}, 400, "RFC 3339"),
    ({"date_from": "yesterday"}, 400, "not 'yesterday'"),
    ({"date_from": 1693526400}, 400, "date_from: must be a string"),
    ({"date_from": "\uff12023-09-01T00:00:00Z"}, 400, "RFC 3339"),
    ({"limit": 0}, 400, "limit: must be from 1 to 1000000"),
    ({"limit": -1}, 400, "limit: must be from 1 to"),
    ({"limit": 1_000_001}, 400, "limit: must be from 1 to"),
    ({"limit": "many"}, 400, "limit: must be an integer"),
    ({"from_id": 7}, 400, "from_id: must be a string"),
    ({"from_id": ["a"]}, 400, "from_id: must be a string"),
    ({"format": "yaml"}, 400, "format: cannot be 'yaml' (allowed: json, xml)"),
    ({"format": ["xml"]}, 400, "format: must be a string"),
]


@pytest.mark.parametrize(("change", "code", "words"), WRONG, ids=[f"{w[0]}"[:60] for w in WRONG])
def test_a_wrong_request_is_told_what_would_be_right_and_queues_nothing(
    system: System, shop: Shop, good: dict[str, Any], change: dict[str, Any], code: int, words: str
) -> None:
    body = {name: value for name, value in {**good, **change}.items() if value is not WITHOUT}
    before = queued(system)
    try:
        answer = ask(shop.altcraft, body)
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8; as an escape it can be sent
        content = b'{"loyalty_program_id": 1, "points_currency_eid": "\\ud800", "date_from": "2000-01-01T00:00:00Z"}'
        answer = shop.altcraft.post(API + EXPORT, content=content, headers={"content-type": "application/json"})
    told(answer, code, words)
    assert queued(system) == before


def test_a_gift_campaign_is_no_programme(shop: Shop, good: dict[str, Any]) -> None:
    body = {
        "name": "Gifts",
        "campaign_type": "GIFT_VOUCHERS",
        "voucher": {"type": "GIFT_VOUCHER", "gift": {"amount": 1}},
    }
    gift = shop.voucherify.post("/v1/campaigns", json=body).json()
    told(ask(shop.altcraft, {**good, "loyalty_program_id": gift["loyalty_program_id"]}), 404, "no loyalty programme")


def test_a_removed_programme_is_none(shop: Shop) -> None:
    removed = shop.programme("Gone", "gone")
    assert shop.voucherify.delete(f"/v1/campaigns/{removed['id']}").status_code == 202
    number = removed["loyalty_program_id"]
    told(ask(shop.altcraft, {**named(removed), **ALWAYS}), 404, f"no loyalty programme {number}; there are: 1 (Points)")


@pytest.mark.parametrize(
    ("content_type", "content", "words"),
    [
        ("application/json", b"{", "The body is not valid JSON"),
        ("application/json", b"[1]", "must be an object"),
        ("application/json", b'"text"', "must be an object"),
        ("application/json", b"\xff\xfe", "not valid JSON"),
        ("application/json", b"[" * 100_000, "not valid JSON"),
        ("application/json", b'{"a":' * 100_000, "not valid JSON"),
        ("application/json", b'{"loyalty_program_id": NaN}', "not valid JSON"),
        ("application/json", b'{"loyalty_program_id": ' + b"9" * 5000 + b"}", ""),
        ("application/json", b"<xml/>", "not valid JSON"),
        ("", b"", "loyalty_program_id: is required"),
        ("application/xml", b"", "not well-formed XML"),
        ("application/xml", b"{}", "not well-formed XML"),
        ("application/xml", b"<xml>", "not well-formed XML"),
        ("application/xml", b"<xml></xml><xml></xml>", "not well-formed XML"),
        ("application/xml", b"<request/>", "The root element must be <xml>, not <request>"),
        ("application/xml", b"<XML/>", "The root element must be <xml>"),
        ("application/xml", b'<xml xmlns="urn:a"/>', "The root element must be <xml>"),
        ("application/xml", b"<xml>plain</xml>", "loyalty_program_id: is required"),
        ("application/xml", b"<xml><date_from>\x01</date_from></xml>", "not well-formed XML"),
        ("application/xml", b'<?xml version="1.0" encoding="klingon"?><xml/>', "not well-formed XML"),
        ("application/xml", b"<!DOCTYPE xml><xml/>", "DTD or entities"),
        ("application/xml", b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><xml/>', "DTD or entities"),
        ("application/xml", b'<!DOCTYPE x [<!ENTITY a "b">]><xml><task_id>&a;</task_id></xml>', "DTD or entities"),
        ("application/xml", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml>&a;</xml>', "DTD or entities"),
        ("application/xml", b"<xml><a>&lol;</a></xml>", "not well-formed XML"),
        ("application/xml", b"<xml>" + b"<a>" * 20 + b"</a>" * 20 + b"</xml>", "nested 8 deep"),
        ("application/xml", b"<xml>" + b"<a/>" * 20_000 + b"</xml>", "10000 elements at most"),
        ("application/xml", b"<xml>" + b"<a>" * 1_000_000, "nested 8 deep"),
        ("application/xml", b"<xml><loyalty_program_id>one</loyalty_program_id></xml>", "must be an integer"),
        ("application/xml", b"<xml><loyalty_program_id>1</loyalty_program_id><loyalty_program_id>1</loyalty_program_id></xml>", "must be an integer"),
        ("application/xml", b"<xml><loyalty_program_id><b>1</b></loyalty_program_id></xml>", "must be an integer"),
        ("text/plain", b"{}", "Content-Type: cannot be 'text/plain' (allowed: application/json, application/xml"),
        ("application/x-www-form-urlencoded", b"loyalty_program_id=1", "Content-Type: cannot be"),
        ("multipart/form-data; boundary=x", b"--x--", "Content-Type: cannot be"),
        ("application/xhtml+xml", b"<xml/>", "Content-Type: cannot be"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_told_why(shop: Shop, content_type: str, content: bytes, words: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = shop.altcraft.post(API + EXPORT + "?format=json", content=content, headers=headers)
    told(answer, 400, words)


def test_a_bomb_of_entities_is_not_expanded(shop: Shop) -> None:
    entities = "".join(f'<!ENTITY l{no} "{f"&l{no - 1};" * 10}">' for no in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY l0 "lol">{entities}]><xml><task_id>&l9;</task_id></xml>'
    told(shop.altcraft.post(API + STATUS + "?format=json", content=bomb, headers=XML), 400, "DTD or entities")


@pytest.mark.parametrize("content_type", ["application/json", "application/xml"])
def test_a_body_over_the_limit_is_413_in_the_envelope(shop: Shop, content_type: str) -> None:
    content = b"<xml>" + b" " * (10 * 1024 * 1024) + b"</xml>"
    answer = shop.altcraft.post(API + EXPORT, content=content, headers={"content-type": content_type})
    assert answer.status_code == 413
    if content_type == "application/json":
        told(answer, 413, "maximum allowed", 413)
    else:
        assert [child.tag for child in fromstring(answer.text)] == ["error", "error_text"]


def test_a_body_just_below_the_limit_is_read(shop: Shop) -> None:
    blank = b" " * (10 * 1024 * 1024 - 100)
    body = b"<xml>" + blank + b"<task_id>task_x</task_id></xml>"
    assert "<error>404</error>" in shop.altcraft.post(API + STATUS, content=body, headers=XML).text


def test_xml_values_may_stand_between_blanks(shop: Shop, programme: dict[str, Any]) -> None:
    body = """<?xml version="1.0" encoding="UTF-8"?>
    <xml>
      <loyalty_program_id> 1 </loyalty_program_id><!-- which -->
      <points_currency_iid>
        1
      </points_currency_iid>
      <date_from> 2023-09-01T00:00:00Z </date_from>
      <date_to><![CDATA[2023-09-30T23:59:59Z]]></date_to>
      <unknown><deep>x</deep></unknown>
    </xml>"""
    assert "<error>0</error>" in shop.altcraft.post(API + EXPORT, content=body, headers=XML).text
