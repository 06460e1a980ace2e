"""How fine the tables must be: measured on structures, against the exact radial networks."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ase import Atoms
from torch import Tensor, nn

from e3md.graph import AtomGraph, batch_graphs
from e3md.model.committee import members_of
from e3md.model.splines import MAX_COLUMNS
from e3md.neighbors import atoms_to_graph
from e3md.structures import perturbed_structures

CANDIDATES = (96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
TOLERANCES = {"float32": 5e-7, "float64": 2e-11}  # of the largest force of a structure
EDGES = 4000  # of structures evaluated together
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
    graphs = _structures(species, cutoff)
    found = [_enough(member, graphs) for member in members]
    tables = Tables(
        {dtype: max(t.knots[dtype] for t in found) for dtype in TOLERANCES},
        {dtype: max(t.force_error[dtype] for t in found) for dtype in TOLERANCES},
    )
    for member in members:
        member.n_knots = (tables.knots["float32"], tables.knots["float64"])
    return tables


def _enough(model: Any, graphs: Sequence[AtomGraph]) -> Tables:
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
            _largest_error(_edge_forces(working, graph), forces, graph)
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


def _structures(species: Sequence[str], cutoff: float) -> list[AtomGraph]:
    """Structures that have edges, several in a graph while they are small."""
    structures = [
        _scaled(atoms, scale)
        for atoms in perturbed_structures(species)
        for scale in (1.0, COMPRESSED)
    ]
    batches: list[list[AtomGraph]] = [[]]
    n_edges = 0
    for atoms in structures:
        graph = atoms_to_graph(atoms, species, cutoff, torch.float64)
        n_edges += len(graph.edge_vec)
        if batches[-1] and n_edges > EDGES:
            batches.append([])
            n_edges = len(graph.edge_vec)
        if len(graph.edge_vec):
            batches[-1].append(graph)
    if not batches[0]:
        raise TableError(f"no two atoms come within {cutoff:g} Å")
    return [batch_graphs(batch) for batch in batches]


def _scaled(atoms: Atoms, scale: float) -> Atoms:
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell.array * scale)
    scaled.positions *= scale
    return scaled


def _edge_forces(model: nn.Module, graph: AtomGraph) -> Tensor:
    """dE/d edge_vec, (n_edges, 3) eV/Å."""
    edge_vec = graph.edge_vec.clone().requires_grad_()
    energy = model(graph.types, graph.edge_index, edge_vec, graph.n_atoms).sum()
    return torch.autograd.grad(energy, edge_vec)[0]


def _largest_error(found: Tensor, exact: Tensor, graph: AtomGraph) -> float:
    """Of the largest force of its structure, over all structures."""
    frame = graph.frame[graph.edge_index[0]]

    def largest(x: Tensor) -> Tensor:
        sizes = torch.zeros(graph.n_frames, dtype=x.dtype)
        return sizes.scatter_reduce(0, frame, x.abs().amax(1), "amax")

    return float((largest(found - exact) / largest(exact)).max())
