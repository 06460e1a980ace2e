"""Structures that speed is measured on."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read

from e3md.demo import STRUCTURE_PATH

FAMILIES = {"si": ["Si"], "water": ["H", "O"], "lips": ["Li", "P", "S"]}
NAMES = ("si64", "si512", "si1728", "si13824", "water192", "water1536", "lips83", "lips664")


def family(name: str) -> str:
    """si, water or lips."""
    return name.rstrip("0123456789")


def make(name: str) -> Atoms:
    """One of NAMES; the number is that of the atoms."""
    n_atoms = int(name.removeprefix(family(name)))
    rng = np.random.default_rng(0)
    if family(name) == "si":
        repeat = round((n_atoms / 8) ** (1 / 3))
        atoms = bulk("Si", "diamond", a=5.43, cubic=True) * (repeat, repeat, repeat)
    elif family(name) == "water":
        atoms = _water(n_atoms // 3, rng)
    else:
        repeat = round((n_atoms / 83) ** (1 / 3))
        atoms = read(STRUCTURE_PATH) * (repeat, repeat, repeat)
    atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
    assert len(atoms) == n_atoms
    return atoms


def _water(n_molecules: int, rng: np.random.Generator) -> Atoms:
    """Molecules of random orientation on a cubic lattice, at 1 g/cm³."""
    side = round(n_molecules ** (1 / 3))
    spacing = (18.015 / 0.60221) ** (1 / 3)  # Å
    angle = np.deg2rad(104.5)
    hydrogens = 0.97 * np.array([[1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    positions = []
    for index in np.ndindex(side, side, side):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        center = spacing * np.array(index)
        positions += [center, *(center + hydrogens @ rotation.T)]
    cell = np.full(3, side * spacing)
    return Atoms("OH2" * side**3, positions=positions, cell=cell, pbc=True)
