"""ASE against LAMMPS on the user's own machine: the same numbers on any number of ranks."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from rich.console import Console
from rich.table import Table

from e3md.calculator import E3Calculator
from e3md.data.formats import read_structure
from e3md.lammps.runner import LammpsCase, LammpsResult, run_lammps
from e3md.neighbors import cell_volume
from e3md.structures import bare

# Largest difference that counts as the same number: (eV/atom, eV/Å, relative to the largest stress)
_TOLERANCE = {"float64": (1e-9, 1e-9, 1e-8), "float32": (1e-5, 1e-4, 1e-4)}


@dataclass(frozen=True)
class Difference:
    """LAMMPS on some ranks against ASE."""

    n_ranks: int
    energy: float  # eV/atom
    forces: float  # eV/Å, largest component
    stress: float | None  # eV/Å³, largest component; None without a volume
    passed: bool


def verify(
    model: str | Path, structure: str | Path | Atoms, ranks: Sequence[int] = (1, 2, 4)
) -> list[Difference]:
    """Compare E3Calculator with LAMMPS on each number of ranks.

    Raises:
        RuntimeError: if LAMMPS fails.
        ImportError: if LAMMPS is not installed.
        ValueError: if the model cannot be used for the structure.
    """
    atoms = structure if isinstance(structure, Atoms) else read_structure(Path(structure))
    atoms = bare(atoms)
    calculator = E3Calculator(model)
    atoms.calc = calculator
    atoms.get_potential_energy()
    case = LammpsCase(atoms, Path(model))
    with tempfile.TemporaryDirectory(prefix="e3md-verify-") as folder:
        return [
            difference(calculator, run_lammps([case], n, Path(folder) / str(n))[0], n)
            for n in ranks
        ]


def difference(calculator: E3Calculator, found: LammpsResult, n_ranks: int) -> Difference:
    """Compare a LAMMPS result with the calculator on the same atoms."""
    atoms = found.atoms.copy()
    atoms.calc = calculator
    energy_tolerance, force_tolerance, relative = _TOLERANCE[calculator.dtype]
    energy = abs(atoms.get_potential_energy() - found.energy) / max(1, len(atoms))
    force_scale = max(1.0, np.abs(atoms.get_forces()).max(initial=0))
    forces = float(np.abs(atoms.get_forces() - found.forces).max(initial=0))
    passed = energy < energy_tolerance and forces < force_tolerance * force_scale
    stress = None
    volume = cell_volume(atoms.cell.array)
    if np.isfinite(volume):
        expected = atoms.get_stress(voigt=False)
        stress = float(np.abs(expected - found.stress).max())
        rounding = force_tolerance * len(atoms) / volume  # of forces 1 Å apart that cancel
        passed = passed and stress <= relative * np.abs(expected).max() + rounding
    return Difference(n_ranks, float(energy), forces, stress, bool(passed))


def verify_and_print(model: str | Path, structure: str | Path) -> bool:
    """verify() as a table on the screen; True if all ranks agree."""
    table = Table(title=f"ASE against LAMMPS: {model}, {structure}")
    for column in ("MPI ranks", "ΔE, eV/atom", "ΔF, eV/Å", "Δstress, eV/Å³", ""):
        table.add_column(column, justify="right")
    console = Console()
    with console.status("evaluating in ASE, and in LAMMPS on 1, 2 and 4 ranks"):
        rows = verify(model, structure)
    for row in rows:
        stress = "no volume" if row.stress is None else f"{row.stress:.1e}"
        verdict = "same" if row.passed else "DIFFERENT"
        table.add_row(str(row.n_ranks), f"{row.energy:.1e}", f"{row.forces:.1e}", stress, verdict)
    console.print(table)
    return all(row.passed for row in rows)
