"""Energy and forces are continuous as a neighbor crosses the cutoff."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from ase import Atoms

from e3md.calculator import E3Calculator
from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject

STEP = 1e-7  # Å to both sides of the cutoff
JUMP = Bounds(warn=1e-5, fail=1e-3)  # eV, eV/Å


def cutoff(subject: Subject) -> CheckResult:
    """An atom of every species of the structure leaves another of every species."""
    calculator, elements = subject.double, subject.elements()
    shorter = subject.record.hyperparameters.get("pair_cutoffs", {}).values()
    value, pair, at = max(
        (jump(calculator, elements, pair, at), "-".join(pair), at)
        for pair in product(elements, repeat=2)
        for at in {calculator.cutoff, *shorter}
    )
    figure = f"eV or eV/Å, largest jump as a neighbor crosses {at:g} Å ({pair})"
    advice = "Energy will drift in MD: train with a smooth envelope (`cutoff_function`)"
    return JUMP.result("cutoff", value, figure, advice)


def jump(
    calculator: E3Calculator, elements: Sequence[str], pair: tuple[str, ...], at: float
) -> float:
    """Largest change of energy (eV) and force components (eV/Å) as the second atom crosses `at`, Å."""
    sides = []
    for distance in (at - STEP, at + STEP):
        atoms = walker([pair[0], elements[0], elements[-1], pair[1]], distance)
        atoms.calc = calculator
        sides.append(np.append(atoms.get_forces(), atoms.get_potential_energy()))
    return float(np.abs(sides[1] - sides[0]).max())


def walker(symbols: Sequence[str], distance: float) -> Atoms:
    """A triangle of atoms, and a fourth that is so many Å from the first, on the far side."""
    position = np.array([-0.6, -0.64, 0.48]) * distance
    return Atoms(list(symbols), positions=[[0, 0, 0], [2.0, 0.3, 0], [0.4, 2.1, 0.5], position])
