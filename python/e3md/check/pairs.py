"""Two atoms alone: does every pair of species repel at short range?"""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

from e3md.calculator import E3Calculator
from e3md.model_file import TrainingRecord

SHORTEST = 0.3  # Å
CORE = 0.55  # of the sum of covalent radii; the shortest bonds known (Cr₂, Mo₂) are longer
N_POINTS = 240


@dataclass(frozen=True)
class PairCurve:
    """Energy of a dimer against its bond length."""

    species: tuple[str, str]
    r: NDArray[np.float64]  # (n,) Å, increasing from SHORTEST to the cutoff
    energy: NDArray[np.float64]  # (n,) eV, less the atoms far apart

    @property
    def name(self) -> str:
        """As in Li-S."""
        return "-".join(self.species)

    @property
    def core(self) -> float:
        """Å; nearer than this there are no bonds, and the atoms must repel."""
        radii = [covalent_radii[atomic_numbers[symbol]] for symbol in self.species]
        return float(max(CORE * sum(radii), SHORTEST))

    @property
    def hole(self) -> float:
        """eV by which the energy falls anywhere on the way from the core's edge to SHORTEST."""
        inward = self.energy[self.r <= self.core][::-1]
        return float(np.max(np.maximum.accumulate(inward) - inward, initial=0.0))

    @property
    def wall(self) -> float:
        """eV from the lowest point up to SHORTEST."""
        return float(self.energy[0] - self.energy.min())


def shortest_in_data(training: TrainingRecord, species: tuple[str, str]) -> float | None:
    """Å: of this pair in the training data; of any pair where pairs are not recorded; None: neither."""
    pairs = training.shortest_distances
    names = ("-".join(species), "-".join(reversed(species)))
    recorded = next((pairs[name] for name in names if name in pairs), None)
    return recorded if pairs else training.shortest_distance


def pair_curves(calculator: E3Calculator) -> list[PairCurve]:
    """One curve for each pair of the model's species, the same species twice included."""
    pairs = combinations_with_replacement(calculator.species, 2)
    return [pair_curve(calculator, pair) for pair in pairs]


def pair_curve(calculator: E3Calculator, species: tuple[str, str]) -> PairCurve:
    """All distances in one evaluation, as dimers out of each other's reach.

    Distances grow geometrically: most are short ones.
    """
    r = np.append(np.geomspace(SHORTEST, calculator.cutoff, N_POINTS), 1.01 * calculator.cutoff)
    first = np.zeros((len(r), 3))
    first[:, 1] = 2.0 * calculator.cutoff * np.arange(len(r))
    second = first + r[:, None] * [1.0, 0.0, 0.0]
    positions = np.stack([first, second], axis=1).reshape(-1, 3)
    dimers = Atoms(list(species) * len(r), positions)
    energy = calculator.get_property("energies", dimers).reshape(-1, 2).sum(axis=1)
    return PairCurve(species, r[:-1], energy[:-1] - energy[-1])
