"""Molecules are told from bonds without end, across periodic boundaries too."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from e3md.data.molecules import count_molecules


def _box(n_side: int, spacing: float) -> Atoms:
    """Water on a grid, pushed so that molecules lie across the boundaries."""
    one = molecule("H2O")
    box = Atoms(cell=[n_side * spacing] * 3, pbc=True)
    for place in np.ndindex(n_side, n_side, n_side):
        copy = one.copy()
        copy.positions += spacing * np.array(place)
        box += copy
    box.positions += 0.1
    box.wrap()
    return box


def test_a_liquid_in_a_box() -> None:
    assert count_molecules(_box(3, 3.2)) == 27


def test_single_molecules() -> None:
    assert count_molecules(molecule("C6H6")) == 1
    boxed = molecule("CH3CH2OH", vacuum=4.0, pbc=True)
    assert count_molecules(boxed) == 1


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Si"), bulk("Cu", cubic=True).repeat(2), bulk("NaCl", "rocksalt", a=5.64),
        bulk("Ar", "fcc", a=5.3).repeat(2), bulk("C", "diamond", a=3.57).repeat(2),
        Atoms("C", cell=[1.3, 20, 20], pbc=True), Atoms("H"),
    ],
    ids=["silicon", "copper", "salt", "argon", "diamond", "chain", "atom"],
)  # fmt: skip
def test_what_is_not_made_of_molecules(atoms: Atoms) -> None:
    assert count_molecules(atoms) == 0


def test_a_few_ions_among_molecules_do_not_change_the_kind() -> None:
    box = _box(3, 3.2)
    box += Atoms("Na", positions=[[1.7, 1.7, 1.7]])
    assert count_molecules(box) >= 20
