"""Compression of a file as it streams by. The bytes depend on nothing but the content, the name and the instant."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Any

from isal import isal_zlib
from stream_zip import ZIP_64, stream_zip

from counterfoil.errors import InvalidInput
from counterfoil.files.store import Bytes

_GZIP_BITS = 31
_RAW_BITS = -15
# ISA-L's second level: 2.8 times smaller at ten times zlib's speed; the third gains little (measured on CSV).
_LEVEL = 2
_FILE_MODE = 0o100644
_CHUNK_BYTES = 1 << 18

EXTENSIONS = {None: "", "gzip": ".gz", "zip": ".zip"}
"""What each compression adds to a file's name; zip replaces the extension, see `compressed_name`."""

MEDIA_TYPES = {"gzip": "application/gzip", "zip": "application/zip"}


def check_compression(compression: str | None) -> str | None:
    """Return the compression when it is one we have ("none" is None). Raises InvalidInput with those there are."""
    if compression == "none":
        return None
    if compression not in EXTENSIONS:
        raise InvalidInput(
            "invalid_export_params",
            f"There is no compression {compression!r}",
            field="compression",
            value=compression,
            allowed=("none", "gzip", "zip"),
        )
    return compression


def compressed_name(name: str, compression: str | None) -> str:
    """The name of the compressed file: `a.csv` becomes `a.csv.gz`, or `a.zip` with `a.csv` in it."""
    if compression == "zip":
        return name.rpartition(".")[0] + ".zip"
    return name + EXTENSIONS[compression]


def compress(chunks: Iterable[Bytes], compression: str | None, *, name: str, at_ms: int) -> Iterator[Bytes]:
    """Pass chunks through a compressor. name: the file's own name, which a zip lists. at_ms: the instant a zip gives
    its member (seconds count); fixed by the caller, so that a repeated export has the same bytes."""
    if compression is None:
        return iter(chunks)
    if compression == "gzip":
        return _gzip(chunks)
    return _zip(chunks, name, at_ms)


def _gzip(chunks: Iterable[Bytes]) -> Iterator[Bytes]:
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP_BITS)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _zip(chunks: Iterable[Bytes], name: str, at_ms: int) -> Iterator[Bytes]:
    at = datetime.datetime.fromtimestamp(at_ms // 1000, datetime.UTC).replace(tzinfo=None)
    member = (name, at, _FILE_MODE, ZIP_64, (bytes(chunk) for chunk in chunks))

    def compressor() -> Any:
        return isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_BITS)

    return iter(stream_zip([member], get_compressobj=compressor, chunk_size=_CHUNK_BYTES))
