"""What tests have to say of their work (how many kills, steps, requests) stands at the end of pytest's output.

A test says a line with `told(...)`, or a row of a table that many tests fill with `told_row(...)`. Both travel with the
test's report, so that they come from xdist's workers too.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

_NAME = "told"
_ROW = "told row"


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Call it with a line (or several, a table) for the end of the run's output."""
    return lambda lines: request.node.user_properties.append((_NAME, lines))


@pytest.fixture
def told_row(request: pytest.FixtureRequest) -> Callable[[str, dict[str, str | int]], None]:
    """Call it with a table's title and one row of it; its integers are added up in a last row."""
    return lambda title, row: request.node.user_properties.append((_ROW, [title, row]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print lines and tables in the order of the tests' names; a failed test's count as well."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    said = sorted(
        ((report.nodeid, name, value) for report in calls for name, value in report.user_properties), key=lambda s: s[0]
    )
    lines = [(nodeid, value) for nodeid, name, value in said if name == _NAME]
    tables: dict[str, list[dict[str, str | int]]] = {}
    for _, name, value in said:
        if name == _ROW:
            tables.setdefault(value[0], []).append(value[1])
    if lines or tables:
        terminalreporter.section("what the tests counted")
    for nodeid, text in lines:
        terminalreporter.line(f"{nodeid.partition('::')[0]}: {text}")
    for title, rows in tables.items():
        terminalreporter.line(f"{title}:")
        for line in _aligned(rows):
            terminalreporter.line(f"  {line}")


def _aligned(rows: list[dict[str, str | int]]) -> list[str]:
    """Title line, rows, and the sums of what are numbers."""
    columns = list(rows[0])
    sums = [sum(cell for row in rows if isinstance(cell := row[name], int)) for name in columns]
    last = [str(total) if isinstance(rows[0][name], int) else "" for name, total in zip(columns, sums, strict=True)]
    last[0] = f"{len(rows)} rows" if not last[0] else last[0]
    cells = [columns, *([str(row[name]) for name in columns] for row in rows), last]
    widths = [max(len(line[no]) for line in cells) for no in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
