"""What was aimed at, and what the results say of it: the page's list is made anew with every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Cases = Sequence[Mapping[str, Any]]
_OURS = "Counterfoil"


@dataclass(frozen=True, slots=True)
class Target:
    """got and wanted are in `unit`; at_most: wanted is an upper bound and not a lower one."""

    what: str
    got: float
    wanted: float
    unit: str
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it was reached."""
        return self.got <= self.wanted if self.at_most else self.got >= self.wanted

    def line(self) -> str:
        """As the page says it."""
        bound = "at most" if self.at_most else "at least"
        verdict = "met" if self.met else "**missed**"
        return f"* {verdict}: {self.what}: {self.got:,.3g}{self.unit} ({bound} {self.wanted:g}{self.unit} wanted)\n"


def targets(found: Cases) -> Iterator[Target]:
    """Every target that the cases measured say something of."""
    by_name: dict[str, dict[str, Mapping[str, Any]]] = {}
    for case in found:
        by_name.setdefault(case["case"], {})[case["system"]] = case
    for name, systems in by_name.items():
        yield from _TARGETS.get(name, _no_targets)(systems)


def _no_targets(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    yield from ()


def _full(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    ours = systems[_OURS]
    sorting = [each for name, each in systems.items() if name.endswith(("ORDER BY", "sort", "psql"))]
    best = min(sorting, key=lambda each: each["median_s"])
    others = {best["system"]: 3.0, "DuckDB, ORDER BY": 6.0}
    for name, wanted in others.items():
        ratio = systems[name]["median_s"] / ours["median_s"]
        yield Target(f"full export, times as fast as {name}", ratio, wanted, "×")
    yield Target("full export, peak memory", ours["peak_mb"], 600, " MiB", at_most=True)


def _encoder(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    yield Target("encoder alone, one core", systems[_OURS]["GB a second"], 1.5, " GB/s")


def _selection(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    ours = systems[_OURS]
    best = min((each for name, each in systems.items() if name != _OURS), key=lambda each: each["median_s"])
    ratio = best["median_s"] / ours["median_s"]
    yield Target(f"{ours['case']}, times as fast as the best peer ({best['system']})", ratio, 1, "×")
    if ours["case"] == "one-card":
        yield Target("one card, the worker's time", ours["work s"] * 1000, 10, " ms", at_most=True)


def _ten(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    at_once, in_turn = systems["Counterfoil, at once"], systems["Counterfoil, one after the other"]
    share = at_once["median_s"] / in_turn["median_s"]
    yield Target("ten exports at once, against one after the other", share, 1, "×", at_most=True)


def _small(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    share = systems["Counterfoil, beside"]["was done first"] * 100
    yield Target("a small export is done before the huge one that began before it", share, 100, " %")


def _sealing(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    # A posting costs some 100 µs where the ledger takes 10,000 a second, so a fifth of that.
    cost_us = systems[_OURS]["processor µs a row"]
    yield Target("sealing, processor time a movement (a posting: about 100 µs)", cost_us, 20, " µs", at_most=True)


def _postings(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    ours, rate = systems[_OURS], "movements a second"
    over_http = ours["case"] == "postings-http"
    yield Target(ours["case"], ours[rate], 1_000 if over_http else 3_000, " movements/s")
    for name, wanted in (("beside full exports", 50), ("with the sealer", 80)):
        other = systems.get(f"{_OURS}, {name}")
        if other is not None:
            yield Target(f"{ours['case']} {name}, share of the rate", other[rate] / ours[rate] * 100, wanted, " %")


def _import(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    ours = systems[_OURS]
    yield Target("a million movements imported", ours["median_s"] / ours["rows"] * 1e6, 60, " s", at_most=True)


_TARGETS = {
    "postings": _postings,
    "postings-http": _postings,
    "import": _import,
    "full": _full,
    "encoder": _encoder,
    **dict.fromkeys(("campaign", "last-30-days", "1000-cards", "one-card"), _selection),
    "ten-at-once": _ten,
    "small-beside-huge": _small,
    "sealing": _sealing,
}
