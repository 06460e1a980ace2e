"""Comparison of a converted model with the program it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e3md.calculator import E3Calculator
from e3md.convert.neutral import ConversionError
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


def compare(model: Path, references: Sequence[Reference], program: str) -> Difference:
    """Evaluate a model file in float64 on reference structures.

    Raises:
        ConversionError: if either side has a number that is not finite, naming it and the structure.
    """
    for k, reference in enumerate(references):
        _require_finite(reference, f"structure {k} ({_describe(reference)})", program)
    calculator = E3Calculator(str(model), dtype="float64")
    rows = [_row(calculator, k, reference) for k, reference in enumerate(references)]
    return Difference(*np.max(rows, axis=0).tolist())


def require_forces(found: Difference, program: str) -> None:
    """Raise ConversionError if there were no forces at all: that model is a constant."""
    if found.largest_force == 0.0:
        raise ConversionError(
            f"all forces of this model are zero, in {program} too: its energy is a constant, as of one that "
            "was never trained or whose only element does not interact. Nothing was written"
        )


def _describe(reference: Reference) -> str:
    atoms = reference.atoms
    return f"{atoms.get_chemical_formula()}, {'periodic' if atoms.pbc.any() else 'no cell'}"


def _require_finite(reference: Reference, where: str, program: str) -> None:
    stress = np.zeros(0) if reference.stress is None else reference.stress
    numbers = (("energy", reference.energy), ("forces", reference.forces), ("stress", stress))
    for name, values in numbers:
        if not np.isfinite(values).all():
            raise ConversionError(
                f"{program} itself gives {name} that are not finite on {where}: nothing was written"
            )


def _row(calculator: E3Calculator, k: int, reference: Reference) -> tuple[float, ...]:
    atoms = reference.atoms.copy()
    atoms.calc = calculator
    n = len(atoms)
    try:
        energy = abs(atoms.get_potential_energy() - reference.energy) / n
    except ValueError as error:
        raise ConversionError(
            f"the converted model has no finite result on structure {k} ({_describe(reference)}): {error}"
        ) from error
    forces = float(np.abs(atoms.get_forces() - reference.forces).max())
    stress = 0.0
    if reference.stress is not None:
        stress = float(np.abs(atoms.get_stress(voigt=False) - reference.stress).max())
    return energy, forces, stress, abs(reference.energy) / n, float(np.abs(reference.forces).max())
