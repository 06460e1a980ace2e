"""Structures on which programs are compared: bare ones, and perturbed ones of given species."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

SPACING = 1.2  # shortest distance in units of the longest bond: dense, with a margin


def bare(atoms: Atoms) -> Atoms:
    """Elements, positions and cell alone: what two programs are compared on.

    Constraints would mask forces and change stress and dynamics; labels and velocities are not of
    the model.
    """
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def perturbed_structures(species: Sequence[str], seed: int = 0) -> list[Atoms]:
    """Ten structures: crystals, triclinic cells, liquids, slabs, molecules, and an isolated atom."""
    rng = np.random.default_rng(seed)
    crystals = [_crystal(species, rng, kind) for kind in ("fcc", "sc", "bcc")]
    triclinic = [_sheared(_crystal(species, rng, "fcc"), rng) for _ in range(2)]
    liquid = _crystal(species, rng, "sc", disorder=0.2)
    slab = _crystal(species, rng, "fcc")
    slab.pbc = (True, True, False)
    molecules = [_crystal(species, rng, kind) for kind in ("sc", "bcc")]
    for molecule in molecules:
        molecule.pbc = False
        molecule.cell = np.zeros((3, 3))
    isolated = Atoms([rng.choice(list(species))], positions=[rng.normal(size=3)])
    return [*crystals, *triclinic, liquid, slab, *molecules, isolated]


def _crystal(
    species: Sequence[str], rng: np.random.Generator, kind: str, disorder: float = 0.08
) -> Atoms:
    """A lattice of random occupation, rattled by a part of its shortest distance."""
    chosen = rng.choice(list(species), size=min(3, len(species)), replace=False)
    radius = max(covalent_radii[atomic_numbers[symbol]] for symbol in chosen)
    shortest = SPACING * 2 * radius
    lattice = shortest * {"fcc": 2**0.5, "sc": 1.0, "bcc": 2 / 3**0.5}[kind]
    repeat = {"fcc": (2, 1, 1), "sc": (2, 2, 2), "bcc": (2, 2, 1)}[kind]
    atoms = bulk("X", kind, a=lattice, cubic=True).repeat(repeat)
    atoms.symbols = rng.choice(chosen, size=len(atoms)).tolist()
    atoms.positions += rng.uniform(-disorder, disorder, atoms.positions.shape) * shortest
    return atoms


def _sheared(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    strain = np.eye(3) + rng.uniform(-0.12, 0.12, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return atoms
