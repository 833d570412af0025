"""Ranges of bytes, as every store understands them."""

from __future__ import annotations

from counterfoil.errors import InvalidInput


def range_end(size_bytes: int, start: int, length: int | None) -> int:
    """Where the range [start, start + length) of a file of `size_bytes` ends; raises InvalidInput when negative."""
    if start < 0 or (length is not None and length < 0):
        raise InvalidInput("invalid_range", f"A range of bytes cannot be negative: {start}, {length}")
    return size_bytes if length is None else min(size_bytes, start + length)
