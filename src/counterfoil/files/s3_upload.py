"""Multipart uploads: how a large file reaches S3 in pieces and becomes visible in one step.

The server keeps the parts out of sight until the upload is completed, and completes it only if the key is free
(`If-None-Match: *`; Amazon S3: Prevent object overwrites with conditional writes). An upload that is neither completed
nor aborted stays, and costs, until someone aborts it: `uploads` finds those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from typing import Protocol
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

from counterfoil.clock import parse_instant_ms
from counterfoil.errors import Conflict, CounterfoilError, NotFound, TooLarge, Unavailable
from counterfoil.files.options import PARTS_MAX
from counterfoil.files.s3_request import S3Requests
from counterfoil.files.store import Bytes, Remnant

OWNER_HEADER = "x-amz-meta-counterfoil-writer"
"""A random word each writer gives its file, so that after a lost answer it knows its own."""


class _Element(Protocol):
    """What we use of an XML element; namespaces differ between servers and are left out."""

    tag: str
    text: str | None

    def __iter__(self) -> Iterator[_Element]: ...


class Upload:
    """One multipart upload. Parts take their numbers in the order they are given; a few are on their way at once."""

    def __init__(self, requests: S3Requests, pool: Executor, key: str, owner: str, parallel_parts: int) -> None:
        """Begin an upload to `key`, owned by the random word `owner`."""
        self._requests = requests
        self._pool = pool
        self._key = key
        self._owner = owner
        self._parallel_parts = parallel_parts
        self._parts: list[Future[str]] = []
        answer = requests.send("POST", key, {"uploads": ""}, headers={OWNER_HEADER: owner})
        self._id = _texts(answer.body)["UploadId"]

    def send(self, data: Bytes) -> None:
        """Add a part; `data` must not change afterwards. Waits while enough parts are on their way.

        Raises what an earlier part met.
        """
        self._add(lambda number: self._sent(number, data))

    def copy(self, source: str, start: int, end: int) -> None:
        """Add a part that the server copies from bytes [start, end) of the file `source`."""
        self._add(lambda number: self._copied(number, source, start, end))

    def complete(self, *, create_only: bool) -> None:
        """Make the file visible. Raises Conflict('file_exists') when it was create-only and the key is taken."""
        tags = [part.result() for part in self._parts]
        parts = (
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
        headers = {"if-none-match": "*"} if create_only else {}
        if create_only and owner_of(self._requests, self._key) is not None:
            # Servers that ignore the condition overwrite without a word; this leaves them only a race of seconds.
            raise exists(self._key)
        try:
            self._requests.send("POST", self._key, {"uploadId": self._id}, headers=headers, body=body)
        except (Conflict, Unavailable) as error:
            settle(self._requests, self._key, self._owner, error)

    def abort(self) -> None:
        """Give the upload up once its parts have landed. Never raises: what cannot be removed now is a remnant."""
        for part in self._parts:
            part.cancel()
        wait(self._parts)
        with suppress(CounterfoilError):
            abort_upload(self._requests, self._key, self._id)

    def _add(self, work: Callable[[int], str]) -> None:
        number = len(self._parts) + 1
        if number > PARTS_MAX:
            raise TooLarge(
                "file_too_large",
                f"{self._key} has more than {PARTS_MAX} parts, which S3 does not take: raise COUNTERFOIL_S3_PART_MB",
            )
        if number > self._parallel_parts:
            self._parts[-self._parallel_parts].result()
        self._parts.append(self._pool.submit(work, number))

    def _sent(self, number: int, data: Bytes) -> str:
        query = {"partNumber": str(number), "uploadId": self._id}
        return self._requests.send("PUT", self._key, query, body=data).headers["etag"]

    def _copied(self, number: int, source: str, start: int, end: int) -> str:
        query = {"partNumber": str(number), "uploadId": self._id}
        headers = {
            "x-amz-copy-source": self._requests.copy_source(source),
            "x-amz-copy-source-range": f"bytes={start}-{end - 1}",
        }
        return _texts(self._requests.send("PUT", self._key, query, headers=headers).body)["ETag"]


def owner_of(requests: S3Requests, key: str) -> str | None:
    """The word of the writer of a visible object, '' for one that is not ours, None when there is no object."""
    try:
        return requests.send("HEAD", key, {}).headers.get(OWNER_HEADER, "")
    except NotFound:
        return None


def settle(requests: S3Requests, key: str, owner: str, error: CounterfoilError) -> None:
    """After `error` in publishing `key`: return when the file there is `owner`'s after all, else raise what it was.

    An answer can be lost on the way, and a repeated request is then refused because the first one did its work.
    """
    try:
        found = owner_of(requests, key)
    except CounterfoilError:
        raise error from None
    if found == owner:
        return
    if found is not None and error.code in ("file_exists", "store_busy"):
        raise exists(key) from error
    raise error


def exists(key: str) -> Conflict:
    """The error for a key that is taken."""
    return Conflict("file_exists", f"The file {key} exists already", field="key", value=key)


def uploads(requests: S3Requests, folder: str) -> Iterator[Remnant]:
    """Uploads that are neither completed nor aborted, to keys that start with `folder` (`a/b/`, or empty for all)."""
    start = requests.prefix + folder
    markers: dict[str, str] = {}
    while True:
        answer = requests.send("GET", None, {"uploads": "", "prefix": start, **markers})
        root: _Element = fromstring(answer.body)
        for element in root:
            if _name(element) == "Upload":
                found = {_name(child): child.text or "" for child in element}
                if found["Key"].startswith(start):
                    key = found["Key"].removeprefix(requests.prefix)
                    yield Remnant(key, found["UploadId"], parse_instant_ms(found["Initiated"]), None)
        page = _texts(answer.body)
        if page.get("IsTruncated") != "true":
            return
        markers = {"key-marker": page["NextKeyMarker"], "upload-id-marker": page.get("NextUploadIdMarker", "")}


def abort_upload(requests: S3Requests, key: str, upload_id: str) -> None:
    """Remove an upload and its parts; one that is gone is no error."""
    try:
        requests.send("DELETE", key, {"uploadId": upload_id})
    except (NotFound, Conflict):
        return


def _texts(body: bytes) -> dict[str, str]:
    """The texts of an answer's outermost elements, by name."""
    root: _Element = fromstring(body)
    return {_name(child): child.text or "" for child in root}


def _name(element: _Element) -> str:
    return element.tag.rpartition("}")[2]
