"""Files in a bucket of an S3 server: Amazon's, or any other that speaks its protocol.

obstore reads, lists, deletes and puts small files; `s3_request.py` says what goes beside it, and why.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store as Objects

from counterfoil.clock import Clock
from counterfoil.errors import Conflict, CounterfoilError, Damaged, InvalidInput, Misconfigured, NotFound, Unavailable
from counterfoil.files.attachment import attachment
from counterfoil.files.key import KEY_BYTES_MAX, check_key, folder_of
from counterfoil.files.options import StoreOptions
from counterfoil.files.range import range_end
from counterfoil.files.s3_failure import failure, status_of
from counterfoil.files.s3_join import JoinedPart, joined_parts
from counterfoil.files.s3_request import S3Requests
from counterfoil.files.s3_upload import OWNER_HEADER, Upload, abort_upload, exists, settle, uploads
from counterfoil.files.signature import Credentials
from counterfoil.files.store import Bytes, Remnant, StagedFile, StoredFile
from counterfoil.ids import random_text

if TYPE_CHECKING:  # obstore has these names for type checkers only
    from obstore.store import ClientConfig, S3Credential

READ_BYTES = 8 << 20
"""Files are read in requests of this size, the next one under way while one is used: a slow reader keeps no
connection waiting, and a broken one costs no more than this to repeat."""

_OWNER_LENGTH = 24
_OWNER_ATTRIBUTE = OWNER_HEADER.removeprefix("x-amz-meta-")
_KEY_BYTES_MAX_S3 = 1024
_LIST_PAGE = 1000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_RANGE_NOT_SATISFIABLE = 416
_POOL_THREADS_PER_FILE = 2


class S3StagedFile:
    """A file on its way to S3; the StagedFile of an S3Store. What fits in one part is put in one request when sealed."""

    def __init__(self, store: S3Store, key: str, *, create_only: bool) -> None:
        self._store = store
        self._key = key
        self._create_only = create_only
        self._owner = random_text(_OWNER_LENGTH)
        self._part_size_bytes = store.options.part_size_bytes
        self._part = bytearray()
        self._size_bytes = 0
        self._upload: Upload | None = None
        self._ended = False

    @property
    def key(self) -> str:
        return self._key

    def write(self, data: Bytes) -> None:
        assert not self._ended, "the file was sealed or aborted"
        view = memoryview(data).cast("B")
        self._size_bytes += len(view)
        while view:
            room = self._part_size_bytes - len(self._part)
            if not room:
                self._send()
                continue
            self._part += view[:room]
            view = view[room:]

    def fileno(self) -> int | None:
        return None

    def seal(self) -> int:
        assert not self._ended, "the file was sealed or aborted"
        try:
            if self._upload is None:
                self._store.put_owned(self._key, self._part, self._owner, create_only=self._create_only)
            else:
                self._send()
                self._upload.complete(create_only=self._create_only)
        except BaseException:
            self.abort()
            raise
        self._ended = True
        return self._size_bytes

    def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._part = bytearray()
        if self._upload is not None:
            self._upload.abort()

    def __enter__(self) -> S3StagedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()

    def _send(self) -> None:
        # A full part is sent only when more comes, so the last one is never empty.
        if self._upload is None:
            self._upload = self._store.begin(self._key, self._owner)
        part, self._part = self._part, bytearray()
        self._upload.send(part)


class S3Store:
    """The Store over a bucket, below a prefix."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        options: StoreOptions,
        credentials: Callable[[], Credentials],
        clock: Clock,
    ) -> None:
        """bucket: its name. prefix: a folder in it, or empty. credentials: gives keys that are good now.

        Nothing is sent yet. Raises Misconfigured for options that cannot work.
        """
        folder = folder_of(prefix)
        if len(folder.encode()) + KEY_BYTES_MAX > _KEY_BYTES_MAX_S3:
            raise InvalidInput("invalid_key", f"The prefix of an S3 store is too long: {prefix[:200]}", field="files")
        self.options = options
        self._url = f"s3://{bucket}/{folder}".removesuffix("/")
        self._requests = S3Requests(bucket, folder, options, clock, credentials)
        self._credentials = credentials
        self._client = _client(bucket, self._requests.endpoint.url, options, credentials)
        self._pool = ThreadPoolExecutor(_POOL_THREADS_PER_FILE * options.parallel_parts, "counterfoil-s3")

    @property
    def url(self) -> str:
        return self._url

    @property
    def _objects(self) -> Objects:
        self._credentials()  # raises what is wrong with them in our words; obstore would in its own
        return self._client

    def create(self, key: str, *, create_only: bool = True, cached: bool = True) -> StagedFile:
        return S3StagedFile(self, check_key(key), create_only=create_only)

    def put(self, key: str, data: Bytes, *, create_only: bool = True) -> None:
        with self.create(key, create_only=create_only) as file:
            file.write(data)
            file.seal()

    def begin(self, key: str, owner: str) -> Upload:
        """Begin a multipart upload to `key`, owned by the random word `owner`."""
        return Upload(self._requests, self._pool, key, owner, self.options.parallel_parts)

    def put_owned(self, key: str, data: Bytes, owner: str, *, create_only: bool) -> None:
        """Put a whole file in one request. Raises Conflict('file_exists') when create-only and the key is taken."""
        try:
            obstore.put(
                self._objects,
                self._path(key),
                bytes(data),
                attributes={_OWNER_ATTRIBUTE: owner},
                mode="create" if create_only else "overwrite",
                use_multipart=False,
            )
        except (AlreadyExistsError, PreconditionError):
            settle(self._requests, key, owner, exists(key))
        except (BaseError, OSError) as error:
            mapped = self._mapped(error, key)
            if not isinstance(mapped, Unavailable):
                raise mapped from error
            settle(self._requests, key, owner, mapped)

    def size_bytes(self, key: str) -> int:
        return self._head(key)[0]

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return b"".join(self.stream(key, start, length, chunk_bytes=READ_BYTES))

    def stream(
        self, key: str, start: int = 0, length: int | None = None, *, chunk_bytes: int = 1 << 20
    ) -> Iterator[bytes]:
        range_end(0, start, length)
        first, size_bytes, tag = self._first_block(check_key(key), start, length)
        return self._chunks(key, tag, first, start, range_end(size_bytes, start, length), chunk_bytes)

    def _first_block(self, key: str, start: int, length: int | None) -> tuple[bytes, int, str | None]:
        """The range's first block, with the size and tag of the whole file, in one request if there is such a block."""
        wanted = READ_BYTES if length is None else min(length, READ_BYTES)
        if wanted:
            try:
                found = obstore.get(self._objects, self._path(key), options={"range": (start, start + wanted)})
                return found.bytes().to_bytes(), found.meta["size"], found.meta["e_tag"]
            except (BaseError, OSError) as error:
                if status_of(str(error)) != _RANGE_NOT_SATISFIABLE:
                    raise self._mapped(error, key) from error
        return b"", *self._head(key)

    def _chunks(
        self, key: str, tag: str | None, first: bytes, start: int, end: int, chunk_bytes: int
    ) -> Iterator[bytes]:
        bounds = iter([(at, min(at + READ_BYTES, end)) for at in range(start + len(first), end, READ_BYTES)])
        ahead = [self._pool.submit(self._block, key, tag, *more) for more in (next(bounds, None),) if more]
        try:
            yield from _sliced(first, chunk_bytes)
            while ahead:
                block = ahead.pop().result()
                ahead = [self._pool.submit(self._block, key, tag, *more) for more in (next(bounds, None),) if more]
                yield from _sliced(block, chunk_bytes)
        finally:
            for future in ahead:
                future.cancel()

    def _block(self, key: str, tag: str | None, start: int, end: int) -> bytes:
        options: obstore.GetOptions = {"range": (start, end)}
        if tag is not None:
            options["if_match"] = tag
        try:
            data = obstore.get(self._objects, self._path(key), options=options).bytes().to_bytes()
        except PreconditionError:
            raise Damaged("file_differs", f"The file {key} was replaced while it was being read") from None
        except (BaseError, OSError) as error:
            raise self._mapped(error, key) from error
        if len(data) != end - start:
            raise Damaged("file_short", f"The file {key} gave {len(data)} of {end - start} bytes from {start}")
        return data

    def concat(self, keys: Sequence[str], target: str) -> int:
        sources = [(key, self.size_bytes(key)) for key in keys]
        parts = joined_parts(sources)
        if not any(not part.gathered for part in parts):
            return self._concat_here(keys, target)
        try:
            self._concat_there(parts, check_key(target))
        except Misconfigured as error:
            if error.code != "store_lacks":
                raise
            return self._concat_here(keys, target)
        return sum(size_bytes for _, size_bytes in sources)

    def _concat_here(self, keys: Sequence[str], target: str) -> int:
        with self.create(target) as file:
            for key in keys:
                for chunk in self.stream(key, chunk_bytes=READ_BYTES):
                    file.write(chunk)
            return file.seal()

    def _concat_there(self, parts: Sequence[JoinedPart], target: str) -> None:
        upload = self.begin(target, random_text(_OWNER_LENGTH))
        try:
            for part in parts:
                if part.gathered:
                    upload.send(b"".join(self.read(span.key, span.start, span.size_bytes) for span in part.spans))
                else:
                    span = part.spans[0]
                    upload.copy(span.key, span.start, span.end)
            upload.complete(create_only=True)
        except BaseException:
            upload.abort()
            raise

    def list(self, prefix: str) -> Iterator[StoredFile]:
        # S3 answers in key order, other servers folder by folder, which is not the same (`a.b` stands before `a/b`).
        yield from sorted(self._listed(folder_of(prefix)), key=lambda file: file.key)

    def _listed(self, folder: str) -> Iterator[StoredFile]:
        try:
            for page in obstore.list(self._objects, self._path(folder) or None, chunk_size=_LIST_PAGE):
                for found in page:
                    key = found["path"].removeprefix(self._requests.prefix)
                    yield StoredFile(key, found["size"], int(found["last_modified"].timestamp() * 1000))
        except (BaseError, OSError) as error:
            raise self._mapped(error, "") from error

    def delete(self, key: str) -> None:
        self._delete([check_key(key)])

    def _delete(self, keys: Sequence[str]) -> None:
        try:
            for at in range(0, len(keys), _LIST_PAGE):
                obstore.delete(self._objects, [self._path(key) for key in keys[at : at + _LIST_PAGE]])
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise self._mapped(error, "") from error

    def delete_prefix(self, prefix: str) -> int:
        folder = folder_of(prefix)
        if not folder:
            raise InvalidInput("invalid_key", "The whole store is never removed in one step", field="prefix")
        # Uploads first: one of them that completes in between is then found among the files.
        begun = list(uploads(self._requests, folder))
        for upload in begun:
            self.discard(upload)
        keys = [file.key for file in self._listed(folder)]
        self._delete(keys)
        return len(begun) + len(keys)

    def remnants(self, prefix: str, older_than_ms: int) -> Iterator[Remnant]:
        for found in uploads(self._requests, folder_of(prefix)):
            if found.modified_ms < older_than_ms:
                yield found

    def discard(self, remnant: Remnant) -> None:
        abort_upload(self._requests, check_key(remnant.key), remnant.handle)

    def link(self, key: str, *, file_name: str, media_type: str, ttl_s: int) -> str | None:
        query = {"response-content-disposition": attachment(file_name), "response-content-type": media_type}
        return self._requests.link(check_key(key), query, ttl_s)

    def local_path(self, key: str) -> Path | None:
        check_key(key)
        return None

    def check(self) -> None:
        key = f"check-{random_text(_OWNER_LENGTH)}"
        self.put(key, key.encode())
        try:
            if self.read(key) != key.encode():
                raise Damaged("file_differs", f"{self._requests.place} does not give back what was written to it")
            self._check_create_only(key)
        finally:
            self.delete(key)

    def _check_create_only(self, key: str) -> None:
        try:
            self.put(key, b"again")
        except Conflict:
            return
        raise Misconfigured(
            "store_unfit",
            f"{self._requests.place} ignores If-None-Match, without which two writers may overwrite each other's files: "
            "use a server that honours it",
        )

    def _head(self, key: str) -> tuple[int, str | None]:
        try:
            found = obstore.head(self._objects, self._path(check_key(key)))
        except FileNotFoundError:
            return self._looked_for(key)
        except (BaseError, OSError) as error:
            raise self._mapped(error, key) from error
        return found["size"], found["e_tag"]

    def _looked_for(self, key: str) -> tuple[int, str | None]:
        """The same by GET, whose answer says whether the file is missing or the whole bucket: HEAD's has no words."""
        try:
            found = obstore.get(self._objects, self._path(key))
        except (BaseError, OSError) as error:
            raise self._mapped(error, key) from error
        return found.meta["size"], found.meta["e_tag"]

    def _path(self, key: str) -> str:
        return self._requests.prefix + key

    def _mapped(self, error: Exception, key: str) -> CounterfoilError:
        text = str(error)
        status = 404 if isinstance(error, FileNotFoundError) else status_of(text)
        mapped = failure(self._requests.place, key, status, text)
        return NotFound("file", key) if status == 404 and not isinstance(mapped, Misconfigured) else mapped


def _sliced(block: bytes, chunk_bytes: int) -> Iterator[bytes]:
    if len(block) <= chunk_bytes:
        if block:
            yield block
        return
    for at in range(0, len(block), chunk_bytes):
        yield block[at : at + chunk_bytes]


def _client(bucket: str, endpoint_url: str, options: StoreOptions, credentials: Callable[[], Credentials]) -> Objects:
    timeout = datetime.timedelta(seconds=options.request_timeout_s)
    client: ClientConfig = {
        "allow_http": options.allow_http,
        "connect_timeout": datetime.timedelta(seconds=5),
        "read_timeout": timeout,
        # One request moves at most a part or READ_BYTES; this bounds a server that trickles.
        "timeout": timeout * 10,
    }
    if options.ca_file is not None:
        client["root_certificate"] = options.ca_file.read_bytes()

    def lent() -> S3Credential:
        keys = credentials()
        return {
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
            "token": keys.session_token,
            "expires_at": None
            if keys.expires_ms is None
            else _EPOCH + datetime.timedelta(milliseconds=keys.expires_ms),
        }

    return Objects(
        bucket,
        endpoint=endpoint_url,
        region=options.region,
        virtual_hosted_style_request=False,
        credential_provider=lent,
        client_options=client,
        retry_config={
            "max_retries": 100,
            "retry_timeout": datetime.timedelta(seconds=options.retry_timeout_s),
            "backoff": {
                "init_backoff": datetime.timedelta(seconds=0.1),
                "max_backoff": datetime.timedelta(seconds=5),
                "base": 2,
            },
        },
    )
