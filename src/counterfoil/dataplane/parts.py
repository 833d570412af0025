"""One task becomes one part: a pure function of its description, wherever it runs.

Parts divide the file: the first one carries the header, and in task order they are the file, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from isal import isal_zlib

from counterfoil.dataplane.chain import Chain
from counterfoil.dataplane.encoder import Encoder, EncoderFactory
from counterfoil.dataplane.presentation import presenting
from counterfoil.dataplane.rows import MOVEMENT_COLUMNS, Rows, RowSource
from counterfoil.dataplane.runs import RUN, RUN_FIELDS, Runs
from counterfoil.dataplane.sink import Sink
from counterfoil.dataplane.stop import StopFlag
from counterfoil.dataplane.tally import Tally, Totals, whole_columns
from counterfoil.errors import Damaged, InvalidInput
from counterfoil.files.store import Bytes, Store
from counterfoil.plan.task import Selection, Task, task_hash

_PACKED = np.dtype(RUN_FIELDS)


@dataclass(frozen=True, slots=True)
class PartJob:
    """What all tasks of an attempt share. folder: where its parts go. last_no: the number of the last task. chain:
    whether runs are gathered for the proof. mark: stands in the names of the parts, where two may make the same one."""

    selection: Selection
    folder: str
    last_no: int
    chain: bool
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part in the store. sums: {"totals": Totals, "runs": {"key", "bytes", "sha256"} or None}."""

    no: int
    task_hash: str
    key: str
    rows: int
    size_bytes: int
    sha256: str
    sums: dict[str, Any]

    @property
    def totals(self) -> Totals:
        """The totals of its rows."""
        return Totals.from_json(self.sums["totals"])


def nobody_asks() -> None:
    """What keeps no part from becoming visible."""


@dataclass(frozen=True, slots=True)
class PartMaker:
    """Everything a task needs besides its description: where rows come from, the formats, and where files go. gate:
    called when a part is written and before any file of it becomes visible; raises what keeps it from that."""

    source: RowSource
    encoders: Mapping[str, EncoderFactory]
    store: Store
    gate: Callable[[], None] = nobody_asks

    def encoder(self, selection: Selection) -> Encoder:
        """A new encoder for the selection's format. Raises InvalidInput for a format or column it has not."""
        factory = self.encoders.get(selection.format)
        if factory is None:
            raise InvalidInput(
                "invalid_export_params",
                f"There is no format {selection.format!r}",
                field="format",
                value=selection.format,
                allowed=tuple(self.encoders),
            )
        return presenting(factory, self.source.schema(selection), selection.columns)

    def observer(self, selection: Selection, chain: Chain | None) -> Observer:
        """What counts the rows of a selection as they pass."""
        return Observer(self.source.schema(selection), selection, chain)

    def make(self, job: PartJob, task: Task, stop: StopFlag, on_rows: Callable[[int], None]) -> Part:
        """Run one task. on_rows hears how many rows each batch had. Errors: those of source, encoder and store, and
        what `stop` was set with; in each case no part is left."""
        encoder = self.encoder(job.selection)
        assert encoder.joins, "parts of this format cannot be joined"
        if not job.chain:
            return self._write(job, task, encoder, None, stop, on_rows)
        with closing(Chain(descending=job.selection.order.descending, runs_max=1 << 62)) as chain:
            chain.start_part(task.no)
            return self._write(job, task, encoder, chain, stop, on_rows)

    def _write(
        self,
        job: PartJob,
        task: Task,
        encoder: Encoder,
        chain: Chain | None,
        stop: StopFlag,
        on_rows: Callable[[int], None],
    ) -> Part:
        observer = self.observer(job.selection, chain)
        stem = f"{job.folder}/part-{task.no:05}{job.mark}"
        with Sink(self.store, f"{stem}.{encoder.extension}") as sink:
            if task.no == 0:
                sink.write(encoder.begin())
            with closing(observer.watch(self.source.batches(job.selection, task, stop), stop)) as watched:
                for rows in watched:
                    sink.write(encode(encoder, rows))
                    on_rows(len(rows))
            if task.no == job.last_no:
                sink.write(encoder.end())
            self.gate()
            runs = self._put_runs(f"{stem}.runs", chain) if chain is not None else None
            sealed = sink.seal()
        return Part(
            task.no,
            task_hash(job.selection, task),
            sealed.key,
            observer.totals.rows,
            sealed.size_bytes,
            sealed.sha256,
            {"totals": observer.totals.to_json(), "runs": runs},
        )

    def gather(self, part: Part, chain: Chain) -> None:
        """Add the runs of a finished part to the chain of the whole. Raises Damaged when they are not what was made."""
        about = part.sums["runs"]
        data = self.store.read(about["key"])
        if hashlib.sha256(data).hexdigest() != about["sha256"]:
            raise Damaged("file_differs", f"The file {about['key']} is not what was written to it")
        chain.add_runs(unpack_runs(data))

    def intact(self, part: Part, stop: StopFlag) -> bool:
        """Whether the part's file is there and has the bytes that were recorded: it may be another attempt's."""
        digest = hashlib.sha256()
        for chunk in self.store.stream(part.key):
            stop.check()
            digest.update(chunk)
        return digest.hexdigest() == part.sha256

    def _put_runs(self, key: str, chain: Chain) -> dict[str, Any]:
        data = pack_runs(chain.runs())
        self.store.put(key, data)
        return {"key": key, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


class Observer:
    """Counts rows as they pass, and gathers their chain if there is one."""

    def __init__(self, schema: pa.Schema, selection: Selection, chain: Chain | None) -> None:
        movements = all(name in schema.names for name in MOVEMENT_COLUMNS)
        names = [column.field for column in selection.columns if column.shown_as is None]
        self._tally = Tally(whole_columns(schema, names), movements=movements)
        self._chain = chain

    @property
    def totals(self) -> Totals:
        """Of the rows that have passed."""
        return self._tally.totals

    def watch(self, batches: Generator[Rows], stop: StopFlag) -> Generator[Rows]:
        """Pass the batches on, but for empty ones, and close them. Raises what `stop` was set with, between two of them."""
        with closing(batches):
            for rows in batches:
                stop.check()
                if len(rows):
                    self._tally.add(rows)
                    if self._chain is not None:
                        self._chain.add(rows)
                    yield rows


def encode(encoder: Encoder, rows: Rows) -> Bytes:
    """The bytes of rows."""
    return encoder.encode(rows.batch, reverse=rows.reverse, selection=rows.selection)


def pack_runs(runs: Runs) -> bytes:
    """Runs as a file."""
    return isal_zlib.compress(runs.astype(_PACKED).tobytes(), 1)


def unpack_runs(data: bytes) -> Runs:
    """The runs in a file made by `pack_runs`."""
    return np.frombuffer(isal_zlib.decompress(data), _PACKED).astype(RUN)
