"""Whether a structure is made of molecules, by the distances that covalent radii allow."""

from collections import deque

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from e3md.neighbors import neighbor_list

STRETCH = 1.25  # a bond may be so much longer than the sum of the radii
LONE = 0.1  # of the atoms may be bonded to nothing


def count_molecules(atoms: Atoms) -> int:
    """Molecules of two atoms and more; 0 if it is not made of them.

    That is where bonds go on without end, as in crystals, glasses and metals, or where more than a
    few atoms have none, as in noble gases.
    """
    radii = covalent_radii[atoms.numbers]
    i, j, shifts, vectors = neighbor_list(
        atoms.positions, atoms.cell.array, atoms.pbc, 2 * STRETCH * float(radii.max())
    )
    bonded = np.linalg.norm(vectors, axis=1) < STRETCH * (radii[i] + radii[j])
    bonds: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in range(len(atoms))]
    for a, b, shift in zip(i[bonded], j[bonded], shifts[bonded], strict=True):
        bonds[a].append((int(b), tuple(int(s) for s in shift)))
    sizes = _sizes(bonds)
    lone = sum(size == 1 for size in sizes)
    if not sizes or lone > LONE * len(atoms):
        return 0
    return len(sizes) - lone


def _sizes(bonds: list[list[tuple[int, tuple[int, ...]]]]) -> list[int]:
    """Atoms of each molecule; empty if one reaches an image of itself."""
    cell: dict[int, np.ndarray] = {}  # of each atom, relative to the first of its molecule
    sizes = []
    for start in range(len(bonds)):
        if start in cell:
            continue
        cell[start], waiting, size = np.zeros(3, dtype=int), deque([start]), 0
        while waiting:
            atom = waiting.popleft()
            size += 1
            for other, shift in bonds[atom]:
                there = cell[atom] + shift
                if other not in cell:
                    cell[other] = there
                    waiting.append(other)
                elif (cell[other] != there).any():
                    return []
        sizes.append(size)
    return sizes
