"""Comparison of a converted model with the program it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e3md.calculator import E3Calculator
from e3md.convert.peer import Reference


@dataclass(frozen=True)
class Difference:
    """The largest deviations over some structures, and the largest force and stress among them."""

    energy_per_atom: float  # eV
    forces: float  # eV/Å
    stress: float  # eV/Å³; 0 if no structure has one
    largest_energy: float  # eV/atom, without the isolated atoms' part
    largest_force: float  # eV/Å

    def within(self, dtype: str) -> bool:
        """Equal up to rounding: 1e-10 eV/atom and 1e-9 eV/Å, or 1e-5 relative in float32."""
        if dtype == "float64":
            return self.energy_per_atom < 1e-10 and max(self.forces, self.stress) < 1e-9
        force_scale = max(self.largest_force, 1.0)
        return (
            self.energy_per_atom < 1e-5 * max(self.largest_energy, 1.0)
            and max(self.forces, self.stress) < 1e-5 * force_scale
        )


def compare(model: Path, references: Sequence[Reference]) -> Difference:
    """Evaluate a model file in float64 on reference structures."""
    calculator = E3Calculator(str(model), dtype="float64")
    rows = [_row(calculator, reference) for reference in references]
    return Difference(*np.max(rows, axis=0).tolist())


def _row(calculator: E3Calculator, reference: Reference) -> tuple[float, ...]:
    atoms = reference.atoms.copy()
    atoms.calc = calculator
    n = len(atoms)
    energy = abs(atoms.get_potential_energy() - reference.energy) / n
    forces = float(np.abs(atoms.get_forces() - reference.forces).max())
    stress = 0.0
    if reference.stress is not None:
        stress = float(np.abs(atoms.get_stress(voigt=False) - reference.stress).max())
    return energy, forces, stress, abs(reference.energy) / n, float(np.abs(reference.forces).max())
