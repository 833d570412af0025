"""What is measured: a case, the systems that do it, and what one run of one system came to.

A module of cases has one function, `cases(context)`, which prepares what its cases share and yields them; it stands in
`__main__.MODULES`. Nothing else is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

_FETCHED_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """One run. peak_mb: the largest resident memory of the process that did it, MiB (None: not known). rows, size_bytes:
    of what it made. notes: numbers more, by name; their medians stand in the results."""

    seconds: float
    peak_mb: float | None = None
    rows: int = 0
    size_bytes: int = 0
    notes: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Contender:
    """A system that does the case. rounds_max: for what is too slow to be run as often as the others. inputs: files and
    folders it reads from. They are read once before each run, untimed: between two runs of a system the others go over
    gigabytes, and a machine may take back what was not touched for a while, from some more than from others."""

    system: str
    run: Callable[[], Run]
    rounds_max: int | None = None
    inputs: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """name: what stands in the results and what `CASES` chooses by. title: for people."""

    name: str
    title: str
    contenders: Sequence[Contender]


@dataclass(frozen=True)
class Context:
    """What every case is given. rows: how many movements. folder: scratch space on the disk that is measured; what is
    costly to make is kept there. wanted: whether a case of that name was asked for. open_files: closed at the end."""

    rows: int
    rounds: int
    folder: Path
    wanted: Callable[[str], bool]
    tell: Callable[[str], None]
    open_files: ExitStack


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the results: the runs of one system in one case."""

    case: str
    title: str
    system: str
    runs: Sequence[Run]

    def to_json(self) -> dict[str, Any]:
        """As bench/results/latest.json has it."""
        seconds = [run.seconds for run in self.runs]
        peaks = [run.peak_mb for run in self.runs if run.peak_mb is not None]
        names = dict.fromkeys(name for run in self.runs for name in run.notes)
        return {
            "case": self.case,
            "system": self.system,
            "median_s": round(median(seconds), 5),
            "min_s": round(min(seconds), 5),
            "max_s": round(max(seconds), 5),
            "peak_mb": round(max(peaks), 1) if peaks else None,
            "bytes": self.runs[0].size_bytes,
            "rows": self.runs[0].rows,
            "rounds": len(self.runs),
            **{name: round(median(run.notes[name] for run in self.runs), 5) for name in names},
        }


def measure(case: Case, rounds: int, tell: Callable[[str], None]) -> list[Record]:
    """Run every contender once a round, in turn, so that what disturbs the machine disturbs all alike."""
    runs: dict[str, list[Run]] = {contender.system: [] for contender in case.contenders}
    for no in range(rounds):
        for contender in case.contenders:
            if contender.rounds_max is None or no < contender.rounds_max:
                for place in contender.inputs:
                    _fetch(place)
                run = contender.run()
                runs[contender.system].append(run)
                tell(f"{case.name}: round {no + 1}, {contender.system}: {run.seconds:.3f} s")
    return [Record(case.name, case.title, system, found) for system, found in runs.items() if found]


def _fetch(place: Path) -> None:
    """Have a file, or the files of a folder, in the page cache. A server may remove some of its own meanwhile."""
    for path in place.rglob("*") if place.is_dir() else (place,):
        with suppress(FileNotFoundError):
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    while file.read(_FETCHED_BYTES):
                        pass
