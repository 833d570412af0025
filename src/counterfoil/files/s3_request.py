"""Signed requests to an S3 server for what obstore has no call for.

obstore reads, lists, deletes and puts small files. It cannot abort or list multipart uploads, nor complete one on the
condition that its key is free, nor copy a part from another file, nor sign a link that names the file; those five go
through here, with the same keys and the same bounds on retries.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from counterfoil.clock import Clock
from counterfoil.errors import CounterfoilError, Misconfigured, Unavailable
from counterfoil.files.options import StoreOptions
from counterfoil.files.s3_failure import failure, untrusted
from counterfoil.files.signature import (
    EMPTY_SHA256,
    Credentials,
    encoded_path,
    encoded_query,
    presigned_query,
    signed_headers,
)
from counterfoil.files.store import Bytes

_CONNECT_TIMEOUT_S = 5.0
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 5.0
_LINK_TTL_MAX_S = 604_800


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is: scheme, host with port, and the path before the bucket (mostly empty)."""

    scheme: str
    host: str
    path: str

    @property
    def url(self) -> str:
        """`https://host:port/path`."""
        return f"{self.scheme}://{self.host}{self.path}"


def endpoint_of(url: str, *, allow_http: bool) -> Endpoint:
    """Read an endpoint's URL; raises Misconfigured when it is none, or has no TLS without leave."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise Misconfigured(
            "store_endpoint", "The S3 endpoint must look like https://host:port (COUNTERFOIL_S3_ENDPOINT)"
        )
    if parts.scheme == "http" and not allow_http:
        raise Misconfigured(
            "store_endpoint",
            f"The S3 endpoint {url} has no TLS: use https, or allow it with COUNTERFOIL_S3_ALLOW_HTTP=true",
        )
    return Endpoint(parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"))


class S3Requests:
    """Signs and sends requests about objects of one bucket; used by many threads at once."""

    def __init__(
        self, bucket: str, prefix: str, options: StoreOptions, clock: Clock, credentials: Callable[[], Credentials]
    ) -> None:
        """bucket: its name. prefix: what stands before every key. credentials: gives keys that are good now.

        Raises Misconfigured for options that cannot work.
        """
        self._options = options
        self._clock = clock
        self._credentials = credentials
        self.endpoint = endpoint_of(
            options.endpoint or f"https://s3.{options.region}.amazonaws.com", allow_http=options.allow_http
        )
        linked = options.link_endpoint
        self._link_endpoint = endpoint_of(linked, allow_http=True) if linked else self.endpoint
        self._bucket = bucket
        self.prefix = prefix
        self.place = f"Bucket {bucket} at {self.endpoint.url}"
        self._tls = _tls(options) if self.endpoint.scheme == "https" else None
        # Kept connections; taking from and adding to the end of a list are atomic.
        self._idle: list[http.client.HTTPConnection] = []
        weakref.finalize(self, _close_all, self._idle)

    def send(
        self,
        method: str,
        key: str | None,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        body: Bytes = b"",
    ) -> Answer:
        """Send a request about a file, or about the bucket itself (None), until it is answered for good.

        Answers of 5xx and 429 and broken connections are tried again with doubling pauses until `retry_timeout_s` is
        over; so a request may arrive twice. Raises what `s3_failure` makes of the last answer.
        """
        started_s = self._clock.monotonic_s()
        pause_s = _PAUSE_FIRST_S
        while True:
            outcome = self._tried(method, key, query, headers or {}, body)
            if isinstance(outcome, Answer):
                return outcome
            waited_s = self._clock.monotonic_s() - started_s
            if not outcome.transient or waited_s + pause_s > self._options.retry_timeout_s:
                raise outcome
            self._clock.sleep_s(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)

    def link(self, key: str, query: Mapping[str, str], ttl_s: int) -> str:
        """A signed URL for a GET of a file, valid for `ttl_s` seconds (at most seven days are signed)."""
        at = self._link_endpoint
        full_path = self._full_path(at, key)
        ttl_s = max(1, min(ttl_s, _LINK_TTL_MAX_S))
        now_ms = self._clock.now_ms()
        signed = presigned_query(self._credentials(), self._options.region, now_ms, at.host, full_path, query, ttl_s)
        return f"{at.scheme}://{at.host}{full_path}?{signed}"

    def copy_source(self, key: str) -> str:
        """How the header x-amz-copy-source names a file."""
        return encoded_path(f"/{self._bucket}/{self.prefix}{key}")

    def _full_path(self, endpoint: Endpoint, key: str | None) -> str:
        bucket = f"{endpoint.path}/{self._bucket}"
        return encoded_path(bucket if key is None else f"{bucket}/{self.prefix}{key}")

    def _tried(
        self, method: str, key: str | None, query: Mapping[str, str], headers: Mapping[str, str], body: Bytes
    ) -> Answer | CounterfoilError:
        full_path = self._full_path(self.endpoint, key)
        signed = signed_headers(
            self._credentials(),
            self._options.region,
            self._clock.now_ms(),
            method,
            full_path,
            query,
            {**headers, "host": self.endpoint.host},
            hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256,
        )
        target = f"{full_path}?{encoded_query(query)}" if query else full_path
        try:
            answer = self._exchanged(method, target, signed, body)
        except ssl.SSLCertVerificationError as error:
            return untrusted(self.place, error.verify_message)
        except (OSError, http.client.HTTPException) as error:
            return Unavailable(
                "store_unavailable",
                f"{self.place} cannot be reached ({error!r}): is it up, and is COUNTERFOIL_S3_ENDPOINT right?",
            )
        # A long copy or completion begins with 200 and may still end in an error (Amazon S3: CompleteMultipartUpload).
        late = answer.status == 200 and b"<Error>" in answer.body[:1024]
        if answer.status >= 300 or late:
            return failure(self.place, key or "", answer.status, answer.body.decode("utf-8", "replace"))
        return answer

    def _exchanged(self, method: str, target: str, headers: Mapping[str, str], body: Bytes) -> Answer:
        while True:
            connection, kept = self._connection()
            try:
                connection.request(method, target, body, headers)
                response = connection.getresponse()
                content = response.read()
            except (ConnectionError, http.client.RemoteDisconnected):
                connection.close()
                if not kept:
                    raise
                continue  # the server had closed a kept connection: no failure of this request
            except BaseException:
                connection.close()
                raise
            if response.will_close:
                connection.close()
            else:
                self._idle.append(connection)
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, content)

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        with suppress(IndexError):
            return self._idle.pop(), True
        host = self.endpoint.host
        connection = (
            http.client.HTTPConnection(host, timeout=_CONNECT_TIMEOUT_S)
            if self._tls is None
            else http.client.HTTPSConnection(host, timeout=_CONNECT_TIMEOUT_S, context=self._tls)
        )
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(self._options.request_timeout_s)
        return connection, False


def _tls(options: StoreOptions) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if options.ca_file is not None:
        try:
            context.load_verify_locations(options.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                "store_certificate",
                f"{options.ca_file} cannot be read as certificates: {error} (COUNTERFOIL_S3_CA_FILE)",
            ) from error
    return context


def _close_all(connections: list[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()
