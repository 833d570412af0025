"""A bucket of a real S3 server for the tests of files: reached directly, or through a proxy that fails at will."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from counterfoil.ids import random_text
from tests.files.faulty_proxy import FaultyProxy, faulty_proxy
from tests.files.hurried_clock import HurriedClock
from tests.services import S3Server

MIB = 1 << 20


@pytest.fixture
def options(seaweed: S3Server) -> StoreOptions:
    return StoreOptions(
        endpoint=seaweed.endpoint,
        region=seaweed.region,
        access_key=seaweed.access_key,
        secret_key=seaweed.secret_key,
        allow_http=True,
        part_size_bytes=5 * MIB,
        retry_timeout_s=5,
    )


@pytest.fixture
def url(seaweed: S3Server) -> str:
    return f"s3://{seaweed.bucket}/s3/{random_text(12)}"


@pytest.fixture
def proxy(seaweed: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(seaweed.endpoint) as running:
        yield running


@pytest.fixture
def store(url: str, options: StoreOptions) -> Store:
    return open_store(url, options)


@pytest.fixture
def hurried() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
def through(url: str, options: StoreOptions, proxy: FaultyProxy, hurried: HurriedClock) -> Store:
    """The same bucket through the proxy."""
    return open_store(url, dataclasses.replace(options, endpoint=proxy.endpoint), hurried)
