"""OAuth 2.0 client credentials: short-lived tokens with fewer rights than the key that asks for them.

Source: Voucherify, OAuth 2.0 (facts 4.1): 900 seconds, at most 1,000 tokens a project, scopes by path.
"""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil.clock import Clock
from counterfoil.db import access_tokens
from counterfoil.db.access_tokens import StoredToken
from counterfoil.db.engine import Database
from counterfoil.errors import Forbidden, InvalidInput, RateLimited, Unauthenticated
from counterfoil.ids import secret_hash, secret_token
from counterfoil.services.core import Caller

TOKEN_TTL_S = 900
TOKENS_MAX = 1000
GRANT_TYPE = "client_credentials"
SCOPES = frozenset(
    [
        "api",
        "vouchers",
        "promotions",
        "campaigns",
        "exports",
        "publications",
        "validations",
        "qualifications",
        "redemptions",
        "customers",
        "orders",
        "products",
        "skus",
        "validation-rules",
        "validation-rules-assignments",
        "segments",
        "events",
        "rewards",
        "assets",
        "task-results",
        "loyalties",
        "consents",
        "async-actions",
        "product-collections",
        "categories",
        "metadata-schemas",
        "locations",
        "referrals",
        "trash-bin",
        "templates",
        "client_api",
        "client_vouchers",
        "client_promotions",
        "client_publish",
        "client_validate",
        "client_validations",
        "client_qualifications",
        "client_redeem",
        "client_redemptions",
        "client_customers",
        "client_events",
        "client_consents",
    ]
)
"""Every scope of the vendor's securitySchemes (seed 000)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A token as given out: the secret is shown here once. expires_at in seconds since the epoch."""

    access_token: str
    client_id: str
    scope: str
    expires_at: int
    expires_in: int


class OAuth:
    """Gives out, looks at and takes back tokens."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def grant(self, caller: Caller, app_id: str, grant_type: str | None, scope: str | None) -> Grant:
        """A token for the caller's key. grant_type: client credentials, also when absent, as the vendor's clients leave it
        out. scope: space-separated; absent means what the key itself may do.

        Raises InvalidInput (`invalid_grant_type`, `invalid_scope`), Forbidden for scopes the key lacks, RateLimited
        when the project holds too many tokens.
        """
        if (grant_type or GRANT_TYPE) != GRANT_TYPE:
            raise InvalidInput("invalid_grant_type", f"Invalid grant type: {grant_type or ''}", value=grant_type)
        scopes = tuple(dict.fromkeys((scope or "").split())) or tuple(sorted(caller.scopes or {"api"}))
        unknown = [name for name in scopes if name not in SCOPES]
        if unknown:
            raise InvalidInput("invalid_scope", f"Invalid scope: {','.join(unknown)}", value=scope)
        if caller.scopes is not None and "api" not in caller.scopes and not caller.scopes.issuperset(scopes):
            missing = ", ".join(name for name in scopes if name not in caller.scopes)
            raise Forbidden("missing_permission", f"This key lacks the scope it asks for: {missing}")
        assert caller.key_id is not None, "only a key asks for tokens"
        secret, now_ms = secret_token(48), self._clock.now_ms()
        expires_at = now_ms + TOKEN_TTL_S * 1000
        with self._database.write() as connection:
            if access_tokens.count_live(connection, caller.project_id, now_ms) >= TOKENS_MAX:
                raise RateLimited(f"A project may hold {TOKENS_MAX} tokens; wait for one to end", expires_at // 1000)
            access_tokens.insert_token(
                connection, secret_hash(secret), caller.project_id, caller.key_id, scopes, now_ms, expires_at
            )
        return Grant(secret, app_id, " ".join(scopes), expires_at // 1000, TOKEN_TTL_S)

    def find(self, token: str) -> StoredToken | None:
        """The live token with that secret, of whatever project."""
        with self._database.read() as connection:
            return access_tokens.find_token(connection, secret_hash(token), self._clock.now_ms())

    def caller_of(self, token: str) -> Caller:
        """The caller behind a token. Raises Unauthenticated."""
        found = self.find(token)
        if found is None:
            raise Unauthenticated
        return Caller(found.project, frozenset(found.scopes), key_id=found.key_id)

    def introspect(self, caller: Caller, token: str) -> StoredToken | None:
        """A token of the caller's own project, or None."""
        found = self.find(token)
        return found if found is not None and found.project.id == caller.project_id else None

    def revoke(self, caller: Caller, token: str) -> bool:
        """End a token of the caller's own project; returns whether there was one."""
        with self._database.write() as connection:
            return access_tokens.delete_token(connection, secret_hash(token), caller.project_id)

    def seconds_left(self, token: StoredToken) -> int:
        """How long a token still lives."""
        return max(0, (token.expires_at - self._clock.now_ms()) // 1000)
