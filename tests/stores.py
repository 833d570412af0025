"""File stores for tests: a bucket of the real S3 server, each test with a prefix of its own."""

from __future__ import annotations

from counterfoil.files.options import StoreOptions
from counterfoil.ids import random_text
from tests.services import S3Server


def bucket(server: S3Server, endpoint: str | None = None) -> tuple[str, StoreOptions]:
    """Address and options of an empty place there, for `open_store`. endpoint: reach it through this one instead."""
    options = StoreOptions(
        endpoint=endpoint or server.endpoint,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
        allow_http=True,
        part_size_bytes=5 << 20,
        retry_timeout_s=5,
    )
    return f"s3://{server.bucket}/{random_text(12)}", options
