"""What tests have to say of their work (how many kills, steps, requests) stands at the end of pytest's output.

A test says a line with `told(...)`. Lines travel with the test's report, so that they come from xdist's workers too.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

_NAME = "told"


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Call it with a line (or several, a table) for the end of the run's output."""
    return lambda lines: request.node.user_properties.append((_NAME, lines))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines in the order of the tests' names; a failed test's count as well."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    lines = [
        (report.nodeid, value) for report in calls for name, value in report.user_properties if name == _NAME
    ]  # fmt: skip
    if lines:
        terminalreporter.section("what the tests counted")
    for nodeid, text in sorted(lines):
        terminalreporter.line(f"{nodeid.partition('::')[0]}: {text}")
