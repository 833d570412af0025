"""Imports point one way: the contracts in pyproject.toml, checked over the source as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--no-logo", "--config", ROOT / "pyproject.toml"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_house_keeps_its_layers() -> None:
    found = _lint_imports(ROOT / "src")
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_wrong_import_is_seen(tmp_path: Path) -> None:
    """The contracts bite: a house in small with one import against the stream for each of them."""
    house = {
        "domain/money.py": "import time\n",
        "services/cards.py": "import counterfoil.web.app\n",
        "web/app.py": "",
        "web/voucherify/__init__.py": "import counterfoil.web.altcraft\n",
        "web/altcraft/__init__.py": "",
        "executors/local.py": "import counterfoil.executors.spark\n",
        "executors/spark.py": "",
        "catalog/__init__.py": "",
        "plan/__init__.py": "",
    }
    for name, text in house.items():
        path = tmp_path / "counterfoil" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.parents[: len(Path(name).parts)]:
            (folder / "__init__.py").touch()
    found = _lint_imports(tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "Contracts: 0 kept, 4 broken." in found.stdout
