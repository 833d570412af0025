"""How a file shows a column that is not shown as it is kept, said as data; `dataplane.presentation` does it.

The values themselves come from the column's source in their inner form, whatever the database or the archive, so one
step in front of the encoder serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal["movement_uuid", "words", "member", "first_key", "given"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One way to show a column, always as text.

    * `movement_uuid`: a seq as `ids.movement_uuid`; given: the project's public key.
    * `words`: a text as the word beside it in `words`; one that stands there not, as it is.
    * `member`: of a JSON document, the first of `paths` that leads to a value (names to go down by).
    * `first_key`: the word beside the first name in `words` that is a member of one of the documents at `paths`.
    * `given`: the same text in every row, whatever is kept; nothing while none is given.

    given: what only the one who asks knows; the planner fills it in.
    """

    how: How
    words: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    given: str | None = None

    @property
    def asks(self) -> bool:
        """Whether it needs something to be given."""
        return self.how in {"movement_uuid", "given"}
