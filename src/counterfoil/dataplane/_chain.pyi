"""Runs of cards and fingerprints of texts, in C. gather.py and fingerprint.py are what others use."""

from __future__ import annotations

from typing import Any, final

def fingerprints(offsets: Any, wide: bool, first: int, data: Any, out: Any) -> None:
    """Write the fingerprint of each text into `out` (uint64, as many as it has room for).

    offsets: int32, or int64 when `wide`; the first text is at place `first` of it. ValueError when a text lies outside
    its data. The numbers are those of fingerprint.py on a little-endian machine.
    """

@final
class Table:
    """Runs gathered row by row, one a card as long as its rows follow one another. One thread at a time."""

    def __new__(cls, descending: bool) -> Table: ...
    def __len__(self) -> int: ...
    def add(self, card: Any, seq: Any, amount: Any, balance: Any, reverse: bool, place: int) -> None:
        """Take in rows: card uint64, the others int64, as buffers of one length. reverse: the last row is the first in
        the file. place: of the first row in the file."""

    def take(self) -> bytes:
        """The runs as records of RUN (runs.py), merged as `merge_runs` does it; the table is empty then."""
