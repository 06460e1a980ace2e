"""What is checked: a model file and a structure."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from e3md.bench import default_structure
from e3md.calculator import E3Calculator
from e3md.check.pairs import PairCurve, pair_curves
from e3md.data.formats import read_structure
from e3md.model_file import ModelRecord, read_record
from e3md.structures import bare

N_ATOMS = 100  # of the default structure, about
RATTLE = 0.05  # Å; a perfect crystal has no forces to compare


@dataclass(frozen=True)
class Subject:
    """A model file and a structure it can evaluate."""

    model: Path
    atoms: Atoms  # without constraints
    given: bool = True  # by the user; else the default structure

    def __post_init__(self) -> None:
        object.__setattr__(self, "atoms", bare(self.atoms))

    @cached_property
    def double(self) -> E3Calculator:
        """The model in float64, where rounding hides nothing."""
        return E3Calculator(self.model, dtype="float64")

    @cached_property
    def native(self) -> E3Calculator:
        """The model as molecular dynamics runs it."""
        return E3Calculator(self.model)

    @cached_property
    def record(self) -> ModelRecord:
        """What the file says of itself."""
        return read_record(self.model)

    @cached_property
    def rattled(self) -> Atoms:
        """The structure with small random displacements, evaluated in float64."""
        atoms = self.atoms.copy()
        atoms.rattle(RATTLE, seed=0)
        atoms.calc = self.double
        return atoms

    @cached_property
    def curves(self) -> list[PairCurve]:
        """Energy of every pair of the model's species."""
        return pair_curves(self.double)

    def elements(self) -> list[str]:
        """Species of the structure, in the model's order."""
        present = set(self.atoms.get_chemical_symbols())
        return [symbol for symbol in self.double.species if symbol in present]


def read_subject(model: Path, structure: Path | None) -> Subject:
    """The model with a structure from a file, or with a rattled crystal of its species.

    Raises:
        ValueError: for a file that is no e3md model, a single atom, or a structure that the model
            cannot evaluate.
    """
    calculator = E3Calculator(model)
    species = calculator.species
    atoms = read_structure(structure) if structure else default_structure(species, N_ATOMS)
    if len(atoms) < 2:
        raise ValueError(f"{structure} holds {len(atoms)} atom(s): the checks need at least two")
    subject = Subject(model, atoms, structure is not None)
    calculator.get_forces(subject.atoms)
    return subject


def force_scale(forces: NDArray[np.float64]) -> float:
    """The largest component, eV/Å, or 0.01 if all are smaller."""
    return float(max(np.abs(forces).max(), 0.01))
