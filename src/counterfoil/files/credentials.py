"""Where the keys of an S3 store come from: our settings, or one of Amazon's own ways to lend keys to a role.

Amazon's ways, in the order its own SDKs try them: environment variables, a web identity's token (EKS), the container's
credential endpoint (ECS, EKS Pod Identity), the instance's metadata service, version 2 (EC2). Sources: AWS SDKs and
Tools Reference Guide, "Standardized credential providers"; IAM: AssumeRoleWithWebIdentity; EC2: IMDSv2.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from defusedxml.ElementTree import ParseError, fromstring

from counterfoil.clock import Clock, parse_instant_ms
from counterfoil.errors import CounterfoilError, Misconfigured, Unavailable
from counterfoil.files.options import StoreOptions
from counterfoil.files.s3_failure import KEYS_SETTING
from counterfoil.files.signature import Credentials

_RENEWED_BEFORE_MS = 300_000
_ANSWER_TIMEOUT_S = 5.0
# The instance's own service answers within milliseconds, or this machine is no instance of Amazon's.
_INSTANCE_TIMEOUT_S = 1.0
_CONTAINER_HOST = "http://169.254.170.2"
_INSTANCE_HOST = "http://169.254.169.254"
_INSTANCE_ROLE_PATH = "/latest/meta-data/iam/security-credentials/"


def credentials_from(options: StoreOptions, clock: Clock) -> Callable[[], Credentials]:
    """What gives the keys that are good now.

    Raises Misconfigured when there are none to be had; the function returned raises it too, or Unavailable, when those
    who lend keys refuse or do not answer.
    """
    env = options.environment
    if options.access_key or options.secret_key:
        return _fixed(options.access_key, options.secret_key, options.session_token)
    if env.get("AWS_ACCESS_KEY_ID"):
        return _fixed(env["AWS_ACCESS_KEY_ID"], env.get("AWS_SECRET_ACCESS_KEY"), env.get("AWS_SESSION_TOKEN"))
    if env.get("AWS_WEB_IDENTITY_TOKEN_FILE") and env.get("AWS_ROLE_ARN"):
        return _Lent(lambda: _lent_to_web_identity(env, options.region), clock)
    if env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return _Lent(lambda: _lent_to_container(env), clock)
    if options.endpoint is None and env.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true":
        return _Lent(lambda: _lent_to_instance(env), clock)
    raise Misconfigured("store_credentials", f"An S3 store needs keys: set {KEYS_SETTING}")


def _fixed(access_key: str | None, secret_key: str | None, session_token: str | None) -> Callable[[], Credentials]:
    if not access_key or not secret_key:
        raise Misconfigured("store_credentials", f"One of the two keys of the S3 store is missing: set {KEYS_SETTING}")
    keys = Credentials(access_key, secret_key, session_token or None)
    return lambda: keys


class _Lent:
    """Keys lent for a time, asked for again before it is over; used by many threads at once."""

    def __init__(self, lend: Callable[[], Credentials], clock: Clock) -> None:
        self._lend = lend
        self._clock = clock
        self._keys: Credentials | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Credentials:
        with self._lock:
            left_ms = self._left_ms()
            if self._keys is None or left_ms < _RENEWED_BEFORE_MS:
                try:
                    self._keys = self._lend()
                except CounterfoilError:
                    if self._keys is None or left_ms <= 0:
                        raise
            return self._keys

    def _left_ms(self) -> int:
        if self._keys is None or self._keys.expires_ms is None:
            return _RENEWED_BEFORE_MS
        return self._keys.expires_ms - self._clock.now_ms()


def _lent_to_web_identity(env: Mapping[str, str], region: str) -> Credentials:
    token = _secret_in("AWS_WEB_IDENTITY_TOKEN_FILE", env)
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": env["AWS_ROLE_ARN"],
        "RoleSessionName": env.get("AWS_ROLE_SESSION_NAME") or "counterfoil",
        "WebIdentityToken": token,
    }
    url = env.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.com"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = _asked("POST", f"{url.rstrip('/')}/", headers, urlencode(form))
    return _keys(_xml_texts, answer, "SessionToken", url)


def _lent_to_container(env: Mapping[str, str]) -> Credentials:
    relative = env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    url = f"{_CONTAINER_HOST}{relative}" if relative else env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    token = env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = _secret_in("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", env)
    headers = {"Authorization": token} if token else {}
    return _keys(json.loads, _asked("GET", url, headers), "Token", url)


def _lent_to_instance(env: Mapping[str, str]) -> Credentials:
    url = (env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _INSTANCE_HOST).rstrip("/")
    asked_for = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
    try:
        token = _asked("PUT", f"{url}/latest/api/token", asked_for, timeout_s=_INSTANCE_TIMEOUT_S)
        headers = {"X-aws-ec2-metadata-token": token.decode()}
        role = _asked("GET", url + _INSTANCE_ROLE_PATH, headers).decode().split("\n")[0].strip()
        answer = _asked("GET", f"{url}{_INSTANCE_ROLE_PATH}{role}", headers)
    except CounterfoilError as error:
        raise Misconfigured(
            "store_credentials",
            f"No keys are set for the S3 store, and this machine has no role that lends some ({error.message}): "
            f"set {KEYS_SETTING}",
        ) from error
    return _keys(json.loads, answer, "Token", url)


def _keys(read: Callable[[bytes], Mapping[str, str]], answer: bytes, token_name: str, url: str) -> Credentials:
    try:
        found = read(answer)
        expires_ms = parse_instant_ms(found["Expiration"]) if found.get("Expiration") else None
        return Credentials(
            found["AccessKeyId"], found["SecretAccessKey"], found.get(token_name) or None, expires_ms=expires_ms
        )
    except (KeyError, ValueError, ParseError) as error:
        raise Misconfigured("store_credentials", f"{url} lends no keys that we understand: {error!r}") from None


def _xml_texts(answer: bytes) -> dict[str, str]:
    return {element.tag.rpartition("}")[2]: element.text or "" for element in fromstring(answer).iter()}


def _asked(
    method: str, url: str, headers: Mapping[str, str], body: str = "", *, timeout_s: float = _ANSWER_TIMEOUT_S
) -> bytes:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout_s)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("store_unavailable", f"{url} does not answer when asked for keys: {error!r}") from error
    finally:
        connection.close()
    if response.status >= 500:
        raise Unavailable("store_unavailable", f"{url} failed when asked for keys ({response.status})")
    if response.status != http.client.OK:
        raise Misconfigured("store_credentials", f"{url} refuses to lend keys ({response.status})")
    return answer


def _secret_in(variable: str, env: Mapping[str, str]) -> str:
    path = Path(env[variable])
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Misconfigured(
            "store_credentials", f"The file {path} named by {variable} cannot be read: {error}"
        ) from None
