"""Structures that speed is measured on."""

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read

from e3md.demo import STRUCTURE_PATH

FAMILIES = {
    "si": ["Si"],
    "water": ["H", "O"],
    "lips": ["Li", "P", "S"],
    "srtio3": ["O", "Ti", "Sr"],
    "li2tio3": ["Li", "O", "Ti"],
}
NAMES = (
    "si64", "si512", "si1728", "si13824", "water192", "water1536", "lips83", "lips664",
    "srtio3_625", "li2tio3_192", "li2tio3_512",
)  # fmt: skip


def family(name: str) -> str:
    """One of FAMILIES."""
    return name.rstrip("0123456789").rstrip("_")


def make(name: str) -> Atoms:
    """One of NAMES; the number is that of the atoms."""
    n_atoms = int(name.removeprefix(family(name)).removeprefix("_"))
    rng = np.random.default_rng(0)
    match family(name):
        case "si":
            atoms = _cube(bulk("Si", "diamond", a=5.43, cubic=True), n_atoms)
        case "water":
            atoms = _water(n_atoms // 3, rng)
        case "srtio3":
            atoms = _cube(_perovskite("SrTiO3", 3.76), n_atoms)
        case "li2tio3":
            atoms = _li2tio3(n_atoms, rng)
        case _:
            atoms = _cube(read(STRUCTURE_PATH), n_atoms)
    atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
    assert len(atoms) == n_atoms
    return atoms


def _cube(cell: Atoms, n_atoms: int) -> Atoms:
    """As many cells along each direction."""
    repeat = round((n_atoms / len(cell)) ** (1 / 3))
    return cell * (repeat, repeat, repeat)


def _perovskite(formula: str, a: float) -> Atoms:
    """Cubic ABX3; a in Å (3.905 for SrTiO3; of 3.76 each atom has 91 neighbors within 6 Å)."""
    corner, half = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5)
    faces = [(0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5)]
    return Atoms(formula, scaled_positions=[corner, half, *faces], cell=[a, a, a], pbc=True)


def _li2tio3(n_atoms: int, rng: np.random.Generator) -> Atoms:
    """Disordered rocksalt: a third of the cations, at random places, is titanium."""
    repeat = {192: (2, 3, 4), 512: (4, 4, 4)}[n_atoms]
    atoms = bulk("LiO", "rocksalt", a=4.14, cubic=True) * repeat
    cations = rng.permutation(np.flatnonzero(atoms.symbols == "Li"))
    atoms.symbols[cations[: round(len(cations) / 3)]] = "Ti"
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
