"""Download links: a short-lived token that designates one file of one export of one project.

The token carries the project, the export, which of its files, and the expiry, signed with the project's secret, so giving a fresh one with
every look at an export writes nothing. It is 96 characters of URL-safe base64, the shape that Altcraft's
`hashed_file` shows (seed 004).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from dataclasses import dataclass

from counterfoil.clock import Clock
from counterfoil.db.engine import Database
from counterfoil.db.projects import Project, get_project
from counterfoil.errors import Unauthenticated

_EXPORT = b"e"
_TASK = b"t"
_SIGNED_BYTES = 40
_TOKEN_BYTES = 72
TASK_PREFIX = "task_"
EXPORT_PREFIX = "exp_"


@dataclass(frozen=True, slots=True)
class Designated:
    """What a token stands for."""

    project: Project
    export_id: str
    part: int = 0


class Links:
    """Makes and reads tokens. ttl_s: how long one lives."""

    def __init__(self, database: Database, clock: Clock, ttl_s: int) -> None:
        self._database = database
        self._clock = clock
        self._ttl_s = ttl_s

    def token(self, project: Project, export_id: str, part: int = 0) -> str:
        """A fresh token for a file of an export of the project; export ids are `exp_` and 24 letters or `task_` and a
        UUID. part: which of the export's files, from 0 to 65,535."""
        expires_s = self._clock.now_ms() // 1000 + self._ttl_s
        kind, body = _packed(export_id)
        signed = kind + project.id.to_bytes(8, "big") + expires_s.to_bytes(5, "big") + part.to_bytes(2, "big") + body
        return base64.urlsafe_b64encode(signed + _signature(project, signed)).decode()

    def read(self, token: str) -> Designated:
        """What a token designates. Raises Unauthenticated for one that is malformed, forged or past its time."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise Unauthenticated from None
        if len(raw) != _TOKEN_BYTES:
            raise Unauthenticated
        signed, signature = raw[:_SIGNED_BYTES], raw[_SIGNED_BYTES:]
        with self._database.read() as connection:
            project = get_project(connection, int.from_bytes(signed[1:9], "big", signed=True))
        if project is None or not hmac.compare_digest(_signature(project, signed), signature):
            raise Unauthenticated
        if int.from_bytes(signed[9:14], "big") < self._clock.now_ms() // 1000:
            raise Unauthenticated("The link has expired; look at the export again for a fresh one")
        return Designated(project, _unpacked(signed[:1], signed[16:]), int.from_bytes(signed[14:16], "big"))


def _signature(project: Project, signed: bytes) -> bytes:
    return hmac.digest(project.link_secret.encode(), signed, hashlib.sha256)


def _packed(export_id: str) -> tuple[bytes, bytes]:
    if export_id.startswith(TASK_PREFIX):
        return _TASK, uuid.UUID(export_id.removeprefix(TASK_PREFIX)).bytes + bytes(8)
    return _EXPORT, export_id.removeprefix(EXPORT_PREFIX).encode().ljust(24, b"\0")[:24]


def _unpacked(kind: bytes, body: bytes) -> str:
    if kind == _TASK:
        return TASK_PREFIX + str(uuid.UUID(bytes=body[:16]))
    return EXPORT_PREFIX + body.rstrip(b"\0").decode()
