"""What the documents say of the code is what the code says of itself."""

from __future__ import annotations

from pathlib import Path

from counterfoil.services import project_settings
from counterfoil.settings import TABLE, Row

OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()


def line_of(row: Row) -> str:
    """A setting as its table shows it."""
    default = "" if row.default == "" else f"`{row.default}`"
    return f"| {row.name} | `{row.variable}` | {default} | {row.reason} |"


def test_every_setting_stands_in_the_guide_as_it_is() -> None:
    table = OPERATING.partition("| setting | variable |")[2].partition("\n\n")[0].splitlines()[2:]
    assert table == [line_of(row) for row in TABLE]


def test_every_setting_of_a_project_stands_in_the_guide() -> None:
    missing = [row.name for row in project_settings.TABLE if f"\n| {row.name} |" not in OPERATING]
    assert missing == []
