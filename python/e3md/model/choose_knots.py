"""How fine the tables must be: measured on structures, against the exact radial networks."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn

from e3md.model.committee import members_of
from e3md.model.splines import MAX_COLUMNS
from e3md.neighbors import neighbor_list
from e3md.structures import perturbed_structures

CANDIDATES = (96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
TOLERANCES = {"float32": 5e-7, "float64": 2e-11}  # of the largest force of a structure
Graph = tuple[Tensor, Tensor, Tensor]  # types, edge_index, edge_vec
COMPRESSED = 0.7  # also structures whose shortest distances are these times a bond's


@dataclass(frozen=True)
class Tables:
    """What the tables of a model cost in exactness."""

    knots: dict[str, int]  # by dtype
    force_error: dict[str, float]  # by dtype, of the largest force


class TableError(ValueError):
    """The radial networks of a model cannot be tabulated."""


def choose_knots(model: nn.Module, cutoff: float, species: Sequence[str]) -> Tables:
    """Set as few knots as keep the error of the forces below TOLERANCES, in a model or each member.

    Errors are measured in float64 on random structures of the model's species, also compressed ones.
    A committee has the knots and errors of its worst member.

    Raises:
        TableError: if no table of reasonable size is that good, or the tables would be too large.
    """
    members: list[Any] = members_of(model)
    graphs = _graphs(species, cutoff)
    found = [_enough(member, graphs) for member in members]
    tables = Tables(
        {dtype: max(t.knots[dtype] for t in found) for dtype in TOLERANCES},
        {dtype: max(t.force_error[dtype] for t in found) for dtype in TOLERANCES},
    )
    for member in members:
        member.n_knots = (tables.knots["float32"], tables.knots["float64"])
    return tables


def _enough(model: Any, graphs: list[Graph]) -> Tables:
    for layer in model.layers:
        n_tables, n_columns = layer.table_sizes()
        if n_tables * n_columns > MAX_COLUMNS:
            raise TableError(f"{n_tables} tables of {n_columns} radial functions in a layer")
    working = copy.deepcopy(model).double().requires_grad_(False)
    exact = [_edge_forces(working, graph) for graph in graphs]
    knots: dict[str, int] = {}
    errors: dict[str, float] = {}
    for n_knots in CANDIDATES:
        working.n_knots = (n_knots, n_knots)
        working.tabulate(True)
        largest = max(
            float((_edge_forces(working, graph) - forces).abs().max() / forces.abs().max())
            for graph, forces in zip(graphs, exact, strict=True)
        )
        for dtype, tolerance in TOLERANCES.items():
            if dtype not in knots and largest < tolerance:
                knots[dtype], errors[dtype] = n_knots, largest
        if len(knots) == len(TOLERANCES):
            return Tables(knots, errors)
    raise TableError(
        f"with {n_knots} knots the forces are still {largest:.0e} of the largest force off, as where "
        "a cutoff function is not smooth"
    )


def _graphs(species: Sequence[str], cutoff: float) -> list[Graph]:
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


def _graph(atoms: Atoms, species: list[str], cutoff: float) -> Graph:
    i, j, _, vectors = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    types = [species.index(symbol) for symbol in atoms.get_chemical_symbols()]
    return torch.tensor(types), torch.tensor(np.stack([i, j])), torch.tensor(vectors)


def _edge_forces(model: nn.Module, graph: Graph) -> Tensor:
    """dE/d edge_vec, (n_edges, 3) eV/Å."""
    types, edge_index, edge_vec = graph
    edge_vec = edge_vec.clone().requires_grad_()
    energy = model(types, edge_index, edge_vec, len(types)).sum()
    return torch.autograd.grad(energy, edge_vec)[0]
