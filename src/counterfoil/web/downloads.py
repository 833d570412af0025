"""Sending a finished file: ranges, entity tags, digests; the same for every dialect.

ETag is the file's SHA-256, so a client can tell whether what it holds is what was proved.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from counterfoil.errors import Damaged
from counterfoil.files.attachment import attachment
from counterfoil.files.store import Store
from counterfoil.services.exports import Download

_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")
_CHUNK_BYTES = 1 << 20


def send(
    request: Request,
    store: Store,
    file: Download,
    *,
    media_type: str,
    redirect_ttl_s: int | None = None,
) -> Response:
    """The file, a part of it (206), a note that it is unchanged (304), or a redirect to the store's signed link.

    redirect_ttl_s: send clients to the store itself where it can sign links; None sends the bytes through here.
    """
    if redirect_ttl_s is not None:
        url = store.link(file.key, file_name=file.name, media_type=media_type, ttl_s=redirect_ttl_s)
        if url is not None:
            return RedirectResponse(url, status_code=302)
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-transform",
        "Content-Disposition": attachment(file.name),
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:",
        "Digest": f"sha-256={base64.b64encode(bytes.fromhex(file.sha256)).decode()}",
    }
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range")
    if wanted is not None and request.headers.get("if-range", etag) == etag:
        found = _span(wanted, file.size_bytes)
        if found is not None:
            return _part(request, store, file, found, headers, media_type)
    return _whole(request, store, file, headers, media_type)


def _whole(request: Request, store: Store, file: Download, headers: dict[str, str], media_type: str) -> Response:
    headers["Content-Length"] = str(file.size_bytes)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=media_type)
    if store.size_bytes(file.key) != file.size_bytes:
        raise Damaged("file_damaged", f"{file.name} is not the file that was finished; ask for the export again")
    path = store.local_path(file.key)
    if path is not None:
        # The server can hand a whole local file to the kernel.
        return _WholeFile(path, headers=headers, media_type=media_type, stat_result=path.stat())
    return StreamingResponse(_chunks(store, file.key, 0, file.size_bytes), headers=headers, media_type=media_type)


class _WholeFile(FileResponse):
    """A file response that leaves ranges alone: they were answered, or are to be left aside, before it was made."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [each for each in scope["headers"] if each[0] not in (b"range", b"if-range")]
        await super().__call__({**scope, "headers": headers}, receive, send)


def _part(
    request: Request, store: Store, file: Download, span: tuple[int, int], headers: dict[str, str], media_type: str
) -> Response:
    start, end = span
    if start >= end:
        headers["Content-Range"] = f"bytes */{file.size_bytes}"
        return Response(status_code=416, headers=headers)
    headers |= {"Content-Range": f"bytes {start}-{end - 1}/{file.size_bytes}", "Content-Length": str(end - start)}
    if request.method == "HEAD":
        return Response(status_code=206, headers=headers, media_type=media_type)
    body = _chunks(store, file.key, start, end - start)
    return StreamingResponse(body, status_code=206, headers=headers, media_type=media_type)


def _chunks(store: Store, key: str, start: int, length: int) -> Iterator[bytes]:
    return store.stream(key, start, length, chunk_bytes=_CHUNK_BYTES)


def _span(text: str, size_bytes: int) -> tuple[int, int] | None:
    """[start, end) of a single byte range; (n, n) when it cannot be satisfied; None when the header is to be ignored."""
    found = _RANGE.match(text.strip())
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    start = int(first)
    end = size_bytes if not last else min(int(last) + 1, size_bytes)
    return (start, end) if start < size_bytes and (not last or int(last) >= start) else (size_bytes, size_bytes)
