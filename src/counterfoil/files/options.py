"""What an S3 store must be told besides its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from counterfoil.errors import Misconfigured

MIB = 1 << 20

PART_SIZE_MIN_BYTES = 5 * MIB
"""The least an S3 part may be, the last one excepted (Amazon S3: Multipart upload limits)."""

PART_SIZE_MAX_BYTES = 5 << 30
"""The most an S3 part may be (same page)."""

PARTS_MAX = 10_000
"""The most parts an S3 file may have (same page)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Settings of an S3 store; a local store needs none.

    endpoint: where the server is (`https://s3.example.com`); None means Amazon's own for the region.
    link_endpoint: the server's address for those who follow links, where it differs from `endpoint`.
    access_key, secret_key, session_token: whose requests these are.
    environment: Amazon's own variables (`AWS_…`), where keys are looked for when none are given.
    allow_http: allow an endpoint without TLS. ca_file: certificates (PEM) to trust besides the system's.
    part_size_bytes: how much of a file is gathered before it is sent. A file has at most 10,000 parts, so 16 MiB allow
    156 GiB a file. parallel_parts: how many parts of one file are on their way at once; a file being written holds at
    most (parallel_parts + 1) parts in memory, 80 MiB by default.
    retry_timeout_s: how long a failing request is tried again, with growing pauses, before it is Unavailable.
    request_timeout_s: how long a silent server is waited for.
    """

    endpoint: str | None = None
    link_endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    allow_http: bool = False
    ca_file: Path | None = None
    part_size_bytes: int = 16 * MIB
    parallel_parts: int = 4
    retry_timeout_s: float = 30.0
    request_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        """Raise Misconfigured for values no S3 server takes."""
        if not PART_SIZE_MIN_BYTES <= self.part_size_bytes <= PART_SIZE_MAX_BYTES:
            raise Misconfigured(
                "store_options",
                f"The part size is {self.part_size_bytes} bytes; S3 takes {PART_SIZE_MIN_BYTES} to "
                f"{PART_SIZE_MAX_BYTES} (COUNTERFOIL_S3_PART_MB)",
            )
        if self.parallel_parts < 1:
            raise Misconfigured("store_options", "At least one part must be on its way at once")
