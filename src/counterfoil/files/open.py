"""Which store an address means."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from counterfoil.clock import Clock, SystemClock
from counterfoil.errors import InvalidInput
from counterfoil.files.credentials import credentials_from
from counterfoil.files.local import LocalStore
from counterfoil.files.options import StoreOptions
from counterfoil.files.s3 import S3Store
from counterfoil.files.store import Store


def open_store(url: str, options: StoreOptions | None = None, clock: Clock | None = None) -> Store:
    """The store at `file:///path` or `s3://bucket/prefix`.

    options: for S3. clock: signs requests and links; the machine's unless a test has another. A folder is made when
    missing; S3 is not asked anything yet. Raises InvalidInput for another address, Misconfigured for what cannot work.
    """
    options = options or StoreOptions()
    clock = clock or SystemClock()
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return LocalStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.hostname and "@" not in parts.netloc:
        prefix = unquote(parts.path).strip("/")
        return S3Store(parts.netloc, prefix, options, credentials_from(options, clock), clock)
    raise InvalidInput(
        "invalid_store",
        f"Files cannot live at {url!r}",
        field="files",
        value=url,
        allowed=("file:///path/to/folder", "s3://bucket/prefix"),
    )
