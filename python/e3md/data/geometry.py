"""Distances, densities and symmetry of the structures in a data set."""

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import complete_cell, minkowski_reduce
from numpy.typing import NDArray

from e3md.neighbors import neighbor_list

_FREE = 8.0  # Å between an atom and its periodic images that count as vacuum
LARGEST = 1e6  # Å; beyond it positions in a file lose their digits
_THIN = 0.5  # Å between the planes of a lattice that make neighbors worth counting
_SMALLEST = 0.5  # Å³ per atom; hydrogen at 10 TPa
_SPHERES = 0.1  # of the volume of the covalent spheres; potassium at 1 TPa has 0.15
_REACH = 5.0  # Å, neighbors that tell whether a force must vanish by symmetry
_EVEN = 1e-3  # of a neighbor's weight: what is left over of a sum that vanishes


def is_isolated(atoms: Atoms) -> bool:
    """One atom in vacuum: not periodic, of `config_type=IsolatedAtom`, or far from its images."""
    if len(atoms) != 1:
        return False
    if "isolated" in str(atoms.info.get("config_type", "")).lower() or not atoms.pbc.any():
        return True
    cell, _ = minkowski_reduce(atoms.cell.array, atoms.pbc)
    return bool(np.linalg.norm(cell[atoms.pbc], axis=1).min() >= _FREE)


def too_dense(atoms: Atoms) -> str | None:
    """Why the structure is denser than any matter, None if it is not."""
    volume = room(atoms)
    spheres = float((4 / 3 * np.pi * covalent_radii[atoms.numbers] ** 3).sum())
    if len(atoms) > 1 and volume < max(_SMALLEST * len(atoms), _SPHERES * spheres):
        return (
            f"{len(atoms)} atoms in {volume:.3g} Å³ are denser than any matter: the cell or the "
            "unit of its lengths is wrong"
        )
    return None


def too_near(atoms: Atoms) -> str | None:
    """Why a cell of thin or skewed shape has more images near by than any matter, else None."""
    cell = complete_cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0))
    if np.linalg.norm(np.linalg.inv(cell), axis=0).max() < 1 / _THIN:
        return None
    try:
        neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, _REACH)
    except ValueError as error:
        return str(error)
    return None


def room(atoms: Atoms) -> float:
    """Volume of the cell, Å³; where it is open, up to 1 Å around the atoms."""
    cell = atoms.cell.array.copy()
    cell[~atoms.pbc] = 0.0
    cell = complete_cell(cell)
    fractional = atoms.positions @ np.linalg.inv(cell)
    margin = 2.0 / np.linalg.norm(cell, axis=1)
    extent = np.where(atoms.pbc, 1.0, np.ptp(fractional, axis=0) + margin)
    return float(abs(np.linalg.det(cell)) * np.prod(extent))


def mean_pairs(atoms: Atoms, cutoff: float) -> float:
    """Neighbor pairs, in both directions, as if the atoms filled their room evenly.

    Of the sphere around an atom counts what lies in the room: beyond a layer, a wire or a molecule
    there is nothing.

    Args:
        atoms: in a cell of some volume where periodic.
        cutoff: Å.
    """
    periodic = atoms.cell.array[atoms.pbc]
    extent = np.sqrt(abs(np.linalg.det(periodic @ periodic.T)))  # 1, Å, Å² or Å³
    ball = (1.0, 2 * cutoff, np.pi * cutoff**2, 4 / 3 * np.pi * cutoff**3)
    neighbors = len(atoms) * min(ball[3] / room(atoms), ball[len(periodic)] / extent)
    if not len(periodic):
        neighbors = min(neighbors, len(atoms) - 1.0)
    return float(len(atoms) * neighbors)


def closest_pair(atoms: Atoms) -> tuple[int, int, float, float] | None:
    """Of all pairs nearer than half the sum of their covalent radii, the one furthest below.

    Returns:
        (i, j, distance Å, half the sum of the radii Å), or None.
    """
    radii = covalent_radii[atoms.numbers]
    reach = float(radii.max())
    i, j, _, vectors = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    if not len(i):
        return None
    distance = np.linalg.norm(vectors, axis=1)
    half = 0.5 * (radii[i] + radii[j])
    k = int((distance / half).argmin())
    return (
        (int(i[k]), int(j[k]), float(distance[k]), float(half[k]))
        if distance[k] < half[k]
        else None
    )


def nearest_distance(atoms: Atoms) -> float | None:
    """Median over the atoms of the distance to the nearest neighbor, Å; None if none has one."""
    i, _, _, vectors = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, _REACH)
    if not len(i):
        return None
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, np.linalg.norm(vectors, axis=1))
    return float(np.median(nearest[np.isfinite(nearest)]))


def has_neighbors(atoms: Atoms) -> bool:
    """Any two atoms, or images, within the reach of ordinary potentials."""
    return len(neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, _REACH)[0]) > 0


def may_feel_force(atoms: Atoms) -> NDArray[np.bool_]:
    """(n_atoms,) False where symmetry forbids a force: all vectors that neighbors make vanish.

    Sums over the neighbors of one element, Σ r̂ f(r), are vectors of the environment; where they
    are zero for several f, there is an inversion, a rotation or the like that takes any force away.
    """
    i, j, _, vectors = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, _REACH)
    distance = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    allowed = np.zeros(len(atoms), dtype=bool)
    smooth = (1 - (distance / _REACH) ** 2) ** 2
    for number in np.unique(atoms.numbers):
        of_element = atoms.numbers[j] == number
        for power in (1, 3):
            weight = np.where(of_element, smooth / distance**power, 0.0)
            total = np.zeros((len(atoms), 3))
            size = np.full(len(atoms), 1e-30)
            np.add.at(total, i, (weight / distance)[:, None] * vectors)
            np.add.at(size, i, weight)
            allowed |= np.linalg.norm(total, axis=1) > _EVEN * size
    return allowed
