"""Identifiers, in the shapes the dialects' clients expect (facts: Voucherify objects, section ids)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid

_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SEQ_BITS = 28
_TIME_BITS = 44
_CURSOR = 1
_SEQ_MAX_BITS = 48


def random_id(prefix: str, length: int = 24) -> str:
    """`prefix` followed by `length` random letters and digits, such as `camp_…` (24) or `v_…` (32)."""
    return prefix + random_text(length)


def random_text(length: int, alphabet: str = _ALPHANUMERIC) -> str:
    """`length` characters drawn from `alphabet` by the operating system's generator."""
    size = len(alphabet)
    if size == 62:
        # One draw for the whole text: 62**length is drawn exactly, so no character is favoured.
        number = secrets.randbelow(62**length)
        letters: list[str] = []
        for _ in range(length):
            number, digit = divmod(number, 62)
            letters.append(alphabet[digit])
        return "".join(letters)
    return "".join(alphabet[secrets.randbelow(size)] for _ in range(length))


def random_number(below: int) -> int:
    """A number from 0 up to but not including `below`, from the operating system's generator."""
    return secrets.randbelow(below)


def hex_id(prefix: str, now_ms: int) -> str:
    """`prefix` and 18 hex digits that order by time: 44 bits of milliseconds, 28 random bits."""
    return f"{prefix}{(now_ms & ((1 << _TIME_BITS) - 1)) << _SEQ_BITS | secrets.randbits(_SEQ_BITS):018x}"


def movement_id(now_ms: int, seq: int) -> str:
    """A movement's id: `vtx_` and 18 hex digits of 44 bits of time and the low 28 bits of its seq.

    seq has no gaps and no repeats in a project, so the id is unique there unless 2**28 movements share a millisecond.
    """
    return f"vtx_{(now_ms & ((1 << _TIME_BITS) - 1)) << _SEQ_BITS | (seq & ((1 << _SEQ_BITS) - 1)):018x}"


def movement_uuid(project_key: str, seq: int) -> str:
    """The movement's UUID for dialects that want one: version 8, 58 bits of the project's key, 64 bits of seq.

    One to one with (project, seq), needs no storage, and orders by seq within a project.
    """
    return str(uuid.UUID(int=_with_version(_tag(project_key)) << 64 | _with_variant(seq)))


def seq_of_movement_uuid(project_key: str, text: str) -> int | None:
    """The seq inside a UUID made by `movement_uuid` for this project, or None when it is not one."""
    try:
        number = uuid.UUID(text).int
    except ValueError:
        return None
    seq = number & ((1 << 62) - 1)
    return seq if movement_uuid(project_key, seq) == text.lower() else None


def cursor_uuid(project_key: str, seq: int, seq_max: int) -> str:
    """A place in a chain of batches: the movement that comes next, and the snapshot (its last seq) they all see.

    Version 8 too, told from a movement's UUID by two bits that those leave at 0: 48 bits of seq_max, turned by the
    project's key, 48 bits of seq, and 24 bits of check, so that another project's is not taken for it.
    """
    assert 0 < seq <= seq_max < 1 << _SEQ_MAX_BITS, (seq, seq_max)
    digest = hashlib.sha256(f"{project_key}|{seq}|{seq_max}".encode()).digest()
    first, second = int.from_bytes(digest[:2], "big") >> 6, int.from_bytes(digest[2:4], "big") >> 2
    high = (seq_max ^ _tag(project_key) >> 10) << 16 | 8 << 12 | _CURSOR << 10 | first
    return str(uuid.UUID(int=high << 64 | _with_variant(second << _SEQ_MAX_BITS | seq)))


def read_cursor_uuid(project_key: str, text: str) -> tuple[int, int] | None:
    """(seq, seq_max) of a UUID made by `cursor_uuid` for this project, or None when it is not one."""
    try:
        number = uuid.UUID(text).int
    except ValueError:
        return None
    seq = number & ((1 << _SEQ_MAX_BITS) - 1)
    seq_max = (number >> 80) ^ _tag(project_key) >> 10
    if not 0 < seq <= seq_max:
        return None
    return (seq, seq_max) if cursor_uuid(project_key, seq, seq_max) == text.lower() else None


def _tag(project_key: str) -> int:
    return int.from_bytes(hashlib.sha256(project_key.encode()).digest()[:8], "big") >> 6


def _with_version(tag: int) -> int:
    high = (tag >> 10) & ((1 << 48) - 1)
    return high << 16 | 8 << 12 | (tag & 0x3FF)


def _with_variant(seq: int) -> int:
    return 0b10 << 62 | (seq & ((1 << 62) - 1))


def secret_token(size_bytes: int = 32) -> str:
    """A secret for a key or a link: `size_bytes` random bytes, URL-safe base64."""
    return secrets.token_urlsafe(size_bytes)


def secret_hash(secret: str) -> str:
    """How a secret is stored: SHA-256, hex. Secrets are random and long, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same_secret(secret: str, stored_hash: str) -> bool:
    """Whether `secret` has the stored hash, compared in constant time."""
    return hmac.compare_digest(secret_hash(secret), stored_hash)


def new_uuid() -> str:
    """A random UUID, version 4."""
    return str(uuid.uuid4())
