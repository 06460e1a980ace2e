"""Times of e3md, in a process of its own through ASE and in LAMMPS."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read

from e3md.bench import seconds_in_lammps


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}


def time_in_ase(model: Path, structure: Path, dtype: str, threads: int, steps: int) -> Any:
    """What peers/timing.py prints, of a process of its own."""
    script = str(Path(__file__).with_name("time_e3md.py"))
    command = [sys.executable, script, str(model), str(structure), dtype, str(threads), str(steps)]
    done = subprocess.run(
        command, env=_environment(threads), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def time_in_lammps(
    model: Path, structure: Path, dtype: str, threads: int, steps: int, ranks: int
) -> float:
    """Seconds per step."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    atoms = read(structure)
    assert isinstance(atoms, Atoms)
    return seconds_in_lammps(model, atoms, dtype, ranks, steps)
