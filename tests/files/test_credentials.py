"""Keys that are lent: each lender is a small server that answers as Amazon's documentation says its own does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from counterfoil.clock import iso_ms
from counterfoil.errors import CounterfoilError, Misconfigured, Unavailable
from counterfoil.files.credentials import credentials_from
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.signature import Credentials
from counterfoil.ids import random_text
from tests.fakes import FakeClock
from tests.services import S3Server

HOUR_MS = 3_600_000
Answer = tuple[int, str]


@dataclass
class Lender:
    """A server that lends keys. `answer(method, path, headers, body)` is what it says; `asked` what it was asked."""

    url: str
    answer: Callable[[str, str, dict[str, str], str], Answer] = lambda method, path, headers, body: (404, "")
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def lender() -> Iterator[Lender]:
    running = Lender("")

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            running.asked.append(f"{self.command} {self.path}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, text = running.answer(self.command, self.path, headers, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_PUT = do_POST = do_any

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield running
    server.shutdown()
    server.server_close()
    thread.join()


def document(access_key: str, secret_key: str, token: str, expires_ms: int | None) -> str:
    found = {"Code": "Success", "AccessKeyId": access_key, "SecretAccessKey": secret_key, "Token": token}
    return json.dumps(found if expires_ms is None else {**found, "Expiration": iso_ms(expires_ms)})


def container(lender: Lender) -> StoreOptions:
    return StoreOptions(environment={"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{lender.url}/role?of=task"})


def test_keys_of_our_own_settings_come_first(clock: FakeClock) -> None:
    options = StoreOptions(access_key="ours", secret_key="s", environment={"AWS_ACCESS_KEY_ID": "theirs"})
    assert credentials_from(options, clock)().access_key_id == "ours"


def test_keys_in_the_environment(clock: FakeClock) -> None:
    env = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    assert credentials_from(StoreOptions(environment=env), clock)() == Credentials("id", "secret", "token")


@pytest.mark.parametrize(
    "options",
    [
        StoreOptions(access_key="only one"),
        StoreOptions(secret_key="only one"),
        StoreOptions(environment={"AWS_ACCESS_KEY_ID": "only one"}),
        StoreOptions(endpoint="https://s3.example.com"),
        StoreOptions(environment={"AWS_EC2_METADATA_DISABLED": "true"}),
    ],
)
def test_no_keys_at_all_are_told_at_once(options: StoreOptions, clock: FakeClock) -> None:
    with pytest.raises(Misconfigured, match="COUNTERFOIL_S3_SECRET_KEY"):
        credentials_from(options, clock)


def test_a_container_lends_keys_and_renews_them_in_time(lender: Lender, clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("let me in\n")
    env = {**container(lender).environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token")}

    def answer(method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        if headers.get("authorization") != "let me in" or path != "/role?of=task":
            return 401, ""
        number = len(lender.asked)
        return 200, document(f"id-{number}", "secret", "token", clock.now_ms() + HOUR_MS)

    lender.answer = answer
    keys = credentials_from(StoreOptions(environment=env), clock)
    assert keys() == keys() == Credentials("id-1", "secret", "token", clock.now_ms() + HOUR_MS)
    clock.advance_ms(HOUR_MS - 301_000)
    assert keys().access_key_id == "id-1"
    clock.advance_ms(2_000)
    assert keys().access_key_id == "id-2"
    assert len(lender.asked) == 2


def test_keys_still_good_are_used_when_the_lender_fails(lender: Lender, clock: FakeClock) -> None:
    expires_ms = clock.now_ms() + HOUR_MS
    lender.answer = lambda *asked: (200, document("id", "secret", "token", expires_ms))
    keys = credentials_from(container(lender), clock)
    assert keys().access_key_id == "id"
    lender.answer = lambda *asked: (500, "")
    clock.advance_ms(HOUR_MS - 1000)
    assert keys().access_key_id == "id"
    clock.advance_ms(2000)
    with pytest.raises(Unavailable):
        keys()


def test_an_instance_lends_the_keys_of_its_role(lender: Lender, clock: FakeClock) -> None:
    def answer(method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        if (method, path) == ("PUT", "/latest/api/token") and headers["x-aws-ec2-metadata-token-ttl-seconds"]:
            return 200, "session"
        if headers.get("x-aws-ec2-metadata-token") != "session":
            return 401, ""
        role = path.removeprefix("/latest/meta-data/iam/security-credentials/")
        return 200, "exporter\n" if not role else document(role, "secret", "token", clock.now_ms() + HOUR_MS)

    lender.answer = answer
    options = StoreOptions(environment={"AWS_EC2_METADATA_SERVICE_ENDPOINT": lender.url})
    assert credentials_from(options, clock)().access_key_id == "exporter"


def test_a_machine_that_is_no_instance_is_told_what_to_set(lender: Lender, clock: FakeClock) -> None:
    options = StoreOptions(environment={"AWS_EC2_METADATA_SERVICE_ENDPOINT": lender.url})
    store = open_store("s3://bucket", options, clock)
    for door in (store.check, lambda: store.size_bytes("a"), lambda: list(store.remnants("", 0))):
        with pytest.raises(Misconfigured, match="COUNTERFOIL_S3_ACCESS_KEY"):
            door()


def test_a_web_identity_is_lent_keys(lender: Lender, clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("jwt & more")
    env = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "jwt"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/exporter",
        "AWS_ENDPOINT_URL_STS": lender.url,
    }

    def answer(method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        assert form["Action"] == "AssumeRoleWithWebIdentity"
        assert form["WebIdentityToken"] == "jwt & more"
        return 200, (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            "<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>token</SessionToken>"
            f"<SecretAccessKey>secret</SecretAccessKey><Expiration>{iso_ms(clock.now_ms() + HOUR_MS)}</Expiration>"
            f"<AccessKeyId>{form['RoleArn']}</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
            "</AssumeRoleWithWebIdentityResponse>"
        )

    lender.answer = answer
    keys = credentials_from(StoreOptions(environment=env), clock)()
    assert (keys.access_key_id, keys.session_token) == ("arn:aws:iam::1:role/exporter", "token")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((403, ""), Misconfigured),
        ((200, "not json"), Misconfigured),
        ((200, "{}"), Misconfigured),
        ((503, ""), Unavailable),
    ],
)
def test_a_lender_that_refuses_or_fails(
    lender: Lender, clock: FakeClock, answer: Answer, kind: type[CounterfoilError]
) -> None:
    lender.answer = lambda *asked: answer
    with pytest.raises(kind, match=lender.url):
        credentials_from(container(lender), clock)()


def test_a_real_store_works_with_lent_keys(lender: Lender, seaweed: S3Server) -> None:
    lender.answer = lambda *asked: (200, document(seaweed.access_key, seaweed.secret_key, "", None))
    options = replace(container(lender), endpoint=seaweed.endpoint, allow_http=True, part_size_bytes=5 << 20)
    store = open_store(f"s3://{seaweed.bucket}/lent/{random_text(12)}", options)
    store.check()
    with store.create("large") as file:
        file.write(bytes(6 << 20))
        file.seal()
    assert store.size_bytes("large") == 6 << 20
    assert lender.asked == ["GET /role?of=task"]
