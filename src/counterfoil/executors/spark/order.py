"""What a task on the cluster is told, and what it answers: plain values that travel as JSON.

The descriptions of all tasks lie in one file of the attempt's folder, and each task reads its own. The file is also
the permission to work: once it is gone, no task of the attempt makes a file visible any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from counterfoil.dataplane.parts import Part, PartJob
from counterfoil.errors import CounterfoilError, Damaged
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from counterfoil.plan.task import Task

TASKS_FILE = "tasks.jsonl"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """The store as the cluster reaches it; see StoreOptions. Without keys, each machine finds Amazon's own."""

    url: str
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    allow_http: bool = False
    ca_file: str | None = None
    part_size_bytes: int = 16 << 20

    @staticmethod
    def of(url: str, options: StoreOptions) -> StoreAddress:
        """The address of a store that this process has opened."""
        return StoreAddress(
            url,
            options.endpoint,
            options.region,
            options.access_key,
            options.secret_key,
            options.allow_http,
            None if options.ca_file is None else str(options.ca_file),
            options.part_size_bytes,
        )

    def options(self, environment: dict[str, str]) -> StoreOptions:
        """The same as a store is opened with. environment: Amazon's variables of the machine."""
        return StoreOptions(
            endpoint=self.endpoint,
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
            environment=environment,
            allow_http=self.allow_http,
            ca_file=None if self.ca_file is None else Path(self.ca_file),
            part_size_bytes=self.part_size_bytes,
        )


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What all tasks of a run share. version: of the code that asks, and that must answer. tasks_key: the file of
    descriptions; places: where each begins in it, and where the last one ends."""

    version: str
    store: StoreAddress
    job: PartJob
    tasks_key: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that another try on the cluster would meet again. damaged: the id of a segment that is."""

    code: str
    message: str
    damaged: str | None = None

    @staticmethod
    def of(error: CounterfoilError) -> Failure:
        """What is told of an error."""
        return Failure(error.code, error.message, error.resource_id if isinstance(error, Damaged) else None)

    def error(self) -> CounterfoilError:
        """The error, terminal."""
        return CounterfoilError(self.code, self.message)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a task: its part, or why there is none."""

    part: Part | None = None
    failure: Failure | None = None


def put_tasks(store: Store, key: str, tasks: Sequence[Task]) -> tuple[int, ...]:
    """Write the descriptions, and so permit the work; returns their places."""
    lines = [msgspec.json.encode(task) + b"\n" for task in tasks]
    places = [0]
    for line in lines:
        places.append(places[-1] + len(line))
    store.put(key, b"".join(lines))
    return tuple(places)


def read_task(store: Store, order: WorkOrder, index: int) -> Task:
    """The description at that place. Raises NotFound once the permission is withdrawn."""
    start, end = order.places[index : index + 2]
    return msgspec.json.decode(store.read(order.tasks_key, start, end - start), type=Task)
