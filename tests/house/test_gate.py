"""The gate's one rule: in CI a skipped test is a failed one, so that a missing backend cannot pass unseen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SKIPS = """
import pytest

def test_skips_itself():
    pytest.skip("no server here")

@pytest.mark.skip(reason="not today")
def test_is_skipped(): ...

@pytest.mark.xfail(reason="a known bug")
def test_is_known_to_fail():
    assert False
"""
MODULE = "import pytest\n\npytest.importorskip('no_such_module')\n"


def _pytest(folder: Path, ci: str) -> tuple[int, str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.gate",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        f"--rootdir={folder}",
        folder,
    ]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return found.returncode, found.stdout


@pytest.mark.parametrize(
    ("ci", "returncode", "closing"), [("", 0, "2 skipped, 1 xfailed"), ("true", 1, "1 failed, 1 xfailed, 1 error")]
)
def test_a_skip_fails_in_ci_alone(tmp_path: Path, ci: str, returncode: int, closing: str) -> None:
    (tmp_path / "test_skips.py").write_text(SKIPS)
    found, words = _pytest(tmp_path, ci)
    assert closing in words
    assert found == returncode
    if ci:
        assert "nothing may be skipped, and this was: Skipped: no server here" in words
        assert "nothing may be skipped, and this was: Skipped: not today" in words


def test_a_module_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    (tmp_path / "test_module.py").write_text(MODULE)
    found, words = _pytest(tmp_path, "true")
    assert found == 2
    assert "nothing may be skipped" in words
