"""Where there is no C compiler the build goes through all the same, and exports are written by the Python encoder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

ENCODE = """
import pyarrow as pa
from counterfoil.dataplane import chain, csv_encoder, gather
from counterfoil.dataplane.encoder import Column
encoder = csv_encoder.csv_encoder(pa.schema([("a", pa.string())]), [Column("a", "a")])
print(csv_encoder.__file__, type(encoder).__name__, type(gather.gatherer(descending=False)).__name__)
print(encoder.encode(pa.record_batch({"a": ["x", 'say "no"']})))
"""


def test_a_build_without_a_compiler_ends_well_and_the_package_works(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    built = _python(tmp_path, "setup.py", "build_ext", "--inplace", CC="false", CXX="false")
    assert 'building extension "counterfoil.dataplane._csv" failed' in built
    assert not list(tmp_path.rglob("*.so"))
    told = _python(tmp_path, "-c", ENCODE, PYTHONPATH=str(tmp_path / "src"))
    assert "C encoder is not built" in told and "Install a C compiler" in told
    assert f"{tmp_path}/src/counterfoil/dataplane/csv_encoder.py ReferenceCsvEncoder BlockGatherer" in told
    assert repr(b'x\n"say ""no"""\n') in told


def _python(folder: Path, *arguments: str, **environment: str) -> str:
    told = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    return told.stdout
