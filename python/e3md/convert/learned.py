"""Elements that a foreign model has but may never have learned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from e3md.calculator import E3Calculator
from e3md.data.statistics import Statistics

_FARTHEST = 0.6  # of the cutoff: neighbors there feel each other


def doubtful_elements(model: Path, statistics: Statistics) -> list[str]:
    """A line on elements whose atoms do not interact, and one on those without reference energy."""
    found = []
    silent = _silent(model, statistics.species)
    if silent:
        found.append(
            f"atoms of {', '.join(silent)} exert no force on each other (other elements do): "
            "this model never learned them"
        )
    without = [s for s, e0 in zip(statistics.species, statistics.e0s, strict=True) if e0 == 0.0]
    if 0 < len(without) < len(statistics.species):
        having = len(statistics.species) - len(without)
        found.append(
            f"{having} elements have a reference energy and {_some(without)} none: as of elements that "
            "were not in the training data"
        )
    return found


def _some(symbols: Sequence[str], shown: int = 10) -> str:
    rest = len(symbols) - shown
    return ", ".join(symbols[:shown]) + (f" and {rest} more" if rest > 0 else "")


def _silent(model: Path, species: Sequence[str]) -> list[str]:
    """Elements of which a small cluster has no forces at all."""
    calculator = E3Calculator(str(model), dtype="float64")
    silent = []
    for symbol in species:
        bond = 2.4 * covalent_radii[atomic_numbers[symbol]]
        bond = min(bond, _FARTHEST * calculator.cutoff)
        corners = np.array([[0, 0, 0], [1, 0, 0], [0.3, 1.1, 0], [0.4, 0.2, 0.9]])
        cluster = Atoms([symbol] * len(corners), corners * bond)
        cluster.calc = calculator
        if not cluster.get_forces().any():
            silent.append(symbol)
    return silent
