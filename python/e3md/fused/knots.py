"""How fine the tables must be: measured on structures, against the exact radial networks."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn

from e3md.fused import FusedModel, fuse
from e3md.neighbors import neighbor_list
from e3md.structures import perturbed_structures

CANDIDATES = (96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
TOLERANCES = {"float32": 5e-7, "float64": 2e-11}  # of the largest force of a structure
COMPRESSED = 0.7  # also structures whose shortest distances are these times a bond's


@dataclass(frozen=True)
class Tables:
    """What the tables of a model cost in exactness."""

    knots: dict[str, int]  # by dtype
    force_error: dict[str, float]  # by dtype, of the largest force


class TableError(ValueError):
    """The radial networks of a model cannot be tabulated."""


def tabulated(model: nn.Module, cutoff: float, species: Sequence[str]) -> tuple[FusedModel, Tables]:
    """A fused model with as few knots as keep the error of the forces below TOLERANCES.

    Errors are measured in float64 on random structures of the model's species, also compressed ones.

    Raises:
        TableError: if no table of reasonable size is that good, or the tables would be too large.
    """
    try:
        fused = fuse(model, cutoff, (0, 0))
    except ValueError as error:
        raise TableError(str(error)) from error
    working = copy.deepcopy(fused).double()
    graphs = _graphs(species, cutoff)
    exact = [_edge_forces(working.source, graph) for graph in graphs]
    knots: dict[str, int] = {}
    errors: dict[str, float] = {}
    for n_knots in CANDIDATES:
        working.knots = (n_knots, n_knots)
        working.tabulate(True)
        largest = max(
            float((_edge_forces(working, graph) - forces).abs().max() / forces.abs().max())
            for graph, forces in zip(graphs, exact, strict=True)
        )
        for dtype, tolerance in TOLERANCES.items():
            if dtype not in knots and largest < tolerance:
                knots[dtype], errors[dtype] = n_knots, largest
        if len(knots) == len(TOLERANCES):
            fused.knots = (knots["float32"], knots["float64"])
            return fused, Tables(knots, errors)
    raise TableError(
        f"with {n_knots} knots the forces are still {largest:.0e} of the largest force off, as where "
        "a cutoff function is not smooth"
    )


def _graphs(species: Sequence[str], cutoff: float) -> list[tuple[Tensor, Tensor, Tensor]]:
    """types, edge_index, edge_vec of structures that have edges."""
    graphs = []
    for atoms in perturbed_structures(species):
        for scale in (1.0, COMPRESSED):
            graph = _graph(_scaled(atoms, scale), list(species), cutoff)
            if graph[1].shape[1] > 0:
                graphs.append(graph)
    return graphs


def _scaled(atoms: Atoms, scale: float) -> Atoms:
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell.array * scale)
    scaled.positions *= scale
    return scaled


def _graph(atoms: Atoms, species: list[str], cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    i, j, _, vectors = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    types = [species.index(symbol) for symbol in atoms.get_chemical_symbols()]
    return torch.tensor(types), torch.tensor(np.stack([i, j])), torch.tensor(vectors)


def _edge_forces(model: nn.Module, graph: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """dE/d edge_vec, (n_edges, 3) eV/Å."""
    types, edge_index, edge_vec = graph
    edge_vec = edge_vec.clone().requires_grad_()
    energy = model(types, edge_index, edge_vec, len(types)).sum()
    return torch.autograd.grad(energy, edge_vec)[0]
