"""Results as JSON, as a table and as a picture, the latter two into docs/benchmarks.md between two marks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.case import Record
from bench.machine import machine
from bench.targets import targets

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_OURS = "Counterfoil"
_BAR_HEIGHT, _LABEL_WIDTH, _BAR_WIDTH, _WIDTH = 22, 250, 480, 840


def results(records: Sequence[Record], rows: int) -> dict[str, Any]:
    """The form of bench/results/latest.json."""
    return {"rows": rows, "machine": machine(), "cases": [record.to_json() for record in records]}


def write(records: Sequence[Record], rows: int, root: Path) -> None:
    """Write all three below `root`."""
    found = results(records, rows)
    latest = root / "bench" / "results" / "latest.json"
    latest.parent.mkdir(parents=True, exist_ok=True)
    latest.write_text(json.dumps(found, indent=1) + "\n")
    titles = {record.case: record.title for record in records}
    page = root / "docs" / "benchmarks.md"
    page.parent.mkdir(exist_ok=True)
    text = page.read_text() if page.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table(found, titles)}{END}{after}")
    full = [case for case in found["cases"] if case["case"] == "full"]
    if full:
        (root / "docs" / "benchmarks.svg").write_text(picture(full, f"{titles['full']}: {rows:,} rows, seconds"))


def table(found: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """Markdown: what was reached, then a table a case with each system's median against ours."""
    parts = [f"{found['rows']:,} movements on {found['machine']}.\n\n"]
    parts += [target.line() for target in targets(found["cases"])]
    for name, group in groupby(found["cases"], key=lambda case: case["case"]):
        cases = list(group)
        ours = next((case["median_s"] for case in cases if case["system"].startswith(_OURS)), None)
        parts.append(f"\n**{name}**: {titles.get(name, '')}\n\n{_lines(cases, ours)}")
    return "".join(parts)


def _lines(cases: Sequence[Mapping[str, Any]], ours: float | None) -> str:
    extra = list(dict.fromkeys(name for case in cases for name in list(case)[9:]))
    heads = ["system", "median s", "least to most s", "times ours", "rows", "bytes", "peak MiB", "rounds", *extra]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    lines += [_cells(case, ours, extra) for case in cases]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(case: Mapping[str, Any], ours: float | None, extra: Sequence[str]) -> list[str]:
    return [
        case["system"],
        _seconds(case["median_s"]),
        f"{_seconds(case['min_s'])} to {_seconds(case['max_s'])}",
        f"{case['median_s'] / ours:.2f}" if ours else "",
        f"{case['rows']:,}",
        f"{case['bytes']:,}",
        "" if case["peak_mb"] is None else f"{case['peak_mb']:,.0f}",
        str(case["rounds"]),
        *(f"{case[name]:,g}" if name in case else "" for name in extra),
    ]


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def picture(cases: Sequence[Mapping[str, Any]], title: str) -> str:
    """Bars, fastest first, as SVG."""
    ranked = sorted(cases, key=lambda case: case["median_s"])
    longest = ranked[-1]["median_s"]
    height = 50 + _BAR_HEIGHT * len(ranked)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="10" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for no, case in enumerate(ranked):
        top = 40 + no * _BAR_HEIGHT
        width = max(1.0, _BAR_WIDTH * case["median_s"] / longest)
        colour = "#0b7285" if case["system"].startswith(_OURS) else "#adb5bd"
        parts += [
            f'<text x="{_LABEL_WIDTH - 8}" y="{top + 13}" text-anchor="end">{escape(case["system"])}</text>',
            f'<rect x="{_LABEL_WIDTH}" y="{top}" width="{width:.1f}" height="{_BAR_HEIGHT - 6}" fill="{colour}"/>',
            f'<text x="{_LABEL_WIDTH + width + 6:.1f}" y="{top + 13}">{_seconds(case["median_s"])}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
