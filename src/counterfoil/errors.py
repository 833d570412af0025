"""Every error Counterfoil raises on purpose.

An error says what is wrong (`message`), where (`field`, `value`), and what would be right (`allowed`). It knows
nothing of HTTP: each dialect turns the class and the `code` into its own status and words. Terminal errors will be
the same on the next try; transient ones may not be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def did_you_mean(value: str, allowed: Iterable[str]) -> str:
    """` (did you mean X?)` when one of the allowed words is near what was said, else nothing."""
    near = get_close_matches(value.lower(), list(allowed), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


class CounterfoilError(Exception):
    """Base of all our errors.

    code: a stable machine word, such as `invalid_amount`; dialects map it to their vendor's key.
    message: one sentence for a person, with what to do next where that is known.
    """

    transient = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        value: object = None,
        allowed: Sequence[str] | None = None,
        resource_type: str | None = None,
        resource_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.value = value
        self.allowed = tuple(allowed) if allowed is not None else None
        self.resource_type = resource_type
        self.resource_id = resource_id


class InvalidInput(CounterfoilError):
    """The request itself is wrong; nothing was written."""


class NotFound(CounterfoilError):
    """A named thing does not exist in this project."""

    def __init__(self, resource_type: str, resource_id: str, message: str | None = None) -> None:
        super().__init__(
            "not_found",
            message or f"Cannot find {resource_type} with id {resource_id}",
            resource_type=resource_type,
            resource_id=resource_id,
        )


class Refused(CounterfoilError):
    """The request is well formed, but a rule of the ledger refuses it (balance, expiry, state)."""


class Conflict(CounterfoilError):
    """The request collides with something that exists."""


class Unauthenticated(CounterfoilError):
    """No credentials, or wrong ones."""

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__("unauthorized", message)


class Forbidden(CounterfoilError):
    """The caller is known but may not do this."""


class TooLarge(CounterfoilError):
    """The request exceeds a stated limit."""


class RateLimited(CounterfoilError):
    """Too many requests; `retry_at_s` is the Unix time in seconds at which to try again, `retry_after_s` how long that is
    from now, `limit` how many requests a minute has, where they are known."""

    def __init__(
        self, message: str, retry_at_s: int, *, retry_after_s: int | None = None, limit: int | None = None
    ) -> None:
        super().__init__("too_many_requests", message)
        self.retry_at_s = retry_at_s
        self.retry_after_s = retry_after_s
        self.limit = limit


class Gone(CounterfoilError):
    """The thing existed and was removed by its retention rule."""


class Unavailable(CounterfoilError):
    """A transient failure of something we depend on; the same request may succeed later."""

    transient = True


class LeaseLost(CounterfoilError):
    """This attempt no longer owns its export: stop at once and write nothing."""

    def __init__(self, export_id: str, attempt: int) -> None:
        super().__init__("lease_lost", f"Attempt {attempt} no longer owns export {export_id}")
        self.export_id = export_id
        self.attempt = attempt


class Canceled(CounterfoilError):
    """The export was canceled while it ran."""

    def __init__(self, export_id: str) -> None:
        super().__init__("canceled", f"Export {export_id} was canceled")


class Damaged(CounterfoilError):
    """Stored bytes are not what was recorded of them (a missing or altered file)."""


class StoreFull(CounterfoilError):
    """The place where files live has no room (disk, quota or a size limit): terminal until a person frees some."""

    def __init__(self, message: str) -> None:
        super().__init__("store_full", message)


class Misconfigured(CounterfoilError):
    """A setting, or the place it points at, is wrong. Terminal: a person must mend it, and `message` says what."""
