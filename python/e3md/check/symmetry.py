"""Energy is invariant and forces turn with the structure."""

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import special_ortho_group

from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject, force_scale

N_ROTATIONS = 5
FAIL = 1e-4
WARN = 1e-9


def rotation(subject: Subject) -> CheckResult:
    """Random proper rotations."""
    turns = special_ortho_group.rvs(3, size=N_ROTATIONS, random_state=0)
    value = max(asymmetry(subject.rattled, turn) for turn in turns)
    figure = f"relative change of energy and forces under {N_ROTATIONS} random rotations"
    advice = "The model depends on the axes: do not use it, and report it"
    return Bounds(WARN, FAIL).result("rotation", value, figure, advice)


def inversion(subject: Subject) -> CheckResult:
    """Random rotations times inversion; a model built without parity is warned of, not failed."""
    turns = special_ortho_group.rvs(3, size=N_ROTATIONS, random_state=1)
    value = max(asymmetry(subject.rattled, -turn) for turn in turns)
    figure = f"relative change of energy and forces under {N_ROTATIONS} random rotoinversions"
    fail, advice = FAIL, "Mirror images differ: do not use the model, and report it"
    if subject.record.hyperparameters.get("parity") == "none":
        fail, advice = np.inf, "`parity: none`: mirror images differ; avoid it for chiral matter"
    return Bounds(WARN, fail).result("inversion", value, figure, advice)


def asymmetry(atoms: Atoms, turn: NDArray[np.float64]) -> float:
    """How much E(Qx) - E(x) per atom and F(Qx) - Q F(x) are of the largest force.

    Args:
        atoms: structure with a calculator.
        turn: Q, (3, 3) orthogonal.
    """
    turned = atoms.copy()
    turned.calc = atoms.calc
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    forces, energy = atoms.get_forces(), atoms.get_potential_energy()
    force_error = np.abs(turned.get_forces() - forces @ turn.T).max()
    energy_error = abs(turned.get_potential_energy() - energy) / len(atoms)
    return float(max(force_error, energy_error) / force_scale(forces))
