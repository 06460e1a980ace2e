"""Forces and stress are the derivatives of the energy."""

import numpy as np
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject, force_scale

N_ATOMS = 4  # whose forces are compared
DISPLACEMENT = 1e-4  # Å
STRAIN = 1e-5
SMALLEST = 2e-4  # eV/atom; a smaller dE/dε is not compared with itself but with this
RELATIVE = Bounds(warn=1e-5, fail=1e-3)


def forces(subject: Subject) -> CheckResult:
    """F = -dE/dx, by central differences in float64."""
    atoms = subject.rattled
    chosen = np.random.default_rng(0).choice(len(atoms), min(N_ATOMS, len(atoms)), replace=False)
    numerical = calculate_numerical_forces(atoms, eps=DISPLACEMENT, iatoms=chosen)
    found = atoms.get_forces()
    value = float(np.abs(found[chosen] - numerical).max() / force_scale(found))
    figure = f"of the largest force, between forces and -dE/dx of {len(chosen)} atoms"
    advice = "Forces are not those of the energy: do not use the model, and report it"
    return RELATIVE.result("forces", value, figure, advice)


def stress(subject: Subject) -> CheckResult:
    """stress = (1/V) dE/dε, by central differences in float64; the cell must have a volume.

    Compared are the strain derivatives themselves, as the volume may be mostly vacuum.
    """
    atoms = subject.rattled
    found = atoms.get_stress() * atoms.get_volume()
    numerical = calculate_numerical_stress(atoms, eps=STRAIN) * atoms.get_volume()
    scale = max(np.abs(found).max(), SMALLEST * len(atoms))
    value = float(np.abs(found - numerical).max() / scale)
    figure = "of the largest stress, between the stress and a finite strain"
    advice = "The stress is not that of the energy: no NPT with this model, and report it"
    return RELATIVE.result("stress", value, figure, advice)
