"""Thin face of the C++ neighbor list: arrays for everyone, graphs for training."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import ArrayLike, NDArray

import e3md.ops  # noqa: F401  loads libe3md before _core asks for it
from e3md._core import NeighborList
from e3md.graph import AtomGraph

_FLAT = 1e-12  # volume over the product of the edges that counts as none, as in cell_frame.cpp


def neighbor_list(
    positions: ArrayLike, cell: ArrayLike, pbc: ArrayLike, cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """All pairs closer than the cutoff, as edges in both directions.

    Args:
        positions: (n_atoms, 3) Å, also outside the cell.
        cell: (3, 3) Å, rows are the lattice vectors; may be zero where not periodic.
        pbc: periodic directions.
        cutoff: Å; an edge is strictly shorter.

    Returns:
        i (n_edges,) receiver, non-decreasing; j (n_edges,) neighbor; S (n_edges, 3) lattice
        translations, zero where not periodic; edge_vec (n_edges, 3) = r_j + S·cell - r_i, Å.

    Raises:
        ValueError: for positions or cell that are not finite, or a periodic cell without volume.
    """
    return NeighborList(cutoff).edges(positions, cell, pbc)


def species_types(numbers: NDArray[np.integer], species: Sequence[str]) -> NDArray[np.int64]:
    """Model type of each atom: (n_atoms,) atomic numbers -> (n_atoms,) index into species.

    Raises:
        ValueError: naming the element that is not among the species.
    """
    table = np.full(len(chemical_symbols), -1, dtype=np.int64)
    for index, symbol in enumerate(species):
        table[atomic_numbers[symbol]] = index
    types = table[numbers]
    if (types < 0).any():
        atom = int(np.argmax(types < 0))
        raise ValueError(
            f"atom {atom} is the element {chemical_symbols[numbers[atom]]}, "
            f"but the species are only {' '.join(species)}"
        )
    return types


def cell_volume(cell: NDArray[np.float64]) -> float:
    """|det cell| in Å³, whichever directions are periodic; NaN without three independent vectors.

    It is what a stress is divided by: dE/dε is defined for slabs and molecules too, as a strain
    moves all atoms, and the cell is the volume that whoever set it has chosen.
    """
    edges = math.prod(math.hypot(*vector) for vector in cell.tolist())
    if not math.isfinite(edges):
        return float("nan")
    volume = abs(float(np.linalg.det(cell)))  # to the last bit that of Atoms.get_volume
    return volume if volume > _FLAT * edges else float("nan")


def atoms_to_graph(
    atoms: Atoms, species: Sequence[str], cutoff: float, dtype: torch.dtype
) -> AtomGraph:
    """The graph of one structure, as a model sees it; edge_vec in `dtype`.

    Raises:
        ValueError: for an element that is not among the species, or as `neighbor_list`.
    """
    types = species_types(atoms.numbers, species)
    i, j, _, edge_vec = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    return AtomGraph(
        types=torch.from_numpy(types),
        edge_index=torch.from_numpy(np.stack([i, j])),
        edge_vec=torch.from_numpy(edge_vec).to(dtype),
        frame=torch.zeros(len(atoms), dtype=torch.int64),
        volume=torch.tensor([cell_volume(atoms.cell.array)], dtype=torch.float64),
    )
