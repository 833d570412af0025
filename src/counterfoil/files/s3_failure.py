"""What an S3 server's errors mean to us (Amazon S3: Error responses, and what other servers add)."""

from __future__ import annotations

import re

from counterfoil.errors import Conflict, CounterfoilError, Misconfigured, NotFound, StoreFull, TooLarge, Unavailable

KEYS_SETTING = "COUNTERFOIL_S3_ACCESS_KEY and COUNTERFOIL_S3_SECRET_KEY"

_CREDENTIAL_CODES = frozenset(
    {"SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "TokenRefreshRequired"}
)
_REGION_CODES = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_FULL_CODES = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "BucketQuotaExceeded"})
_PASSING_CODES = frozenset(
    {"InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "BadDigest"}
)
LACKING_CODES = frozenset({"NotImplemented", "MethodNotAllowed"})

_CODE = re.compile(r"<Code>(\w+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_STATUS = re.compile(r"status code: (\d{3})")


def failure(place: str, key: str, status: int | None, text: str) -> CounterfoilError:
    """Our error for a server's answer.

    place: bucket and endpoint, for the message. key: the file asked for, or empty. status: of HTTP, None when no
    answer came. text: what the server said (XML), or the client did.
    """
    found = _CODE.search(text)
    code = found.group(1) if found else ""
    said = _MESSAGE.search(text)
    reason = f"{code}: {said.group(1)}" if said else code or text.split("\n", 1)[0]
    if status is None and "InvalidCertificate" in text:
        return untrusted(place, reason)
    known = _known(place, key, status, code, reason)
    if known is not None:
        return known
    if status is None or status >= 500 or status == 429 or code in _PASSING_CODES:
        return Unavailable("store_unavailable", f"{place} failed ({status or 'no answer'}): {reason}")
    return Misconfigured("store_refused", f"{place} refused the request ({status}): {reason}")


def _known(place: str, key: str, status: int | None, code: str, reason: str) -> CounterfoilError | None:
    if code == "NoSuchBucket":
        return Misconfigured("store_bucket", f"{place} does not exist: make the bucket, or mend COUNTERFOIL_FILES")
    if code == "NoSuchUpload":
        return Conflict("file_removed", f"The file {key} was removed while it was being written", value=key)
    if code in _CREDENTIAL_CODES:
        return Misconfigured("store_credentials", f"{place} does not take our keys ({reason}): check {KEYS_SETTING}")
    if code == "RequestTimeTooSkewed":
        return Misconfigured("store_clock", f"{place} says that this machine's clock is wrong: set it by NTP")
    if code in _REGION_CODES or status in (301, 307):
        return Misconfigured("store_region", f"{place} is elsewhere ({reason}): check COUNTERFOIL_S3_REGION")
    if code in LACKING_CODES or status in (405, 501):
        return Misconfigured("store_lacks", f"{place} cannot do this ({reason})")
    if code in _FULL_CODES or status == 507:
        return StoreFull(f"{place} has no room left ({reason}): delete files there or raise its quota")
    if code == "EntityTooLarge" or status == 413:
        return TooLarge("file_too_large", f"{place} does not take a file of this size: {key}")
    return _by_status(place, key, status, reason)


def _by_status(place: str, key: str, status: int | None, reason: str) -> CounterfoilError | None:
    if status == 404:
        return NotFound("file", key)
    if status == 412:
        return Conflict("file_exists", f"The file {key} exists already", field="key", value=key)
    if status == 409:
        return Unavailable("store_busy", f"Another writer of {key} got in between: {reason}")
    if status in (401, 403):
        return Misconfigured(
            "store_forbidden",
            f"{place} forbids the request ({reason}): check {KEYS_SETTING}, and that they may list, read, write and "
            "delete objects and list and abort multipart uploads in this bucket",
        )
    return None


def untrusted(place: str, reason: str) -> Misconfigured:
    """The error for a server whose certificate does not hold."""
    return Misconfigured(
        "store_certificate", f"{place} shows a certificate we do not trust ({reason}): set COUNTERFOIL_S3_CA_FILE"
    )


def status_of(text: str) -> int | None:
    """The HTTP status that obstore writes into the text of its errors, or None when there was no answer."""
    found = _STATUS.search(text)
    return int(found.group(1)) if found else None
