"""The file of a segment: an Arrow IPC file of movements sorted by (created_at, seq), in batches with their checksums.

Any Arrow reader opens it. Columns are those of the movements table but the project, in MOVEMENT_VALUES' order; type,
source and campaign_id are dictionaries, one for the whole file. On a disk of this machine it is not compressed, since
reading it then costs next to nothing; elsewhere it is (decision 0006). What we add stands in Arrow's own metadata:

* in the schema's, under `counterfoil.segment`, JSON: for each batch [rows, first created_at, last created_at], and the
  checksums of the dictionaries by column;
* in each batch's, under `counterfoil.crc32`, JSON: the checksum of each column, over its buffers as they are in memory.

So what is read is checked, a column at a time and at 30 GB/s, before anybody sees it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from isal import isal_zlib

from counterfoil.archive.remote_file import RemoteFile
from counterfoil.dataplane.schema import arrow_schema
from counterfoil.db.segments import MOVEMENT_VALUES
from counterfoil.errors import Damaged, NotFound
from counterfoil.files.store import Store
from counterfoil.plan.task import SegmentRef

FORMAT = "arrow"
DICTIONARIES = ("type", "source", "campaign_id")
Int64s = npt.NDArray[np.int64]

_INDEX = b"counterfoil.segment"
CHECKSUMS = b"counterfoil.crc32"
CODES = pa.dictionary(pa.int32(), pa.string())


def _schema() -> pa.Schema:
    plain = arrow_schema("movement", MOVEMENT_VALUES)
    return pa.schema([field.with_type(CODES) if field.name in DICTIONARIES else field for field in plain])


SCHEMA = _schema()
"""Fields of every segment."""


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """A batch: its rows, and the created_at of its first and last one, in ms."""

    rows: int
    created_from: int
    created_to: int


@dataclass(frozen=True, slots=True)
class Index:
    """What a segment's schema says of its batches, and the checksums of its dictionaries by column."""

    batches: list[tuple[int, int, int]]
    dictionaries: dict[str, int]

    def schema(self) -> pa.Schema:
        """SCHEMA with this in it."""
        return SCHEMA.with_metadata({_INDEX: msgspec.json.encode(self)})

    @staticmethod
    def of(schema: pa.Schema) -> Index:
        """What `schema` put there. Raises KeyError and msgspec's errors."""
        return msgspec.json.decode((schema.metadata or {})[_INDEX], type=Index)


def keys_of(rows: pa.Table | pa.RecordBatch) -> tuple[Int64s, Int64s]:
    """created_at in ms and seq of each row, as numpy sees them."""
    created, seq = rows.column("created_at").cast(pa.int64()), rows.column("seq")
    return created.to_numpy(), seq.to_numpy()


def row_numbers(rows: npt.NDArray[Any]) -> Any:
    """Row numbers as Arrow takes them."""
    return pa.array(rows)


def checksum(array: pa.Array[Any]) -> int:
    """CRC-32 over an array's buffers, without what stands behind its last value. Of a dictionary's codes only."""
    if isinstance(array, pa.DictionaryArray):
        return checksum(array.indices)
    assert array.offset == 0, "arrays here are whole"
    valid, *rest = [None if each is None else memoryview(each) for each in array.buffers()]
    rows = len(array)
    crc = 0
    if array.null_count and valid is not None:
        crc = isal_zlib.crc32(valid[: (rows + 7) // 8], crc)
    if pa.types.is_string(array.type):
        offsets, data = rest
        assert offsets is not None
        offsets = offsets[: 4 * (rows + 1)]
        crc = isal_zlib.crc32(offsets, crc)
        end = int.from_bytes(offsets[-4:], "little", signed=True)
        return crc if data is None else isal_zlib.crc32(data[: max(end, 0)], crc)
    values = rest[0]
    assert values is not None
    return isal_zlib.crc32(values[: rows * array.type.bit_width // 8], crc)


# -- reading ----------------------------------------------------------------------------------------------------------


class SegmentFile:
    """A segment open for reading some of its columns. For one thread. Everything it raises of itself is Damaged."""

    def __init__(self, store: Store, ref: SegmentRef, columns: Sequence[str]) -> None:
        """Open it. columns: names of SCHEMA, in any order; batches have them in SCHEMA's."""
        self._ref = ref
        self._columns = [name for name in SCHEMA.names if name in columns]
        numbers = [SCHEMA.get_field_index(name) for name in self._columns]
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=numbers)
        self._source = _opened(store, ref)
        try:
            if self._source.size() != ref.size_bytes:
                raise _damaged(ref, f"has {self._source.size()} bytes and not {ref.size_bytes}")
            self._reader = pa.ipc.open_file(self._source, options=options)
            index = Index.of(self._reader.schema)
        except (pa.ArrowException, OSError, KeyError, msgspec.MsgspecError) as error:
            self._source.close()
            raise _damaged(ref, f"cannot be opened: {error}") from error
        except Damaged:
            self._source.close()
            raise
        self.places = [BatchPlace(*place) for place in index.batches]
        self._dictionary_sums = index.dictionaries
        self._unproven = {name for name in DICTIONARIES if name in self._columns}

    @property
    def ref(self) -> SegmentRef:
        """Which segment it is."""
        return self._ref

    def read(self, number: int) -> pa.RecordBatch:
        """Batch `number`, the checksums of its columns compared."""
        try:
            found = self._reader.get_batch_with_custom_metadata(number)
            batch: pa.RecordBatch = found.batch
            wanted = msgspec.json.decode((found.custom_metadata or {})[CHECKSUMS], type=dict[str, int])
        except (pa.ArrowException, OSError, KeyError, msgspec.MsgspecError, NotFound) as error:
            raise _damaged(self._ref, f"cannot be read: {error}") from error
        self._prove(batch, number, wanted)
        return batch

    def close(self) -> None:
        """Let go of the file; batches that were read stay good."""
        self._source.close()

    def __enter__(self) -> SegmentFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _prove(self, batch: pa.RecordBatch, number: int, wanted: dict[str, int]) -> None:
        sound = batch.num_rows == self.places[number].rows and batch.schema.names == self._columns
        sound = sound and all(checksum(batch.column(name)) == wanted.get(name) for name in self._columns)
        if not sound:
            raise _damaged(self._ref, f"does not have what was written into its batch {number}")
        for name in tuple(self._unproven):
            column = cast("pa.DictionaryArray[Any, Any]", batch.column(name))
            if checksum(column.dictionary) != self._dictionary_sums.get(name):
                raise _damaged(self._ref, f"has another dictionary of {name} than was written")
            self._unproven.discard(name)


def file_hash(store: Store, key: str, keep: Callable[[], None]) -> str:
    """The SHA-256 of a whole file. keep: called after each piece read; it may raise. Raises NotFound, Damaged."""
    found = hashlib.sha256()
    for chunk in store.stream(key, chunk_bytes=1 << 23):
        found.update(chunk)
        keep()
    return found.hexdigest()


def _opened(store: Store, ref: SegmentRef) -> pa.NativeFile:
    try:
        path = store.local_path(ref.key)
        if path is not None:
            return pa.OSFile(str(path), "r")
        return pa.PythonFile(cast("Any", RemoteFile(store, ref.key, store.size_bytes(ref.key))), mode="r")
    except (FileNotFoundError, NotFound) as error:
        raise _damaged(ref, "is missing") from error
    except OSError as error:
        raise _damaged(ref, f"cannot be opened: {error}") from error


def _damaged(ref: SegmentRef, what: str) -> Damaged:
    return Damaged(
        "segment_damaged",
        f"The segment {ref.id} ({ref.key}) {what}",
        resource_type="segment",
        resource_id=ref.id,
    )
