"""Where the keys of an S3 store come from."""

from __future__ import annotations

from collections.abc import Callable

from counterfoil.clock import Clock
from counterfoil.errors import Misconfigured
from counterfoil.files.options import StoreOptions
from counterfoil.files.s3_failure import KEYS_SETTING
from counterfoil.files.signature import Credentials


def credentials_from(options: StoreOptions, clock: Clock) -> Callable[[], Credentials]:
    """What gives the keys that are good now; raises Misconfigured when there are none."""
    if options.access_key and options.secret_key:
        keys = Credentials(options.access_key, options.secret_key, options.session_token)
        return lambda: keys
    raise Misconfigured("store_credentials", f"An S3 store needs keys: set {KEYS_SETTING}")
