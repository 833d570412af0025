"""How to join files on S3 when the server does the copying.

A part that the server copies must have 5 MiB, the last one excepted. So what is smaller is gathered: read by us and
sent as a part of its own, together with as much of the next file as it takes to reach that size. All else is copied
without passing through this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.files.options import PART_SIZE_MAX_BYTES, PART_SIZE_MIN_BYTES, PARTS_MAX

COPY_BYTES = 256 << 20
"""How much one part copies, as long as that does not take more parts than a file may have: S3 would take 5 GiB, but
smaller copies run beside each other."""

COPY_BYTES_MAX = PART_SIZE_MAX_BYTES - PART_SIZE_MIN_BYTES
"""The most one part copies, a rest that is too small for a part of its own left room for."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [start, end) of a file."""

    key: str
    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How many bytes it is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class JoinedPart:
    """One part of the joined file. gathered: we read the spans and send them; else the server copies the only one."""

    spans: tuple[Span, ...]
    gathered: bool


def joined_parts(sources: Sequence[tuple[str, int]]) -> list[JoinedPart]:
    """The parts of the files `(key, size in bytes)` joined in order; empty files give none."""
    parts = _parts(sources, COPY_BYTES)
    return parts if len(parts) <= PARTS_MAX else _parts(sources, COPY_BYTES_MAX)


def _parts(sources: Sequence[tuple[str, int]], copy_bytes: int) -> list[JoinedPart]:
    parts: list[JoinedPart] = []
    loose: list[Span] = []
    loose_bytes = 0
    for key, size_bytes in sources:
        at = 0
        while at < size_bytes:
            left = size_bytes - at
            if not loose and left >= PART_SIZE_MIN_BYTES:
                # A rest under the least size would only have to be gathered: then this part is copied longer.
                take = left if left < copy_bytes + PART_SIZE_MIN_BYTES else copy_bytes
                parts.append(JoinedPart((Span(key, at, at + take),), gathered=False))
            else:
                take = min(left, PART_SIZE_MIN_BYTES - loose_bytes)
                loose.append(Span(key, at, at + take))
                loose_bytes += take
            at += take
            if loose_bytes == PART_SIZE_MIN_BYTES:
                parts.append(JoinedPart(tuple(loose), gathered=True))
                loose, loose_bytes = [], 0
    if loose:
        parts.append(JoinedPart(tuple(loose), gathered=True))
    return parts
